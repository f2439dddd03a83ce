/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits the body of a batch into its items. Checks only the text between the items. Each item is
 * parsed later by itself, so a malformed item does not fail the others.
 */
#ifndef PENSTOCK_MODEL_BATCH_SPLIT_H
#define PENSTOCK_MODEL_BATCH_SPLIT_H

#include "model/refusal.h"

#include "base/slice.h"

enum batch_form {
    BATCH_LINES, /* NDJSON: one item per line, ended by LF or CR LF; blank lines are skipped */
    BATCH_ARRAY, /* one JSON array */
};

/*
 * Returns the items without the text between them. They point into `body`. *ret_refusal says why it
 * fails. ERR_MALFORMED_JSON: the array is malformed outside of its items, or a string or bracket of
 * an item is not closed, so that its end is unknown. ERR_TOO_LARGE: more than BATCH_ITEMS_MAX
 * items.
 */
enum err batch_split(struct slice body, enum batch_form form,
    struct slice ret_items[BATCH_ITEMS_MAX], unsigned *ret_count,
    struct refusal *ret_refusal) MUST_CHECK;

#endif
