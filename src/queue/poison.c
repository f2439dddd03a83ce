/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poison: messages that are no events. The journal keeps each one with its bytes and the reason,
 * for a person, and then the message is acked. While the journal refuses, the message is tried
 * again every second; its bytes count against prefetch_bytes, so that nothing more is read
 * meanwhile.
 */
#include "queue/consumer_internal.h"

#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <stdlib.h>

struct poison {
    struct journal_keep_poison keep;
    struct consumer *consumer;
    struct list in_poison; /* while the journal refuses it */
    struct message_tag tag;
    char bytes[]; /* headers, body */
};

static void on_kept(struct request *request, void *receiver)
{
    struct poison *poison = CONTAINER_OF(request, struct poison, keep.request);
    struct consumer *consumer = poison->consumer;
    struct event_taker *taker = consumer->taker;
    if (request->result == OK || taker->stopping) {
        consumer->bytes_in_memory -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        consumer_update_reading(consumer);
        if (request->result == OK && consumer->subscriber)
            subscriber_ack(consumer->subscriber, &poison->tag);
        free(poison);
    } else {
        list_add_tail(&consumer->poison, &poison->in_poison);
    }
}

static void submit(struct poison *poison)
{
    struct event_taker *taker = poison->consumer->taker;
    event_taker_ask(taker, taker->journal, &poison->keep.request, JOURNAL_KEEP_POISON, on_kept);
}

void poison_keep(struct consumer *consumer, const struct message_tag *tag,
    const struct message *message, const char *reason)
{
    const struct slice headers = message->headers_json, body = message->body;
    metrics_add(METRIC_RECEIVED_POISON, 1);
    log_error("a message from the broker is not an event: it is kept as poison queue=%s "
              "reason=%s",
        consumer->queues[tag->channel], reason);
    struct poison *poison = malloc(sizeof *poison + headers.len + body.len);
    if (!poison) {
        consumer_give_up(consumer);
        return;
    }
    consumer->bytes_in_memory += (int64_t)(headers.len + body.len);
    *poison = (struct poison){.consumer = consumer, .tag = *tag};
    list_init(&poison->in_poison);
    struct journal_keep_poison *keep = &poison->keep;
    snprintf(keep->queue, sizeof keep->queue, "%s", consumer->queues[tag->channel]);
    snprintf(keep->reason, sizeof keep->reason, "%s", reason);
    snprintf(keep->message_id, sizeof keep->message_id, "%.*s", SLICE_ARGS(message->message_id));
    if (headers.len)
        memcpy(poison->bytes, headers.data, headers.len);
    if (body.len)
        memcpy(poison->bytes + headers.len, body.data, body.len);
    keep->headers = slice_of(poison->bytes, headers.len);
    keep->body = slice_of(poison->bytes + headers.len, body.len);
    keep->body_bytes = message->body_bytes;
    consumer_update_reading(consumer);
    submit(poison);
}

void poison_keep_event(
    struct consumer *consumer, const struct message_tag *tag, const struct event *event)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&event->parts.id, id);
    const struct message message = {.body = event->parts.body,
        .body_bytes = event->parts.body.len,
        .message_id = slice_from_string(id)};
    poison_keep(consumer, tag, &message, "another event has its id");
}

void poison_drop(struct consumer *consumer, unsigned channel)
{
    list_for_each_safe (node, following, &consumer->poison) {
        struct poison *poison = CONTAINER_OF(node, struct poison, in_poison);
        if (poison->tag.channel != channel)
            continue;
        list_remove(&poison->in_poison);
        consumer->bytes_in_memory -= (int64_t)(poison->keep.headers.len + poison->keep.body.len);
        free(poison);
    }
    consumer_update_reading(consumer);
}

void poison_retry(struct consumer *consumer)
{
    struct list again;
    list_init(&again);
    for (struct poison *poison;
         (poison = LIST_TAKE_FIRST(&consumer->poison, struct poison, in_poison));)
        list_add_tail(&again, &poison->in_poison);
    for (struct poison *poison; (poison = LIST_TAKE_FIRST(&again, struct poison, in_poison));)
        submit(poison);
}

void poison_free_all(struct consumer *consumer)
{
    list_for_each_safe (node, following, &consumer->poison)
        free(CONTAINER_OF(node, struct poison, in_poison));
}
