/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit (P8). For each day of acceptance, account, endpoint and currency it checks, as counts
 * and as exact sums of deliveries,
 *
 *   accepted = delivered + in progress + parked + dead + discarded
 *
 * It counts the events themselves, each once, for each day, account and currency. It names what is
 * lost or damaged, and the audit is complete when it names nothing.
 *
 * How it works. Two records of what was accepted are kept apart: the totals (journal/totals.h) and
 * the rows. The totals say what was accepted; the rows of the deliveries say what became of it. So
 * a row that is gone is missed. The audit walks over all events and deliveries in order of their
 * numbers, counts each delivery once in the state in which it meets it, and compares. It also asks
 * the dedupe store, which still has the id of an event that is gone, and it checks every checksum.
 *
 * Why a mismatch is certain. The gateway keeps working during the walk. Three things change a
 * total: new events, the expiry of old ones, and a delivery that is given to another endpoint.
 *
 *   - New events: the walk ends in one transaction that reads the totals again and then the events
 *     that are not in them yet. So both sides hold the same events, those of that moment.
 *   - The other two move a total without a new event. The audit reads the totals before the walk as
 *     well, and counts the events in between. A total that has moved by anything else, and does not
 *     add up, is no finding yet: its day is walked again, after 0.1, 0.2, 0.4 s and so on.
 *   - What still does not add up is checked once more over the whole history, since a clock that
 *     was set may have put events of the day elsewhere. Then it is a mismatch.
 *
 * A day whose totals have moved in every try (25 s) makes the audit fail with ERR_UNAVAILABLE. It
 * gives no false alarm.
 *
 * What it says is true of one moment for each shard, the end of its walk. A delivery that changes
 * its state during the walk is counted in the one that was met.
 *
 * Who runs it: the reader's thread (journal_reader.h), in steps of one short transaction, with
 * other questions in between. Limits: AUDIT_ROWS_MAX rows, AUDIT_FINDINGS_MAX findings with their
 * names, AUDIT_RUNS_MAX at once. A part of the file that cannot be read is a finding, and the walk
 * continues behind it. Rows whose event is gone belong to no account: only an audit of all accounts
 * names them.
 */
#ifndef PENSTOCK_HISTORY_AUDIT_H
#define PENSTOCK_HISTORY_AUDIT_H

#include "history/journal_reader.h"
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
    X(AUDIT_MISSING_DELIVERY, "missing-delivery",                                                  \
        "the event has this delivery, but the delivery is missing")                                \
    X(AUDIT_MISSING_EVENT, "missing-event",                                                        \
        "the dedupe store has the event, but the history does not")                                \
    X(AUDIT_MISSING_BODY, "missing-body", "the event is not finished, but its body is missing")    \
    X(AUDIT_STRAY_DELIVERY, "stray-delivery", "no event has this delivery")                        \
    X(AUDIT_DAMAGED_EVENT, "damaged-event", "the row differs from what was written")               \
    X(AUDIT_DAMAGED_BODY, "damaged-body", "the body differs from what was written")                \
    X(AUDIT_DAMAGED_DELIVERY, "damaged-delivery", "the row differs from what was written")         \
    X(AUDIT_DAMAGED_ATTEMPT, "damaged-attempt",                                                    \
        "the row of an attempt differs from what was written")                                     \
    X(AUDIT_DAMAGED_ACTION, "damaged-operator-action",                                             \
        "the row of an operator action differs from what was written")                             \
    X(AUDIT_DAMAGED_CONFLICT, "damaged-conflict",                                                  \
        "the row of a conflict differs from what was written")                                     \
    X(AUDIT_DAMAGED_TOTAL, "damaged-total", "the row of the totals differs from what was written") \
    X(AUDIT_DAMAGED_DEDUPE, "damaged-dedupe",                                                      \
        "a row of the dedupe store differs from what was written")                                 \
    X(AUDIT_UNREADABLE, "unreadable", "a part of the file cannot be read")                         \
    X(AUDIT_LOST_FILE, "lost-file",                                                                \
        "the loss of the file was accepted: data that was only in it is not counted here")         \
    X(AUDIT_LOST, "lost",                                                                          \
        "the broker confirmed the event and has lost it: it was never delivered")                  \
    X(AUDIT_TOTALS, "totals", "the totals and the rows differ")

enum audit_kind {
#define X(symbol, name, meaning) symbol,
    AUDIT_KIND_TABLE(X)
#undef X
        AUDIT_KINDS
};
const char *audit_kind_name(enum audit_kind kind);
const char *audit_kind_meaning(enum audit_kind kind);

#define AUDIT_PLACE_BYTES 288

/* What is wrong, and whose it is as far as the rows say. */
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
    char place[AUDIT_PLACE_BYTES]; /* file, table and row, to look at with the sqlite3 shell */
    bool of_events; /* of AUDIT_TOTALS and AUDIT_DAMAGED_TOTAL: it counts events, not deliveries */
    struct audit_number totals, found; /* of AUDIT_TOTALS */
};

/* A file of the data directory that an operator has given up. Each is a finding of every audit that
 * asks for its day or an earlier one, of any account, since its contents are not known. */
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
