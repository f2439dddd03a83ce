/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named thread, registered with RCU, the log and the metrics. It starts offline (rcu.h).
 *
 * Data is owned by threads. ASSERT_ON_THREAD checks that in debug builds.
 */
#ifndef PENSTOCK_RUNTIME_THREAD_H
#define PENSTOCK_RUNTIME_THREAD_H

#include "base/err.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

#define THREAD_NAME_BYTES 16 /* the kernel's bound, NUL included */

struct thread {
    char name[THREAD_NAME_BYTES];
    void (*run)(void *context);
    void *context;
    pthread_t id;
    bool started;
};

/* `thread` and `context` must stay valid until thread_join. All signals are blocked in the new
 * thread, because main handles them. */
enum err thread_start(
    struct thread *thread, const char *name, void (*run)(void *context), void *context) MUST_CHECK;

/* Waits until the thread ends. Does nothing if it never started. */
void thread_join(struct thread *thread);

/* For main(), which thread_start does not start. */
void thread_adopt_main(void);
void thread_leave_main(void);

bool thread_is_current(const struct thread *thread);
#define ASSERT_ON_THREAD(thread) assert(thread_is_current(thread))

#endif
