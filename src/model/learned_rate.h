/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate that a client takes, learned from its 429s. It limits what is sent, beside the rate that
 * is configured (token_bucket.h).
 *
 *   - Count the accepted attempts of the present second and of the one before. The larger count is
 *     the rate that the client accepts.
 *   - 429: limit = max(accepted rate x (1 - cut), 1/s), never higher than the limit was. The cut
 *     follows from the share of 429s among the answers of both seconds: 0.3 for a tenth and more,
 *     less below, and nothing up to 2 %. One busy server of fifty is not the client's limit. With
 *     few answers a second, one 429 is a large share: then a cut ends after a few seconds.
 *   - This is at most one cut each second: the answers that follow belong to attempts that were
 *     sent before it. They correct the cut, since a 429 can be the first answer of many.
 *   - The limit grows by 5 % each second. 8 s after the largest cut it is where it was, and the
 *     next 429 shows whether the client now takes more.
 *   - Nothing is limited any more 5 minutes after the last 429.
 *
 * The cut starts from what was accepted, not from what was sent: the rate of a client that takes
 * 100/s of 1000/s is found with one cut, and not with seven. A client with a quota for each minute
 * rejects everything when the quota is used up. 1/s is what is left then, and `Retry-After` says
 * how long it lasts.
 *
 * Sources: additive increase and multiplicative decrease as in RFC 5681, and in Vector's adaptive
 * request concurrency. The increase is a share of the limit here, so that it takes the same time at
 * 1/s and at 1000/s.
 *
 * No clock, no allocation; constant time (amortised, for the seconds in which the limit grows).
 * Times are monotonic.
 */
#ifndef PENSTOCK_MODEL_LEARNED_RATE_H
#define PENSTOCK_MODEL_LEARNED_RATE_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define LEARNED_RATE_MIN 1.0
#define LEARNED_RATE_KEPT_US (300 * US_PER_SECOND)

struct learned_rate {
    double limit;                       /* attempts each second; 0: nothing is learned */
    int64_t rejected_us;                /* the last 429 */
    int64_t cut_us;                     /* the last cut */
    double limit_before;                /* the last cut; 0: there was no limit */
    int64_t grown_us;                   /* until when growth is counted in `limit` */
    int64_t second;                     /* the number of the present second */
    unsigned accepted, accepted_before; /* in this second, and in the one before */
    unsigned rejected, rejected_before;
};

void learned_rate_init(struct learned_rate *learned);

/* The client accepted an attempt (2xx). */
void learned_rate_on_success(struct learned_rate *learned, int64_t now_us);

/* The client answered 429. */
void learned_rate_on_429(struct learned_rate *learned, int64_t now_us);

/* Returns whether a tenth or more of the last answers were 429s: the client as a whole is at its
 * limit, and not one of its servers. */
bool learned_rate_is_rejecting(struct learned_rate *learned, int64_t now_us);

/* Returns the attempts each second that the client takes as far as is known, or 0. */
double learned_rate_per_second(struct learned_rate *learned, int64_t now_us);

#endif
