/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a partner's event: JSON in, the fields that Penstock acts on out, or a list of what is
 * wrong with each field. The body itself is never rewritten: it is stored and forwarded as it came.
 *
 * A body is taken when it is exactly one JSON object by RFC 8259, in UTF-8, with these limits,
 * which that RFC allows a reader to set: no name twice in one object, at any depth; at most
 * EVENT_JSON_DEPTH_MAX levels; no U+0000 and no half of a surrogate pair. So every reader behind us
 * sees the same event as we do.
 */
#ifndef PENSTOCK_MODEL_EVENT_FIELDS_H
#define PENSTOCK_MODEL_EVENT_FIELDS_H

#include "base/hash.h"
#include "base/limits.h"
#include "model/refusal.h"

#include <stdint.h>

#define FIELD_TEXT(bytes)   \
    struct {                \
        size_t len;         \
        char text[(bytes)]; \
    }
#define FIELD_SLICE(field) slice_of((field).text, (field).len)

/* Absent fields have a length of 0. */
struct event_fields {
    FIELD_TEXT(EVENT_TYPE_BYTES_MAX) type;
    FIELD_TEXT(NAME_BYTES_MAX) account;
    FIELD_TEXT(EVENT_KEY_BYTES_MAX) id;
    FIELD_TEXT(EVENT_KEY_BYTES_MAX)
    pointed_key; /* the value at the partner's key pointer; a number as it was sent */
    FIELD_TEXT(AMOUNT_TEXT_BYTES) amount; /* as it was sent */
    FIELD_TEXT(CURRENCY_BYTES) currency;
    bool has_occurred_at;
    int64_t occurred_us;
};

/*
 * `seed` is any secret of the process. `key_pointer` is valid (key_pointer.h), or empty when the
 * key comes from elsewhere. ERR_MALFORMED_JSON (400), ERR_INVALID (422) with the problems of single
 * fields, ERR_NO_MEMORY: *ret_refusal says why.
 */
enum err event_fields_parse(const struct hash_seed *seed, struct slice body,
    struct slice key_pointer, struct event_fields *ret_fields,
    struct refusal *ret_refusal) MUST_CHECK;

#endif
