/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit (P8): per day of acceptance, account, endpoint and currency
 *
 *   accepted = delivered + in progress + parked + dead + discarded
 *
 * as counts and as exact sums of deliveries (one event for one endpoint); per day, account and
 * currency the events themselves, each counted once; and a verdict that names what is lost or
 * damaged. What was accepted is the totals' to say (totals.h), and what became of it the rows' of
 * each delivery, so that a row that somebody took away is missed. The dedupe, which knows each
 * event with a key, is asked as well, and every checksum is looked at.
 *
 * It is asked of the reader (journal_reader.h), goes through the journals in steps of one short
 * transaction each, and lets the reader's other questions go first. What it says is true of one
 * moment for each shard, the end of its walk, up to what moved from state to state meanwhile: each
 * delivery is counted once, in the state in which it was met.
 *
 * A mismatch is said only when it is one for certain. While the walk goes on, history may expire
 * into the totals, and deliveries that no endpoint wanted may be given to one: where an account's
 * total has moved by anything but what was newly accepted, its day is counted again, with growing
 * pauses. A day that does not hold still for half a minute makes the audit fail (ERR_UNAVAILABLE),
 * rather than give a false alarm.
 *
 * With an account, what can't be told whose it is (rows without their event) is left to an audit
 * without one.
 */
#ifndef PENSTOCK_JOURNAL_AUDIT_H
#define PENSTOCK_JOURNAL_AUDIT_H

#include "journal/journal_reader.h"
#include "model/money_sum.h"

#define AUDIT_ROWS_MAX \
    50000 /* of deliveries, and as many of events; more are refused: an answer of 40 MB */
#define AUDIT_FINDINGS_MAX 1000 /* more are counted */
#define AUDIT_RUNS_MAX 4        /* at once, of one reader */

/* What may have become of a delivery. In progress: pending, sending, waiting. What has been
 * delivered stays delivered while an operator's replay of it is in progress, and after it. */
enum audit_column {
    AUDIT_DELIVERED,
    AUDIT_IN_PROGRESS,
    AUDIT_PARKED,
    AUDIT_DEAD,
    AUDIT_DISCARDED,
    AUDIT_COLUMNS
};
enum audit_column audit_column_of(enum delivery_state state, bool was_delivered);

struct audit_number {
    int64_t count;
    struct money_sum sum;
};

/* Of deliveries to an endpoint, or of the events of an account, each once (endpoint TOTAL_EVENTS):
 * then `accepted` is what the totals say, and the first of the columns has what was found, the
 * expired ones included. */
struct audit_row {
    int64_t day;       /* of acceptance, since 1970-01-01, UTC */
    uint64_t endpoint; /* 0: unrouted */
    char account[NAME_BYTES_MAX + 1];
    char currency[CURRENCY_BYTES + 1]; /* empty: without an amount */
    bool adds_up;
    struct audit_number accepted;
    struct audit_number columns[AUDIT_COLUMNS];
};

/* Over all rows of a currency, of one account or of all (empty). */
struct audit_total {
    char account[NAME_BYTES_MAX + 1];
    char currency[CURRENCY_BYTES + 1];
    struct audit_number events, deliveries;     /* that were accepted */
    struct audit_number columns[AUDIT_COLUMNS]; /* of the deliveries */
};

