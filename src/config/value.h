/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses values strictly, from text to the field of struct config, and prints the rule that a wrong
 * value breaks. Only config/ includes this.
 *
 * The rest of a field after its content is zeros, so that fields can be compared and copied as
 * bytes.
 */
#ifndef PENSTOCK_CONFIG_VALUE_H
#define PENSTOCK_CONFIG_VALUE_H

#include "config/complaint.h"
#include "config/option.h"

/* A scalar with its place. */
struct value_item {
    struct slice text;
    size_t line, column; /* 0: not in a file */
};

#define VALUE_ITEMS_MAX 64 /* as many as any list may have */

bool value_is_list(const struct option *option);

/* True for types whose text may hold anything, so that YAML needs quotes around it. */
bool value_is_text(const struct option *option);

/* Each stores the value in `config`, or complains and leaves the field as it was. `place` is the
 * place of the value. */
void value_set(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints);
/* With more than VALUE_ITEMS_MAX items only `count` is used, for the complaint. */
void value_set_list(const struct option *option, const struct value_item *items, size_t count,
    struct config *config, const struct complaint_place *place, struct complaints *complaints);

/* As value_set, and lists as `[a, b]` or `a,b`: the form of defaults, variables and arguments. */
void value_set_flat(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints);

/* "must be ..." for the whole value. */
void value_write_rule(const struct option *option, struct buffer *text);

#endif
