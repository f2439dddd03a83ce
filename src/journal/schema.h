/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a journal's file looks like, and how it is made.
 *
 *   meta          journal_id, created_us, shard; how far the totals and the expiry have come
 *   dedupe_*      made by the dedupe store, a table for each day and retention (dedupe/store.h)
 *   events        what was accepted: the history, kept longer than the bodies
 *   bodies        by the event's number; apart, so that they expire without touching the history
 *   deliveries    one row for each event and endpoint; id = event number * ACCOUNT_ENDPOINTS_MAX + index. The attempt
 *                 that delivered stands in the row: a success at the first try costs one UPDATE and no INSERT
 *   attempts      those that did not deliver
 *   actions          what operators did to deliveries, and why; with the endpoint before and after
 *   conflicts     events with the key of another and other money: kept, never delivered
 *   aliases       ids of duplicates that were found late, each with the id of the first event
 *   outbox        numbers of events that wait for the broker; they have no deliveries (outbox.h)
 *   poison        messages that are no events (poison.h)
 *   lost          ids of events that the broker confirmed and does not have any more (lost.h)
 *   totals         per day, account, endpoint and currency: how many deliveries were accepted, and of how much
 * (totals.h)
 *
 * Every row that counts carries a CRC-32 over what it says (checksum.h): SQLite's pages have none.
 *
 * Each delivery that is neither delivered nor discarded stands in exactly one of five partial
 * indexes, the one of its state, in the order in which that state is asked for. One that is
 * broker-owned and pending is in none of them: nobody is to load it. A sixth one has all that is
 * broker-owned, in order of its number.
 *
 * The file says what it is: application_id PNSJ and user_version. Migrations will go forward only,
 * each in a transaction of its own; there is none yet, since formats 1 to 3 were never released and
 * are refused. So is a file of another application, of another shard, or that is no database, and
 * nothing in it is touched.
 */
#ifndef PENSTOCK_JOURNAL_SCHEMA_H
#define PENSTOCK_JOURNAL_SCHEMA_H

#include "base/err.h"
#include "sqlite/database.h"

#define SCHEMA_APPLICATION_ID 0x504e534a /* "PNSJ" */
#define SCHEMA_VERSION 5

#define SCHEMA_DETAIL_BYTES SQL_REASON_BYTES

/*
 * Checks the file behind `db`, sets the writing connection's pragmas, makes what is missing.
 * ERR_NEWER_FORMAT, ERR_DAMAGED and what the disk says; `ret_detail` holds SCHEMA_DETAIL_BYTES.
 */
enum err schema_prepare(struct sqlite3 *db, unsigned shard, char *ret_detail) MUST_CHECK;

#endif
