/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/checksum.h"

#include "base/cleanup.h"

#include <assert.h>
#include <zlib.h>

static void put_le64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t add_slice(uint32_t crc, struct slice part)
{
    unsigned char len[8];
    put_le64(len, part.len);
    crc = (uint32_t)crc32(crc, len, sizeof len);
    return part.len ? (uint32_t)crc32(crc, (const unsigned char *)part.data, (unsigned)part.len)
                    : crc;
}

static uint32_t add_int(uint32_t crc, int64_t value)
{
    unsigned char bytes[8];
    put_le64(bytes, (uint64_t)value);
    return (uint32_t)crc32(crc, bytes, sizeof bytes);
}

static uint32_t add_slices(uint32_t crc, const struct slice *slices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        crc = add_slice(crc, slices[i]);
    return crc;
}

/* Many numbers at once: a call for each would cost more than its bytes. */
#define NUMBERS_MAX 16
static uint32_t add_ints(uint32_t crc, const int64_t *numbers, size_t count)
{
    unsigned char bytes[NUMBERS_MAX * 8];
    assert(count <= NUMBERS_MAX);
    for (size_t i = 0; i < count; i++)
        put_le64(bytes + 8 * i, (uint64_t)numbers[i]);
    return (uint32_t)crc32(crc, bytes, (unsigned)(8 * count));
}

uint32_t checksum_event(int64_t seq, const struct event *event, unsigned deliveries)
{
    const struct event_parts *parts = &event->parts;
    const int64_t numbers[] = {seq, parts->accepted_us, parts->has_occurred_at,
        parts->has_occurred_at ? parts->occurred_us : 0, parts->class, parts->guarded, deliveries};
    uint32_t crc = add_ints(0, numbers, ARRAY_LENGTH(numbers));
    crc = add_slice(crc, slice_of(parts->id.bytes, sizeof parts->id.bytes));
    const struct slice texts[] = {parts->partner, parts->account, parts->type, parts->key,
        parts->amount, parts->currency, parts->traceparent};
    return add_slices(crc, texts, ARRAY_LENGTH(texts));
}

uint32_t checksum_body(int64_t seq, struct slice body)
{
    return add_slice(add_int(0, seq), body);
}

uint32_t checksum_delivery(const struct delivery_row *row)
{
    const int64_t numbers[] = {row->id, (int64_t)row->endpoint, row->state, row->reason, row->lane,
        row->generation, row->attempts, row->failures, row->due_us, row->changed_us,
        row->started_us, row->duration_us, row->http_status, row->broker_owned, row->delivered_us};
    return add_ints(0, numbers, ARRAY_LENGTH(numbers));
}

uint32_t checksum_attempt(int64_t delivery, const struct attempt *attempt)
{
    const int64_t numbers[] = {delivery, attempt->number, attempt->started_us, attempt->duration_us,
        attempt->end.http_status, attempt->end.request_begun, attempt->reach.warm,
        attempt->reach.request_complete, attempt->reach.request_bytes, attempt->reach.answer_bytes};
    uint32_t crc = add_ints(0, numbers, ARRAY_LENGTH(numbers));
    crc = add_slice(crc, slice_from_string(err_name(attempt->end.error)));
    return add_slice(crc, slice_of(attempt->excerpt, attempt->excerpt_len));
}

uint32_t checksum_action(const struct delivery_row *before, const struct delivery_row *after,
    struct slice note, int64_t at_us)
{
    const int64_t numbers[] = {after->id, at_us, before->state, after->state, after->generation,
        (int64_t)before->endpoint, (int64_t)after->endpoint};
    return add_slice(add_ints(0, numbers, ARRAY_LENGTH(numbers)), note);
}

uint32_t checksum_columns(
    const int64_t *numbers, size_t numbers_count, const struct slice *texts, size_t texts_count)
{
    return add_slices(add_ints(0, numbers, numbers_count), texts, texts_count);
}

uint32_t checksum_conflict(const struct event_id *first, int64_t at_us, const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    const struct slice slices[] = {slice_of(first->bytes, sizeof first->bytes), parts->partner,
        parts->account, parts->type, parts->key, parts->amount, parts->currency, parts->body};
    return add_slices(add_int(0, at_us), slices, ARRAY_LENGTH(slices));
}
