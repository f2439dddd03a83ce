/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of event types, as operators write them: `purchase`, or `lead.*` for all types that begin
 * with `lead.`. Used for the classes and for the types that an endpoint receives.
 */
#ifndef PENSTOCK_MODEL_TYPE_LIST_H
#define PENSTOCK_MODEL_TYPE_LIST_H

#include "base/limits.h"
#include "base/slice.h"

struct type_list {
    unsigned count;
    char patterns[TYPE_LIST_MAX][EVENT_TYPE_BYTES_MAX + 1];
};

/* A type (name_is_valid_type), or the beginning of one with `*` as the last character. `*` alone
 * matches every type. */
bool type_pattern_is_valid(struct slice pattern);
#define TYPE_PATTERN_RULE "must be an event type, or a prefix with * after it"

/* Returns false if the list is full or the pattern is not valid. */
bool type_list_add(struct type_list *list, struct slice pattern);

/* An empty list matches nothing. Its owner decides what an empty list means. */
bool type_list_matches(const struct type_list *list, struct slice type);
/* Returns whether the type itself is in the list, not only a beginning of it. */
bool type_list_names(const struct type_list *list, struct slice type);
/* Returns the first pattern that would match if case did not matter, or NULL. The list owns it. */
const char *type_list_match_any_case(const struct type_list *list, struct slice type);

#endif
