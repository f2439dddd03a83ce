/* SPDX-License-Identifier: Apache-2.0 */
/* What the audit adds up: one entry for each shard, day, account, endpoint and currency. The
 * reader's thread owns it. */
#ifndef PENSTOCK_HISTORY_AUDIT_SUMS_H
#define PENSTOCK_HISTORY_AUDIT_SUMS_H

#include "base/hash.h"
#include "history/audit.h"

struct audit_key {
    unsigned shard;
    int64_t day;
    uint64_t endpoint;
    struct slice account, currency; /* currency: empty without an amount */
};

struct audit_entry {
    struct audit_row row;
    unsigned shard;
    uint32_t next; /* in its bucket, from 1; 0: none */

    /* its total before the walk, which held the events up to `since` */
    int64_t since, accepted_before, expired_before;
    int64_t appended; /* deliveries of later events that have been met */

    /* and after it */
    int64_t expired;
    bool damaged;  /* the total's row */
    bool overflow; /* a sum did not fit */
    /* It does not add up, but the total was moved by something else than what was appended. */
    bool restless;
};

struct audit_sums {
    struct hash_seed seed;
    uint32_t *buckets;
    struct audit_entry *entries;
    size_t count, capacity;
    size_t events_count; /* of the entries: those of events */
};

void audit_sums_init(struct audit_sums *sums);
void audit_sums_done(struct audit_sums *sums);

/* Finds or makes it; valid until the next one is made. A new one has `since`. ERR_TOO_LARGE beyond
 * AUDIT_ROWS_MAX, ERR_NO_MEMORY. */
enum err audit_sums_get(struct audit_sums *sums, const struct audit_key *key, int64_t since,
    struct audit_entry **ret_entry) MUST_CHECK;

/* Takes back what was counted for a shard's days. */
void audit_sums_reset(
    struct audit_sums *sums, unsigned shard, int64_t from_day, int64_t to_day, int64_t since);

/* Adds to one of an entry's numbers. */
void audit_number_add(
    struct audit_entry *entry, struct audit_number *number, const struct audit_number *added);

/* Whether accepted = delivered + in progress + parked + dead + discarded. */
bool audit_entry_adds_up(const struct audit_entry *entry);
/* What the columns say together. */
struct audit_number audit_row_found(const struct audit_row *row);

/* The rows, events and totals, in order; the findings are their run's to add. ERR_NO_MEMORY. */
enum err audit_sums_make_audit(const struct audit_sums *sums, struct audit **ret_audit) MUST_CHECK;

#endif
