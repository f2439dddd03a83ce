/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many attempts each second an endpoint gets: a configured rate, and what a 429 teaches.
 *
 * struct token_bucket holds up to `burst` tokens. They return at `rate` each second, and each
 * attempt takes one. So over any time T at most burst + rate x T attempts are sent. Rate 0: no
 * limit. An attempt that must be sent now (the probe of a breaker) may take a token that is not
 * there: the bucket then owes it, up to one burst. A clock that steps back adds nothing at the
 * step, and the bucket continues from the new time.
 *
 * struct learned_rate is the limit that the client never configured. The algorithm:
 *   - Count the accepted attempts of the present second and of the one before. The larger count is
 *     the rate that the client accepts.
 *   - 429: limit = max(0.7 x accepted rate, 1/s), never higher than the limit was. At most once
 *     each second: the 429s that follow answer attempts that were sent before the cut.
 *   - The limit grows by 5 % each second. 8 s after a cut it is where it was, and the next 429
 *     shows whether the client now takes more.
 *   - Nothing is limited any more 5 minutes after the last 429.
 * It starts from what was accepted, not from what was sent: a client that takes 100/s of 1000/s is
 * found with one cut, and not with seven. A client with a quota for each minute rejects everything
 * when the quota is used up: 1/s is what is left then, and `Retry-After` says how long it lasts.
 *
 * Sources: the token bucket of RFC 2697; additive increase and multiplicative decrease as in RFC
 * 5681 and in Vector's adaptive request concurrency. The increase is a share of the limit here, so
 * that it takes the same time at 1/s and at 1000/s.
 *
 * No clock, no allocation; constant time (amortised, for the seconds in which the limit grows).
 * Times are monotonic.
 */
#ifndef PENSTOCK_MODEL_TOKEN_BUCKET_H
#define PENSTOCK_MODEL_TOKEN_BUCKET_H

#include "base/clock.h"

#include <stdint.h>

#define TOKEN_BUCKET_WAIT_US_MAX (3600 * US_PER_SECOND) /* ask again then */

struct token_bucket {
    double rate; /* tokens each second; 0: no limit */
    double burst;
    double tokens; /* negative: owed */
    int64_t last_us;
};

/* No limit. */
void token_bucket_init(struct token_bucket *bucket);

/* Sets the rate (0: no limit) and the size (at least 1). A bucket that had no limit starts full;
 * otherwise it keeps its tokens, as far as they fit. Cheap if nothing changes. */
void token_bucket_set(struct token_bucket *bucket, double rate, double burst, int64_t now_us);

/* Returns how long to wait for a token, 0: take one now. */
int64_t token_bucket_wait_us(struct token_bucket *bucket, int64_t now_us);
void token_bucket_take(struct token_bucket *bucket, int64_t now_us);

/* Returns the stricter one of two rates, of which 0 is no limit. */
static inline double token_bucket_stricter(double rate, double other_rate)
{
    if (rate <= 0 || (other_rate > 0 && other_rate < rate))
        return other_rate;
    return rate;
}

#define LEARNED_RATE_CUT 0.7
#define LEARNED_RATE_GROWTH 1.05 /* each second */
#define LEARNED_RATE_MIN 1.0
#define LEARNED_RATE_KEPT_US (300 * US_PER_SECOND)

struct learned_rate {
    double limit;       /* attempts each second; 0: nothing is learned */
    int64_t rejected_us; /* the last 429 */
    int64_t cut_us;     /* the last cut */
    int64_t grown_us;   /* until when growth is counted in `limit` */
    int64_t second;     /* the number of the present second */
    unsigned accepted, accepted_before;
};

void learned_rate_init(struct learned_rate *learned);

/* The client accepted an attempt (2xx). */
void learned_rate_on_success(struct learned_rate *learned, int64_t now_us);

/* The client answered 429. */
void learned_rate_on_429(struct learned_rate *learned, int64_t now_us);

/* Returns the attempts each second that the client takes as far as is known, or 0. */
double learned_rate_per_second(struct learned_rate *learned, int64_t now_us);

#endif
