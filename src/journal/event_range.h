/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a time. They have no index by time, but their numbers grow with it. */
#ifndef PENSTOCK_JOURNAL_EVENT_RANGE_H
#define PENSTOCK_JOURNAL_EVENT_RANGE_H

#include "base/err.h"

#include <stdint.h>

struct sqlite3;

/*
 * The numbers of the events that may have been accepted in [from_us, end_us): those in
 * (*ret_after_seq, *ret_last_seq]. They are accepted nearly in order of their numbers:
 * EVENT_RANGE_DISORDER_US on both sides make up for the difference between threads, and for a clock
 * that was set by less. Within a transaction. It costs as many look-ups as the logarithm of the
 * number of events.
 */
#define EVENT_RANGE_DISORDER_US INT64_C(3600000000)
enum err event_range_find(struct sqlite3 *db, int64_t from_us, int64_t end_us,
    int64_t *ret_after_seq, int64_t *ret_last_seq) MUST_CHECK;

#endif
