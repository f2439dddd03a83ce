/* SPDX-License-Identifier: Apache-2.0 */
#include "model/breaker.h"

#include <assert.h>

const struct breaker_policy breaker_policy_default = {
    .window_us = 10 * US_PER_SECOND,
    .count_min = 10,
    .failures_percent = 50,
    .probe_us_first = 1 * US_PER_SECOND,
    .probe_us_max = 10 * US_PER_SECOND,
};

static void turn_window(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    assert(policy->window_us >= 2);
    int64_t half = now_us / (policy->window_us / 2);
    if (half == breaker->half)
        return;
    breaker->before = half == breaker->half + 1 ? breaker->present : (struct breaker_half){0};
    breaker->present = (struct breaker_half){0};
    breaker->half = half;
}

static void enter(struct breaker *breaker, enum breaker_state state, int64_t now_us)
{
    *breaker = (struct breaker){
        .state = state, .changed_us = now_us, .half = breaker->half, .next_probe_us = INT64_MAX};
}

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){0};
    enter(breaker, BREAKER_CLOSED, INT64_MIN);
}

void breaker_reset(struct breaker *breaker, int64_t now_us)
{
    enter(breaker, BREAKER_CLOSED, now_us);
}

/* Returns the interval that follows one of `interval_us`. */
static int64_t next_interval_us(const struct breaker_policy *policy, int64_t interval_us)
{
    return interval_us < policy->probe_us_max / 2 ? interval_us * 2 : policy->probe_us_max;
}

static void open_breaker(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    enter(breaker, BREAKER_OPEN, now_us);
    breaker->next_probe_us = now_us + policy->probe_us_first;
    breaker->probe_interval_us = next_interval_us(policy, policy->probe_us_first);
}

static enum breaker_edge on_success(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    if (breaker->state != BREAKER_CLOSED) {
        enter(breaker, BREAKER_CLOSED, now_us);
        return BREAKER_RECOVERED;
    }
    turn_window(breaker, policy, now_us);
    breaker->present.count++;
    bool ends_run = breaker->run >= BREAKER_RUN_MIN;
    breaker->run = 0;
    return ends_run ? BREAKER_RECOVERED : BREAKER_STAYS;
}

static enum breaker_edge on_failure(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    turn_window(breaker, policy, now_us);
    breaker->present.count++;
    breaker->present.failed++;
    breaker->run++;
    unsigned count = breaker->present.count + breaker->before.count;
    uint64_t failed = breaker->present.failed + breaker->before.failed;
    bool is_share =
        count >= policy->count_min && failed * 100 >= (uint64_t)policy->failures_percent * count;
    if (!is_share && breaker->run < policy->count_min)
        return BREAKER_STAYS;
    open_breaker(breaker, policy, now_us);
    return BREAKER_OPENED;
}

enum breaker_edge breaker_on_result(struct breaker *breaker, const struct breaker_policy *policy,
    const struct breaker_result *result, int64_t now_us)
{
    if (result->was_probe)
        breaker_on_probe_lost(breaker, result->sent_us);
    if (!result->failed)
        return on_success(breaker, policy, now_us);
    bool is_old = result->was_probe || result->sent_us < breaker->changed_us;
    if (breaker->state != BREAKER_CLOSED || is_old)
        return BREAKER_STAYS;
    return on_failure(breaker, policy, now_us);
}

bool breaker_allows(const struct breaker *breaker, int64_t now_us)
{
    return breaker->state == BREAKER_CLOSED || now_us >= breaker_next_probe_us(breaker);
}

void breaker_on_probe_sent(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    assert(breaker->state != BREAKER_CLOSED);
    breaker->state = BREAKER_HALF_OPEN;
    breaker->probes_in_flight++;
    breaker->next_probe_us = now_us + breaker->probe_interval_us;
    breaker->probe_interval_us = next_interval_us(policy, breaker->probe_interval_us);
}

void breaker_on_probe_lost(struct breaker *breaker, int64_t sent_us)
{
    /* A probe of an earlier opening is in flight no more, as far as this one is concerned. */
    if (breaker->state != BREAKER_HALF_OPEN || sent_us < breaker->changed_us)
        return;
    assert(breaker->probes_in_flight > 0);
    if (--breaker->probes_in_flight == 0)
        breaker->state = BREAKER_OPEN;
}

int64_t breaker_next_probe_us(const struct breaker *breaker)
{
    return breaker->probes_in_flight < BREAKER_PROBES_MAX ? breaker->next_probe_us : INT64_MAX;
}

/* Returns the results of the window at this time. */
static struct breaker_half window_at(
    const struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    struct breaker copy = *breaker;
    turn_window(&copy, policy, now_us);
    return (struct breaker_half){.count = copy.present.count + copy.before.count,
        .failed = copy.present.failed + copy.before.failed};
}

unsigned breaker_percent(
    const struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us)
{
    if (breaker->state != BREAKER_CLOSED)
        return 100;
    struct breaker_half window = window_at(breaker, policy, now_us);
    uint64_t of_run = UINT64_C(100) * breaker->run / policy->count_min, of_window = 0;
    uint64_t of_count = UINT64_C(100) * window.count / policy->count_min;
    if (window.count > 0)
        of_window =
            UINT64_C(10000) * window.failed / ((uint64_t)policy->failures_percent * window.count);
    if (of_window > of_count)
        of_window = of_count;
    uint64_t percent = of_run > of_window ? of_run : of_window;
    return percent < 99 ? (unsigned)percent : 99;
}
