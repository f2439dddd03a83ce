/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/broker_queue.h"

#include "base/clock.h"
#include "base/memory.h"
#include "model/notice_board.h"
#include "model/placement.h"
#include "queue/outbox.h"
#include "queue/recent_events.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFLICTS_GAP_US (60 * US_PER_SECOND)
#define ENTER_AGAIN_US (2 * US_PER_MS) /* at most this often */

struct broker_queue {
    struct queue queue;
    struct broker_queue_options options; /* immutable after init */

    struct publish_breaker *breaker;
    struct recent_events *recent;
    struct outbox *outbox;
    struct list unconfirmed; /* of struct queue_entry, in the order of publishing */
    struct list elsewhere;   /* another thread has an event of their key in flight */
    int64_t now_us;          /* of the last tick */
    int64_t entered_again_us;
    int64_t confirmed_us; /* when the broker last confirmed something, to the tick */
    struct notice_board conflicts;
    bool stopped;
};

static void append(struct broker_queue *broker, struct queue_entry *entry);
static void enter_again(struct broker_queue *broker);

static void report_conflicts(struct broker_queue *broker, int64_t now_us)
{
    struct operator_event event;
    while (notice_board_take(&broker->conflicts, now_us, &event)) {
        log_warn("an event has the key of a recent event and a different amount or currency: it is "
                 "rejected first=%s partner=%s account=%s count=%lld",
            event.first_event, event.partner, event.account, (long long)event.count);
        event.is_logged = true;
        operator_event_post(&broker->options.operator_events, &event);
    }
}

/* The journal never sees the event: it is rejected. */
static void note_conflict(struct broker_queue *broker, const struct queue_entry *entry)
{
    const struct event_parts *parts = &entry->append.event->parts;
    struct operator_event noted = {.kind = OPERATOR_EVENT_CONFLICT, .count = 1};
    char detail[OPERATOR_DETAIL_BYTES];
    event_id_format(&entry->append.ret_id, noted.first_event);
    snprintf(noted.partner, sizeof noted.partner, "%.*s", SLICE_ARGS(parts->partner));
    snprintf(noted.account, sizeof noted.account, "%.*s", SLICE_ARGS(parts->account));
    snprintf(detail, sizeof detail, "type %.*s, key %.*s", SLICE_ARGS(parts->type),
        SLICE_ARGS(parts->key));
    operator_event_set_detail(&noted, detail);
    notice_board_add(&broker->conflicts, &noted, broker->now_us);
    report_conflicts(broker, broker->now_us);
}

/* Ends an entry, and those that waited for it. */
static void finish(struct broker_queue *broker, struct queue_entry *entry, enum err result)
{
    struct list told;
    recent_events_end(broker->recent, entry, result, &told);
    entry->on_durable(entry, result);
    for (struct queue_entry *each; (each = LIST_TAKE_FIRST(&told, struct queue_entry, in_list));) {
        enum err of_each = each->append.request.result;
        if (of_each == ERR_MOVED_ON) {
            append(broker, each);
        } else {
            if (of_each == ERR_CONFLICT)
                note_conflict(broker, each);
            each->on_durable(each, of_each);
        }
    }
}

/* The direct path. */

static void on_appended(struct request *request, void *receiver)
{
    struct queue_entry *entry = CONTAINER_OF(request, struct queue_entry, append.request);
    if (request->result == OK) {
        metrics_add(METRIC_DIRECT, 1);
        metrics_add(METRIC_OUTBOX, entry->append.to_outbox);
    }
    finish(CONTAINER_OF(entry->queue, struct broker_queue, queue), entry, request->result);
}

static void append(struct broker_queue *broker, struct queue_entry *entry)
{
    const struct broker_queue_options *options = &broker->options;
    if (broker->stopped) {
        finish(broker, entry, ERR_SHUTTING_DOWN);
        return;
    }
    /* This gateway may not deliver what the owner may deliver too: a copy in the broker, or an
     * earlier event of the key that only the owner's dedupe store knows. */
    if (broker_connector_is_deposed(options->breaker.connector)) {
        finish(broker, entry, ERR_UNAVAILABLE);
        return;
    }
    unsigned shard =
        placement_shard(event_id_partition(&entry->append.event->parts.id), options->shards);
    entry->append.to_outbox = options->outbox;
    entry->append.request = (struct request){
        .kind = JOURNAL_APPEND, .reply_to = options->breaker.reply_to, .on_done = on_appended};
    journal_submit(options->journals[shard], &entry->append.request);
}

