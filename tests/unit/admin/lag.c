/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/lag.h"

#include <criterion/criterion.h>

#define NOW_US (1000000 * US_PER_SECOND)
#define OLD_US (NOW_US - 60 * US_PER_SECOND)
#define GIB (INT64_C(1) << 30)

/* Samples every five seconds: of what is due, and of what the disk has free, each with its change
 * from one to the next. */
static struct lag make_lag(unsigned count, int64_t due, int64_t due_step, int64_t free_step)
{
    struct lag lag;
    lag_init(&lag);
    for (unsigned i = 0; i < count; i++) {
        lag.samples[lag.next] = (struct lag_sample){.at_mono_us = i * LAG_SAMPLE_US,
            .due = due + i * due_step,
            .free_bytes = 100 * GIB + i * free_step};
        lag.next = (lag.next + 1) % LAG_SAMPLES;
        lag.count += lag.count < LAG_SAMPLES;
    }
    return lag;
}

/* The oldest is a pending one. */
static enum lag_drain judge(
    const struct lag *lag, int64_t due, int64_t oldest_due_us, int64_t *ret_seconds)
{
    const struct lag_late late = {
        .oldest_due_us = oldest_due_us, .now_us = NOW_US, .is_certain = true, .due = due};
    return lag_judge_drain(lag, &late, ret_seconds);
}

Test(lag, what_drains_says_how_long_it_takes)
{
    /* 100 less every 5 s are 20 a second: 1000 take 50 s. */
    struct lag lag = make_lag(21, 3000, -100, 0);
    int64_t seconds = 0;
    cr_expect(judge(&lag, 1000, OLD_US, &seconds) == DRAIN_DRAINS);
    cr_expect(seconds >= 50 && seconds <= 51, "%lld", (long long)seconds);
}

Test(lag, what_stays_or_grows_does_not_drain)
{
    int64_t seconds = -7;
    struct lag stays = make_lag(21, 3000, 0, 0), grows = make_lag(21, 3000, 50, 0);
    cr_expect(judge(&stays, 3000, OLD_US, &seconds) == DRAIN_GROWS);
    cr_expect(judge(&grows, 4000, OLD_US, &seconds) == DRAIN_GROWS);
    cr_expect(seconds == -7);
}

Test(lag, what_waits_counts_when_the_oldest_is_a_waiting_one)
{
    /* After an outage: 1500 in 5 s leave the waiting ones, and few are pending at any time. */
    struct lag recovers = make_lag(13, 10, 0, 0), stuck = make_lag(13, 1000, -10, 0);
    const struct lag_late late = {.oldest_due_us = OLD_US,
        .now_us = NOW_US,
        .oldest_waits = true,
        .is_certain = true,
        .due = 10,
        .waiting = 30000};
    int64_t seconds = 0;
    for (unsigned i = 0; i < 13; i++) {
        recovers.samples[i].waiting = 48000 - 1500 * i;
        stuck.samples[i].waiting = 30000 + 10 * i;
    }
    cr_expect(lag_judge_drain(&recovers, &late, &seconds) == DRAIN_DRAINS);
    cr_expect(seconds >= 100 && seconds <= 102, "%lld", (long long)seconds);
    cr_expect(lag_judge_drain(&stuck, &late, &seconds) == DRAIN_GROWS,
        "what is pending becomes less, and what waits and is late does not");
}

Test(lag, what_nobody_could_look_at_is_not_called_current)
{
    struct lag lag = make_lag(21, 3000, 0, 0);
    const struct lag_late late = {.oldest_due_us = INT64_MAX, .now_us = NOW_US};
    int64_t seconds;
    cr_expect(lag_judge_drain(&lag, &late, &seconds) == DRAIN_UNKNOWN);
}

Test(lag, what_is_fresh_needs_no_drain)
{
    struct lag grows = make_lag(21, 3000, 50, 0);
    int64_t seconds;
    cr_expect(judge(&grows, 9, INT64_MAX, &seconds) == DRAIN_CURRENT);
    cr_expect(judge(&grows, 9, NOW_US - LAG_FRESH_US, &seconds) == DRAIN_CURRENT);
}

Test(lag, one_sample_says_nothing)
{
    struct lag lag = make_lag(1, 3000, 0, 0);
    int64_t seconds;
    cr_expect(judge(&lag, 3000, OLD_US, &seconds) == DRAIN_UNKNOWN);
    cr_expect(lag_disk_seconds(&lag) == -1);
}

Test(lag, the_last_minute_counts_when_there_is_more)
{
    /* It grew for four minutes, and drains for the last one: the ring has gone round. */
    struct lag lag = make_lag(LAG_SAMPLES + 20, 0, 100, 0);
    for (unsigned back = 1; back <= 13; back++) {
        struct lag_sample *it = &lag.samples[(lag.next + LAG_SAMPLES - back) % LAG_SAMPLES];
        it->due = 1000 + 10 * back;
    }
    int64_t seconds = 0;
    cr_expect(judge(&lag, 1010, OLD_US, &seconds) == DRAIN_DRAINS);
}

Test(lag, a_disk_that_fills_up_says_how_long_it_lasts)
{
    /* A GiB in 5 s. 100 - 36 = 64 GiB are left, for 320 s. */
    struct lag fills = make_lag(37, 0, 0, -GIB), frees = make_lag(37, 0, 0, GIB),
               young = make_lag(5, 0, 0, -GIB);
    cr_expect(lag_disk_seconds(&fills) >= 319 && lag_disk_seconds(&fills) <= 321);
    cr_expect(lag_disk_seconds(&frees) == -1);
    cr_expect(lag_disk_seconds(&young) == -1, "20 s say little about the growth");
}
