/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll: file descriptors, timers and one mailbox. One thread owns it and
 * everything attached to it.
 *
 * The thread is online for RCU while it works off a turn, and offline while it waits. (The
 * listeners of http/ run on h2o's own loop; this one serves delivery, where libcurl and c-ares
 * bring their own sockets.)
 *
 * A turn serves the descriptors that are ready, then mail, then the timers that are due. Then it
 * calls `on_turn_end`, where an owner does what is due after whatever has come. It may
 * have much to do, and the machine may give its thread little time; so timers do not wait for the
 * end of a turn: those that are due run between two callbacks whenever LOOP_SLICE_US have passed
 * (no more than one callback is between a due timer and its call), and the mail of a turn ends
 * there as well and goes on in the next one. A broker's heartbeat is such a timer.
 */
#ifndef PENSTOCK_RUNTIME_LOOP_H
#define PENSTOCK_RUNTIME_LOOP_H

#include "runtime/mailbox.h"
#include "runtime/timer.h"

#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS_PER_TURN 256
#define LOOP_SLICE_US \
    10000 /* a tenth of the tick of the links to the broker, and some hundred callbacks */

struct loop_watch {
    int fd;
    uint32_t events; /* EPOLLIN | EPOLLOUT, level-triggered */
    void (*on_ready)(struct loop_watch *watch, uint32_t events);
};

struct loop {
    int epoll_fd;
    bool stopping;
    int64_t now_mono_us; /* of this slice of the turn */
    struct mailbox *mailbox;
    struct loop_watch mailbox_watch;
    struct mail_batch batch; /* what was taken from the mailbox, and */
    bool batch_is_open;      /* not worked off yet */
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

/* From now on the loop works the mailbox off, in order. At most one. A mail that was taken when the
 * loop is stopped has been worked off when loop_run returns. */
enum err loop_attach_mailbox(struct loop *loop, struct mailbox *mailbox) MUST_CHECK;

enum err loop_watch_add(struct loop *loop, struct loop_watch *watch) MUST_CHECK;
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_watch_remove(struct loop *loop,
    struct loop_watch *watch); /* before the fd is closed; its ready events are forgotten */

/* From now on called at the end of each turn, and of each slice of a long one. */
void loop_set_turn_end(struct loop *loop, void (*on_turn_end)(struct loop *loop));

/* Arms or moves; a delay of 0 or less fires in the next turn. */
void timer_arm(struct loop *loop, struct timer *timer, int64_t delay_us);
void timer_disarm(struct loop *loop, struct timer *timer);

#endif
