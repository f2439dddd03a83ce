/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the body of a batch to its items. Only what lies between items is judged here; each item is
 * then parsed by itself, so that a broken one is its own fault only.
 */
#ifndef PENSTOCK_MODEL_BATCH_SPLIT_H
#define PENSTOCK_MODEL_BATCH_SPLIT_H

#include "model/refusal.h"

#include "base/slice.h"

enum batch_form {
    BATCH_LINES, /* NDJSON: one item a line, ended by LF or CR LF; blank lines are skipped */
    BATCH_ARRAY, /* one JSON array */
};

/*
 * The items, without what is around them; they point into `body`. ERR_MALFORMED_JSON when the array
 * is broken outside of its items (or an item's strings and brackets don't close, so that nobody can
 * say where it ends), ERR_TOO_LARGE beyond BATCH_ITEMS_MAX: *ret_refusal says why.
 */
enum err batch_split(struct slice body, enum batch_form form,
    struct slice ret_items[BATCH_ITEMS_MAX], unsigned *ret_count,
    struct refusal *ret_refusal) MUST_CHECK;

#endif
