/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/checksum.h"

#include "base/cleanup.h"

uint32_t checksum_event(int64_t seq, const struct event *event, unsigned deliveries)
{
    const struct event_parts *parts = &event->parts;
    const int64_t numbers[] = {seq, parts->accepted_us, parts->has_occurred_at,
        parts->has_occurred_at ? parts->occurred_us : 0, parts->class, parts->guarded, deliveries};
    const struct slice texts[] = {slice_of(parts->id.bytes, sizeof parts->id.bytes), parts->partner,
        parts->account, parts->type, parts->key, parts->amount, parts->currency,
        parts->traceparent};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), texts, ARRAY_LENGTH(texts));
}

uint32_t checksum_body(int64_t seq, struct slice body)
{
    return checksum_columns(&seq, 1, &body, 1);
}

uint32_t checksum_delivery(const struct delivery_row *row)
{
    const int64_t numbers[] = {row->id, (int64_t)row->endpoint, row->state, row->reason, row->lane,
        row->generation, row->attempts, row->failures, row->due_us, row->changed_us,
        row->started_us, row->duration_us, row->http_status, row->broker_owned, row->delivered_us};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), NULL, 0);
}

uint32_t checksum_attempt(int64_t delivery, const struct attempt *attempt)
{
    const int64_t numbers[] = {delivery, attempt->number, attempt->started_us, attempt->duration_us,
        attempt->end.http_status, attempt->end.request_begun, attempt->reach.warm,
        attempt->reach.request_complete, attempt->reach.request_bytes, attempt->reach.answer_bytes};
    const struct slice texts[] = {slice_from_string(err_name(attempt->end.error)),
        slice_of(attempt->excerpt, attempt->excerpt_len)};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), texts, ARRAY_LENGTH(texts));
}

uint32_t checksum_action(const struct delivery_row *before, const struct delivery_row *after,
    struct slice note, int64_t at_us)
{
    const int64_t numbers[] = {after->id, at_us, before->state, after->state, after->generation,
        (int64_t)before->endpoint, (int64_t)after->endpoint};
    return checksum_columns(numbers, ARRAY_LENGTH(numbers), &note, 1);
}

uint32_t checksum_conflict(const struct event_id *first, int64_t at_us, const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    const struct slice texts[] = {slice_of(first->bytes, sizeof first->bytes), parts->partner,
        parts->account, parts->type, parts->key, parts->amount, parts->currency, parts->body};
    return checksum_columns(&at_us, 1, texts, ARRAY_LENGTH(texts));
}
