/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a partner for an event: as soon as the result is known, or after 3 s. */
#include "base/clock.h"
#include "ingress/ingress_internal.h"
#include "model/receipt.h"
#include "runtime/metrics.h"

#define ANSWER_WITHIN_US (3 * US_PER_SECOND)

void awaited_begin(struct awaited *awaited, struct ingress *ingress, struct http_exchange *exchange,
    void (*on_late)(struct awaited *awaited))
{
    awaited->exchange = exchange;
    awaited->received_mono_us = http_received_mono_us(exchange);
    awaited->on_late = on_late;
    list_add_tail(&ingress->waiting, &awaited->in_waiting);
}

struct http_exchange *awaited_take_exchange(struct awaited *awaited)
{
    if (awaited->exchange)
        metrics_observe(HISTOGRAM_ANSWER, clock_mono_us() - awaited->received_mono_us);
    return TAKE(awaited->exchange);
}

void awaited_end(struct awaited *awaited, struct ingress *ingress)
{
    int64_t now_mono_us = clock_mono_us();
    overload_note_answer(&ingress->overload, now_mono_us - awaited->received_mono_us, now_mono_us);
    list_remove(&awaited->in_waiting);
}

void awaited_expire(struct ingress *ingress, int64_t now_mono_us)
{
    list_for_each (node, &ingress->waiting) {
        struct awaited *awaited = CONTAINER_OF(node, struct awaited, in_waiting);
        if (now_mono_us - awaited->received_mono_us < ANSWER_WITHIN_US)
            break;
        if (awaited->exchange)
            awaited->on_late(awaited);
    }
}

void result_count_refused(enum err error)
{
    metrics_add(
        err_http_status(error) == 503 ? METRIC_EVENTS_UNAVAILABLE : METRIC_EVENTS_REFUSED, 1);
}

void result_count(enum err result)
{
    enum metric metric = result == OK             ? METRIC_EVENTS_ACCEPTED
                         : result == ERR_EXISTS   ? METRIC_EVENTS_DUPLICATE
                         : result == ERR_CONFLICT ? METRIC_EVENTS_CONFLICT
                                                  : METRIC_EVENTS_UNAVAILABLE;
    metrics_add(metric, 1);
}

bool result_is_good(enum err result)
{
    return result == OK || result == ERR_EXISTS;
}

void result_print(struct ingress *ingress, const struct journal_append *append, enum err result,
    const char *head, struct buffer *json)
{
    bool duplicate = result == ERR_EXISTS;
    const struct event_id *event_id = duplicate ? &append->ret_id : &append->event->parts.id;
    char id[EVENT_ID_TEXT_BYTES], receipt[RECEIPT_TEXT_BYTES];
    event_id_format(event_id, id);
    receipt_make(ingress->receipt_mac, duplicate, &append->event->parts, event_id, receipt);
    buffer_add_format(json, "%s\"%s\",\"event\":\"%s\",\"receipt\":\"%s\"", head,
        duplicate ? "duplicate" : "accepted", id, receipt);
    if (append->event->parts.class == CLASS_CRITICAL && append->event->parts.amount.len == 0)
        buffer_add_string(json, ",\"warnings\":[{\"pointer\":\"/amount\",\"detail\":\"is missing: "
                                "the event adds no amount to the totals\"}]");
    buffer_add_char(json, '}');
}

void result_refuse(
    const struct journal_append *append, enum err result, struct refusal *ret_refusal)
{
    if (result != ERR_CONFLICT) {
        (void)refuse(ret_refusal, result == ERR_DAMAGED ? ERR_UNAVAILABLE : result,
            result == ERR_DISK_FULL
                ? "The disk of the gateway has no room for %s events now. Send the event again "
                  "later with the same key."
                : "The %s event could not be stored. Send it again later with the same key.",
            class_name(append->event->parts.class));
        return;
    }
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&append->ret_id, id);
    (void)refuse(ret_refusal, ERR_CONFLICT,
        "%s was accepted under this key with a different amount or currency. Use a new key for a "
        "new event. If it is the same event, do not send it again.",
        id);
    field_problems_add(&ret_refusal->problems, "/amount",
        "differs from the event that was accepted under this key");
}
