/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

struct witness {
    struct thread thread;
    char name[THREAD_NAME_BYTES];
    bool was_current;
    int signals_open;
};

static void look_around(void *context)
{
    struct witness *witness = context;
    pthread_getname_np(pthread_self(), witness->name, sizeof witness->name);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        witness->signals_open += !sigismember(&blocked, signals[i]);
}

Test(thread, has_its_name_and_all_signals_blocked)
{
    struct witness witness = {0};
    cr_assert_eq(
        thread_start(&witness.thread, "a-name-that-is-too-long", look_around, &witness), OK);
    thread_join(&witness.thread);
    cr_assert_str_eq(witness.name, "a-name-that-is-");
    cr_assert_eq(witness.signals_open, 0);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    cr_assert_not(sigismember(&blocked, SIGTERM), "the starter's own mask is as it was");
}

static void ask_who_i_am(void *context)
{
    struct witness *witness = context;
    witness->was_current = thread_is_current(&witness->thread);
}

Test(thread, is_current_only_on_itself)
{
    struct witness witness = {0};
    cr_assert_not(thread_is_current(&witness.thread));
    cr_assert_eq(thread_start(&witness.thread, "me", ask_who_i_am, &witness), OK);
    cr_assert_not(thread_is_current(&witness.thread));
    thread_join(&witness.thread);
    cr_assert(witness.was_current, "even before its starter has heard of it");
    thread_join(&witness.thread); /* does nothing */
}
