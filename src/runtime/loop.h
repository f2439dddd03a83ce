/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll: file descriptors, timers and one mailbox. One thread owns it and
 * everything attached to it.
 *
 * The thread is online for RCU during a turn, and offline while it waits. (The listeners of http/
 * run on h2o's own loop. This loop serves delivery, where libcurl and c-ares bring their own
 * sockets.)
 *
 *   wait -> callbacks of ready descriptors -> mail -> due timers -> on_turn_end -> wait
 *
 * In on_turn_end the owner does its work, once all callbacks have run. A turn may be long, because
 * there is much to do or the machine is busy. So timers do not wait for its end. Due timers also
 * run between two callbacks whenever LOOP_SLICE_US have passed: at most one callback delays a due
 * timer. Mail ends at the same limit and continues in the next turn. A broker's heartbeat is such a
 * timer.
 */
#ifndef PENSTOCK_RUNTIME_LOOP_H
#define PENSTOCK_RUNTIME_LOOP_H

#include "runtime/mailbox.h"
#include "runtime/timer.h"

#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS_PER_TURN 256
/* A tenth of the tick of the broker's links, and enough for some hundred callbacks. */
#define LOOP_SLICE_US 10000

struct loop_watch {
    int fd;
    uint32_t events; /* EPOLLIN | EPOLLOUT, level-triggered */
    void (*on_ready)(struct loop_watch *watch, uint32_t events);
};

struct loop {
    int epoll_fd;
    bool stopping;
    int64_t now_mono_us; /* the start of this slice of the turn */
    struct mailbox *mailbox;
    struct loop_watch mailbox_watch;
    struct mail_batch batch; /* taken from the mailbox */
    bool batch_is_open;      /* `batch` has more mail */
    bool mail_is_due;
    struct timer_heap timers;
    void (*on_turn_end)(struct loop *loop); /* NULL: nothing to do */
    struct epoll_event ready[LOOP_EVENTS_PER_TURN];
    int ready_len, ready_at;
};

enum err loop_init(struct loop *loop) MUST_CHECK;
void loop_done(struct loop *loop);

/* Runs until loop_stop, which a callback on this thread calls. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Makes the loop handle the mail of this mailbox, in order. A loop has at most one. When the loop
 * is stopped, mail that is already taken is handled before loop_run returns. */
enum err loop_attach_mailbox(struct loop *loop, struct mailbox *mailbox) MUST_CHECK;

enum err loop_watch_add(struct loop *loop, struct loop_watch *watch) MUST_CHECK;
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Call it before the descriptor is closed. Its pending ready events are dropped. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Sets a function that is called at the end of each turn, and of each slice of a long turn. */
void loop_set_turn_end(struct loop *loop, void (*on_turn_end)(struct loop *loop));

/* Arms the timer, or moves it if it is armed. A delay of 0 or less fires in the next turn. */
void timer_arm(struct loop *loop, struct timer *timer, int64_t delay_us);
void timer_disarm(struct loop *loop, struct timer *timer);

#endif
