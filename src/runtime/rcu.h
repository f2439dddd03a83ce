/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RCU, QSBR flavour: reading costs nothing, and in return each reader thread says when it holds no
 * reference.
 *
 * A loop's thread is online while it works off a turn and offline while it waits; a thread that
 * blocks (journal, accounts, log) stays offline for good. Nothing read under RCU survives the turn:
 * what must survive is copied. The wrappers tell ThreadSanitizer of the orderings that liburcu,
 * which is not instrumented, makes.
 */
#ifndef PENSTOCK_RUNTIME_RCU_H
#define PENSTOCK_RUNTIME_RCU_H

#include <stdbool.h>
#include <urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define PENSTOCK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PENSTOCK_TSAN 1
#endif
#endif

#ifdef PENSTOCK_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define TSAN_ACQUIRE(address) __tsan_acquire(address)
#define TSAN_RELEASE(address) __tsan_release(address)
#else
#define TSAN_ACQUIRE(address) ((void)(address))
#define TSAN_RELEASE(address) ((void)(address))
#endif

/* One token for all grace periods: readers release it as they go offline, the writer acquires it
 * after synchronize_rcu. / */
extern char rcu_grace_token;

static inline void rcu_go_online(void)
{
    rcu_thread_online();
    TSAN_ACQUIRE(&rcu_grace_token);
}

static inline void rcu_go_offline(void)
{
    TSAN_RELEASE(&rcu_grace_token);
    rcu_thread_offline();
}

/* Waits until every thread that could hold a reference has been offline or quiescent. Not from a
 * loop's thread. */
static inline void rcu_wait_for_readers(void)
{
    synchronize_rcu();
    TSAN_ACQUIRE(&rcu_grace_token);
}

#endif