/* Publishing. */

static void on_publish_end(struct publication *publication, enum publish_end end)
{
    struct queue_entry *entry = CONTAINER_OF(publication, struct queue_entry, publication);
    struct broker_queue *broker = CONTAINER_OF(entry->queue, struct broker_queue, queue);
    list_remove(&entry->in_list);
    if (end == PUBLISHED) {
        broker->confirmed_us = broker->now_us;
        finish(broker, entry, OK);
        if (!list_is_empty(&broker->elsewhere) &&
            clock_mono_us() - broker->entered_again_us >= ENTER_AGAIN_US)
            enter_again(broker);
        return;
    }
    publish_breaker_on_refused(broker->breaker, event_id_partition(&publication->id), end);
    append(broker, entry);
}

/* The event is in the mailbox of the journal before the probe is published: nothing depends on the
 * probe. */
static void send_directly(
    struct broker_queue *broker, struct queue_entry *entry, unsigned partition)
{
    struct event *event = event_ref(entry->append.event);
    append(broker, entry);
    publish_breaker_probe(broker->breaker, partition, &event->parts);
    event_unref(event);
}

/* The direct path does not help when the journal is slow or refuses: the consumer waits for the
 * journal too. */
static bool is_sooner_directly(struct broker_queue *broker, unsigned partition, int64_t now_us)
{
    const struct broker_queue_options *options = &broker->options;
    const struct disk_board *room =
        &options->journals[placement_shard(partition, options->shards)]->room;
    return publish_breaker_is_behind(broker->breaker, partition, now_us) &&
           disk_board_is_prompt(room, now_us, options->breaker.lag_us_max);
}

static void send_entry(struct broker_queue *broker, struct queue_entry *entry)
{
    const struct event_parts *parts = &entry->append.event->parts;
    unsigned partition = event_id_partition(&parts->id);
    entry->published_mono_us = clock_mono_us();
    entry->publication = (struct publication){.on_end = on_publish_end, .id = parts->id};
    if (is_sooner_directly(broker, partition, entry->published_mono_us) ||
        publish_breaker_publish(broker->breaker, &entry->publication, partition, parts)) {
        send_directly(broker, entry, partition);
        return;
    }
    publish_breaker_mark(broker->breaker, &parts->id, entry->published_mono_us);
    list_add_tail(&broker->unconfirmed, &entry->in_list);
}

static void enter(struct broker_queue *broker, struct queue_entry *entry)
{
    switch (recent_events_enter(broker->recent, entry)) {
    case RECENT_NEW:
        send_entry(broker, entry);
        break;
    case RECENT_WAITS:
        break;
    case RECENT_ELSEWHERE:
        list_add_tail(&broker->elsewhere, &entry->in_list);
        break;
    case RECENT_DUPLICATE:
        entry->on_durable(entry, ERR_EXISTS);
        break;
    case RECENT_CONFLICT:
        note_conflict(broker, entry);
        entry->on_durable(entry, ERR_CONFLICT);
        break;
    }
}

static void enqueue(struct queue *queue, struct queue_entry *entry, unsigned shard)
{
    entry->queue = queue;
    enter(CONTAINER_OF(queue, struct broker_queue, queue), entry);
}

/* The other thread's event has ended, or they wait for the next confirm or tick. */
static void enter_again(struct broker_queue *broker)
{
    if (list_is_empty(&broker->elsewhere))
        return;
    broker->entered_again_us = clock_mono_us();
    const struct list *last = broker->elsewhere.prev;
    for (bool more = true; more;) {
        struct list *node = broker->elsewhere.next;
        more = node != last;
        list_remove(node);
        enter(broker, CONTAINER_OF(node, struct queue_entry, in_list));
    }
}

/* Time. */

static struct queue_entry *oldest_unconfirmed(const struct broker_queue *broker)
{
    if (list_is_empty(&broker->unconfirmed))
        return NULL;
    return CONTAINER_OF(broker->unconfirmed.next, struct queue_entry, in_list);
}

