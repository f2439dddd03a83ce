/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32 over rows, since SQLite's pages have none: what a disk or a stray write has changed must
 * not be delivered as if a partner had sent it. Every part goes in with its length, and the row's
 * number as well, so that neither moved bytes nor swapped rows pass. The values are on disk: what
 * goes in, and its order, never changes within a format version.
 */
#ifndef PENSTOCK_JOURNAL_CHECKSUM_H
#define PENSTOCK_JOURNAL_CHECKSUM_H

#include "journal/delivery_row.h"
#include "sqlite/checksum.h"

/* Without its body; `deliveries` is how many were made of it. */
uint32_t checksum_event(int64_t seq, const struct event *event, unsigned deliveries);
uint32_t checksum_body(int64_t seq, struct slice body);
uint32_t checksum_delivery(const struct delivery_row *row);
uint32_t checksum_attempt(int64_t delivery, const struct attempt *attempt);
/* The row as the action found it, and as it left it. */
uint32_t checksum_action(const struct delivery_row *before, const struct delivery_row *after,
    struct slice note, int64_t at_us);
/* Without the counters of how often it came. */
uint32_t checksum_conflict(const struct event_id *first, int64_t at_us, const struct event *event);

#endif
