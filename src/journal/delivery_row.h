/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delivery and its attempts as they are on disk, and the one function that moves a delivery from
 * state to state. delivery_rows.h reads and writes what is moved here.
 */
#ifndef PENSTOCK_JOURNAL_DELIVERY_ROW_H
#define PENSTOCK_JOURNAL_DELIVERY_ROW_H

#include "journal/backlog_board.h"
#include "journal/journal.h"
#include "sqlite/sql.h"

/* In the order of the table's columns. */
struct delivery_row {
    int64_t id;
    uint64_t endpoint;      /* 0: unrouted */
    enum event_class class; /* of its event */
    enum delivery_state state;
    enum park_reason reason;    /* while it is parked */
    enum wait_cause wait_cause; /* while it waits; in the same column */
    enum delivery_lane lane;
    uint32_t generation, attempts, failures;
    int64_t due_us;
    int64_t changed_us; /* wall time of the last move; 0 while nothing has moved */
    /* the attempt that delivered; zeros without one. While it waits: how long, up to due_us, in
     * duration_us */
    int64_t started_us, duration_us;
    int http_status;
    /* The broker's: see "Who owns an event" in journal.h. Pending or sending, then. */
    bool broker_owned;
    /* When it was delivered first, of one that was replayed by force since; else 0. With it, it is
     * delivered, or on its way to the client once more. */
    int64_t delivered_us;
    /* Where the row is counted as it is in the file. What reads or writes the row sets it. */
    struct backlog_place counted;
};

/* Wall time of when it was delivered first; 0 when it never was. */
int64_t delivery_row_delivered_us(const struct delivery_row *row);
/* Of the last forced replay. */
enum delivery_replay delivery_row_replay(const struct delivery_row *row);

/*
 * The ways of delivery_state.h, and those of an unguarded delivery, whose `sending` is not written.
 * The row does not say whether its delivery is guarded: its owner has the event.
 */
bool delivery_row_may_move(enum delivery_state from, enum delivery_state to);

/* The next state of a row, and what is written with it. */
struct delivery_move {
    enum delivery_state to;
    enum park_reason reason;    /* of parked */
    enum wait_cause wait_cause; /* of waiting */
    enum delivery_lane lane;
    uint32_t failures;
    int64_t due_us, wait_us;       /* of waiting: until when, and how long */
    const struct attempt *attempt; /* the one that led here, or NULL */
};

/*
 * Moves the row; asserts the way. A start (to sending) keeps lane, failures and attempts. A way
 * back to pending begins a new round: the generation grows, so that an answer of the old round is
 * recognized, and the attempt that delivered is removed from the row (the caller keeps it
 * elsewhere).
 *
 * A delivery that was delivered and is replayed by force keeps its time, and becomes delivered
 * again where another one would become dead or parked (delivery_state_of_replay): `row->state` is
 * the state that results.
 *
 * A broker-owned row stays so only while it is sent. True: the move makes the event the journal's
 * own, and the caller must write its other rows, so that none stays broker-owned.
 */
bool delivery_row_move(struct delivery_row *row, const struct delivery_move *move, int64_t now_us);

/*
 * Parks a row that is damaged, whatever state it says. Its numbers stay as they are. It is never
 * sent again (an operator resolves or discards it), and not broker-owned any more. Its checksum is
 * made over what is left of it.
 */
void delivery_row_park_damaged(struct delivery_row *row, int64_t now_us);

/* Rows as they are on disk. */

/* The columns that delivery_row_take reads, in its order. */
#define DELIVERY_COLUMNS                                                                      \
    "id, endpoint, state, reason, lane, generation, attempts, failures, due_us, changed_us, " \
    "started_us, duration_us,"                                                                \
    " http_status, broker_owned, delivered_us, class, crc"
/* Reads the row from `column` on. Returns false when the row is not what was written; *ret_row is
 * filled in that case as well. */
bool delivery_row_take(const struct sql_use *use, int column, struct delivery_row *ret_row);
uint32_t delivery_row_checksum(const struct delivery_row *row);
struct backlog_place delivery_row_place(const struct delivery_row *row);
/* What the column `reason` has: why the delivery is parked, or why it waits. */
int64_t delivery_row_stored_reason(const struct delivery_row *row);

/* The columns that attempt_row_take reads, in its order. */
#define ATTEMPT_COLUMNS                                                                    \
    "delivery, number, started_us, duration_us, http_status, error, request_begun, warm, " \
    "request_complete,"                                                                    \
    " request_bytes, answer_bytes, excerpt, dns_us, connect_us, tls_us, first_byte_us, "   \
    "peer, tls, http, tls_problem, location, rule, cause, crc"
/* The same of the attempt that is in the row of its delivery: it has no evidence. */
#define DELIVERED_ATTEMPT_COLUMNS                                               \
    "id, attempts, started_us, duration_us, http_status, 'ok', 1, 0, 1, 0, 0, " \
    "NULL, 0, 0, 0, 0, '', '', '', '', '', '', 'none', 0"

/* False when it is not what was written; it is filled all the same. */
bool attempt_row_take(
    const struct sql_use *use, int64_t *ret_delivery, struct attempt *ret_attempt);
uint32_t attempt_row_checksum(int64_t delivery, const struct attempt *attempt);

/* Of an operator's action: the delivery before it and after it. */
uint32_t action_row_checksum(const struct delivery_row *before, const struct delivery_row *after,
    enum action_actor actor, struct slice note, int64_t at_us);

#endif
