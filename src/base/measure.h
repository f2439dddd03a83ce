/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole numbers with a unit, as operators write them: `30s`, `64MiB`. Nothing is accepted that a
 * person could have meant in another way: no blanks, no leading zeros or signs, no missing units.
 */
#ifndef PENSTOCK_BASE_MEASURE_H
#define PENSTOCK_BASE_MEASURE_H

#include "base/buffer.h"

enum measure {
    MEASURE_NUMBER,  /* without a unit */
    MEASURE_BYTES,   /* none, KiB, MiB, GiB; in bytes */
    MEASURE_DURATION /* ms, s, m, h, d; in microseconds */
};

/* Returns false for any other text, and for values outside of `min` to `max`. */
bool measure_parse(
    enum measure measure, struct slice text, int64_t min, int64_t max, int64_t *ret_value);

/* Adds `1s to 10m`, in the largest units that fit. */
void measure_add_range(struct buffer *text, enum measure measure, int64_t min, int64_t max);

#endif
