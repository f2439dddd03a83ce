/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/loop.h"

#include "base/clock.h"
#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#define FAR_AWAY (1000 * US_PER_SECOND)

static struct loop loop;

static void set_up(void)
{
    thread_adopt_main();
    cr_assert_eq(loop_init(&loop), OK);
}

static void tear_down(void)
{
    loop_done(&loop);
    thread_leave_main();
}

TestSuite(loop, .init = set_up, .fini = tear_down);
TestSuite(timer, .init = set_up, .fini = tear_down);

/* A pipe. The loop watches its reading end. */
struct tube {
    struct loop_watch watch;
    int write_fd;
    int calls;
    uint32_t last_events;
    struct tube *remove_on_call; /* removed from the loop and closed by this one's callback */
};

static void tube_close(struct tube *tube)
{
    loop_watch_remove(&loop, &tube->watch);
    close(tube->watch.fd);
    close(tube->write_fd);
}

static void on_tube(struct loop_watch *watch, uint32_t events)
{
    struct tube *tube = CONTAINER_OF(watch, struct tube, watch);
    tube->calls++;
    tube->last_events = events;
    char c;
    cr_assert_eq(read(watch->fd, &c, 1), 1);
    if (tube->remove_on_call)
        tube_close(TAKE(tube->remove_on_call));
}

static void tube_open(struct tube *tube)
{
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    *tube = (struct tube){
        .watch = {.fd = fds[0], .events = EPOLLIN, .on_ready = on_tube}, .write_fd = fds[1]};
    cr_assert_eq(loop_watch_add(&loop, &tube->watch), OK);
}

static void on_due_stop(struct timer *timer)
{
    loop_stop(&loop);
}

/* Runs one turn: a timer that is due at once ends it after the ready descriptors. */
static void run_turns(int turns)
{
    for (int i = 0; i < turns; i++) {
        struct timer stop;
        timer_init(&stop, on_due_stop);
        timer_arm(&loop, &stop, 0);
        loop_run(&loop);
        cr_assert_not(timer_is_armed(&stop));
    }
}

Test(loop, descriptor_is_ready_until_it_is_read)
{
    struct tube tube;
    tube_open(&tube);
    run_turns(2);
    cr_assert_eq(tube.calls, 0);
    cr_assert_eq(write(tube.write_fd, "abc", 3), 3);
    run_turns(5);
    cr_assert_eq(tube.calls, 3, "level-triggered: once for each byte, got %d", tube.calls);
    cr_assert_eq(tube.last_events, EPOLLIN);
    tube_close(&tube);
}

Test(loop, change_of_events_takes_effect)
{
    struct tube tube;
    tube_open(&tube);
    cr_assert_eq(write(tube.write_fd, "ab", 2), 2);
    loop_watch_change(&loop, &tube.watch, 0);
    run_turns(3);
    cr_assert_eq(tube.calls, 0);
    loop_watch_change(&loop, &tube.watch, EPOLLIN);
    run_turns(3);
    cr_assert_eq(tube.calls, 2);
    tube_close(&tube);
}

Test(loop, removed_watch_is_not_called_for_a_pending_event)
{
    struct tube first, second;
    tube_open(&first);
    tube_open(&second);
    first.remove_on_call = &second;
    second.remove_on_call = &first;
    cr_assert_eq(write(first.write_fd, "a", 1), 1);
    cr_assert_eq(write(second.write_fd, "b", 1), 1);
    run_turns(3);
    cr_assert_eq(first.calls + second.calls, 1, "the one that ran took the other one out");
    tube_close(first.calls ? &first : &second);
}

Test(loop, watch_may_remove_itself)
{
    struct tube tube;
    tube_open(&tube);
    tube.remove_on_call = &tube;
    cr_assert_eq(write(tube.write_fd, "ab", 2), 2);
    run_turns(3);
    cr_assert_eq(tube.calls, 1);
}

