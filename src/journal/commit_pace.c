/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/commit_pace.h"

/* Requests that arrive by chance vary by the square root of their number: so many of it count. */
#define DEVIATIONS 2.5

int64_t commit_pace_rest_us(const struct commit_pace *pace, int64_t now_us)
{
    int64_t pace_us = pace->is_large ? COMMIT_PACE_LARGE_US : COMMIT_PACE_US;
    int64_t rest_us = pace->began_us + pace_us - now_us;
    return pace->without_rest || rest_us > pace_us || rest_us < 0 ? 0 : rest_us;
}

static void begin_period(struct commit_pace *pace, bool is_trial, bool without_rest, int64_t now_us)
{
    pace->is_trial = is_trial;
    pace->without_rest = without_rest;
    pace->period_us = now_us;
    pace->requests = 0;
}

static int64_t twice(int64_t length_us)
{
    return 2 * length_us < COMMIT_PACE_PERIOD_MAX_US ? 2 * length_us : COMMIT_PACE_PERIOD_MAX_US;
}

/* Returns whether so many more requests arrived without a rest that it is not chance. */
static bool is_slowed_down(double without, double with, unsigned requests)
{
    double gain = without / with - 1;
    return without > with && gain * gain * requests > DEVIATIONS * DEVIATIONS;
}

static void end_trial(struct commit_pace *pace, double rate, int64_t now_us)
{
    double without = pace->without_rest ? rate : pace->rate;
    double with = pace->without_rest ? pace->rate : rate;
    bool is_better_without = is_slowed_down(without, with, pace->requests);
    bool changes = is_better_without == pace->without_rest;
    pace->length_us = changes ? COMMIT_PACE_PERIOD_US : twice(pace->length_us);
    begin_period(pace, false, is_better_without, now_us);
}

static void end_period(struct commit_pace *pace, int64_t now_us)
{
    double rate = (double)pace->requests / (double)(now_us - pace->period_us);
    if (pace->is_trial) {
        end_trial(pace, rate, now_us);
        return;
    }
    pace->rate = rate;
    begin_period(pace, true, !pace->without_rest, now_us);
}

/* What was counted before says nothing. */
static bool begins_anew(const struct commit_pace *pace, int64_t now_us)
{
    return pace->length_us == 0 || now_us - pace->began_us >= COMMIT_PACE_QUIET_US ||
           now_us < pace->period_us;
}

void commit_pace_begin(struct commit_pace *pace, unsigned requests, unsigned urgent, int64_t now_us)
{
    if (begins_anew(pace, now_us)) {
        pace->length_us = COMMIT_PACE_PERIOD_US;
        begin_period(pace, false, pace->is_trial != pace->without_rest, now_us);
    } else if (now_us - pace->period_us >=
               (pace->is_trial ? COMMIT_PACE_TRIAL_US : pace->length_us)) {
        end_period(pace, now_us);
    }
    pace->requests += urgent;
    pace->lately = now_us - pace->lately_us < COMMIT_PACE_US ? pace->lately + requests : requests;
    if (pace->lately == requests)
        pace->lately_us = now_us;
    pace->is_large = pace->lately >= COMMIT_PACE_LARGE;
    pace->began_us = now_us;
}
