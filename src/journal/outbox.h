/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox of a gateway that doesn't deliver: events that were answered while the broker could
 * not take them, until it has them. Each is a row of `events` and of `bodies` with no deliveries,
 * and its number in `outbox`; when the broker has it, all three go. No dedupe, no totals: the
 * delivering gateway judges and counts. Nothing here expires, and the audit looks at its checksums
 * as at all others.
 *
 * How many there are is counted in memory, since a count of millions is a scan. Owned by the
 * journal's thread.
 */
#ifndef PENSTOCK_JOURNAL_OUTBOX_H
#define PENSTOCK_JOURNAL_OUTBOX_H

#include "model/event.h"
#include "sqlite/sql.h"

enum outbox_statement {
    OUTBOX_COUNT,
    OUTBOX_ADD,
    OUTBOX_LIST,
    OUTBOX_DROP,
    OUTBOX_DROP_BODY,
    OUTBOX_DROP_EVENT,
    OUTBOX_STATEMENTS
};

struct outbox {
    struct sqlite3_stmt *statements[OUTBOX_STATEMENTS];
    int64_t count;  /* committed */
    int64_t change; /* by the transaction that is open */
};

/* outbox_done is due after a failure as well. */
enum err outbox_init(struct outbox *outbox, struct sqlite3 *db) MUST_CHECK;
void outbox_done(struct outbox *outbox);

/* One whose id is in the file already is passed over. */
struct store;
enum err outbox_add(struct store *store, const struct event *event) MUST_CHECK;

void outbox_committed(struct outbox *outbox);
void outbox_rolled_back(struct outbox *outbox);

#endif