/* symbol, stable name, what it means */
#define AUDIT_KIND_TABLE(X)                                                                        \
    X(AUDIT_MISSING_DELIVERY, "missing-delivery", "its event promises it, and it is not there")    \
    X(AUDIT_MISSING_EVENT, "missing-event", "the dedupe store knows it, and the history does not") \
    X(AUDIT_MISSING_BODY, "missing-body",                                                          \
        "something of the event is still to be decided, and its body is gone")                     \
    X(AUDIT_STRAY_DELIVERY, "stray-delivery", "no event promises it")                              \
    X(AUDIT_DAMAGED_EVENT, "damaged-event", "its row is not what was written")                     \
    X(AUDIT_DAMAGED_BODY, "damaged-body", "the event's body is not what was written")              \
    X(AUDIT_DAMAGED_DELIVERY, "damaged-delivery", "its row is not what was written")               \
    X(AUDIT_DAMAGED_ATTEMPT, "damaged-attempt", "the row of an attempt is not what was written")   \
    X(AUDIT_DAMAGED_ACTION, "damaged-operator-action",                                             \
        "the row of an operator's action is not what was written")                                 \
    X(AUDIT_DAMAGED_CONFLICT, "damaged-conflict", "the row of a conflict is not what was written") \
    X(AUDIT_DAMAGED_TOTAL, "damaged-total", "the row of the totals is not what was written")       \
    X(AUDIT_DAMAGED_DEDUPE, "damaged-dedupe", "a row of the dedupe store is not what was written") \
    X(AUDIT_UNREADABLE, "unreadable", "a part of the file can't be read")                          \
    X(AUDIT_LOST_FILE, "lost-file", "it was given up: what only it held is not counted here")      \
    X(AUDIT_LOST, "lost",                                                                          \
        "the broker confirmed it, and does not have it any more: it was never delivered")          \
    X(AUDIT_TOTALS, "totals", "the totals and the rows say different things")

enum audit_kind {
#define X(symbol, name, meaning) symbol,
    AUDIT_KIND_TABLE(X)
#undef X
        AUDIT_KINDS
};
const char *audit_kind_name(enum audit_kind kind);
const char *audit_kind_meaning(enum audit_kind kind);

#define AUDIT_PLACE_BYTES 288

/* What is wrong, and whose it is as far as that can be told. */
struct audit_finding {
    enum audit_kind kind;
    bool has_event, has_endpoint;
    struct event_id event;
    int index;           /* of the delivery among its event's; -1: not of one delivery */
    int64_t accepted_us; /* of the event; 0 when that is not known */
    int64_t day;         /* since 1970-01-01; -1 as well */
    uint64_t endpoint;   /* 0: unrouted */
    char account[NAME_BYTES_MAX + 1];
    char amount[AMOUNT_TEXT_BYTES], currency[CURRENCY_BYTES + 1];
    char place[AUDIT_PLACE_BYTES]; /* where it stands, for a person with the sqlite3 shell */
    bool of_events; /* of AUDIT_TOTALS and AUDIT_DAMAGED_TOTAL: it counts events, not deliveries */
    struct audit_number totals, found; /* of AUDIT_TOTALS */
};

/* A file of the data directory that an operator has given up. Each is a finding of every audit that
 * asks for its day or an earlier one, of whatever account: nobody knows what it held. */
struct audit_loss {
    int64_t day;                   /* on which it was given up */
    char place[AUDIT_PLACE_BYTES]; /* which, and why */
};

struct audit {
    size_t rows_count, events_count, accounts_count, totals_count, findings_count;
    int64_t findings_more;        /* beyond those that are named */
    struct audit_row *rows;       /* of deliveries, by day, account, endpoint and currency */
    struct audit_row *events;     /* by day, account and currency */
    struct audit_total *accounts; /* by account and currency */
    struct audit_total *totals;   /* by currency */
    struct audit_finding *findings;
};
void audit_free(struct audit *audit); /* takes NULL */

/* Nothing was found. */
static inline bool audit_is_complete(const struct audit *audit)
{
    return audit->findings_count == 0;
}

struct audit_question {
    int64_t from_day, to_day;         /* both inclusive; INT64_MIN and INT64_MAX: everything */
    char account[NAME_BYTES_MAX + 1]; /* empty: all */
    bool bodies;                      /* read all of them, not only those of what is not final */
};

struct audit_run;

/*
 * OK, with an audit that the requester owns. ERR_TOO_LARGE: more than AUDIT_ROWS_MAX rows.
 * ERR_OVERLOADED: AUDIT_RUNS_MAX are running. ERR_UNAVAILABLE: `ret_restless_day` does not hold
 * still (or -1: the file is busy). ERR_SHUTTING_DOWN, ERR_NO_MEMORY, and what the disk says.
 */
struct journal_audit {
    struct request request;
    struct audit_question question;
    struct audit *ret_audit;
    int64_t ret_restless_day;

    struct audit_run *run; /* the reader's; NULL before */
    int64_t rests_until_us;
};

/* Any thread; `reply_to` and `on_done` are set. */
void journal_reader_audit(struct journal_reader *reader, struct journal_audit *audit);

#endif
