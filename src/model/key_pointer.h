/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partner's dedupe rule: a JSON pointer (RFC 6901) to the value of its events that tells one from
 * another, such as `/data/order/number`. The value is found while the event is parsed: the parser
 * tells of names, values and ends, and the search says which value is the one.
 *
 * The search follows the containers that lie on the pointer's way. It is over when the value was
 * found, or when one of them ended without it: no later member or item can be on the way.
 */
#ifndef PENSTOCK_MODEL_KEY_POINTER_H
#define PENSTOCK_MODEL_KEY_POINTER_H

#include "base/limits.h"
#include "base/slice.h"

/*
 * One to EVENT_JSON_DEPTH_MAX parts, each a slash and the name of a member or the index of an item,
 * in at most KEY_POINTER_BYTES_MAX of printable ASCII; `~` stands as `~0` and a slash inside a name
 * as `~1`. The empty pointer, which means the whole event, is none.
 */
bool key_pointer_is_valid(struct slice text);
#define KEY_POINTER_RULE                                                                 \
    "must be a JSON pointer (RFC 6901) of 1 to 128 printable ASCII characters, such as " \
    "/data/order"

enum json_kind { JSON_SCALAR, JSON_OBJECT, JSON_ARRAY };

struct key_search {
    bool over;
    struct slice
        /* of the pointer, from the part that is looked for in the innermost container on the way */
        rest;
    unsigned level; /* containers on the way that are open: the innermost has this depth */
    bool in_array;  /* the innermost one is */
    size_t index;   /* of its next item */
    bool name_fits; /* its member that comes next is on the way */
};

/* `pointer` is valid, or empty: then nothing is found. */
void key_search_begin(struct key_search *search, struct slice pointer);

/* A member's name; `depth` is the count of open containers, its own object included. */
void key_search_on_name(struct key_search *search, unsigned depth, struct slice name);

/* A value, or the begin of one; `depth` does not count the container that it opens. True when it is
 * the one. */
bool key_search_on_value(struct key_search *search, unsigned depth, enum json_kind kind);

/* A container has ended; `depth` counts it. */
void key_search_on_end(struct key_search *search, unsigned depth);

#endif
