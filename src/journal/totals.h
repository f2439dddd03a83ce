/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The totals: how many deliveries were accepted, and of how much money, for each day of acceptance,
 * account, endpoint and currency. Beside them, how many events were accepted, each once, however
 * many endpoints it has (TOTAL_EVENTS). They are kept apart from the rows that they count. So the
 * audit finds a row that was removed, and can say whose it was.
 *
 *   accepted               every delivery that was ever accepted
 *   delivered, discarded   of these, the ones whose rows have expired with the history. The others
 *                          are counted from their rows; a delivery that is open never expires.
 *                          Events that have expired count as delivered
 *
 * How it works. To write a row of the totals for each event would cost another page for each of
 * many accounts. So numbers gather in memory and are written about once a second, together with the
 * number of the last event that is included (`totals_through` in meta). After a crash the start
 * counts the events after that number again. A change of what older rows count as (an unrouted
 * delivery that gets an endpoint, an expiry) is written in its own transaction.
 *
 * How it fails. When a page of the totals cannot be read, they are given up until the next start,
 * and the audit says so: events matter more. A row with a wrong checksum keeps one, so that the
 * audit names it.
 *
 * Operator events are in no total: nobody has posted them, and they carry no money.
 *
 * Sums are exact decimals, as text in the file. Owned by the journal's thread, in the transaction
 * of its caller.
 */
#ifndef PENSTOCK_JOURNAL_TOTALS_H
#define PENSTOCK_JOURNAL_TOTALS_H

#include "base/hash.h"
#include "journal/event_rows.h"
#include "model/money_sum.h"
#include "sqlite/sql.h"

#define TOTALS_ROWS_MAX 4096 /* in memory: then they are written, whatever the time is */
#define TOTALS_HELD_US INT64_C(1000000)

#define TOTAL_EVENTS UINT64_MAX /* in place of an endpoint: the events themselves */

enum total_column { TOTAL_ACCEPTED, TOTAL_DELIVERED, TOTAL_DISCARDED, TOTAL_COLUMNS };

struct total_number {
    int64_t count;
    struct money_sum sum;
};

struct total_key {
    int64_t day;                    /* since 1970-01-01, UTC */
    uint64_t endpoint;              /* 0: unrouted */
    struct slice account, currency; /* currency: empty without an amount */
};

/* A row of the file; its texts are valid until the next step. */
struct total_row {
    struct total_key key;
    struct total_number numbers[TOTAL_COLUMNS];
};
#define TOTAL_TABLE_COLUMNS                                                                \
    "day, account, endpoint, currency, accepted, accepted_sum, delivered, delivered_sum, " \
    "discarded, discarded_sum, "                                                           \
    "crc"
/* False when it is not what was written; what can be read of it is filled all the same. */
bool total_row_take(const struct sql_use *use, struct total_row *ret_row);

enum totals_statement { TOTALS_READ, TOTALS_WRITE, TOTALS_SET_THROUGH, TOTALS_STATEMENTS };

struct total_entry;

struct totals {
    struct sqlite3_stmt *statements[TOTALS_STATEMENTS];
    struct hash_seed seed;
    struct total_entry **buckets; /* TOTALS_BUCKETS of them */
    struct total_entry *touched;  /* by the transaction that is open */
    size_t count;
    int64_t through;  /* events up to this number are in the file */
    int64_t since_us; /* monotonic: since when something is not written; 0: all is */
    bool demanded;    /* they are to be written with the transaction that is open */
    bool written;     /* by it */
    bool given_up;    /* nothing is counted any more */
    int64_t written_through;
};

/* totals_done is due after a failure as well. */
enum err totals_init(struct totals *totals, struct sqlite3 *db) MUST_CHECK;
void totals_done(struct totals *totals);

/* Counts one delivery of the event (or the event itself), or takes it back (`sign` -1). An operator
 * event is passed. */
void totals_add(struct totals *totals, const struct event_parts *parts, uint64_t endpoint,
    enum total_column column, int sign, int64_t now_mono_us);

/* An event that is not counted: it brings no number, but those behind it are not to be looked for
 * from here on. */
void totals_pass(struct totals *totals, int64_t now_mono_us);

/* The open transaction changes what older rows count as: the totals go with it. */
void totals_demand(struct totals *totals);

bool totals_are_due(const struct totals *totals, int64_t now_mono_us);

/*
 * Right before the commit, behind everything that the transaction adds: writes what has gathered,
 * if it is demanded or due. `through` is the number of the last event that was added. Damage gives
 * the totals up; only a transaction that demands them fails by it (ERR_DAMAGED).
 */
enum err totals_write_if_due(
    struct totals *totals, int64_t through, int64_t now_mono_us) MUST_CHECK;

void totals_committed(struct totals *totals);
void totals_rolled_back(struct totals *totals);

#endif
