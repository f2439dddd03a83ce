/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread of the generator. It walks through the timetable and takes its own events (every
 * n-th). It sends each one when it is due, over one of its connections, and does not wait for
 * answers.
 *
 * When all streams of all its connections are in use, due events wait in the timetable. They are
 * made only when there is room, so a server that does not answer costs no memory. Their latency
 * counts from when they were due.
 *
 * It behaves like a partner: it sends the same event again when the answer times out, when the
 * connection breaks, and when the answer is 503 or 429.
 */
#ifndef PENSTOCK_BENCH_LOAD_SENDER_H
#define PENSTOCK_BENCH_LOAD_SENDER_H

#include "load/options.h"
#include "load/tally.h"

#include <stdatomic.h>

struct sender;

/* Shared by all senders of a run. */
struct sender_run {
    const struct load_options *options;
    int64_t started_us;          /* time 0 of the timetable, on the clock of the logs */
    _Atomic int64_t closed_next; /* the next number of a closed part; -1: not begun */
    _Atomic bool stopping;
};

/* The progress of a run; a sender updates its share while it runs. */
struct sender_progress {
    uint64_t events, answers, ok; /* since the start */
    struct histogram latency;     /* since the last sender_look */
};

enum err sender_new(struct sender_run *run, unsigned number, struct sender **ret_sender) MUST_CHECK;
/* Opens its connections and waits for them. ERR_CONNECT when one is not open within 5 s. */
enum err sender_connect(struct sender *sender) MUST_CHECK;
enum err sender_start(struct sender *sender) MUST_CHECK;
bool sender_has_ended(const struct sender *sender);
/* Adds its share to `progress`. Thread-safe. */
void sender_look(struct sender *sender, struct sender_progress *progress);
void sender_join(struct sender *sender);
const struct tally *sender_tally(const struct sender *sender); /* after the join */
/* ERR_DISK: its log is incomplete. Takes NULL. */
enum err sender_free(struct sender *sender) MUST_CHECK;

#endif
