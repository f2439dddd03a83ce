/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of event types, as operators write them: `purchase`, or `lead.*` for all that begin so.
 * Which types are critical, and which an endpoint wants, is said this way.
 */
#ifndef PENSTOCK_MODEL_TYPE_LIST_H
#define PENSTOCK_MODEL_TYPE_LIST_H

#include "base/limits.h"
#include "base/slice.h"

struct type_list {
    unsigned count;
    char patterns[TYPE_LIST_MAX][EVENT_TYPE_BYTES_MAX + 1];
};

/* A type (name_is_valid_type), or the beginning of one with `*` as the last character; `*` alone is
 * every type. */
bool type_pattern_is_valid(struct slice pattern);
#define TYPE_PATTERN_RULE "must be an event type, or the beginning of one with * behind it"

/* False when the list is full or the pattern is not valid. */
bool type_list_add(struct type_list *list, struct slice pattern);

/* An empty list matches nothing: what that means is its owner's to say. */
bool type_list_matches(const struct type_list *list, struct slice type);
/* The type itself is in the list, not only a beginning of it. */
bool type_list_names(const struct type_list *list, struct slice type);
/* The first pattern that would match if upper and lower case were the same; NULL: none. It belongs
 * to the list. */
const char *type_list_match_any_case(const struct type_list *list, struct slice type);

#endif
