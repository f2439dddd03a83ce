/* SPDX-License-Identifier: Apache-2.0 */
#include "model/learned_rate.h"

#include <stdbool.h>

#define CUT 0.7
#define GROWTH 1.05 /* each second */
#define CUT_INTERVAL_US (1 * US_PER_SECOND)

void learned_rate_init(struct learned_rate *learned)
{
    *learned = (struct learned_rate){0};
}

static void turn_second(struct learned_rate *learned, int64_t now_us)
{
    int64_t second = now_us / US_PER_SECOND;
    if (second == learned->second)
        return;
    learned->accepted_before = second == learned->second + 1 ? learned->accepted : 0;
    learned->accepted = 0;
    learned->second = second;
}

/* Brings the limit to the present time. At most LEARNED_RATE_KEPT_US / 1 s steps. */
static void grow(struct learned_rate *learned, int64_t now_us)
{
    if (learned->limit == 0)
        return;
    if (now_us - learned->rejected_us >= LEARNED_RATE_KEPT_US) {
        learned->limit = 0;
        return;
    }
    for (; now_us - learned->grown_us >= US_PER_SECOND; learned->grown_us += US_PER_SECOND)
        learned->limit *= GROWTH;
}

/* Returns the limit that follows from what was accepted. */
static double limit_of(const struct learned_rate *learned)
{
    unsigned accepted =
        learned->accepted > learned->accepted_before ? learned->accepted : learned->accepted_before;
    double limit = accepted * CUT > LEARNED_RATE_MIN ? accepted * CUT : LEARNED_RATE_MIN;
    if (learned->limit_before > 0 && limit > learned->limit_before)
        limit = learned->limit_before;
    return limit;
}

static bool was_cut_now(const struct learned_rate *learned, int64_t now_us)
{
    return learned->limit > 0 && now_us - learned->cut_us < CUT_INTERVAL_US;
}

void learned_rate_on_success(struct learned_rate *learned, int64_t now_us)
{
    turn_second(learned, now_us);
    learned->accepted++;
    if (was_cut_now(learned, now_us) && limit_of(learned) > learned->limit)
        learned->limit = limit_of(learned);
}

void learned_rate_on_429(struct learned_rate *learned, int64_t now_us)
{
    turn_second(learned, now_us);
    grow(learned, now_us);
    learned->rejected_us = now_us;
    if (was_cut_now(learned, now_us))
        return;
    learned->limit_before = learned->limit;
    learned->limit = limit_of(learned);
    learned->cut_us = learned->grown_us = now_us;
}

double learned_rate_per_second(struct learned_rate *learned, int64_t now_us)
{
    grow(learned, now_us);
    return learned->limit;
}
