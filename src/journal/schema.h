/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a journal's file, and how they are made.
 *
 *   meta           journal_id, created_us, shard; how far the totals and the expiry have come; the
 *                  retry rules that the due times follow (retry_rules.c)
 *   dedupe_*       of the dedupe store, a table for each day and retention (dedupe/store.h)
 *   events         what was accepted: the history, kept longer than the bodies
 *   bodies         by the event's number; apart, so that they expire without touching the history
 *   deliveries     one row for each event and endpoint; id = event number * ACCOUNT_ENDPOINTS_MAX +
 *                  index. The attempt that delivered is in the row: a success at the first try
 *                  costs one UPDATE and no INSERT
 *   attempts       those that did not deliver
 *   operator_actions   what operators and status probes did to deliveries and why, with the
 *                  endpoint before and after
 *   conflicts      events with the key of another and other money: kept, never delivered
 *   aliases        ids of duplicates that were found late, each with the id of the first event
 *   event_keys, event_key_runs   which events have a key (event_keys.h)
 *   outbox         numbers of events that wait for the broker; they have no deliveries (outbox.h)
 *   poison         messages that are no events (poison.h)
 *   lost           ids of events that the broker confirmed and does not have any more (lost.h)
 *   replays, replay_cursors   what operators do to many deliveries, and how far it has come
 *                  (replays.h)
 *   totals         per day, account, endpoint and currency: how many deliveries, of how much
 *                  (totals.h)
 *
 * Every row that counts has a CRC-32 (sqlite/checksum.h), since SQLite's pages have none.
 *
 * A delivery that is neither delivered nor discarded is in exactly one of six partial indexes, the
 * one of its state, in the order in which that state is asked for. Pending ones have two: replays
 * have their own. One that is broker-owned and pending is in none of them, since it must not be
 * loaded. Two more indexes are beside them: all broker-owned ones in order of their numbers, and
 * the waiting ones that failed because of their endpoint, in order of acceptance, since they are
 * due as soon as it recovers. The six have the class as well, so that a start counts
 * what is open without reading a row (backlog_fill.h).
 *
 * The file says what it is: application_id PNSJ and user_version. Migrations will lead forward
 * only, each in a transaction of its own. There is none yet: formats 1 to 8 were never released,
 * and are refused. So is a file of another application or of another shard, and nothing in it is
 * touched.
 */
#ifndef PENSTOCK_JOURNAL_SCHEMA_H
#define PENSTOCK_JOURNAL_SCHEMA_H

#include "base/err.h"
#include "sqlite/database.h"

#define SCHEMA_APPLICATION_ID 0x504e534a /* "PNSJ" */
#define SCHEMA_VERSION 9

#define SCHEMA_DETAIL_BYTES SQL_REASON_BYTES

/*
 * Checks the file behind `db`, sets the writing connection's pragmas, makes what is missing.
 * ERR_NEWER_FORMAT, ERR_DAMAGED and what the disk says; `ret_detail` holds SCHEMA_DETAIL_BYTES.
 */
enum err schema_prepare(struct sqlite3 *db, unsigned shard, char *ret_detail) MUST_CHECK;

#endif
