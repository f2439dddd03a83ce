/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a journal's file looks like, how it is made, and how an older one is brought forward.
 *
 *   meta          journal_id, created_us, shard
 *   ledger_*      made by the ledger, a table for each day and retention (ledger.h)
 *   events        what was accepted: the history, kept longer than the bodies
 *   bodies        by the event's number; apart, so that they expire without touching the history
 *   deliveries    one row for each event and endpoint; id = event number * ACCOUNT_ENDPOINTS_MAX + index. The attempt
 * that delivered stands in the row: a success at the first try costs one UPDATE and no INSERT attempts      those that
 * did not deliver conflicts     events with the key of another and other money: kept, never delivered
 *
 * Each delivery that is not final stands in exactly one of four partial indexes, the one of its state, in the order in
 * which that state is asked for.
 *
 * The file says what it is: application_id PNSJ and user_version. Migrations go forward only, each in a transaction of
 * its own; making a new file is the first of them. A file of another application, of another shard, or that is no
 * database is refused, and nothing in it is touched.
 */
#ifndef PENSTOCK_JOURNAL_SCHEMA_H
#define PENSTOCK_JOURNAL_SCHEMA_H

#include "base/err.h"

#include <sqlite3.h>

#define SCHEMA_APPLICATION_ID 0x504e534a /* "PNSJ" */
#define SCHEMA_VERSION 1

#define SCHEMA_DETAIL_BYTES 256

/*
 * Checks the file behind `db`, sets the writing connection's pragmas, makes or migrates. ERR_NEWER_FORMAT, ERR_DAMAGED
 * and what the disk says; `ret_detail` holds SCHEMA_DETAIL_BYTES.
 */
enum err schema_prepare(sqlite3 *db, unsigned shard, char *ret_detail) MUST_CHECK;

#endif
