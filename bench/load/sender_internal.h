/* SPDX-License-Identifier: Apache-2.0 */
/* What sender.c (its life) and turn.c (its work) share. */
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
    struct list dirty;    /* connections with something to flush */
    struct list patience; /* sendings in flight */
    struct list resends;  /* in order of due_us */
    struct list spare;
    struct list prepared; /* the next ones, in order of due_us; the walk is behind them */
    unsigned prepared_count;
    struct timetable_walk walk;
    bool no_room;       /* due events wait for a stream */
    bool no_room_again; /* due re-sends do */
    unsigned in_flight, to_resend;
    int64_t next_tick_us;
    struct run_log *log;
    struct tally tally;
    struct histogram recent;

    pthread_mutex_t lock; /* for `shown` */
    struct sender_progress shown;
};

/* One turn: sends what is due, ends what nobody waits for any more, and waits for answers. False
 * when all is done. */
bool sender_turn(struct sender *sender);
/* Opens connections that are closed and may be tried again. */
void sender_reopen(struct sender *sender, int64_t now_us);
/* Waits for sockets until `wake_us` at the most, and works off what came. */
void sender_wait_until(struct sender *sender, int64_t wake_us);
/* A connection's on_end; the context is the sender. */
void sender_on_end(struct sending *sending, enum load_end how, void *context);
/* After the last turn: what was due and never sent is recorded as that. */
void sender_give_up_rest(struct sender *sender);
/* Brings what other threads see up to date. */
void sender_show(struct sender *sender);

#endif
