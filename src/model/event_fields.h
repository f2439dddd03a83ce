/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a partner's event. The input is JSON. The output is the fields that Penstock uses, or a
 * list of the problems of each field. The body is stored and forwarded exactly as received.
 *
 * The body must be one JSON object (RFC 8259) in UTF-8. That RFC allows limits. These are: no
 * name twice in one object, at any depth; at most EVENT_JSON_DEPTH_MAX levels; no U+0000 and no
 * half of a surrogate pair. So every later reader sees the same event as Penstock.
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
    /* The value at the partner's key pointer; a number as its text was sent. */
    FIELD_TEXT(EVENT_KEY_BYTES_MAX) pointed_key;
    FIELD_TEXT(AMOUNT_TEXT_BYTES) amount; /* as it was sent */
    FIELD_TEXT(CURRENCY_BYTES) currency;
    bool has_occurred_at;
    int64_t occurred_us;
};

/*
 * `seed` is any secret of the process. `key_pointer` is valid (key_pointer.h), or empty if the key
 * is not in the body. ERR_MALFORMED_JSON (400), ERR_INVALID (422) with the problems of single
 * fields, ERR_NO_MEMORY; *ret_refusal says why.
 */
enum err event_fields_parse(const struct hash_seed *seed, struct slice body,
    struct slice key_pointer, struct event_fields *ret_fields,
    struct refusal *ret_refusal) MUST_CHECK;

#endif
