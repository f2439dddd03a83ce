/* SPDX-License-Identifier: Apache-2.0 */
#include "model/token_bucket.h"

#include "base/cleanup.h"
#include "unit/model/random.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

static struct token_bucket new_bucket(double rate, double burst, int64_t now_us)
{
    struct token_bucket bucket;
    token_bucket_init(&bucket);
    token_bucket_set(&bucket, rate, burst, now_us);
    return bucket;
}

/* Returns how many tokens can be taken now. */
static unsigned take_all(struct token_bucket *bucket, int64_t now_us)
{
    unsigned count = 0;
    for (; count < 100000 && token_bucket_wait_us(bucket, now_us) == 0; count++)
        token_bucket_take(bucket, now_us);
    return count;
}

Test(token_bucket, without_a_rate_nothing_waits)
{
    struct token_bucket bucket;
    token_bucket_init(&bucket);
    cr_expect_eq(take_all(&bucket, 0), 100000);
    token_bucket_set(&bucket, -3, 5, 0);
    cr_expect_eq(take_all(&bucket, 0), 100000);
}

Test(token_bucket, a_burst_is_sent_at_once_and_the_rest_at_the_rate)
{
    static const struct {
        double rate, burst;
        unsigned first, after_a_second;
    } cases[] = {{10, 5, 5, 5}, {10, 100, 100, 10}, {0.5, 1, 1, 0}, {1, 0, 1, 1}, {3, 2.5, 2, 2},
        {1000, 1, 1, 1}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct token_bucket bucket = new_bucket(cases[i].rate, cases[i].burst, 7 * S);
        cr_expect_eq(take_all(&bucket, 7 * S), cases[i].first, "case %zu", i);
        unsigned second = take_all(&bucket, 8 * S);
        cr_expect_eq(second, cases[i].after_a_second, "case %zu: %u", i, second);
    }
}

Test(token_bucket, a_new_rate_keeps_the_tokens)
{
    struct token_bucket bucket = new_bucket(10, 10, 0);
    cr_expect_eq(take_all(&bucket, 0), 10);
    token_bucket_set(&bucket, 1000, 10, 0);
    cr_expect_eq(take_all(&bucket, 0), 0, "a change does not fill it");
    cr_expect_eq(take_all(&bucket, S / 1000), 1);
    token_bucket_set(&bucket, 1, 1, S);
    cr_expect_eq(take_all(&bucket, S), 1, "a smaller bucket holds less");
    token_bucket_set(&bucket, 0, 1, S);
    cr_expect_eq(take_all(&bucket, S), 100000);
    token_bucket_set(&bucket, 1, 4, S);
    cr_expect_eq(take_all(&bucket, S), 4, "a new limit starts full");
}

Test(token_bucket, what_is_taken_without_a_token_is_owed)
{
    struct token_bucket bucket = new_bucket(1, 3, 0);
    for (int i = 0; i < 5; i++)
        token_bucket_take(&bucket, 0);
    cr_expect_eq(token_bucket_wait_us(&bucket, 0), 3 * S + 1);
    for (int i = 0; i < 100; i++)
        token_bucket_take(&bucket, 0);
    cr_expect_eq(token_bucket_wait_us(&bucket, 0), 4 * S + 1, "at most one burst");
}

Test(token_bucket, a_clock_that_steps_back_is_harmless)
{
    struct token_bucket bucket = new_bucket(10, 5, 1000 * S);
    cr_expect_eq(take_all(&bucket, 1000 * S), 5);
    cr_expect_eq(take_all(&bucket, 10 * S), 0);
    cr_expect_eq(take_all(&bucket, 10 * S + S / 10), 1, "it continues from the new time");
}

Test(token_bucket, many_tokens_are_taken_at_once_when_they_are_there)
{
    struct token_bucket bucket = new_bucket(10, 20, 0);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 20, 0), 0);
    token_bucket_take_many(&bucket, 15, 0);
    cr_expect_float_eq(token_bucket_count(&bucket, 0), 5, 0.001);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 5, 0), 0);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 10, 0), S / 2 + 1);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 1000, 0), 3 * S / 2 + 1, "a full bucket");
}

Test(token_bucket, more_than_a_burst_is_taken_when_the_bucket_is_full_and_owed)
{
    struct token_bucket bucket = new_bucket(10, 20, 0);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 100, 0), 0);
    token_bucket_take_many(&bucket, 100, 0);
    cr_expect_float_eq(token_bucket_count(&bucket, 0), -80, 0.001);
    cr_expect_eq(token_bucket_wait_us(&bucket, 0), 81 * S / 10 + 1);
    cr_expect_eq(token_bucket_wait_us(&bucket, 8 * S + S / 10), 0);
    token_bucket_init(&bucket);
    token_bucket_take_many(&bucket, 100, 0);
    cr_expect_eq(token_bucket_wait_for_us(&bucket, 1e9, 0), 0, "no limit");
}

Test(token_bucket, a_tiny_rate_asks_again_after_an_hour)
{
    struct token_bucket bucket = new_bucket(1e-300, 1, 0);
    token_bucket_take(&bucket, 0);
    cr_expect_eq(token_bucket_wait_us(&bucket, 0), TOKEN_BUCKET_WAIT_US_MAX);
}

Test(token_bucket, the_stricter_of_two_rates_wins_and_zero_is_none)
{
    static const double cases[][3] = {{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 3, 3}, {3, 5, 3}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(token_bucket_stricter(cases[i][0], cases[i][1]), cases[i][2], "case %zu", i);
}

Test(token_bucket, no_time_sees_more_than_its_burst_and_its_rate_and_no_wait_is_in_vain)
{
    enum { TAKEN = 400 };
    uint64_t random = 9;
    for (int round = 0; round < 200; round++) {
        double rate = (double)random_between(&random, 1, 100000) / 50;
        double burst = (double)random_between(&random, 10, 500) / 10;
        int64_t now_us = random_between(&random, 0, 1000 * S), taken_us[TAKEN];
        struct token_bucket bucket = new_bucket(rate, burst, now_us);
        for (int i = 0; i < TAKEN;) {
            if (random_between(&random, 0, 3) == 0)
                now_us += random_between(&random, 0, (int64_t)(3 / rate * S));
            int64_t wait_us = token_bucket_wait_us(&bucket, now_us);
            if (wait_us > 2000)
                cr_assert_gt(token_bucket_wait_us(&bucket, now_us + wait_us - 1000), 0);
            now_us += wait_us;
            cr_assert_eq(token_bucket_wait_us(&bucket, now_us), 0);
            token_bucket_take(&bucket, now_us);
            taken_us[i++] = now_us;
        }
        for (int i = 0; i < TAKEN; i++)
            for (int j = i; j < TAKEN; j++) {
                double seconds = (double)(taken_us[j] - taken_us[i]) / S;
                cr_assert_leq(j - i + 1, burst + rate * seconds + 0.001);
            }
    }
}