/* Other confirms arrive: then it is these queues that do not confirm. */
static void tell_silent_partitions(struct broker_queue *broker, int64_t now_mono_us)
{
    int64_t suspicious_us = broker->options.breaker.confirm_timeout_us / 2;
    if (now_mono_us - broker->confirmed_us > suspicious_us)
        return;
    list_for_each (node, &broker->unconfirmed) {
        struct queue_entry *entry = CONTAINER_OF(node, struct queue_entry, in_list);
        if (now_mono_us - entry->published_mono_us < suspicious_us)
            break;
        publish_breaker_on_silence(broker->breaker, event_id_partition(&entry->publication.id));
    }
}

static void give_up_late(struct broker_queue *broker, int64_t now_mono_us)
{
    struct queue_entry *oldest = oldest_unconfirmed(broker);
    if (!oldest ||
        now_mono_us - oldest->published_mono_us < broker->options.breaker.confirm_timeout_us)
        return;
    tell_silent_partitions(broker, now_mono_us);
    publish_breaker_on_timeout(broker->breaker);
    for (struct queue_entry *entry; (entry = oldest_unconfirmed(broker));) {
        list_remove(&entry->in_list);
        publish_breaker_forget(broker->breaker, &entry->publication);
        append(broker, entry);
    }
}

static void tick(struct queue *queue, int64_t now_mono_us)
{
    struct broker_queue *broker = CONTAINER_OF(queue, struct broker_queue, queue);
    broker->now_us = now_mono_us;
    publish_breaker_tick(broker->breaker, now_mono_us, list_is_empty(&broker->unconfirmed));
    give_up_late(broker, now_mono_us);
    report_conflicts(broker, now_mono_us);
    enter_again(broker);
    outbox_tick(broker->outbox, now_mono_us);
}

static bool find(struct queue *queue, const struct event_id *id, struct queue_found *ret_found)
{
    return recent_events_find(
        CONTAINER_OF(queue, struct broker_queue, queue)->recent, id, ret_found);
}

/* Life. */

static void stop(struct queue *queue)
{
    struct broker_queue *broker = CONTAINER_OF(queue, struct broker_queue, queue);
    broker->stopped = true;
    outbox_stop(broker->outbox);
    for (struct queue_entry *entry; (entry = oldest_unconfirmed(broker));) {
        list_remove(&entry->in_list);
        publish_breaker_forget(broker->breaker, &entry->publication);
        finish(broker, entry, ERR_SHUTTING_DOWN);
    }
    for (struct queue_entry *entry;
         (entry = LIST_TAKE_FIRST(&broker->elsewhere, struct queue_entry, in_list));)
        entry->on_durable(entry, ERR_SHUTTING_DOWN);
    publish_breaker_stop(broker->breaker);
}

static void free_broker(struct queue *queue)
{
    struct broker_queue *broker = CONTAINER_OF(queue, struct broker_queue, queue);
    assert(list_is_empty(&broker->unconfirmed) && list_is_empty(&broker->elsewhere));
    publish_breaker_free(broker->breaker);
    outbox_free(broker->outbox);
    recent_events_free(broker->recent);
    free(broker);
}

struct publish_breaker *broker_queue_breaker(struct queue *queue)
{
    return CONTAINER_OF(queue, struct broker_queue, queue)->breaker;
}

static enum err make_parts(struct broker_queue *broker)
{
    const struct broker_queue_options *options = &broker->options;
    broker->recent = recent_events_new(RECENT_EVENTS_MAX, options->known);
    broker->outbox = outbox_new(&(struct outbox_options){
        .journals = options->journals,
        .budgets = options->budgets,
        .reply_to = options->breaker.reply_to,
        .shards = options->shards,
        .number = options->breaker.number,
        .threads = options->threads,
    });
    return publish_breaker_new(&options->breaker, &broker->breaker);
}

enum err broker_queue_new(const struct broker_queue_options *options, struct queue **ret_queue)
{
    static const struct queue_ops ops = {
        .enqueue = enqueue, .tick = tick, .find = find, .stop = stop, .free = free_broker};
    struct broker_queue *broker;
    MEMORY_NEW(broker);
    broker->queue.ops = &ops;
    broker->options = *options;
    broker->now_us = broker->confirmed_us = clock_mono_us();
    notice_board_init(&broker->conflicts, US_PER_SECOND, CONFLICTS_GAP_US);
    list_init(&broker->unconfirmed);
    list_init(&broker->elsewhere);
    enum err failed = make_parts(broker);
    if (failed) {
        free_broker(&broker->queue);
        return failed;
    }
    outbox_begin(broker->outbox, broker->breaker);
    *ret_queue = &broker->queue;
    return OK;
}
