/* SPDX-License-Identifier: Apache-2.0 */
/* In place of runtime/thread.c: a thread is a coroutine, and who joins it waits for its end. */
#include "runtime/rcu.h"
#include "runtime/thread.h"
#include "sim.h"

#include <stdio.h>

char rcu_grace_token;

static struct sim_coroutine *coroutine_of(const struct thread *thread)
{
    return (struct sim_coroutine *)(void *)thread->id;
}

enum err thread_start(
    struct thread *thread, const char *name, void (*run)(void *context), void *context)
{
    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->run = run;
    thread->context = context;
    thread->id = (pthread_t)(void *)sim_spawn(name, run, context);
    thread->started = true;
    return OK;
}

static bool has_ended(void *context)
{
    return sim_has_ended(context);
}

void thread_join(struct thread *thread)
{
    if (!thread->started)
        return;
    while (!sim_has_ended(coroutine_of(thread)))
        sim_wait(has_ended, coroutine_of(thread), INT64_MAX);
    thread->started = false;
}

/* The one OS thread, for all coroutines: offline, until one says otherwise. */
void thread_adopt_main(void)
{
    rcu_register_thread();
    rcu_go_offline();
}

void thread_leave_main(void)
{
    rcu_unregister_thread();
}

bool thread_is_current(const struct thread *thread)
{
    return sim_current() == coroutine_of(thread);
}
