/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: from text to the field of struct config, strictly, and the rule that a wrong one has
 * broken. Only config/ includes this.
 *
 * A field that a value was stored in has zeros behind its content, so that fields are compared and
 * copied as bytes.
 */
#ifndef PENSTOCK_CONFIG_VALUE_H
#define PENSTOCK_CONFIG_VALUE_H

#include "config/complaint.h"
#include "config/option.h"

/* One scalar and where it stands. */
struct value_item {
    struct slice text;
    size_t line, column; /* 0 when it does not stand in a file */
};

#define VALUE_ITEMS_MAX 64 /* as many as any list may have */

bool value_is_list(const struct option *option);

/* True for types whose text may hold anything, so that YAML needs quotes around it. */
bool value_is_text(const struct option *option);

/* Each stores the value in `config`, or complains and leaves the field as it was. `place` is the
 * value's. */
void value_set(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints);
/* Beyond VALUE_ITEMS_MAX only `count` is looked at: it is too many. */
void value_set_list(const struct option *option, const struct value_item *items, size_t count,
    struct config *config, const struct complaint_place *place, struct complaints *complaints);

/* As value_set, and for lists `[a, b]` or `a,b`: the form of the table's defaults, of the
 * environment and of arguments. / */
void value_set_flat(const struct option *option, struct slice text, struct config *config,
    const struct complaint_place *place, struct complaints *complaints);

/* "must be ..." for the whole value. */
void value_write_rule(const struct option *option, struct buffer *text);

#endif
