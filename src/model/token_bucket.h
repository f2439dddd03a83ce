/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: how many attempts each second an endpoint gets, and how many events and bytes a
 * partner may post.
 *
 * The bucket holds up to `burst` tokens. They return at `rate` each second, and each attempt takes
 * one. So over any time T at most burst + rate x T attempts are sent. Rate 0: no limit.
 *
 * An attempt that must be sent now (the probe of a breaker) may take a token that is not there: the
 * bucket then owes it, up to one burst. A clock that steps back adds nothing at the step, and the
 * bucket continues from the new time.
 *
 * The limit that a client never configured, but shows with 429, is learned_rate.h. The caller sets
 * the stricter one of the two.
 *
 * Source: RFC 2697. No clock, no allocation; each call takes constant time. Times are monotonic.
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

/* The same for several tokens. Only as many as a burst can be waited for, so a taker of more takes
 * when the bucket is full, and owes the rest. What is owed here has no bound of its own. */
int64_t token_bucket_wait_for_us(struct token_bucket *bucket, double tokens, int64_t now_us);
void token_bucket_take_many(struct token_bucket *bucket, double tokens, int64_t now_us);
/* Returns how many tokens are there; negative: owed. 0 without a limit. */
double token_bucket_count(struct token_bucket *bucket, int64_t now_us);

/* Returns the stricter one of two rates, of which 0 is no limit. */
static inline double token_bucket_stricter(double rate, double other_rate)
{
    if (rate <= 0 || (other_rate > 0 && other_rate < rate))
        return other_rate;
    return rate;
}

#endif
