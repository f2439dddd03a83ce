/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/lag_watch.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdlib.h>

#define PROBE_GAP_US_MIN US_PER_SECOND
#define PROBE_GAP_US_MAX (30 * US_PER_SECOND)
/* A partition that falls behind again within this time is probed less often. */
#define BEHIND_AGAIN_US (30 * US_PER_SECOND)
/* A partition without a lag probe for this long counts as in time. */
#define UNPROBED_US_MAX (30 * US_PER_SECOND)
#define MARK_US_MAX (10 * US_PER_SECOND) /* a mark expires after this */
#define LOGGED_EVERY_US (10 * US_PER_SECOND)

void lag_watch_init(struct lag_watch *watch, struct broker_lag *lag, unsigned number,
    unsigned partitions_count, int64_t lag_us_max, int64_t now_us)
{
    *watch = (struct lag_watch){.lag = lag,
        .number = number,
        .lag_us_max = lag_us_max,
        .partitions_count = partitions_count,
        .logged_us = now_us - LOGGED_EVERY_US,
        .partitions = memory_new(partitions_count * sizeof *watch->partitions)};
}

void lag_watch_stop(struct lag_watch *watch)
{
    metrics_add(METRIC_PARTITIONS_BEHIND, -(int64_t)watch->behind_count);
    watch->behind_count = 0;
}

void lag_watch_done(struct lag_watch *watch)
{
    free(watch->partitions);
}

static void probe_later(struct partition_lag *partition, bool is_first, int64_t now_us)
{
    int64_t gap_us = is_first ? PROBE_GAP_US_MIN : partition->probe_gap_us * 2;
    partition->probe_gap_us = gap_us < PROBE_GAP_US_MAX ? gap_us : PROBE_GAP_US_MAX;
    partition->probe_due_us = now_us + partition->probe_gap_us;
    partition->probing = false;
}

static void fall_behind(struct lag_watch *watch, unsigned index, int64_t now_us)
{
    struct partition_lag *partition = &watch->partitions[index];
    if (partition->behind)
        return;
    partition->behind = true;
    probe_later(partition,
        partition->probe_gap_us == 0 || now_us - partition->caught_up_us > BEHIND_AGAIN_US, now_us);
    watch->behind_count++;
    metrics_add(METRIC_PARTITIONS_BEHIND, 1);
    if (now_us - watch->logged_us < LOGGED_EVERY_US)
        return;
    watch->logged_us = now_us;
    log_warn("events wait in the broker for more than %d ms: new ones are delivered"
             " from the journal until the broker has caught up partition=%u",
        (int)(watch->lag_us_max / US_PER_MS), index);
}

static void catch_up(struct lag_watch *watch, unsigned index, int64_t now_us)
{
    struct partition_lag *partition = &watch->partitions[index];
    if (!partition->behind)
        return;
    partition->behind = partition->probing = false;
    partition->caught_up_us = now_us;
    watch->behind_count--;
    metrics_add(METRIC_PARTITIONS_BEHIND, -1);
}

void lag_watch_forget(struct lag_watch *watch, unsigned partition, int64_t now_us)
{
    if (!watch->lag)
        return;
    broker_lag_forget(watch->lag, watch->number, partition);
    catch_up(watch, partition, now_us);
}

void lag_watch_forget_all(struct lag_watch *watch, int64_t now_us)
{
    for (unsigned i = 0; i < watch->partitions_count; i++)
        lag_watch_forget(watch, i, now_us);
}

static bool wants_mark(const struct lag_watch *watch, unsigned partition, int64_t now_us)
{
    return !broker_lag_is_marked(watch->lag, watch->number, partition) ||
           broker_lag_us(watch->lag, watch->number, partition, now_us) > MARK_US_MAX;
}

void lag_watch_mark(struct lag_watch *watch, const struct event_id *id, int64_t now_us)
{
    if (watch->lag && wants_mark(watch, event_id_partition(id), now_us))
        broker_lag_mark(watch->lag, watch->number, id, now_us);
}

bool lag_watch_is_behind(struct lag_watch *watch, unsigned partition, int64_t now_us)
{
    struct partition_lag *self = &watch->partitions[partition];
    if (!watch->lag)
        return false;
    int64_t lag_us = broker_lag_us(watch->lag, watch->number, partition, now_us);
    if (broker_lag_is_marked(watch->lag, watch->number, partition)) {
        if (lag_us > watch->lag_us_max)
            fall_behind(watch, partition, now_us);
    } else if (lag_us <= watch->lag_us_max / 2) {
        catch_up(watch, partition, now_us);
    } else if (self->behind && self->probing) {
        probe_later(self, false, now_us);
    }
    return self->behind;
}

bool lag_watch_wants_probe(const struct lag_watch *watch, unsigned partition, int64_t now_us)
{
    const struct partition_lag *self = &watch->partitions[partition];
    return self->behind && now_us >= self->probe_due_us && wants_mark(watch, partition, now_us);
}

void lag_watch_on_probe(
    struct lag_watch *watch, unsigned partition, const struct event_id *id, int64_t now_us)
{
    watch->partitions[partition].probing = true;
    watch->partitions[partition].probe_due_us = now_us;
    lag_watch_mark(watch, id, clock_mono_us());
}

void lag_watch_expire(struct lag_watch *watch, int64_t now_us)
{
    for (unsigned i = 0; i < watch->partitions_count && watch->behind_count > 0; i++)
        if (watch->partitions[i].behind &&
            now_us - watch->partitions[i].probe_due_us > UNPROBED_US_MAX)
            lag_watch_forget(watch, i, now_us);
}
