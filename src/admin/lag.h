/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates of the last minutes, and what follows from them: how long the backlog takes to drain, and
 * how long the disk lasts.
 *
 * The admin thread takes a sample of the counters every LAG_SAMPLE_US, and keeps LAG_SAMPLES of
 * them. A rate is the difference of two samples. Every LAG_LOOK_US it asks the reader for the
 * oldest past due and the room on the disk, so that the metrics have them and no scrape reads a
 * store.
 *
 * The backlog drains when the part of it that is late becomes less. If the oldest past due is a
 * pending one, this part is what is pending or sending. If it is a waiting one (after an outage),
 * this part is that and all that waits, because nobody counts which of these are due. The time is
 * the part, over how fast it shrank in the last minute. Owned by the admin thread.
 */
#ifndef PENSTOCK_ADMIN_LAG_H
#define PENSTOCK_ADMIN_LAG_H

#include "base/clock.h"

#include <jansson.h>

#define LAG_SAMPLE_US (5 * US_PER_SECOND)
#define LAG_SAMPLES 61 /* five minutes */
#define LAG_LOOK_US (10 * US_PER_SECOND)
#define LAG_FRESH_US (15 * US_PER_SECOND) /* past due for longer is late */

struct admin;
struct backlog_view;

enum lag_count { LAG_ACCEPTED, LAG_ATTEMPTS, LAG_DELIVERED, LAG_FAILED, LAG_COUNTS };

struct lag_sample {
    int64_t at_mono_us;
    int64_t counts[LAG_COUNTS];
    int64_t due; /* pending and sending */
    int64_t waiting;
    int64_t free_bytes; /* of the disk; -1: unknown */
};

struct lag {
    struct lag_sample samples[LAG_SAMPLES];
    unsigned count, next;
    int64_t next_sample_us, next_look_us; /* monotonic */
    int64_t free_bytes;                   /* of the last look; -1: unknown */
    bool is_looking;
};

void lag_init(struct lag *lag);
/* On each tick of the server. */
void lag_tick(struct admin *admin);
/* Sets the gauges of the backlog; before each scrape. */
void lag_set_gauges(struct admin *admin);

enum lag_drain { DRAIN_CURRENT, DRAIN_DRAINS, DRAIN_GROWS, DRAIN_UNKNOWN };
/* What is late, of a view of the backlog. */
struct lag_late {
    int64_t oldest_due_us, now_us; /* wall; INT64_MAX for none */
    bool oldest_waits;             /* the oldest is a waiting one */
    bool is_certain;               /* false: there may be an older one */
    int64_t due, waiting;          /* the counts, as in a sample */
};
struct lag_late lag_late_of(const struct backlog_view *view);
/* *ret_seconds is set when it drains. */
enum lag_drain lag_judge_drain(
    const struct lag *lag, const struct lag_late *late, int64_t *ret_seconds);
/* How long the disk lasts at the pace of the last five minutes; -1: it does not fill up, or nobody
 * knows. */
int64_t lag_disk_seconds(const struct lag *lag);

/* The members `rates`, `drain` and `disk` of the status. */
json_t *lag_view_rates(const struct lag *lag);
json_t *lag_view_drain(const struct lag *lag, const struct backlog_view *view);
json_t *lag_view_disk(const struct lag *lag, const struct backlog_view *view);

#endif
