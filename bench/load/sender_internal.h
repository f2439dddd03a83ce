/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by sender.c (start and end) and turn.c (work). */
#ifndef PENSTOCK_BENCH_LOAD_SENDER_INTERNAL_H
#define PENSTOCK_BENCH_LOAD_SENDER_INTERNAL_H

#include "load/connection.h"
#include "load/sender.h"

#include <pthread.h>

struct sender {
    struct sender_run *run;
    const struct load_options *options;
    unsigned number;
    pthread_t thread;
    _Atomic bool ended;

    /* owned by the thread */
    int epoll_fd;
    SSL_CTX *tls;
    unsigned connections_count, connections_next;
    struct connection *connections;
    struct list dirty;    /* connections that have to be flushed */
    struct list patience; /* sendings in flight */
    struct list resends;  /* in order of due_us */
    struct list spare;
    struct list prepared; /* the next requests, in order of due_us; the walk is after them */
    unsigned prepared_count;
    struct timetable_walk walk;
    bool no_room;       /* due events wait for a stream */
    bool no_room_again; /* due re-sends wait for a stream */
    unsigned in_flight, to_resend;
    int64_t next_tick_us;
    struct run_log *log;
    struct tally tally;
    struct histogram recent;

    pthread_mutex_t lock; /* for `shown` */
    struct sender_progress shown;
};

/* One turn: sends due events, ends requests that have timed out, and waits for answers. Returns
 * false when all is done. */
bool sender_turn(struct sender *sender);
/* Opens closed connections whose pause has ended. */
void sender_reopen(struct sender *sender, int64_t now_us);
/* Waits for sockets, until `wake_us` at most, and handles those that are ready. */
void sender_wait_until(struct sender *sender, int64_t wake_us);
/* A connection's on_end; `context` is the sender. */
void sender_on_end(struct sending *sending, enum load_end how, void *context);
/* Called after the last turn: records the due events that were never sent. */
void sender_give_up_rest(struct sender *sender);
/* Updates what other threads see. */
void sender_show(struct sender *sender);

#endif
