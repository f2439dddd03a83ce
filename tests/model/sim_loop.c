/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_loop.h"

#include "base/clock.h"
#include "sim.h"

#include <assert.h>
#include <stdlib.h>

#define END_OF_SLICE_PER_MILLE 30 /* chance after each mail that the turn ends */
#define PAUSE_AFTER_MAIL_PER_MILLE \
    60 /* a thread that has posted may lose the CPU before its next instruction */

void __real_mailbox_post(struct mailbox *mailbox, struct mail *mail);
void __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail);
bool __wrap_mailbox_wait(struct mailbox *mailbox, int timeout_ms);
void __wrap_mailbox_rest(struct mailbox *mailbox, int64_t rest_us);

/* Mailboxes. */

static bool has_mail(void *context)
{
    struct mailbox *mailbox = context;
    return !cds_wfcq_empty(&mailbox->head, &mailbox->tail);
}

void __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
    __real_mailbox_post(mailbox, mail);
    sim_pause(PAUSE_AFTER_MAIL_PER_MILLE);
}

bool __wrap_mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    sim_wait(
        has_mail, mailbox, timeout_ms < 0 ? INT64_MAX : sim_mono_us() + timeout_ms * US_PER_MS);
    return has_mail(mailbox);
}

static bool is_hurried(void *context)
{
    return atomic_load(&((struct mailbox *)context)->hurry);
}

void __wrap_mailbox_rest(struct mailbox *mailbox, int64_t rest_us)
{
    sim_wait(is_hurried, mailbox, sim_mono_us() + rest_us);
    atomic_store(&mailbox->hurry, false);
}

/* Watches: `ready` holds those that were rung. */

enum err loop_init(struct loop *loop)
{
    *loop = (struct loop){.epoll_fd = -1, .now_mono_us = sim_mono_us()};
    return OK;
}

void loop_done(struct loop *loop)
{
    (void)loop;
}

enum err loop_attach_mailbox(struct loop *loop, struct mailbox *mailbox)
{
    loop->mailbox = mailbox;
    return OK;
}

enum err loop_watch_add(struct loop *loop, struct loop_watch *watch)
{
    (void)loop;
    (void)watch;
    return OK;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    (void)loop;
    watch->events = events;
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    for (int i = 0; i < loop->ready_len; i++)
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
}

void loop_set_turn_end(struct loop *loop, void (*on_turn_end)(struct loop *loop))
{
    loop->on_turn_end = on_turn_end;
}

void sim_loop_ring(struct loop *loop, struct loop_watch *watch)
{
    for (int i = 0; i < loop->ready_len; i++)
        if (loop->ready[i].data.ptr == watch)
            return;
    assert(loop->ready_len < LOOP_EVENTS_PER_TURN);
    loop->ready[loop->ready_len++] =
        (struct epoll_event){.events = watch->events, .data.ptr = watch};
}

static void work_off_watches(struct loop *loop)
{
    struct epoll_event rung[LOOP_EVENTS_PER_TURN];
    int count = loop->ready_len;
    for (int i = 0; i < count; i++)
        rung[i] = loop->ready[i];
    loop->ready_len = 0;
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = rung[i].data.ptr;
        if (watch)
            watch->on_ready(watch, rung[i].events);
    }
}

/* Timers: an unordered list, linked by `next` and `prev`. Of several due timers a random one runs
 * first. */

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
    *timer = (struct timer){.on_due = on_due};
}

void timer_arm(struct loop *loop, struct timer *timer, int64_t delay_us)
{
    timer_disarm(loop, timer);
    /* Without a delay it is due in the next turn: time does not pass within a turn. */
    timer->due_mono_us = sim_mono_us() + (delay_us > 0 ? delay_us : 1);
    timer->is_armed = true;
    timer->prev = NULL;
    timer->next = loop->timers.first;
    if (timer->next)
        timer->next->prev = timer;
    loop->timers.first = timer;
}

void timer_disarm(struct loop *loop, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    timer->is_armed = false;
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        loop->timers.first = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
}

static struct timer *take_due_timer(struct loop *loop)
{
    struct timer *chosen = NULL;
    unsigned due = 0;
    for (struct timer *timer = loop->timers.first; timer; timer = timer->next)
        if (timer->due_mono_us <= loop->now_mono_us && sim_below(STREAM_SCHEDULE, ++due) == 0)
            chosen = timer;
    if (chosen)
        timer_disarm(loop, chosen);
    return chosen;
}

static int64_t next_due_us(const struct loop *loop)
{
    int64_t due_us = INT64_MAX;
    for (struct timer *timer = loop->timers.first; timer; timer = timer->next)
        if (timer->due_mono_us < due_us)
            due_us = timer->due_mono_us;
    return due_us;
}

/* The loop. */

static bool has_work(void *context)
{
    struct loop *loop = context;
    return loop->ready_len > 0 || loop->batch_is_open || (loop->mailbox && has_mail(loop->mailbox));
}

/* Handles all mail, or a part of the batch when the turn takes too long. */
static void work_mail(struct loop *loop)
{
    if (!loop->batch_is_open && loop->mailbox)
        loop->batch_is_open = mailbox_take(loop->mailbox, &loop->batch);
    while (loop->batch_is_open) {
        struct mail *mail = mail_batch_next(&loop->batch);
        if (mail)
            mail->on_receive(mail, loop->mailbox->receiver);
        else
            loop->batch_is_open = false;
        if (!loop->stopping && sim_chance(STREAM_SCHEDULE, END_OF_SLICE_PER_MILLE))
            return;
    }
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping) {
        sim_wait(has_work, loop, next_due_us(loop));
        rcu_go_online();
        loop->now_mono_us = sim_mono_us();
        bool mail_first = sim_chance(STREAM_SCHEDULE, 500);
        if (mail_first)
            work_mail(loop);
        work_off_watches(loop);
        if (!mail_first)
            work_mail(loop);
        for (struct timer *timer; (timer = take_due_timer(loop));)
            timer->on_due(timer);
        if (loop->on_turn_end)
            loop->on_turn_end(loop);
        if (loop->stopping && loop->batch_is_open)
            work_mail(loop);
        rcu_go_offline();
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}
