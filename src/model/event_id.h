/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event ids: UUIDv7 (RFC 9562), written as evt_<uuid>. The partition is in rand_a, so the id gives
 * the shard.
 *
 *   48 bits  Unix milliseconds
 *    4 bits  version 7
 *   12 bits  partition
 *    2 bits  variant
 *   62 bits  counter (18), random (44)
 *
 * Each thread has one generator. Its ids increase within a partition: the counter increases within
 * a millisecond, and the time stays the same while the clock is set back.
 */
#ifndef PENSTOCK_MODEL_EVENT_ID_H
#define PENSTOCK_MODEL_EVENT_ID_H

#include "base/slice.h"

#include <stdint.h>

#define EVENT_ID_BYTES 16
#define EVENT_ID_TEXT_BYTES (4 + 36 + 1)

struct event_id {
    unsigned char bytes[EVENT_ID_BYTES];
};

struct event_id_generator {
    int64_t last_ms;
    uint32_t counter;
};

/* `random` is 8 fresh random bytes. */
void event_id_make(struct event_id_generator *generator, int64_t wall_us, unsigned partition,
    const unsigned char random[8], struct event_id *ret_id);

int64_t event_id_time_us(const struct event_id *id); /* creation time, to the millisecond */
unsigned event_id_partition(const struct event_id *id);
void event_id_format(const struct event_id *id, char ret_text[EVENT_ID_TEXT_BYTES]);
/* Accepts only what event_id_format writes (lower case), with its version and variant. */
bool event_id_parse(struct slice text, struct event_id *ret_id);

#endif
