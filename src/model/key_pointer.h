/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partner's dedupe rule: a JSON pointer (RFC 6901) to the value that is the key of its events,
 * such as `/data/order/number`. The value is found during parsing: the parser reports names, values
 * and ends of containers to the search.
 *
 * The search follows the containers on the pointer's path. It ends when the value is found, or when
 * one of these containers ends without it. No later member or item can match then.
 */
#ifndef PENSTOCK_MODEL_KEY_POINTER_H
#define PENSTOCK_MODEL_KEY_POINTER_H

#include "base/limits.h"
#include "base/slice.h"

/*
 * A valid pointer has 1 to EVENT_JSON_DEPTH_MAX parts. Each is a slash and the name of a member or
 * the index of an item. The text has at most KEY_POINTER_BYTES_MAX printable ASCII characters. In a
 * name, `~` is written `~0` and a slash `~1`. The empty pointer (the whole event) is not valid.
 */
bool key_pointer_is_valid(struct slice text);
#define KEY_POINTER_RULE                                                                 \
    "must be a JSON pointer (RFC 6901) of 1 to 128 printable ASCII characters, such as " \
    "/data/order"

enum json_kind { JSON_SCALAR, JSON_OBJECT, JSON_ARRAY };

struct key_search {
    bool over;
    /* The rest of the pointer: from the part that is searched in the innermost container on. */
    struct slice rest;
    unsigned level; /* open containers on the path: the depth of the innermost one */
    bool in_array;  /* the innermost one is an array */
    size_t index;   /* of its next item */
    bool name_fits; /* its next member is on the path */
};

/* `pointer` is valid, or empty; nothing matches an empty one. */
void key_search_begin(struct key_search *search, struct slice pointer);

/* Reports a member's name. `depth` is the number of open containers, its own object included. */
void key_search_on_name(struct key_search *search, unsigned depth, struct slice name);

/* Reports a value or the begin of one. `depth` does not count the container that it opens. Returns
 * true if it is the value of the pointer. */
bool key_search_on_value(struct key_search *search, unsigned depth, enum json_kind kind);

/* Reports the end of a container. `depth` counts it. */
void key_search_on_end(struct key_search *search, unsigned depth);

#endif
