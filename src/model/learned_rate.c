/* SPDX-License-Identifier: Apache-2.0 */
#include "model/learned_rate.h"

#define CUT_MAX 0.3    /* at SHARE_HIGH */
#define SHARE_LOW 0.02 /* of 429s among the answers: up to here nothing is cut */
#define SHARE_HIGH 0.1
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
    bool follows = second == learned->second + 1;
    learned->accepted_before = follows ? learned->accepted : 0;
    learned->rejected_before = follows ? learned->rejected : 0;
    learned->accepted = learned->rejected = 0;
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

static double rejected_share(const struct learned_rate *learned)
{
    double rejected = (double)learned->rejected + learned->rejected_before;
    double answers = rejected + learned->accepted + learned->accepted_before;
    return answers > 0 ? rejected / answers : 0;
}

/* Returns the limit that follows from what was accepted and rejected. */
static double limit_of(const struct learned_rate *learned)
{
    unsigned accepted =
        learned->accepted > learned->accepted_before ? learned->accepted : learned->accepted_before;
    double cut = CUT_MAX * (rejected_share(learned) - SHARE_LOW) / (SHARE_HIGH - SHARE_LOW);
    cut = cut > CUT_MAX ? CUT_MAX : cut > 0 ? cut : 0;
    double limit = accepted * (1 - cut);
    if (limit < LEARNED_RATE_MIN)
        limit = LEARNED_RATE_MIN;
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
    learned->rejected++;
    if (rejected_share(learned) <= SHARE_LOW)
        return;
    if (was_cut_now(learned, now_us)) {
        if (limit_of(learned) < learned->limit)
            learned->limit = limit_of(learned);
        return;
    }
    learned->limit_before = learned->limit;
    learned->limit = limit_of(learned);
    learned->cut_us = learned->grown_us = now_us;
}

bool learned_rate_is_rejecting(struct learned_rate *learned, int64_t now_us)
{
    turn_second(learned, now_us);
    return rejected_share(learned) >= SHARE_HIGH;
}

double learned_rate_per_second(struct learned_rate *learned, int64_t now_us)
{
    grow(learned, now_us);
    return learned->limit;
}
