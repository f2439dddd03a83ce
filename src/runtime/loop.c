/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/loop.h"

#include "base/clock.h"

#include <unistd.h>

enum err loop_init(struct loop *loop)
{
    *loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .now_mono_us = clock_mono_us()};
    return loop->epoll_fd < 0 ? ERR_SYSTEM : OK;
}

void loop_done(struct loop *loop)
{
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

static void on_mailbox_ready(struct loop_watch *watch, uint32_t events)
{
    CONTAINER_OF(watch, struct loop, mailbox_watch)->mail_is_due = true;
}

enum err loop_attach_mailbox(struct loop *loop, struct mailbox *mailbox)
{
    loop->mailbox = mailbox;
    loop->mailbox_watch = (struct loop_watch){
        .fd = mailbox->event_fd, .events = EPOLLIN, .on_ready = on_mailbox_ready};
    return loop_watch_add(loop, &loop->mailbox_watch);
}

enum err loop_watch_add(struct loop *loop, struct loop_watch *watch)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) ? ERR_SYSTEM : OK;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->ready_at; i < loop->ready_len; i++)
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
}

void loop_set_turn_end(struct loop *loop, void (*on_turn_end)(struct loop *loop))
{
    loop->on_turn_end = on_turn_end;
}

void timer_arm(struct loop *loop, struct timer *timer, int64_t delay_us)
{
    timer_disarm(loop, timer);
    timer->due_mono_us = clock_mono_us() + (delay_us > 0 ? delay_us : 0);
    timer_heap_add(&loop->timers, timer);
}

void timer_disarm(struct loop *loop, struct timer *timer)
{
    if (timer_is_armed(timer))
        timer_heap_remove(&loop->timers, timer);
}

/* Runs only the timers that were due when the turn began: a timer that re-arms itself without delay
 * cannot block the loop. */
static void run_due_timers(struct loop *loop)
{
    struct timer *timer;
    while ((timer = loop->timers.first) && timer->due_mono_us <= loop->now_mono_us) {
        timer_disarm(loop, timer);
        timer->on_due(timer);
    }
}

/* Lets the owner do its work after the callbacks. */
static void end_turn(struct loop *loop)
{
    if (loop->on_turn_end)
        loop->on_turn_end(loop);
}

/* Runs after each callback, so that due timers do not wait for the rest of the turn. */
static void end_slice(struct loop *loop)
{
    int64_t now_us = clock_mono_us();
    if (now_us - loop->now_mono_us < LOOP_SLICE_US)
        return;
    rcu_go_offline(); /* ends the wait of threads that wait for readers */
    rcu_go_online();
    loop->now_mono_us = now_us;
    run_due_timers(loop);
    end_turn(loop);
}

/* Handles mail for at most one slice, or all of it if the loop is stopping. The rest stays due. */
static void work_mail(struct loop *loop)
{
    int64_t end_us = clock_mono_us() + LOOP_SLICE_US;
    if (!loop->batch_is_open)
        loop->batch_is_open = mailbox_take(loop->mailbox, &loop->batch);
    while (loop->batch_is_open) {
        struct mail *mail = mail_batch_next(&loop->batch);
        if (mail)
            mail->on_receive(mail, loop->mailbox->receiver);
        else
            loop->batch_is_open = false;
        if (!loop->stopping && clock_mono_us() >= end_us)
            return; /* still due */
    }
    loop->mail_is_due = false;
}

static int wait_ms(const struct loop *loop)
{
    if (loop->mail_is_due)
        return 0;
    if (!loop->timers.first)
        return -1;
    int64_t delay_us = loop->timers.first->due_mono_us - clock_mono_us();
    if (delay_us <= 0)
        return 0;
    return delay_us > 60 * US_PER_SECOND ? 60000 : (int)((delay_us + US_PER_MS - 1) / US_PER_MS);
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping) {
        loop->ready_len =
            epoll_wait(loop->epoll_fd, loop->ready, LOOP_EVENTS_PER_TURN, wait_ms(loop));
        rcu_go_online();
        loop->now_mono_us = clock_mono_us();
        for (loop->ready_at = 0; loop->ready_at < loop->ready_len;) {
            struct epoll_event *event = &loop->ready[loop->ready_at++];
            struct loop_watch *watch = event->data.ptr;
            if (watch) {
                watch->on_ready(watch, event->events);
                end_slice(loop);
            }
        }
        if (loop->mail_is_due)
            work_mail(loop);
        end_slice(loop);
        run_due_timers(loop);
        end_turn(loop);
        if (loop->stopping && loop->batch_is_open)
            work_mail(loop);
        rcu_go_offline();
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}
