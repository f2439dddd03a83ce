/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many attempts to one endpoint may be in flight: a limit that follows what the endpoint takes.
 *
 * A client that hangs holds as many attempts as its limit permits until they time out. So the limit
 * starts small, grows while the endpoint answers as quickly as usual, and shrinks when it fails,
 * when it answers late, and as soon as an attempt in flight is late: a client that hangs gives no
 * answer to learn from before the timeout.
 *
 *                         cut (failure, late attempt or answer)
 *   slow start  ------------------------------------------------>  probing for more
 *   +1 for each success    <------------------------------------   +1 for each `limit` successes
 *   (doubles each round)    restart: the endpoint has recovered
 *
 *   success           grows, if the limit was the bottleneck: more than half of it is in use. The
 *                     last step to the limit that failed before takes 32 times as long
 *   late success      9/10, if it was sent after the last cut; it does not grow either
 *   failure           half, if it was sent after the last cut by half
 *   late attempt      half, and not above half of what is in flight, once in each late time
 *   restart           1
 *
 * Attempts that were sent before a cut fail because of the limit that it has corrected. So failures
 * cut once in each round trip, however many there are. A fixed interval is worse: a client of 1 ms
 * is at its capacity again long before, and fails until the interval ends.
 *
 * The last step before the limit that failed is slow, because a client of a small capacity would
 * otherwise fail a third of what it gets: from 1 in flight to 3 it is only three successes. Once it
 * is passed, the limit grows as before.
 *
 * The usual latency is a moving average of the 2xx answers. An answer is late when it takes more
 * than 3 x usual + 100 ms. The fixed part keeps the noise of fast clients from cutting. The average
 * follows a client that becomes slow and stays so: after a few late answers this is its usual
 * latency. A client that needs 20 s for each event reaches the cap as well, only later. An attempt
 * that is late before the endpoint has ever answered does not end slow start: nothing is known yet
 * that it could contradict.
 *
 * Sources: Postfix qmgr (SCHEDULER_README: concurrency for each destination, feedback of 1/limit,
 * initial concurrency); Vector's adaptive request concurrency (AIMD on a moving average of round
 * trips, decrease ratio 0.9); slow start of TCP (RFC 5681). Unlike Vector we look at attempts that
 * have no answer yet, since delivery waits up to 30 s for one.
 *
 * No clock, no allocation; each call takes constant time. Times are monotonic. The caller reports
 * each attempt once: as a success (2xx), as a failure of the endpoint, or not at all. It does not
 * report shortages of our own and rejections of single events (other 4xx): they say nothing about
 * how much the endpoint takes.
 */
#ifndef PENSTOCK_MODEL_CONCURRENCY_H
#define PENSTOCK_MODEL_CONCURRENCY_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define CONCURRENCY_START 4 /* what a new endpoint gets: enough to use a warm connection well */
#define CONCURRENCY_LATE_MARGIN_US (100 * US_PER_MS)
#define CONCURRENCY_LATE_US_MIN (1 * US_PER_SECOND)
#define CONCURRENCY_LATE_US_MAX (60 * US_PER_SECOND)

struct concurrency {
    double limit; /* 1 or more */
    bool slow_start;
    double ceiling;   /* the limit when a failure cut it last; 0: unknown, or it was passed since */
    int64_t usual_us; /* of 2xx answers; 0: none yet */
    int64_t cut_mono_us;    /* the last cut of any kind; INT64_MIN: none */
    int64_t halved_mono_us; /* the last cut by half; INT64_MIN: none */
};

void concurrency_init(struct concurrency *concurrency);

/* Returns how many attempts may be in flight: 1 to `cap`, which is 1 or more. */
unsigned concurrency_limit(const struct concurrency *concurrency, unsigned cap);

/* A 2xx answer after `latency_us`. `in_flight` includes the attempt that ends. */
void concurrency_on_success(struct concurrency *concurrency, unsigned in_flight, unsigned cap,
    int64_t latency_us, int64_t now_us);

/* The endpoint failed after `latency_us`: no connection, a timeout, a lost answer, 5xx, 408, 425,
 * 429. */
void concurrency_on_failure(struct concurrency *concurrency, int64_t latency_us, int64_t now_us);

/* Returns the age from which an attempt in flight is late: 4 x usual, within 1 s and 60 s. While no
 * latency is known it is 1 s. */
int64_t concurrency_late_us(const struct concurrency *concurrency);

/* An attempt in flight is late. It may be reported as often as the caller sees it: the limit is cut
 * at most once in each late time. */
void concurrency_on_late(struct concurrency *concurrency, unsigned in_flight, int64_t now_us);

/* The endpoint has recovered: slow start from 1. The usual latency is kept. */
void concurrency_restart(struct concurrency *concurrency);

#endif
