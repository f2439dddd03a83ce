/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/lag.h"

#include "admin/admin_internal.h"
#include "admin/backlog.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#define MINUTE_US (60 * US_PER_SECOND)
#define DISK_PACE_US_MIN (2 * MINUTE_US) /* a shorter time says little about the growth */

void lag_init(struct lag *lag)
{
    *lag = (struct lag){.free_bytes = -1};
}

/* Samples. */

static int64_t due_of(const struct backlog_counts *counts)
{
    return backlog_sum(counts, BACKLOG_PENDING) + backlog_sum(counts, BACKLOG_SENDING);
}

static void take_sample(struct admin *admin, int64_t now_us)
{
    struct lag *lag = &admin->lag;
    struct backlog_counts counts;
    backlog_sum_all(admin, &counts);
    int64_t delivered = metrics_read(METRIC_ATTEMPTS_DELIVERED);
    int64_t failed = metrics_read(METRIC_ATTEMPTS_RETRY) + metrics_read(METRIC_ATTEMPTS_DEAD) +
                     metrics_read(METRIC_ATTEMPTS_PARKED) +
                     metrics_read(METRIC_ATTEMPTS_REPLAY_FAILED);
    lag->samples[lag->next] = (struct lag_sample){.at_mono_us = now_us,
        .counts = {[LAG_ACCEPTED] = metrics_read(METRIC_EVENTS_ACCEPTED),
            [LAG_ATTEMPTS] = delivered + failed,
            [LAG_DELIVERED] = delivered,
            [LAG_FAILED] = failed},
        .due = due_of(&counts),
        .waiting = backlog_sum(&counts, BACKLOG_WAITING),
        .free_bytes = lag->free_bytes};
    lag->next = (lag->next + 1) % LAG_SAMPLES;
    lag->count += lag->count < LAG_SAMPLES;
}

/* The last sample. */
static const struct lag_sample *last(const struct lag *lag)
{
    return &lag->samples[(lag->next + LAG_SAMPLES - 1) % LAG_SAMPLES];
}

/* The newest sample that is at least so much older than the last one, or else the oldest one; NULL
 * while there are fewer than two. */
static const struct lag_sample *before(const struct lag *lag, int64_t span_us)
{
    const struct lag_sample *found = NULL;
    for (unsigned back = 2; back <= lag->count; back++) {
        found = &lag->samples[(lag->next + 2 * LAG_SAMPLES - back) % LAG_SAMPLES];
        if (last(lag)->at_mono_us - found->at_mono_us >= span_us)
            break;
    }
    return found;
}

static double seconds_since(const struct lag *lag, const struct lag_sample *sample)
{
    return (double)(last(lag)->at_mono_us - sample->at_mono_us) / US_PER_SECOND;
}

/* The look every ten seconds. */

static void set_gauge(enum metric metric, int64_t value)
{
    metrics_add(metric, value - metrics_read(metric));
}

static void on_look(struct backlog_view *view, enum err result)
{
    struct lag *lag = &view->admin->lag;
    lag->is_looking = false;
    if (result == OK) {
        bool is_late = view->oldest_due_us != INT64_MAX;
        set_gauge(METRIC_OLDEST_PAST_DUE, is_late
                                              ? (view->now_us - view->oldest_due_us) / US_PER_SECOND
                                          : view->is_complete ? 0
                                                              : -1);
        set_gauge(METRIC_DISK_FREE, view->free_bytes);
        set_gauge(METRIC_JOURNAL_BYTES, view->journal_bytes);
        lag->free_bytes = view->free_bytes;
    }
    backlog_view_free(view);
}

static void look(struct admin *admin)
{
    struct backlog_view *view;
    MEMORY_NEW(view);
    view->admin = admin;
    view->on_done = on_look;
    admin->lag.is_looking = true;
    backlog_view_ask(view);
}

void lag_tick(struct admin *admin)
{
    struct lag *lag = &admin->lag;
    int64_t now_us = clock_mono_us();
    if (now_us >= lag->next_sample_us) {
        take_sample(admin, now_us);
        lag->next_sample_us = now_us + LAG_SAMPLE_US;
    }
    if (now_us >= lag->next_look_us && !lag->is_looking && !admin->draining &&
        admin->options.reader) {
        lag->next_look_us = now_us + LAG_LOOK_US;
        look(admin);
    }
}

