/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/outbox.h"

#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdlib.h>

#define EVENTS_MAX 64
#define BYTES_MAX (1024 * 1024)
#define BUDGET_SHARE_PERCENT 50 /* of the byte budget; the rest is for events that partners post */
#define REST_US US_PER_SECOND
#define CONFIRM_US_MAX (10 * US_PER_SECOND)

enum relay_state { RELAY_RESTING, RELAY_LOADING, RELAY_SENDING, RELAY_CLEARING };

struct relay;

struct relayed {
    struct publication publication;
    struct relay *relay;
    int64_t number;
    bool out, confirmed; /* out: the publisher has it */
};

/* One shard's. */
struct relay {
    struct outbox *outbox;
    unsigned shard;
    enum relay_state state;
    int64_t after_number; /* the next load begins after this one */
    int64_t rest_until_us, sent_us;
    unsigned count, out_count; /* of `events` */
    struct relayed events[EVENTS_MAX];
    struct journal_load_outbox load;
    struct journal_outbox_entry entries[EVENTS_MAX];
    struct journal_clear_outbox clear;
    int64_t cleared[EVENTS_MAX];
};

struct outbox {
    struct outbox_options options; /* immutable after outbox_new */
    struct publish_breaker *breaker;
    int64_t now_us; /* of the last tick */
    bool stopped;
    unsigned relays_count;
    struct relay relays[];
};

static void load(struct relay *relay);

/* A batch has ended; `progress`: some of it has left the outbox. */
static void end_batch(struct relay *relay, bool progress)
{
    relay->state = RELAY_RESTING;
    relay->rest_until_us = progress ? 0 : relay->outbox->now_us + REST_US;
    if (progress && !relay->outbox->stopped && publish_breaker_has_half(relay->outbox->breaker))
        load(relay);
}

static void on_cleared(struct request *request, void *receiver)
{
    struct relay *relay = CONTAINER_OF(request, struct relay, clear.request);
    if (request->result == OK)
        metrics_add(METRIC_OUTBOX, -(int64_t)relay->clear.count);
    end_batch(relay, request->result == OK);
}

/* The publisher has answered for every event of the batch. */
static void clear_batch(struct relay *relay)
{
    const struct outbox_options *options = &relay->outbox->options;
    unsigned count = 0;
    for (unsigned i = 0; i < relay->count; i++)
        if (relay->events[i].confirmed)
            relay->cleared[count++] = relay->events[i].number;
    if (count == 0 || relay->outbox->stopped) {
        end_batch(relay, false);
        return;
    }
    relay->state = RELAY_CLEARING;
    relay->clear = (struct journal_clear_outbox){.request = {.kind = JOURNAL_CLEAR_OUTBOX,
                                                     .reply_to = options->reply_to,
                                                     .on_done = on_cleared},
        .count = count,
        .numbers = relay->cleared};
    journal_submit(options->journals[relay->shard], &relay->clear.request);
}

static void on_publish_end(struct publication *publication, enum publish_end end)
{
    struct relayed *event = CONTAINER_OF(publication, struct relayed, publication);
    struct relay *relay = event->relay;
    event->out = false;
    event->confirmed = end == PUBLISHED;
    publish_breaker_on_refused(relay->outbox->breaker, event_id_partition(&publication->id), end);
    if (--relay->out_count == 0)
        clear_batch(relay);
}

static void send_event(struct relay *relay, struct relayed *event, const struct event_parts *parts)
{
    struct publish_breaker *breaker = relay->outbox->breaker;
    unsigned partition = event_id_partition(&parts->id);
    event->publication = (struct publication){.on_end = on_publish_end, .id = parts->id};
    event->out = publish_breaker_has_half(breaker) &&
                 publish_breaker_publish(breaker, &event->publication, partition, parts) == OK;
    if (event->out)
        relay->out_count++;
    else
        publish_breaker_probe(breaker, partition, parts);
}

static void on_loaded(struct request *request, void *receiver)
{
    struct relay *relay = CONTAINER_OF(request, struct relay, load.request);
    relay->count = request->result == OK ? relay->load.ret_count : 0;
    relay->after_number = relay->count ? relay->entries[relay->count - 1].number : 0;
    relay->sent_us = relay->outbox->now_us;
    relay->state = RELAY_SENDING;
    for (unsigned i = 0; i < relay->count; i++) {
        struct journal_outbox_entry *entry = &relay->entries[i];
        relay->events[i] = (struct relayed){.relay = relay, .number = entry->number};
        if (!relay->outbox->stopped)
            send_event(relay, &relay->events[i], &entry->event->parts);
        event_unref(entry->event);
    }
    if (relay->out_count == 0)
        clear_batch(relay);
}

static void load(struct relay *relay)
{
    const struct outbox *outbox = relay->outbox;
    relay->state = RELAY_LOADING;
    relay->load = (struct journal_load_outbox){.request = {.kind = JOURNAL_LOAD_OUTBOX,
                                                   .reply_to = outbox->options.reply_to,
                                                   .on_done = on_loaded},
        .after_event = relay->after_number,
        .count_max = publish_breaker_has_half(outbox->breaker) ? EVENTS_MAX : 1,
        .bytes_max = BYTES_MAX,
        .budget = &outbox->options.budgets[relay->shard],
        .budget_share_percent = BUDGET_SHARE_PERCENT,
        .ret_entries = relay->entries};
    journal_submit(outbox->options.journals[relay->shard], &relay->load.request);
}

static void give_up_late(struct relay *relay)
{
    if (relay->outbox->now_us - relay->sent_us < CONFIRM_US_MAX)
        return;
    for (unsigned i = 0; i < relay->count; i++) {
        if (relay->events[i].out)
            publish_breaker_forget(relay->outbox->breaker, &relay->events[i].publication);
        relay->events[i].out = false;
    }
    relay->out_count = 0;
    clear_batch(relay);
}

void outbox_tick(struct outbox *outbox, int64_t now_mono_us)
{
    outbox->now_us = now_mono_us;
    bool has_way =
        publish_breaker_has_half(outbox->breaker) || publish_breaker_wants_probe(outbox->breaker);
    for (unsigned i = 0; i < outbox->relays_count; i++) {
        struct relay *relay = &outbox->relays[i];
        if (relay->state == RELAY_SENDING)
            give_up_late(relay);
        if (relay->state != RELAY_RESTING || now_mono_us < relay->rest_until_us || !has_way)
            continue;
        if (metrics_read(METRIC_OUTBOX) > 0)
            load(relay);
        else
            relay->rest_until_us = now_mono_us + REST_US;
    }
}

struct outbox *outbox_new(const struct outbox_options *options)
{
    unsigned count = (options->shards + options->threads - 1 - options->number) / options->threads;
    struct outbox *outbox = memory_new(sizeof *outbox + count * sizeof outbox->relays[0]);
    outbox->options = *options;
    outbox->relays_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct relay *relay = &outbox->relays[i];
        relay->outbox = outbox;
        relay->shard = options->number + i * options->threads;
        metrics_add(METRIC_OUTBOX, options->journals[relay->shard]->found.outbox);
    }
    return outbox;
}

void outbox_begin(struct outbox *outbox, struct publish_breaker *breaker)
{
    outbox->breaker = breaker;
}

void outbox_stop(struct outbox *outbox)
{
    outbox->stopped = true;
}

void outbox_free(struct outbox *outbox)
{
    if (!outbox)
        return;
    for (unsigned i = 0; i < outbox->relays_count; i++)
        assert(outbox->relays[i].state == RELAY_RESTING);
    free(outbox);
}
