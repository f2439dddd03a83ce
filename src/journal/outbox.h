/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox of a gateway that does not deliver: events that were answered while the broker could
 * not take them, until it has them. Each is a row of `events` and of `bodies` without deliveries,
 * and its number in `outbox`; when the broker has the event, all three are deleted. The dedupe
 * store and the totals do not count it: the delivering gateway does. The outbox never expires, and
 * the audit checks its checksums as all others.
 *
 * The number of its events is kept in memory, since to count millions is a scan. Owned by the
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

/* An event whose id is in the file already is passed over. */
struct store;
enum err outbox_add(struct store *store, const struct event *event) MUST_CHECK;

void outbox_committed(struct outbox *outbox);
void outbox_rolled_back(struct outbox *outbox);

#endif