void lag_set_gauges(struct admin *admin)
{
    static const struct {
        enum backlog_kind kind;
        enum metric critical, important, optional;
    } rows[] = {
        {BACKLOG_PENDING, METRIC_BACKLOG_PENDING_CRITICAL, METRIC_BACKLOG_PENDING_IMPORTANT,
            METRIC_BACKLOG_PENDING_OPTIONAL},
        {BACKLOG_REPLAYS, METRIC_BACKLOG_REPLAYS_CRITICAL, METRIC_BACKLOG_REPLAYS_IMPORTANT,
            METRIC_BACKLOG_REPLAYS_OPTIONAL},
        {BACKLOG_SENDING, METRIC_BACKLOG_SENDING_CRITICAL, METRIC_BACKLOG_SENDING_IMPORTANT,
            METRIC_BACKLOG_SENDING_OPTIONAL},
        {BACKLOG_WAITING, METRIC_BACKLOG_WAITING_CRITICAL, METRIC_BACKLOG_WAITING_IMPORTANT,
            METRIC_BACKLOG_WAITING_OPTIONAL},
        {BACKLOG_DEAD, METRIC_BACKLOG_DEAD_CRITICAL, METRIC_BACKLOG_DEAD_IMPORTANT,
            METRIC_BACKLOG_DEAD_OPTIONAL},
    };
    struct backlog_counts counts;
    int64_t parked[EVENT_CLASSES] = {0};
    backlog_sum_all(admin, &counts);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        set_gauge(rows[i].critical, counts.of[rows[i].kind][CLASS_CRITICAL]);
        set_gauge(rows[i].important, counts.of[rows[i].kind][CLASS_IMPORTANT]);
        set_gauge(rows[i].optional, counts.of[rows[i].kind][CLASS_OPTIONAL]);
    }
    for (unsigned reason = 0; reason < PARK_REASONS; reason++)
        for (unsigned class = 0; class < EVENT_CLASSES; class ++)
            parked[class] += counts.of[BACKLOG_PARKED + reason][class];
    set_gauge(METRIC_BACKLOG_PARKED_CRITICAL, parked[CLASS_CRITICAL]);
    set_gauge(METRIC_BACKLOG_PARKED_IMPORTANT, parked[CLASS_IMPORTANT]);
    set_gauge(METRIC_BACKLOG_PARKED_OPTIONAL, parked[CLASS_OPTIONAL]);
}

/* Judgements. */

struct lag_late lag_late_of(const struct backlog_view *view)
{
    return (struct lag_late){.oldest_due_us = view->oldest_due_us,
        .now_us = view->now_us,
        .oldest_waits = view->oldest_waits,
        .is_certain = view->unknown == 0,
        .due = due_of(&view->all),
        .waiting = backlog_sum(&view->all, BACKLOG_WAITING)};
}

enum lag_drain lag_judge_drain(
    const struct lag *lag, const struct lag_late *late, int64_t *ret_seconds)
{
    const struct lag_sample *sample = before(lag, MINUTE_US);
    if (late->oldest_due_us == INT64_MAX || late->now_us - late->oldest_due_us <= LAG_FRESH_US)
        return late->is_certain ? DRAIN_CURRENT : DRAIN_UNKNOWN;
    if (!sample)
        return DRAIN_UNKNOWN;
    int64_t less = sample->due - last(lag)->due, part = late->due;
    if (late->oldest_waits) {
        less += sample->waiting - last(lag)->waiting;
        part += late->waiting;
    }
    if (less <= 0)
        return DRAIN_GROWS;
    *ret_seconds = (int64_t)((double)part * seconds_since(lag, sample) / (double)less) + 1;
    return DRAIN_DRAINS;
}

int64_t lag_disk_seconds(const struct lag *lag)
{
    const struct lag_sample *found = NULL;
    for (unsigned back = lag->count; back >= 2 && !found; back--) {
        const struct lag_sample *it =
            &lag->samples[(lag->next + 2 * LAG_SAMPLES - back) % LAG_SAMPLES];
        if (it->free_bytes >= 0)
            found = it;
    }
    if (!found || last(lag)->free_bytes < 0 ||
        last(lag)->at_mono_us - found->at_mono_us < DISK_PACE_US_MIN ||
        found->free_bytes <= last(lag)->free_bytes)
        return -1;
    double pace = (double)(found->free_bytes - last(lag)->free_bytes) / seconds_since(lag, found);
    return (int64_t)((double)last(lag)->free_bytes / pace);
}

/* JSON. */

static json_t *view_rates_of(const struct lag *lag, int64_t span_us)
{
    static const char *const names[LAG_COUNTS] = {
        [LAG_ACCEPTED] = "accepted", "attempts", "delivered", "failed"};
    const struct lag_sample *sample = before(lag, span_us);
    if (!sample)
        return json_null();
    json_t *view = json_object();
    for (unsigned i = 0; i < LAG_COUNTS; i++)
        json_object_set_new(view, names[i],
            json_real(
                (double)(last(lag)->counts[i] - sample->counts[i]) / seconds_since(lag, sample)));
    return view;
}

json_t *lag_view_rates(const struct lag *lag)
{
    return json_pack(
        "{s:o, s:o}", "1m", view_rates_of(lag, MINUTE_US), "5m", view_rates_of(lag, 5 * MINUTE_US));
}

json_t *lag_view_drain(const struct lag *lag, const struct backlog_view *view)
{
    static const char *const names[] = {[DRAIN_CURRENT] = "current",
        [DRAIN_DRAINS] = "drains",
        [DRAIN_GROWS] = "does not drain",
        [DRAIN_UNKNOWN] = "unknown"};
    int64_t seconds = 0;
    struct lag_late late = lag_late_of(view);
    enum lag_drain drain = lag_judge_drain(lag, &late, &seconds);
    return json_pack("{s:I, s:s, s:o}", "due_now", (json_int_t)late.due, "state", names[drain],
        "seconds", drain == DRAIN_DRAINS ? json_integer(seconds) : json_null());
}

json_t *lag_view_disk(const struct lag *lag, const struct backlog_view *view)
{
    int64_t seconds = lag_disk_seconds(lag);
    return json_pack("{s:o, s:I, s:o}", "free_bytes",
        view->free_bytes < 0 ? json_null() : json_integer(view->free_bytes), "journal_bytes",
        (json_int_t)view->journal_bytes, "lasts_seconds",
        seconds < 0 ? json_null() : json_integer(seconds));
}
