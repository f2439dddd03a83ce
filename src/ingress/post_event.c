/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/events. Each check answers by itself and ends the exchange; what passes them all becomes an event in the
 * queue. The exchange is answered when the queue says that the event is durable, or with 503 when that takes too long;
 * the event's fate does not depend on whether its partner is still there.
 */
#include "ingress/ingress_internal.h"

#include "base/clock.h"
#include "model/name.h"
#include "model/receipt.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#include <stdio.h>
#include <strings.h>

#define ANSWER_WITHIN_US (3 * US_PER_SECOND)

/* A posted event on its way through the queue. */
struct posted {
    struct queue_entry entry;
    struct ingress *ingress;
    struct http_exchange *exchange; /* NULL: answered already */
    struct list in_waiting;
    int64_t received_mono_us;
};

static void refuse(
    struct http_exchange *exchange, enum err error, const char *detail, const struct field_problems *problems)
{
    metrics_add(err_http_status(error) == 503 ? METRIC_EVENTS_UNAVAILABLE : METRIC_EVENTS_REFUSED, 1);
    http_answer_problem(exchange, error, detail, problems);
}

static void refuse_field(struct http_exchange *exchange, enum err error, const char *pointer, const char *problem)
{
    struct field_problems problems = {0};
    field_problems_add(&problems, pointer, problem);
    refuse(exchange, error, "Correct the fields under errors and send the event again.", &problems);
}

/* application/json, whatever its parameters. */
static bool is_json(struct slice content_type)
{
    static const char json[] = "application/json";
    size_t len = sizeof json - 1;
    if (content_type.len < len || strncasecmp(content_type.data, json, len) != 0)
        return false;
    return content_type.len == len || content_type.data[len] == ';' || content_type.data[len] == ' ';
}

static bool check_media(struct http_exchange *exchange)
{
    if (!is_json(http_header(exchange, "content-type"))) {
        refuse(exchange, ERR_MEDIA_TYPE, "Send the event as content-type: application/json.", NULL);
        return false;
    }
    struct slice encoding = http_header(exchange, "content-encoding");
    if (encoding.len && !slice_equals_string(encoding, "identity")) {
        refuse(exchange, ERR_MEDIA_TYPE, "Send the body without content-encoding.", NULL);
        return false;
    }
    return true;
}

static bool parse(struct http_exchange *exchange, struct event_fields *ret_fields)
{
    struct field_problems problems;
    switch (event_fields_parse(http_body(exchange), ret_fields, &problems)) {
    case OK:
        return true;
    case ERR_MALFORMED_JSON:
        refuse(exchange, ERR_MALFORMED_JSON, problems.malformed, NULL);
        return false;
    case ERR_INVALID:
        refuse(exchange, ERR_INVALID, "Correct the fields under errors and send the event again.", &problems);
        return false;
    default:
        refuse(exchange, ERR_NO_MEMORY, "Send the event again later.", NULL);
        return false;
    }
}

/* The dedupe key (P3): the header, else the event's id. False after an answer. */
static bool choose_key(struct http_exchange *exchange, const struct event_fields *fields, struct slice *ret_key)
{
    struct slice header = http_header(exchange, "idempotency-key");
    if (header.len && !name_is_valid_key(header)) {
        refuse(exchange, ERR_INVALID, "The Idempotency-Key header " KEY_RULE ".", NULL);
        return false;
    }
    *ret_key = header.len ? header : FIELD_SLICE(fields->id);
    if (ret_key->len == 0 && class_of_type(&class_rules_default, FIELD_SLICE(fields->type)) == CLASS_CRITICAL) {
        refuse_field(
            exchange, ERR_INVALID, "/id", "is required for this type, unless there is an Idempotency-Key header");
        return false;
    }
    return true;
}

/* The account, if this partner may post for it. An unknown account and a foreign one look the same from outside. */
static const struct account *check_account(
    struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner, struct slice id)
{
    const struct directory *directory = ingress->options.directory;
    const struct account *account = directory_account(directory, id);
    if (account && account->enabled && directory_may_post(directory, slice_from_string(partner->id), id))
        return account;
    refuse_field(exchange, ERR_FORBIDDEN, "/account", "is not an account that you may post for");
    return NULL;
}

static void fresh_random(struct ingress *ingress, unsigned char ret_bytes[8])
{
    if (ingress->random_used + 8 > RANDOM_POOL_BYTES) {
        crypto_random(ingress->random_pool, RANDOM_POOL_BYTES);
        ingress->random_used = 0;
    }
    memcpy(ret_bytes, ingress->random_pool + ingress->random_used, 8);
    ingress->random_used += 8;
}

/* Under pressure the optional ones are refused first, the critical ones last. */
static int credit_share(enum event_class class)
{
    return class == CLASS_CRITICAL ? 100 : class == CLASS_IMPORTANT ? 90 : 80;
}

static void answer_durable(struct posted *posted, bool duplicate)
{
    const struct journal_append *append = &posted->entry.append;
    const struct event_id *event_id = duplicate ? &append->ret_id : &append->event->parts.id;
    char id[EVENT_ID_TEXT_BYTES], receipt[RECEIPT_TEXT_BYTES], body[256];
    event_id_format(event_id, id);
    receipt_make(posted->ingress->receipt_mac, duplicate, &append->event->parts, event_id, receipt);
    int len = snprintf(body, sizeof body, "{\"status\":\"%s\",\"event\":\"%s\",\"receipt\":\"%s\"}\n",
        duplicate ? "duplicate" : "accepted", id, receipt);
    http_answer(posted->exchange,
        &(struct http_reply){.status = 200, .content_type = "application/json", .body = slice_of(body, (size_t)len)});
}

