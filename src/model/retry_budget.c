/* SPDX-License-Identifier: Apache-2.0 */
#include "model/retry_budget.h"

void retry_budget_init(struct retry_budget *budget)
{
    *budget = (struct retry_budget){.retry_sent_us = INT64_MIN};
}

void retry_budget_reset(struct retry_budget *budget)
{
    budget->present = budget->before = (struct retry_budget_half){0};
}

static void turn(struct retry_budget *budget, int64_t now_us)
{
    int64_t half = now_us / RETRY_BUDGET_HALF_US;
    if (half == budget->half)
        return;
    budget->before = half == budget->half + 1 ? budget->present : (struct retry_budget_half){0};
    budget->present = (struct retry_budget_half){0};
    budget->half = half;
}

bool retry_budget_allows(struct retry_budget *budget, unsigned retries_in_flight, int64_t now_us)
{
    turn(budget, now_us);
    const struct retry_budget_half *present = &budget->present, *before = &budget->before;
    uint64_t results = present->results + before->results;
    uint64_t failed = present->failed + before->failed;
    if (results < RETRY_BUDGET_RESULTS_MIN) {
        /* Retries in flight are results to be: what waits is not all sent without evidence. */
        if (results + retries_in_flight < RETRY_BUDGET_RESULTS_MIN)
            return true;
    } else if (failed * RETRY_BUDGET_DIVISOR <= results) {
        return true;
    }
    uint64_t retries = present->retries + before->retries;
    if ((retries + 1) * RETRY_BUDGET_DIVISOR <= present->fresh + before->fresh)
        return true;
    return retries_in_flight == 0 && (budget->retry_sent_us == INT64_MIN ||
                                         now_us - budget->retry_sent_us >= RETRY_BUDGET_ALONE_US);
}

int64_t retry_budget_ask_us(const struct retry_budget *budget, int64_t now_us)
{
    int64_t ask_us = (now_us / RETRY_BUDGET_HALF_US + 1) * RETRY_BUDGET_HALF_US;
    if (budget->retry_sent_us == INT64_MIN)
        return ask_us;
    int64_t alone_us = budget->retry_sent_us + RETRY_BUDGET_ALONE_US;
    return alone_us > now_us && alone_us < ask_us ? alone_us : ask_us;
}

void retry_budget_on_sent(struct retry_budget *budget, bool is_retry, int64_t now_us)
{
    turn(budget, now_us);
    if (is_retry) {
        budget->present.retries++;
        budget->retry_sent_us = now_us;
    } else {
        budget->present.fresh++;
    }
}

void retry_budget_on_result(struct retry_budget *budget, bool failed, int64_t now_us)
{
    turn(budget, now_us);
    budget->present.results++;
    budget->present.failed += failed;
}