Test(loop, more_ready_descriptors_than_one_turn_takes_are_all_served)
{
    enum { TUBES = LOOP_EVENTS_PER_TURN + 44 };
    static struct tube tubes[TUBES];
    for (int i = 0; i < TUBES; i++) {
        tube_open(&tubes[i]);
        cr_assert_eq(write(tubes[i].write_fd, "a", 1), 1);
    }
    run_turns(2);
    for (int i = 0; i < TUBES; i++) {
        cr_expect_eq(tubes[i].calls, 1);
        tube_close(&tubes[i]);
    }
}

Test(loop, watch_of_an_invalid_descriptor_fails)
{
    struct loop_watch watch = {.fd = -1, .events = EPOLLIN, .on_ready = on_tube};
    cr_assert_eq(loop_watch_add(&loop, &watch), ERR_SYSTEM);
}

struct stop_mail {
    struct mail mail;
    struct thread thread;
    struct mailbox *to;
};

static void on_stop_mail(struct mail *mail, void *receiver)
{
    loop_stop(receiver);
}

static void post_stop(void *context)
{
    struct stop_mail *stop = context;
    mailbox_post(stop->to, &stop->mail);
}

Test(loop, mail_from_another_thread_wakes_the_loop)
{
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, &loop), OK);
    cr_assert_eq(loop_attach_mailbox(&loop, &mailbox), OK);
    struct stop_mail stop = {.mail.on_receive = on_stop_mail, .to = &mailbox};
    cr_assert_eq(thread_start(&stop.thread, "poster", post_stop, &stop), OK);
    loop_run(&loop); /* only the mail ends it */
    thread_join(&stop.thread);
    mailbox_done(&mailbox);
}

/* Takes one slice of wall time, also on a busy machine. */

static void take_a_slice(void)
{
    for (int64_t end_us = clock_mono_us() + LOOP_SLICE_US; clock_mono_us() <= end_us;)
        ;
}

#define LONG_CALLS 12

static int long_calls, long_calls_at_timer;

static void on_long_watch(struct loop_watch *watch, uint32_t events)
{
    long_calls++;
    loop_watch_remove(&loop, watch);
    take_a_slice();
}

static void on_due_note_calls(struct timer *timer)
{
    long_calls_at_timer = long_calls;
}

Test(loop, due_timer_does_not_wait_for_the_rest_of_a_long_turn)
{
    struct tube tubes[LONG_CALLS];
    struct timer timer;
    for (int i = 0; i < LONG_CALLS; i++) {
        tube_open(&tubes[i]);
        tubes[i].watch.on_ready = on_long_watch;
        cr_assert_eq(write(tubes[i].write_fd, "a", 1), 1);
    }
    timer_init(&timer, on_due_note_calls);
    timer_arm(&loop, &timer, LOOP_SLICE_US / 2);
    run_turns(1);
    cr_assert_not(timer_is_armed(&timer));
    cr_assert_leq(long_calls_at_timer, 1, "%d callbacks came first", long_calls_at_timer);
    run_turns(1);
    cr_assert_eq(long_calls, LONG_CALLS);
}

struct long_mail {
    struct mail mail;
    int number;
    bool stops;
};

static void on_long_mail(struct mail *mail, void *receiver)
{
    const struct long_mail *long_mail = CONTAINER_OF(mail, struct long_mail, mail);
    cr_assert_eq(receiver, &loop);
    cr_assert_eq(long_mail->number, long_calls++, "in the order of posting");
    if (long_mail->stops)
        loop_stop(&loop);
    take_a_slice();
}

static void post_long_mails(struct mailbox *mailbox, struct long_mail mails[LONG_CALLS])
{
    cr_assert_eq(mailbox_init(mailbox, &loop), OK);
    cr_assert_eq(loop_attach_mailbox(&loop, mailbox), OK);
    for (int i = 0; i < LONG_CALLS; i++) {
        mails[i] = (struct long_mail){.mail.on_receive = on_long_mail, .number = i};
        mailbox_post(mailbox, &mails[i].mail);
    }
}

static void on_due_stop_when_all_is_done(struct timer *timer)
{
    if (long_calls == LONG_CALLS)
        loop_stop(&loop);
    else
        timer_arm(&loop, timer, 0);
}

