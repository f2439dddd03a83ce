/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event_id.h"

#include "base/crypto.h"

#define COUNTER_BITS 18

void event_id_make(struct event_id_generator *generator, int64_t wall_us, unsigned partition,
    const unsigned char random[8], struct event_id *ret_id)
{
    int64_t ms = wall_us / 1000;
    if (ms > generator->last_ms) {
        generator->last_ms = ms;
        generator->counter = 0;
    } else if (++generator->counter >> COUNTER_BITS) {
        generator->last_ms++; /* after 262144 ids in a millisecond, uses the next millisecond */
        generator->counter = 0;
    }
    ms = generator->last_ms;
    uint32_t counter = generator->counter;
    unsigned char *b = ret_id->bytes;
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | (partition >> 8 & 0x0f));
    b[7] = (unsigned char)partition;
    b[8] = (unsigned char)(0x80 | (counter >> 12 & 0x3f));
    b[9] = (unsigned char)(counter >> 4);
    b[10] = (unsigned char)((counter & 0x0f) << 4 | (random[0] & 0x0f));
    memcpy(b + 11, random + 1, 5);
}

int64_t event_id_time_us(const struct event_id *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms * 1000;
}

unsigned event_id_partition(const struct event_id *id)
{
    return (unsigned)(id->bytes[6] & 0x0f) << 8 | id->bytes[7];
}

/* The groups of 8-4-4-4-12 digits, in bytes. */
static const struct {
    unsigned from, bytes;
} groups[] = {{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}};

void event_id_format(const struct event_id *id, char ret_text[EVENT_ID_TEXT_BYTES])
{
    memcpy(ret_text, "evt_", 4);
    char *out = ret_text + 4;
    for (int i = 0; i < 5; i++) {
        if (i > 0)
            *out++ = '-';
        hex_encode(slice_of(id->bytes + groups[i].from, groups[i].bytes), out);
        out += 2 * groups[i].bytes;
    }
}

bool event_id_parse(struct slice text, struct event_id *ret_id)
{
    if (text.len != EVENT_ID_TEXT_BYTES - 1 || !slice_starts_with(text, "evt_"))
        return false;
    struct event_id id;
    const char *in = text.data + 4;
    for (int i = 0; i < 5; i++) {
        if (i > 0 && *in++ != '-')
            return false;
        if (!hex_decode(slice_of(in, 2 * groups[i].bytes), id.bytes + groups[i].from))
            return false;
        in += 2 * groups[i].bytes;
    }
    char canonical[EVENT_ID_TEXT_BYTES];
    event_id_format(&id, canonical);
    if (id.bytes[6] >> 4 != 7 || id.bytes[8] >> 6 != 2 ||
        memcmp(canonical, text.data, text.len) != 0)
        return false;
    *ret_id = id;
    return true;
}
