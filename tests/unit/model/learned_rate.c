/* SPDX-License-Identifier: Apache-2.0 */
#include "model/learned_rate.h"

#include "base/cleanup.h"
#include "model/token_bucket.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND

/* A client accepts `accepted` attempts, spread over the second from 100 s on, and then rejects
 * one. */
static struct learned_rate rejected_after(unsigned accepted)
{
    struct learned_rate learned;
    learned_rate_init(&learned);
    for (unsigned i = 0; i < accepted; i++)
        learned_rate_on_success(&learned, 100 * S + (int64_t)i * S / accepted);
    learned_rate_on_429(&learned, 101 * S);
    return learned;
}

Test(learned_rate, nothing_is_limited_before_a_429)
{
    struct learned_rate learned;
    learned_rate_init(&learned);
    cr_expect_eq(learned_rate_per_second(&learned, 0), 0);
    for (int i = 0; i < 1000; i++)
        learned_rate_on_success(&learned, i * S / 100);
    cr_expect_eq(learned_rate_per_second(&learned, 10 * S), 0);
}

Test(learned_rate, the_share_of_429s_says_how_much_is_cut)
{
    static const struct {
        unsigned accepted;
        double limit;
    } cases[] = {{0, 1}, {1, 1}, {2, 1.4}, {9, 6.3}, {24, 24 * 0.925}, {49, 0}, {999, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct learned_rate learned = rejected_after(cases[i].accepted);
        cr_expect_float_eq(
            learned_rate_per_second(&learned, 101 * S), cases[i].limit, 1e-9, "case %zu", i);
    }
}

Test(learned_rate, a_tenth_of_429s_is_a_client_at_its_limit)
{
    struct learned_rate few = rejected_after(12), many = rejected_after(9);
    cr_expect(!learned_rate_is_rejecting(&few, 101 * S));
    cr_expect(learned_rate_is_rejecting(&many, 101 * S));
    cr_expect(!learned_rate_is_rejecting(&many, 103 * S), "of long ago");
}

/* Two in a hundred of 500/s, for a minute: as when one of fifty servers is busy. */
Test(learned_rate, a_client_that_rejects_few_keeps_its_rate)
{
    struct learned_rate learned;
    struct token_bucket ours;
    unsigned sent = 0;
    learned_rate_init(&learned);
    token_bucket_init(&ours);
    for (int64_t now_us = 100 * S; now_us < 160 * S; now_us += 2000) {
        double rate = learned_rate_per_second(&learned, now_us);
        token_bucket_set(&ours, rate, rate / 10, now_us);
        if (rate > 0 && token_bucket_wait_us(&ours, now_us) > 0)
            continue;
        if (rate > 0)
            token_bucket_take(&ours, now_us);
        if (++sent % 50 == 0)
            learned_rate_on_429(&learned, now_us);
        else
            learned_rate_on_success(&learned, now_us);
    }
    cr_expect_gt(sent, 500 * 60 * 0.8);
}

Test(learned_rate, many_429s_of_one_second_cut_once)
{
    struct learned_rate learned = rejected_after(100);
    for (int i = 0; i < 900; i++)
        learned_rate_on_429(&learned, 101 * S + i * 1000);
    cr_expect_float_eq(learned_rate_per_second(&learned, 101 * S + 900000), 70, 1e-9);
    learned_rate_on_429(&learned, 103 * S); /* nothing was accepted any more */
    cr_expect_float_eq(learned_rate_per_second(&learned, 103 * S), LEARNED_RATE_MIN, 1e-9);
}

Test(learned_rate, acceptances_that_follow_correct_a_cut)
{
    struct learned_rate learned = rejected_after(0);
    learned_rate_on_429(&learned, 101 * S + 1);
    for (int i = 0; i < 10; i++)
        learned_rate_on_success(&learned, 101 * S + 1000);
    cr_expect_float_eq(learned_rate_per_second(&learned, 101 * S + 1000), 7, 1e-9);
    for (int i = 0; i < 90; i++)
        learned_rate_on_success(&learned, 102 * S);
    cr_expect_float_eq(learned_rate_per_second(&learned, 102 * S), 7.35, 1e-9, "a second later");
    learned_rate_on_429(&learned, 104 * S);
    for (int i = 0; i < 90; i++)
        learned_rate_on_success(&learned, 104 * S);
    cr_expect_float_eq(learned_rate_per_second(&learned, 104 * S), 7 * 1.05 * 1.05 * 1.05, 1e-9,
        "not above what it was before the cut");
}

Test(learned_rate, a_corrected_cut_leaves_at_most_what_was_accepted)
{
    struct learned_rate learned = rejected_after(0);
    for (int i = 0; i < 1000; i++)
        learned_rate_on_success(&learned, 101 * S + 1000);
    cr_expect_float_eq(learned_rate_per_second(&learned, 101 * S + 1000), 1000, 1e-9);
}

Test(learned_rate, acceptances_of_long_ago_do_not_count)
{
    struct learned_rate learned;
    learned_rate_init(&learned);
    for (int i = 0; i < 100; i++)
        learned_rate_on_success(&learned, 100 * S);
    learned_rate_on_429(&learned, 102 * S);
    cr_expect_float_eq(learned_rate_per_second(&learned, 102 * S), LEARNED_RATE_MIN, 1e-9);
}

Test(learned_rate, a_429_never_raises_the_limit)
{
    struct learned_rate learned = rejected_after(9);
    for (int i = 0; i < 1000; i++)
        learned_rate_on_success(&learned, 102 * S);
    for (int i = 0; i < 100; i++)
        learned_rate_on_429(&learned, 102 * S + 500000);
    cr_expect_float_eq(learned_rate_per_second(&learned, 102 * S + 500000), 6.3 * 1.05, 1e-9);
}

Test(learned_rate, the_limit_grows_and_is_forgotten_five_minutes_after_the_last_429)
{
    struct learned_rate learned = rejected_after(100);
    for (int i = 0; i < 20; i++)
        learned_rate_on_429(&learned, 101 * S);
    static const struct {
        int64_t after_us;
        double limit;
    } cases[] = {{S - 1, 70}, {S, 73.5}, {2 * S - 1, 73.5}, {2 * S, 77.175}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_float_eq(learned_rate_per_second(&learned, 101 * S + cases[i].after_us),
            cases[i].limit, 1e-9, "case %zu", i);
    double before = learned_rate_per_second(&learned, 108 * S);
    cr_expect(before < 100 && learned_rate_per_second(&learned, 109 * S) > 100);
    cr_expect_gt(learned_rate_per_second(&learned, 101 * S + LEARNED_RATE_KEPT_US - 1), 100000);
    cr_expect_eq(learned_rate_per_second(&learned, 101 * S + LEARNED_RATE_KEPT_US), 0);
    learned_rate_on_429(&learned, 1000 * S);
    cr_expect_float_eq(learned_rate_per_second(&learned, 1000 * S), LEARNED_RATE_MIN, 1e-9);
}

/* More waits than the client takes. It enforces its quota with a bucket of its own. */
Test(learned_rate, a_quota_is_found_with_few_rejections)
{
    static const double quotas[] = {3, 10, 100, 1000};
    for (size_t i = 0; i < ARRAY_LENGTH(quotas); i++) {
        struct learned_rate learned;
        struct token_bucket ours, quota;
        learned_rate_init(&learned);
        token_bucket_init(&ours);
        token_bucket_init(&quota);
        token_bucket_set(&quota, quotas[i], quotas[i] / 10, 0);
        unsigned accepted = 0, rejected = 0;
        for (int64_t now_us = 0; now_us < 300 * S; now_us += 200) {
            if (now_us == 20 * S)
                accepted = rejected = 0;
            double rate = learned_rate_per_second(&learned, now_us);
            token_bucket_set(&ours, rate, rate / 10, now_us);
            if (token_bucket_wait_us(&ours, now_us) > 0)
                continue;
            token_bucket_take(&ours, now_us);
            if (token_bucket_wait_us(&quota, now_us) == 0) {
                token_bucket_take(&quota, now_us);
                learned_rate_on_success(&learned, now_us);
                accepted++;
            } else {
                learned_rate_on_429(&learned, now_us);
                rejected++;
            }
        }
        cr_expect(accepted >= quotas[i] * 280 * 0.7 && rejected * 20 <= accepted,
            "quota %.0f/s: %u accepted, %u rejected in 280 s", quotas[i], accepted, rejected);
    }
}
