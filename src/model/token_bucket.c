/* SPDX-License-Identifier: Apache-2.0 */
#include "model/token_bucket.h"

#include <stdbool.h>

#define ROUNDING 1e-6 /* of a token: what the sums of fractions may be off */

void token_bucket_init(struct token_bucket *bucket)
{
    *bucket = (struct token_bucket){.burst = 1};
}

static void refill(struct token_bucket *bucket, int64_t now_us)
{
    if (now_us > bucket->last_us) {
        bucket->tokens += bucket->rate * (double)(now_us - bucket->last_us) / US_PER_SECOND;
        if (bucket->tokens > bucket->burst)
            bucket->tokens = bucket->burst;
    }
    bucket->last_us = now_us;
}

void token_bucket_set(struct token_bucket *bucket, double rate, double burst, int64_t now_us)
{
    rate = rate > 0 ? rate : 0;
    burst = burst > 1 ? burst : 1;
    if (rate == bucket->rate && burst == bucket->burst)
        return;
    bool had_no_limit = bucket->rate == 0;
    refill(bucket, now_us);
    bucket->rate = rate;
    bucket->burst = burst;
    if (had_no_limit || bucket->tokens > burst)
        bucket->tokens = burst;
}

int64_t token_bucket_wait_for_us(struct token_bucket *bucket, double tokens, int64_t now_us)
{
    if (bucket->rate == 0)
        return 0;
    refill(bucket, now_us);
    if (tokens > bucket->burst)
        tokens = bucket->burst;
    if (bucket->tokens >= tokens - ROUNDING)
        return 0;
    double wait_us = (tokens - bucket->tokens) / bucket->rate * US_PER_SECOND;
    return wait_us < (double)TOKEN_BUCKET_WAIT_US_MAX ? (int64_t)wait_us + 1
                                                      : TOKEN_BUCKET_WAIT_US_MAX;
}

int64_t token_bucket_wait_us(struct token_bucket *bucket, int64_t now_us)
{
    return token_bucket_wait_for_us(bucket, 1, now_us);
}

void token_bucket_take(struct token_bucket *bucket, int64_t now_us)
{
    if (bucket->rate == 0)
        return;
    refill(bucket, now_us);
    bucket->tokens -= 1;
    if (bucket->tokens < -bucket->burst)
        bucket->tokens = -bucket->burst;
}

void token_bucket_take_many(struct token_bucket *bucket, double tokens, int64_t now_us)
{
    if (bucket->rate == 0)
        return;
    refill(bucket, now_us);
    bucket->tokens -= tokens;
}

double token_bucket_count(struct token_bucket *bucket, int64_t now_us)
{
    if (bucket->rate == 0)
        return 0;
    refill(bucket, now_us);
    return bucket->tokens + ROUNDING;
}
