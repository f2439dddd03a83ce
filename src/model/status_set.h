/* SPDX-License-Identifier: Apache-2.0 */
/* A set of HTTP statuses, as operators write it: `404`, or `400-499` for a range. A bitmap of 100
 * to 599, so that it can be copied and compared as bytes. */
#ifndef PENSTOCK_MODEL_STATUS_SET_H
#define PENSTOCK_MODEL_STATUS_SET_H

#include "base/slice.h"

#include <stdint.h>

#define STATUS_MIN 100
#define STATUS_MAX 599

struct status_set {
    uint64_t bits[(STATUS_MAX - STATUS_MIN) / 64 + 1]; /* zeroed: empty */
};

/* Statuses outside of 100 to 599 are never in a set. */
static inline bool status_set_has(const struct status_set *set, int status)
{
    unsigned at = (unsigned)(status - STATUS_MIN);
    return status >= STATUS_MIN && status <= STATUS_MAX && (set->bits[at / 64] >> at % 64 & 1);
}

/* Both ends are included, and within 100 to 599. */
void status_set_add(struct status_set *set, int first, int last);
void status_set_remove(struct status_set *set, int status);

/* Reads `404` or `400-499`. Returns false for any other text, and for statuses outside of 100 to
 * 599. */
bool status_range_parse(struct slice text, int *ret_first, int *ret_last);

/* 408, 425, 429 and 5xx: the client or something before it cannot work now. */
bool status_is_temporary(int status);

#endif
