/* SPDX-License-Identifier: Apache-2.0 */
/* Makes events. Each check rejects with its own refusal. Bytes that pass all checks become an event
 * with an id, a shard and a part of its budget. */
#include "accounts/routing.h"
#include "base/clock.h"
#include "ingress/ingress_internal.h"
#include "model/event_fields.h"
#include "model/name.h"
#include "model/placement.h"

#include <stdio.h>

static enum err check_type(
    const struct ingress *ingress, struct slice type, struct refusal *ret_refusal)
{
    const char *meant = class_type_meant(&ingress->class_rules, type);
    if (meant) {
        char problem[64 + EVENT_TYPE_BYTES_MAX];
        snprintf(
            problem, sizeof problem, "must be written \"%s\": types are case-sensitive", meant);
        return refuse_field(ret_refusal, ERR_INVALID, "/type", problem);
    }
    if (!class_type_is_allowed(&ingress->class_rules, type))
        return refuse_field(ret_refusal, ERR_INVALID, "/type",
            "is not an allowed type: ask the operator for the list");
    return OK;
}

/* Chooses the dedupe key (P3): the given key, the value of the partner's rule, the event's id, or
 * the fallback, in this order. Empty: the event is never a duplicate. */
static enum err choose_key(const struct ingress *ingress, const struct submission *submission,
    const struct event_fields *fields, struct slice *ret_key, struct refusal *ret_refusal)
{
    const struct slice keys[] = {submission->given_key, FIELD_SLICE(fields->pointed_key),
        FIELD_SLICE(fields->id), submission->fallback_key};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        *ret_key = keys[i];
        if (ret_key->len > 0)
            return OK;
    }
    if (class_of_type(&ingress->class_rules, FIELD_SLICE(fields->type)) != CLASS_CRITICAL)
        return OK;
    const char *pointer = submission->caller.partner->key_pointer;
    return refuse_field(ret_refusal, ERR_INVALID, *pointer ? pointer : "/id",
        submission->may_give_key
            ? "is required for this type, unless there is an Idempotency-Key header"
            : "is required for this type");
}

/* Finds the account if this partner may post for it. The answer is the same for an unknown account
 * and for one of other partners. */
static enum err find_account(const struct ingress *ingress, const struct caller *caller,
    struct slice id, const struct account **ret_account, struct refusal *ret_refusal)
{
    const struct directory *directory = ingress->options.directory;
    *ret_account = directory_account(directory, id);
    if (*ret_account && (*ret_account)->enabled &&
        directory_may_post(directory, slice_from_string(caller->partner->id), id))
        return OK;
    refuse(ret_refusal, ERR_FORBIDDEN,
        "You may not post for this account. Check `account`, or ask the operator.");
    field_problems_add(
        &ret_refusal->problems, "/account", "is not an account that you may post for");
    metrics_add(METRIC_ACCESS_ACCOUNT, 1);
    return ERR_FORBIDDEN;
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

/* When memory is short, optional events are rejected first and critical ones last. */
static int budget_share(enum event_class class)
{
    return class == CLASS_CRITICAL ? 100 : class == CLASS_IMPORTANT ? 90 : 80;
}

static enum err make_event(struct ingress *ingress, const struct submission *submission,
    const struct event_fields *fields, struct slice key, struct event **ret_event)
{
    struct slice account = FIELD_SLICE(fields->account), type = FIELD_SLICE(fields->type);
    struct event_parts parts = {
        .accepted_us = clock_wall_us(),
        .has_occurred_at = fields->has_occurred_at,
        .occurred_us = fields->occurred_us,
        .class = class_of_type(&ingress->class_rules, type),
        .guarded = class_type_is_guarded(&ingress->class_rules, type),
        .partner = slice_from_string(submission->caller.partner->id),
        .account = account,
        .type = type,
        .key = key,
        .amount = FIELD_SLICE(fields->amount),
        /* A currency without an amount is not kept: some templates always send one. */
        .currency = fields->amount.len ? FIELD_SLICE(fields->currency) : (struct slice){0},
        .traceparent = name_is_valid_traceparent(submission->traceparent) ? submission->traceparent
                                                                          : (struct slice){0},
        .body = submission->body,
    };
    unsigned partition =
        placement_partition(&ingress->options.seed, account, ingress->options.partitions);
    unsigned char random[8];
    fresh_random(ingress, random);
    event_id_make(&ingress->ids, parts.accepted_us, partition, random, &parts.id);
    struct byte_budget *budget =
        &ingress->options.budgets[placement_shard(partition, ingress->options.shards)];
    return event_new(&parts, budget, budget_share(parts.class), ret_event);
}

enum err ingress_accept(struct ingress *ingress, const struct submission *submission,
    struct journal_append *append, struct refusal *ret_refusal)
{
    if (submission->body.len > EVENT_BYTES_MAX)
        return refuse(ret_refusal, ERR_TOO_LARGE,
            "The event is too large. At most %d bytes are allowed.", EVENT_BYTES_MAX);
    struct event_fields fields;
    struct slice pointer =
        slice_from_string(submission->given_key.len ? "" : submission->caller.partner->key_pointer);
    struct slice key = {0};
    const struct account *account;
    enum err failed =
        event_fields_parse(&ingress->options.seed, submission->body, pointer, &fields, ret_refusal);
    if (!failed)
        failed = check_type(ingress, FIELD_SLICE(fields.type), ret_refusal);
    if (!failed)
        failed = caller_check_scope(&submission->caller, FIELD_SLICE(fields.account),
            FIELD_SLICE(fields.type), ret_refusal);
    if (!failed)
        failed = choose_key(ingress, submission, &fields, &key, ret_refusal);
    if (!failed)
        failed = find_account(
            ingress, &submission->caller, FIELD_SLICE(fields.account), &account, ret_refusal);
    if (failed)
        return failed;
    enum event_class class = class_of_type(&ingress->class_rules, FIELD_SLICE(fields.type));
    failed = ingress_check_switch(ingress, FIELD_SLICE(fields.account), ret_refusal);
    if (!failed)
        failed =
            ingress_check_class_switch(ingress, FIELD_SLICE(fields.account), class, ret_refusal);
    if (!failed)
        failed = ingress_check_overload(ingress, class, ret_refusal);
    if (failed)
        return failed;
    failed = make_event(ingress, submission, &fields, key, &append->event);
    if (failed == ERR_OVERLOADED)
        return ingress_refuse_class(class, OVERLOAD_MEMORY, ret_refusal);
    if (failed)
        return refuse(ret_refusal, failed, "Send the event again later with the same key.");
    const struct event_parts *parts = &append->event->parts;
    if (parts->key.len)
        dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &append->dedupe_key);
    append->endpoints_count =
        routing_choose(ingress->options.directory, account, parts->type, append->endpoints);
    return OK;
}

void ingress_enqueue(struct ingress *ingress, struct queue_entry *entry)
{
    unsigned partition = event_id_partition(&entry->append.event->parts.id);
    queue_enqueue(ingress->queue, entry, placement_shard(partition, ingress->options.shards));
}