Test(loop, much_mail_does_not_delay_a_timer)
{
    struct mailbox mailbox;
    struct long_mail mails[LONG_CALLS];
    struct timer timer, stop;
    post_long_mails(&mailbox, mails);
    timer_init(&timer, on_due_note_calls);
    timer_init(&stop, on_due_stop);
    timer_arm(&loop, &timer, LOOP_SLICE_US / 2);
    timer_arm(&loop, &stop, LOOP_SLICE_US * 3 / 2);
    loop_run(&loop);
    cr_assert_not(timer_is_armed(&timer));
    cr_assert_leq(long_calls_at_timer, 2, "%d mails came first", long_calls_at_timer);
    cr_assert_eq(long_calls, LONG_CALLS, "what was taken is worked off before the loop returns");
    mailbox_done(&mailbox);
}

Test(loop, mail_continues_in_the_next_turns_in_order)
{
    struct mailbox mailbox;
    struct long_mail mails[LONG_CALLS],
        late = {.mail.on_receive = on_long_mail, .number = LONG_CALLS, .stops = true};
    struct timer timer;
    post_long_mails(&mailbox, mails);
    timer_init(&timer, on_due_stop_when_all_is_done);
    timer_arm(&loop, &timer, 0);
    loop_run(&loop);
    cr_assert_eq(long_calls, LONG_CALLS);
    mailbox_post(&mailbox, &late.mail);
    loop_run(&loop);
    cr_assert_eq(long_calls, LONG_CALLS + 1);
    mailbox_done(&mailbox);
}

static int fired[8], fired_len;

struct labelled {
    struct timer timer;
    int label;
};

static void on_due_note(struct timer *timer)
{
    fired[fired_len++] = CONTAINER_OF(timer, struct labelled, timer)->label;
    if (fired_len == 4)
        loop_stop(&loop);
}

Test(timer, timers_fire_in_order_of_due_time)
{
    static const int64_t delays_ms[] = {20, 5, -3, 10};
    struct labelled timers[4];
    for (int i = 0; i < 4; i++) {
        timers[i].label = i;
        timer_init(&timers[i].timer, on_due_note);
        timer_arm(&loop, &timers[i].timer, delays_ms[i] * US_PER_MS);
    }
    int64_t start = clock_mono_us();
    loop_run(&loop);
    cr_assert_geq(clock_mono_us() - start, 19 * US_PER_MS, "none fires early");
    static const int expected[] = {2, 1, 3, 0};
    cr_assert_arr_eq(fired, expected, sizeof expected);
    for (int i = 0; i < 4; i++)
        cr_assert_not(timer_is_armed(&timers[i].timer));
}

Test(timer, rearmed_timer_moves_and_disarmed_timer_never_fires)
{
    struct labelled timers[5];
    for (int i = 0; i < 5; i++) {
        timers[i].label = i;
        timer_init(&timers[i].timer, on_due_note);
        timer_arm(&loop, &timers[i].timer, (1 + i) * US_PER_MS);
    }
    timer_arm(&loop, &timers[0].timer, 10 * US_PER_MS); /* from first to last */
    timer_arm(&loop, &timers[3].timer, 0);              /* to the front */
    timer_disarm(&loop, &timers[2].timer);
    timer_disarm(&loop, &timers[2].timer);
    loop_run(&loop);
    static const int expected[] = {3, 1, 4, 0};
    cr_assert_arr_eq(fired, expected, sizeof expected);
    cr_assert_eq(loop.timers.count, 0);
}

struct eager {
    struct timer timer;
    int calls;
};

static void on_due_again(struct timer *timer)
{
    CONTAINER_OF(timer, struct eager, timer)->calls++;
    timer_arm(&loop, timer, 0);
}

Test(timer, timer_that_rearms_itself_without_delay_does_not_block_the_loop)
{
    struct eager eager = {0};
    timer_init(&eager.timer, on_due_again);
    timer_arm(&loop, &eager.timer, 0);
    struct tube tube;
    tube_open(&tube);
    cr_assert_eq(write(tube.write_fd, "a", 1), 1);
    run_turns(10);
    cr_assert_eq(tube.calls, 1);
    cr_assert_geq(eager.calls, 9);
    timer_disarm(&loop, &eager.timer);
    tube_close(&tube);
}

