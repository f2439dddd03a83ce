/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/loop.h"

#include "base/clock.h"

#include <stdlib.h>
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
    free(TAKE(loop->heap));
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

/* The heap: a parent is due no later than its children; a timer knows its place. */

static void heap_put(struct loop *loop, size_t at, struct timer *timer)
{
    loop->heap[at] = timer;
    timer->heap_index = at;
}

static void heap_move_up(struct loop *loop, size_t at, struct timer *timer)
{
    for (; at > 1 && loop->heap[at / 2]->due_mono_us > timer->due_mono_us; at /= 2)
        heap_put(loop, at, loop->heap[at / 2]);
    heap_put(loop, at, timer);
}

static void heap_move_down(struct loop *loop, size_t at, struct timer *timer)
{
    for (;;) {
        size_t child = at * 2;
        if (child > loop->heap_len)
            break;
        if (child < loop->heap_len &&
            loop->heap[child + 1]->due_mono_us < loop->heap[child]->due_mono_us)
            child++;
        if (loop->heap[child]->due_mono_us >= timer->due_mono_us)
            break;
        heap_put(loop, at, loop->heap[child]);
        at = child;
    }
    heap_put(loop, at, timer);
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer))
{
    *timer = (struct timer){.on_due = on_due};
}

enum err timer_arm(struct loop *loop, struct timer *timer, int64_t delay_us)
{
    if (!timer_is_armed(timer) && loop->heap_len + 2 > loop->heap_capacity) {
        size_t capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 64;
        struct timer **heap = realloc(loop->heap, capacity * sizeof *heap);
        if (!heap)
            return ERR_NO_MEMORY;
        loop->heap = heap;
        loop->heap_capacity = capacity;
    }
    timer_disarm(loop, timer);
    timer->due_mono_us = clock_mono_us() + (delay_us > 0 ? delay_us : 0);
    heap_move_up(loop, ++loop->heap_len, timer);
    return OK;
}

void timer_disarm(struct loop *loop, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    size_t at = timer->heap_index;
    timer->heap_index = 0;
    struct timer *last = loop->heap[loop->heap_len--];
    if (last == timer)
        return;
    if (at > 1 && loop->heap[at / 2]->due_mono_us > last->due_mono_us)
        heap_move_up(loop, at, last);
    else
        heap_move_down(loop, at, last);
}

/* Only what was due when the turn began: a timer that re-arms itself with no delay can't hold the
 * loop. */
static void run_due_timers(struct loop *loop)
{
    while (loop->heap_len > 0 && loop->heap[1]->due_mono_us <= loop->now_mono_us) {
        struct timer *timer = loop->heap[1];
        timer_disarm(loop, timer);
        timer->on_due(timer);
    }
}

/* Behind a callback: what is due does not wait for the others of this turn. */
static void end_slice(struct loop *loop)
{
    int64_t now_us = clock_mono_us();
    if (now_us - loop->now_mono_us < LOOP_SLICE_US)
        return;
    rcu_go_offline(); /* nor do those who wait for readers */
    rcu_go_online();
    loop->now_mono_us = now_us;
    run_due_timers(loop);
}

/* What is in the mailbox, or the rest of what was: a slice of it, unless the loop is being stopped.
 * */
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
    if (loop->heap_len == 0)
        return -1;
    int64_t delay_us = loop->heap[1]->due_mono_us - clock_mono_us();
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
        if (loop->stopping && loop->batch_is_open)
            work_mail(loop);
        rcu_go_offline();
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}
