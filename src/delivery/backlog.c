/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backlog scan: the journal says which endpoints have deliveries that are pending, waiting, or
 * parked and can be released. It runs at the start; nothing is sent or loaded before it is done. It
 * runs again when many deliveries have become pending at once in queues that do not have them.
 */
#include "delivery/backlog.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/endpoint_queue.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/replay.h"
#include "delivery/rule_changes.h"
#include "delivery/shard.h"
#include "delivery/status_probe.h"
#include "delivery/unrouted.h"
#include "runtime/log.h"

#include <stdlib.h>

#define PROBES_WITHIN_US (2 * US_PER_SECOND)
#define SCAN_AGAIN_US US_PER_SECOND

static void on_scanned(struct request *request, void *receiver);

static void scan_again(struct delivery_shard *shard, enum err error)
{
    log_error("the backlog cannot be read from the journal: delivery waits, and tries again in a "
              "second shard=%u error=%s",
        shard->taker.shard, err_name(error));
    timer_arm(&shard->loop, &shard->scan_timer, SCAN_AGAIN_US);
}

void backlog_scan(struct delivery_shard *shard)
{
    struct journal_backlog_scan *scan;
    MEMORY_NEW(scan);
    scan->now_us = shard_wall_us(shard);
    shard_ask(shard, &scan->request, JOURNAL_SCAN_BACKLOG, on_scanned);
}

static void take_backlog(
    struct delivery_shard *shard, const struct journal_backlog *backlog, bool first)
{
    struct endpoint_queue *queue = queues_get(shard, backlog->endpoint);
    if (backlog->pending > backlog->replays)
        refill_leave_in_journal(queue, 1);
    if (backlog->replays > 0)
        refill_leave_replay_in_journal(queue, 1);
    if (backlog->waiting > 0)
        refill_expect_due(queue, backlog->waiting_due_us);
    if (first && backlog->waiting > 0)
        rule_changes_check_backlog(queue);
    if (first) {
        status_probe_begin(queue);
        queue->flow.failed_before = backlog->failed > 0;
        if (queue->flow.failed_before)
            queue->flow.troubled_us = clock_wall_us();
        queue->flow.failing_since_us = shard_wall_us(shard);
        if (queue->flow.failed_before) /* not all endpoints at once */
            timer_arm(&shard->loop, &queue->flow.probe_timer,
                shard_random(shard) % (PROBES_WITHIN_US + 1));
    }
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, backlog->endpoint);
    if (backlog->parked_releasable > 0 && endpoint && endpoint->enabled)
        refill_release(queue); /* it may have been enabled while the gateway was down */
    refill_queue(queue);
}

static void on_scanned(struct request *request, void *receiver)
{
    struct journal_backlog_scan *scan = CONTAINER_OF(request, struct journal_backlog_scan, request);
    struct delivery_shard *shard = receiver;
    if (request->result != OK) {
        scan_again(shard, request->result);
    } else if (scan->ret_again) {
        free(scan->ret_backlogs);
        if (!shard->taker.stopping)
            backlog_scan(shard);
    } else {
        int64_t pending = 0, waiting = 0, unrouted = 0;
        bool first = !shard->scanned;
        shard->scanned = true;
        if (first && !shard->taker.stopping) /* else the journal may be gone */
            rule_changes_begin(shard);
        for (size_t i = 0; i < scan->ret_count && !shard->taker.stopping; i++) {
            pending += scan->ret_backlogs[i].pending;
            waiting += scan->ret_backlogs[i].waiting;
            unrouted += scan->ret_backlogs[i].unrouted;
            if (scan->ret_backlogs[i].endpoint != 0)
                take_backlog(shard, &scan->ret_backlogs[i], first);
        }
        if (!shard->taker.stopping && first)
            log_info("delivery is ready shard=%u endpoints_with_backlog=%zu pending=%lld "
                     "waiting=%lld unrouted=%lld",
                shard->taker.shard, scan->ret_count, (long long)pending, (long long)waiting,
                (long long)unrouted);
        rule_changes_record(shard);
        replay_load(shard);
        unrouted_walk(shard); /* an endpoint may have been added just before the last stop */
        if (first && !shard->taker.stopping)
            event_source_start(shard->source);
        free(scan->ret_backlogs);
    }
    free(scan);
}

static void on_scan_timer(struct timer *timer)
{
    backlog_scan(CONTAINER_OF(timer, struct delivery_shard, scan_timer));
}

void backlog_init(struct delivery_shard *shard)
{
    timer_init(&shard->scan_timer, on_scan_timer);
}