static struct labelled victim;

static void on_due_disarm_victim(struct timer *timer)
{
    timer_disarm(&loop, &victim.timer);
    loop_stop(&loop);
}

Test(timer, due_timer_can_disarm_another_due_timer)
{
    struct timer killer;
    timer_init(&killer, on_due_disarm_victim);
    timer_init(&victim.timer, on_due_note);
    timer_arm(&loop, &killer, 0);
    while (clock_mono_us() <= killer.due_mono_us)
        ; /* the victim is due later, and both before the turn begins */
    timer_arm(&loop, &victim.timer, 0);
    loop_run(&loop);
    cr_assert_eq(fired_len, 0);
}

/* A fixed seed: each run makes the same choices (Knuth's MMIX constants). */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void check_heap(const struct labelled *timers, size_t count)
{
    size_t armed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct timer *timer = &timers[i].timer;
        if (!timer_is_armed(timer))
            continue;
        armed++;
        cr_assert(timer == loop.timers.first || timer->prev->child == timer ||
                  timer->prev->next == timer);
        for (const struct timer *below = timer->child; below; below = below->next)
            cr_assert_leq(timer->due_mono_us, below->due_mono_us);
    }
    cr_assert_eq(armed, loop.timers.count);
}

static int64_t last_due_us;
static int drained;

static void on_due_in_order(struct timer *timer)
{
    cr_assert_geq(timer->due_mono_us, last_due_us);
    last_due_us = timer->due_mono_us;
    if (--drained == 0)
        loop_stop(&loop);
}

Test(timer, heap_agrees_with_a_simple_model_over_many_random_steps)
{
    enum { TIMERS = 300, STEPS = 20000 };
    static struct labelled timers[TIMERS];
    static bool armed[TIMERS];
    uint64_t seed = 20240607;
    for (int i = 0; i < TIMERS; i++)
        timer_init(&timers[i].timer, on_due_in_order);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(next_random(&seed) % TIMERS);
        armed[i] = next_random(&seed) % 3 != 0;
        if (armed[i])
            timer_arm(&loop, &timers[i].timer, FAR_AWAY + next_random(&seed) % 1000000);
        else
            timer_disarm(&loop, &timers[i].timer);
        int64_t earliest = INT64_MAX;
        for (int k = 0; k < TIMERS; k++) {
            cr_assert_eq(timer_is_armed(&timers[k].timer), armed[k]);
            if (armed[k] && timers[k].timer.due_mono_us < earliest)
                earliest = timers[k].timer.due_mono_us;
        }
        if (loop.timers.first)
            cr_assert_eq(loop.timers.first->due_mono_us, earliest);
        if (step % 100 == 0)
            check_heap(timers, TIMERS);
    }
    for (int i = 0; i < TIMERS; i++)
        timer_arm(&loop, &timers[i].timer, next_random(&seed) % 3000);
    drained = TIMERS;
    loop_run(&loop);
    cr_assert_eq(loop.timers.count, 0);
}

static unsigned mails_taken, turns_ended, mails_at_turn_end;

static void on_counted_mail(struct mail *mail, void *receiver)
{
    mails_taken++;
}

static void on_turn_end(struct loop *ended)
{
    turns_ended++;
    mails_at_turn_end = mails_taken;
    if (mails_taken > 0)
        loop_stop(ended);
}

Test(loop, turn_end_follows_all_mail_and_is_called_once)
{
    struct mailbox mailbox;
    struct mail mails[3];
    mails_taken = turns_ended = 0;
    cr_assert_eq(mailbox_init(&mailbox, &loop), OK);
    cr_assert_eq(loop_attach_mailbox(&loop, &mailbox), OK);
    for (int i = 0; i < 3; i++) {
        mails[i].on_receive = on_counted_mail;
        mailbox_post(&mailbox, &mails[i]);
    }
    loop_set_turn_end(&loop, on_turn_end);
    loop_run(&loop);
    cr_assert_eq(turns_ended, 1);
    cr_assert_eq(mails_at_turn_end, 3);
    mailbox_done(&mailbox);
}
