/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspended events: broker-owned, not started, and their channel is lost or the last run has ended.
 * They are not sent until the broker delivers them again.
 *
 * If their queue was deleted or declared again, that never happens. So the depth of the queue is
 * asked for while some are suspended. If it is found empty twice, two seconds apart, and nobody
 * else consumes it, the broker does not have them any more, and the journal adopts them. Adopting
 * an event that the broker still has does no harm: when its message arrives, the journal owns the
 * event.
 *
 * Limits: the prefetch of the channels, for each run. At the start the journal lists what is left.
 */
#include "queue/consumer_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define DEPTH_EVERY_US (2 * US_PER_SECOND)
#define EMPTY_TIMES 2
#define LIST_COUNT_MAX 256
#define ADOPT_COUNT_MAX 256

struct suspended {
    struct id_map_node by_event;
    unsigned channel;
};

void suspended_add(struct consumer *consumer, int64_t event_number, unsigned channel)
{
    if (id_map_find(&consumer->suspended, (uint64_t)event_number))
        return;
    struct suspended *suspended;
    MEMORY_NEW(suspended);
    id_map_add(&consumer->suspended, &suspended->by_event, (uint64_t)event_number);
    suspended->channel = channel;
    consumer->suspended_count[channel]++;
    consumer->empty_seen[channel] = 0;
    metrics_add(METRIC_SUSPENDED, 1);
}

static void forget(struct consumer *consumer, struct suspended *suspended)
{
    id_map_remove(&consumer->suspended, &suspended->by_event);
    consumer->suspended_count[suspended->channel]--;
    metrics_add(METRIC_SUSPENDED, -1);
    free(suspended);
}

void suspended_remove(struct consumer *consumer, int64_t event_number)
{
    struct id_map_node *node = id_map_find(&consumer->suspended, (uint64_t)event_number);
    if (node)
        forget(consumer, CONTAINER_OF(node, struct suspended, by_event));
}

void suspended_free_all(struct consumer *consumer)
{
    for (struct id_map_node *node; (node = id_map_any(&consumer->suspended));)
        forget(consumer, CONTAINER_OF(node, struct suspended, by_event));
}

/* What the last run left. */

struct broker_owned_list {
    struct journal_list_broker_owned list;
    struct consumer *consumer;
    struct journal_broker_owned events[LIST_COUNT_MAX];
};

static void on_listed(struct request *request, void *receiver);

static void ask_for_more(struct broker_owned_list *page, int64_t after_event)
{
    struct event_taker *taker = page->consumer->taker;
    page->list = (struct journal_list_broker_owned){
        .after_event = after_event,
        .count_max = LIST_COUNT_MAX,
        .ret_events = page->events,
    };
    event_taker_ask(
        taker, taker->journal, &page->list.request, JOURNAL_LIST_BROKER_OWNED, on_listed);
}

static void on_listed(struct request *request, void *receiver)
{
    struct broker_owned_list *page = CONTAINER_OF(request, struct broker_owned_list, list.request);
    struct consumer *consumer = page->consumer;
    struct event_taker *taker = consumer->taker;
    unsigned count = request->result == OK ? page->list.ret_count : 0;
    for (unsigned i = 0; i < count; i++)
        suspended_add(consumer, page->events[i].event,
            consumer_channel_of_partition(consumer, page->events[i].partition));
    if (request->result == OK && count == LIST_COUNT_MAX && !taker->stopping) {
        ask_for_more(page, page->events[count - 1].event);
        return;
    }
    consumer->listing = false;
    consumer->listed = request->result == OK; /* otherwise the tick asks again */
    if (consumer->listed && consumer->suspended.count > 0)
        log_info("events of the last run are suspended until the broker delivers them "
                 "again shard=%u count=%zu",
            taker->shard, consumer->suspended.count);
    free(page);
}

void suspended_list(struct consumer *consumer)
{
    if (consumer->listing || consumer->listed)
        return;
    struct broker_owned_list *page = memory_new_raw(sizeof *page);
    page->consumer = consumer;
    consumer->listing = true;
    ask_for_more(page, 0);
}

/* Events that the broker does not have any more. */

struct adopt {
    struct journal_adopt request;
    struct consumer *consumer;
    unsigned channel;
    int64_t events[ADOPT_COUNT_MAX];
};

static void on_adopted(struct request *request, void *receiver)
{
    struct adopt *adopt = CONTAINER_OF(request, struct adopt, request.request);
    struct consumer *consumer = adopt->consumer;
    struct event_taker *taker = consumer->taker;
    consumer->adopting = false;
    if (request->result == OK) {
        for (unsigned i = 0; i < adopt->request.count; i++)
            /* It may have been delivered again in the meantime. */
            unacked_adopt(consumer, adopt->events[i]);
        metrics_add(METRIC_ADOPTED, adopt->request.count);
        log_warn("the broker does not have these suspended events any more: the "
                 "journal delivers them shard=%u count=%u",
            taker->shard, adopt->request.count);
        if (!taker->stopping && consumer->suspended_count[adopt->channel] == 0)
            /* They are pending, and their endpoint queues do not have them. */
            taker->ops->scan_backlog(taker);
    }
    free(adopt);
}

static void adopt(struct consumer *consumer, unsigned channel)
{
    struct event_taker *taker = consumer->taker;
    struct adopt *adopt = memory_new_raw(sizeof *adopt);
    unsigned count = 0;
    id_map_for_each(node, &consumer->suspended)
    {
        const struct suspended *suspended = CONTAINER_OF(node, struct suspended, by_event);
        if (suspended->channel == channel && count < ADOPT_COUNT_MAX)
            adopt->events[count++] = (int64_t)node->id;
    }
    adopt->consumer = consumer;
    adopt->channel = channel;
    adopt->request = (struct journal_adopt){.count = count,
        .events = adopt->events,
        .park_guarded_before_us = consumer->options.forced_since_us};
    consumer->adopting = true;
    event_taker_ask(taker, taker->journal, &adopt->request.request, JOURNAL_ADOPT, on_adopted);
}

void suspended_on_depth(
    struct consumer *consumer, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    bool empty = messages_ready == 0 && consumers <= 1;
    consumer->empty_seen[channel] = empty ? consumer->empty_seen[channel] + 1 : 0;
}

void suspended_on_channel(struct consumer *consumer, unsigned channel)
{
    consumer->empty_seen[channel] = 0;
}

void suspended_tick(struct consumer *consumer, int64_t now_mono_us)
{
    if (!consumer->listed)
        suspended_list(consumer);
    if (consumer->suspended.count == 0 || consumer->adopting ||
        now_mono_us < consumer->depth_due_us)
        return;
    consumer->depth_due_us = now_mono_us + DEPTH_EVERY_US;
    for (unsigned channel = 0; channel < consumer->channels_count; channel++) {
        if (consumer->suspended_count[channel] == 0)
            continue;
        if (consumer->empty_seen[channel] >= EMPTY_TIMES) {
            adopt(consumer, channel);
            return;
        }
        subscriber_ask_depth(consumer->subscriber, channel);
    }
}
