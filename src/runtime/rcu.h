/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RCU, QSBR flavour: reading costs nothing. In return each reader thread says when it holds no
 * reference.
 *
 * The thread of a loop is online during a turn and offline while it waits. A thread that blocks
 * (journal, accounts, log) always stays offline. Nothing read under RCU is valid after the turn:
 * copy what is needed longer. liburcu is not instrumented, so the wrappers tell ThreadSanitizer
 * which orderings it guarantees.
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

/* One token for all grace periods. Readers release it when they go offline. The writer acquires it
 * after synchronize_rcu. */
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

/* Waits until every thread that may hold a reference has been offline or quiescent. Not for a
 * loop's thread. */
static inline void rcu_wait_for_readers(void)
{
    synchronize_rcu();
    TSAN_ACQUIRE(&rcu_grace_token);
}

#endif
