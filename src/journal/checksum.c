/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/checksum.h"

#include "base/cleanup.h"

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
    return part.len ? (uint32_t)crc32(crc, (const unsigned char *)part.data, (unsigned)part.len) : crc;
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

uint32_t checksum_event(int64_t seq, const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    uint32_t crc = add_int(0, seq);
    crc = add_slice(crc, slice_of(parts->id.bytes, sizeof parts->id.bytes));
    crc = add_int(crc, parts->accepted_us);
    crc = add_int(crc, parts->has_occurred_at);
    crc = add_int(crc, parts->has_occurred_at ? parts->occurred_us : 0);
    crc = add_int(crc, event->parts.class);
    crc = add_int(crc, event->parts.guarded);
    const struct slice texts[] = {
        parts->partner, parts->account, parts->type, parts->key, parts->amount, parts->currency, parts->traceparent};
    return add_slices(crc, texts, ARRAY_LENGTH(texts));
}

uint32_t checksum_body(int64_t seq, struct slice body)
{
    return add_slice(add_int(0, seq), body);
}

uint32_t checksum_conflict(const struct event_id *first, int64_t at_us, const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    const struct slice slices[] = {slice_of(first->bytes, sizeof first->bytes), parts->partner, parts->account,
        parts->type, parts->key, parts->amount, parts->currency, parts->body};
    return add_slices(add_int(0, at_us), slices, ARRAY_LENGTH(slices));
}
