/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/thread.h"

#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"

#include <signal.h>
#include <stdio.h>

char rcu_grace_token;

/* Compares a thread-local, not pthread_t: the new thread may ask before pthread_create has stored
 * its id. */
static _Thread_local const struct thread *current;

static void enter(const char *name)
{
    pthread_setname_np(pthread_self(), name);
    rcu_register_thread();
    rcu_go_offline();
    log_thread_enter(name);
    metrics_thread_enter();
}

static void leave(void)
{
    metrics_thread_leave();
    log_thread_leave();
    rcu_unregister_thread();
}

static void *trampoline(void *argument)
{
    struct thread *thread = argument;
    current = thread;
    enter(thread->name);
    thread->run(thread->context);
    leave();
    return NULL;
}

enum err thread_start(
    struct thread *thread, const char *name, void (*run)(void *context), void *context)
{
    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->run = run;
    thread->context = context;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread->id, NULL, trampoline, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return ERR_SYSTEM;
    thread->started = true;
    return OK;
}

void thread_join(struct thread *thread)
{
    if (!thread->started)
        return;
    pthread_join(thread->id, NULL);
    thread->started = false;
}

void thread_adopt_main(void)
{
    enter("penstock");
}

void thread_leave_main(void)
{
    leave();
}

bool thread_is_current(const struct thread *thread)
{
    return thread == current;
}