static void answer_conflict(struct posted *posted)
{
    char id[EVENT_ID_TEXT_BYTES], detail[200];
    event_id_format(&posted->entry.append.ret_id, id);
    snprintf(detail, sizeof detail,
        "%s was accepted under this key with another amount or currency. Use a new key for a new event.", id);
    struct field_problems problems = {0};
    field_problems_add(&problems, "/amount", "differs from the event that was accepted under this key");
    http_answer_problem(posted->exchange, ERR_CONFLICT, detail, &problems);
}

static void answer_result(struct posted *posted, enum err result)
{
    switch (result) {
    case OK:
    case ERR_EXISTS:
        answer_durable(posted, result == ERR_EXISTS);
        break;
    case ERR_CONFLICT:
        answer_conflict(posted);
        break;
    default:
        http_answer_problem(posted->exchange, result == ERR_DAMAGED ? ERR_UNAVAILABLE : result,
            "The event could not be made durable. Send it again later with the same id.", NULL);
    }
}

static void count_result(enum err result)
{
    enum metric metric = result == OK             ? METRIC_EVENTS_ACCEPTED
                         : result == ERR_EXISTS   ? METRIC_EVENTS_DUPLICATE
                         : result == ERR_CONFLICT ? METRIC_EVENTS_CONFLICT
                                                  : METRIC_EVENTS_UNAVAILABLE;
    metrics_add(metric, 1);
}

static void on_durable(struct queue_entry *entry, enum err result)
{
    struct posted *posted = CONTAINER_OF(entry, struct posted, entry);
    count_result(result);
    if (posted->exchange) {
        metrics_observe(HISTOGRAM_ANSWER, clock_mono_us() - posted->received_mono_us);
        answer_result(posted, result);
    }
    list_remove(&posted->in_waiting);
    event_unref(entry->append.event);
    free(posted);
}

void ingress_expire_posted(struct ingress *ingress, int64_t now_mono_us)
{
    list_for_each (node, &ingress->waiting) {
        struct posted *posted = CONTAINER_OF(node, struct posted, in_waiting);
        if (now_mono_us - posted->received_mono_us < ANSWER_WITHIN_US)
            break;
        if (!posted->exchange)
            continue;
        metrics_observe(HISTOGRAM_ANSWER, now_mono_us - posted->received_mono_us);
        http_answer_problem(TAKE(posted->exchange), ERR_TIMEOUT,
            "The event is not known to be durable yet. Send it again with the same id: it will count once.", NULL);
    }
}

static enum err make_event(struct ingress *ingress, struct http_exchange *exchange, const struct partner *partner,
    const struct event_fields *fields, struct slice key, struct event **ret_event)
{
    struct slice account = FIELD_SLICE(fields->account), traceparent = http_header(exchange, "traceparent");
    struct event_parts parts = {
        .accepted_us = clock_wall_us(),
        .has_occurred_at = fields->has_occurred_at,
        .occurred_us = fields->occurred_us,
        .class = class_of_type(&class_rules_default, FIELD_SLICE(fields->type)),
        .guarded = class_type_is_guarded(&class_rules_default, FIELD_SLICE(fields->type)),
        .partner = slice_from_string(partner->id),
        .account = account,
        .type = FIELD_SLICE(fields->type),
        .key = key,
        .amount = FIELD_SLICE(fields->amount),
        .currency = FIELD_SLICE(fields->currency),
        .traceparent = name_is_valid_traceparent(traceparent) ? traceparent : (struct slice){0},
        .body = http_body(exchange),
    };
    unsigned partition = (unsigned)(hash_siphash(&ingress->options.seed, account) % ingress->options.partitions);
    unsigned char random[8];
    fresh_random(ingress, random);
    event_id_make(&ingress->ids, parts.accepted_us, partition, random, &parts.id);
    struct credit *credit = &ingress->options.credits[partition % ingress->options.shards];
    return event_new(&parts, credit, credit_share(parts.class), ret_event);
}

static void enqueue(
    struct ingress *ingress, struct http_exchange *exchange, struct event *event, const struct account *account)
{
    struct posted *posted = calloc(1, sizeof *posted);
    if (!posted) {
        event_unref(event);
        refuse(exchange, ERR_NO_MEMORY, "Send the event again later.", NULL);
        return;
    }
    posted->ingress = ingress;
    posted->exchange = exchange;
    posted->received_mono_us = http_received_mono_us(exchange);
    list_add_tail(&ingress->waiting, &posted->in_waiting);
    posted->entry.on_durable = on_durable;
    struct journal_append *append = &posted->entry.append;
    append->event = event;
    const struct event_parts *parts = &event->parts;
    if (parts->key.len)
        dedupe_ledger_key(parts->partner, parts->account, parts->type, parts->key, &append->ledger_key);
    append->endpoints_count = account->endpoints_count;
    memcpy(append->endpoints, account->endpoints, account->endpoints_count * sizeof account->endpoints[0]);
    queue_enqueue(ingress->queue, &posted->entry, event_id_partition(&parts->id) % ingress->options.shards);
}

void ingress_post_event(struct http_exchange *exchange, void *context)
{
    struct ingress *ingress = context;
    const struct partner *partner = ingress_authenticate(ingress, exchange);
    struct event_fields fields;
    struct slice key;
    if (!partner || !check_media(exchange) || !parse(exchange, &fields) || !choose_key(exchange, &fields, &key))
        return;
    const struct account *account = check_account(ingress, exchange, partner, FIELD_SLICE(fields.account));
    if (!account)
        return;
    struct event *event;
    enum err failed = make_event(ingress, exchange, partner, &fields, key, &event);
    if (failed)
        refuse(exchange, failed, "The gateway holds as much as it can. Send the event again later.", NULL);
    else
        enqueue(ingress, exchange, event, account);
}
