/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a partner's event: JSON in, the fields that Penstock acts on out, or a list of what is wrong with each field.
 * The body itself is never rewritten: it is stored and forwarded as it came.
 */
#ifndef PENSTOCK_MODEL_EVENT_FIELDS_H
#define PENSTOCK_MODEL_EVENT_FIELDS_H

#include "base/err.h"
#include "base/limits.h"
#include "base/slice.h"

#include <stdint.h>

#define FIELD_PROBLEMS_MAX 8
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
    FIELD_TEXT(AMOUNT_TEXT_BYTES) amount; /* as it was sent */
    FIELD_TEXT(CURRENCY_BYTES) currency;
    bool has_occurred_at;
    int64_t occurred_us;
};

struct field_problem {
    char pointer[64]; /* RFC 6901 */
    char detail[128];
};

struct field_problems {
    unsigned count;
    struct field_problem list[FIELD_PROBLEMS_MAX];
    char malformed[160]; /* with ERR_MALFORMED_JSON: where and why */
};

/*
 * ERR_MALFORMED_JSON (400) when the body is not one JSON object within EVENT_JSON_DEPTH_MAX, ERR_INVALID (422) with the
 * problems of single fields, ERR_NO_MEMORY.
 */
enum err event_fields_parse(
    struct slice body, struct event_fields *ret_fields, struct field_problems *ret_problems) MUST_CHECK;

/* Adds a problem, unless the list is full. */
void field_problems_add(struct field_problems *problems, const char *pointer, const char *detail);

#endif
