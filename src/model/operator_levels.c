/* SPDX-License-Identifier: Apache-2.0 */
#include "model/operator_levels.h"

#include "base/clock.h"

#include <stdio.h>

static void post(const struct operator_event_sink *sink, enum operator_event_kind kind,
    const char *subject, int64_t count, const char *detail, bool is_logged)
{
    struct operator_event event = {.kind = kind, .count = count, .is_logged = is_logged};
    snprintf(event.subject, sizeof event.subject, "%s", subject);
    operator_event_set_detail(&event, detail);
    operator_event_post(sink, &event);
}

/* What was delivered to healthy endpoints within the window. */
static void count_in_window(struct operator_levels *levels,
    const struct operator_readings *readings, int64_t *ret_late, int64_t *ret_in_time)
{
    bool is_full = levels->looks == OPERATOR_LEVELS_WINDOW;
    unsigned oldest = is_full ? levels->at : 0;
    *ret_late = levels->looks ? readings->late - levels->past[oldest].late : 0;
    *ret_in_time = levels->looks ? readings->in_time - levels->past[oldest].in_time : 0;
    levels->past[levels->at].late = readings->late;
    levels->past[levels->at].in_time = readings->in_time;
    levels->at = (levels->at + 1) % OPERATOR_LEVELS_WINDOW;
    levels->looks += !is_full;
}

static void look_at_freshness(struct operator_levels *levels, const struct operator_limits *limits,
    const struct operator_readings *readings, const struct operator_event_sink *sink)
{
    int64_t late, in_time;
    count_in_window(levels, readings, &late, &in_time);
    int64_t all = late + in_time;
    bool exceeds = late * 100 > all && (late >= 10 || late * 2 >= all);
    /* When nothing is delivered, nothing is known: a standstill is not well. */
    bool is_well = in_time > 0 && late * 200 <= all;
    if (limits->freshness_us_max == 0) { /* the operator does not want it */
        levels->is_late = false;
        return;
    }
    if (levels->is_late ? !is_well : !exceeds)
        return;
    char detail[96];
    snprintf(detail, sizeof detail, "%lld of %lld deliveries of the last minute were late",
        (long long)late, (long long)all);
    levels->is_late = !levels->is_late;
    post(sink, levels->is_late ? OPERATOR_FRESHNESS_LATE : OPERATOR_FRESHNESS_WELL, "freshness",
        late, detail, false);
}

/* Returns whether a value is above so many percent of its limit. */
static bool is_above(int64_t value, int64_t limit, int percent)
{
    return limit > 0 && (double)value * 100 > (double)limit * percent;
}

static void look_at_backlog(struct operator_levels *levels, const struct operator_limits *limits,
    const struct operator_readings *readings, const struct operator_event_sink *sink)
{
    int percent = levels->is_high ? 80 : 100;
    bool is_high = is_above(readings->backlog, limits->backlog_max, percent) ||
                   is_above(readings->past_due_us, limits->past_due_us_max, percent);
    if (!readings->knows_backlog || is_high == levels->is_high)
        return;
    char detail[96];
    snprintf(detail, sizeof detail, "%lld deliveries wait, the oldest is due since %lld s",
        (long long)readings->backlog, (long long)(readings->past_due_us / US_PER_SECOND));
    levels->is_high = is_high;
    post(sink, is_high ? OPERATOR_BACKLOG_HIGH : OPERATOR_BACKLOG_WELL, "backlog",
        readings->backlog, detail, false);
}

/* The journals have logged it. */
static void look_at_disk(struct operator_levels *levels, const struct operator_readings *readings,
    const struct operator_event_sink *sink)
{
    if (readings->shortage > levels->shortage_told) {
        levels->shortage_told = readings->shortage;
        levels->better_looks = 0;
        post(sink, OPERATOR_DISK_LOW, "disk", 0, readings->shortage_text, true);
        return;
    }
    if (readings->shortage == levels->shortage_told) {
        levels->better_looks = 0;
        return;
    }
    if (++levels->better_looks < OPERATOR_LEVELS_BETTER)
        return;
    levels->better_looks = 0;
    levels->shortage_told = readings->shortage;
    if (readings->shortage == 0)
        post(sink, OPERATOR_DISK_WELL, "disk", 0, "", true);
}

void operator_levels_look(struct operator_levels *levels, const struct operator_limits *limits,
    const struct operator_readings *readings, const struct operator_event_sink *sink)
{
    look_at_freshness(levels, limits, readings, sink);
    look_at_backlog(levels, limits, readings, sink);
    look_at_disk(levels, readings, sink);
}
