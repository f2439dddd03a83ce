/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread of the generator: it walks the timetable, takes the events that are its own (every
 * n-th), and sends each at its time over one of its connections, whatever has been answered.
 *
 * When all streams of all its connections are taken, due events wait in the timetable itself: they
 * are not made before there is room, so a server that stands still costs no memory, and their
 * latency counts from when they were due.
 *
 * It behaves as a partner does: without an answer after its patience, or after a broken connection,
 * or as long as it is told 503 or 429, it sends the same event again.
 */
#ifndef PENSTOCK_BENCH_LOAD_SENDER_H
#define PENSTOCK_BENCH_LOAD_SENDER_H

#include "load/options.h"
#include "load/tally.h"

#include <stdatomic.h>

struct sender;

/* What all senders of a run share. */
struct sender_run {
    const struct load_options *options;
    int64_t started_us;          /* on the clock of the logs; the timetable's 0 */
    _Atomic int64_t closed_next; /* the next number of a closed part; -1: it has not begun */
    _Atomic bool stopping;
};

/* What a sender shows while it runs. */
struct sender_progress {
    uint64_t events, answers, ok; /* since the start */
    struct histogram latency;     /* since the last look */
};

enum err sender_new(struct sender_run *run, unsigned number, struct sender **ret_sender) MUST_CHECK;
/* Opens its connections and waits for them: ERR_CONNECT when one can't be had within 5 s. */
enum err sender_connect(struct sender *sender) MUST_CHECK;
enum err sender_start(struct sender *sender) MUST_CHECK;
bool sender_has_ended(const struct sender *sender);
/* Adds its share to `progress`. Any thread. */
void sender_look(struct sender *sender, struct sender_progress *progress);
void sender_join(struct sender *sender);
const struct tally *sender_tally(const struct sender *sender); /* after the join */
enum err sender_free(
    struct sender *sender) MUST_CHECK; /* ERR_DISK: its log is not whole. Takes NULL */

#endif
