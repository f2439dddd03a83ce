/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/schema.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "sqlite/database.h"

#include <stdio.h>

/*
 * Set before the first write. The cache bounds the memory of a shard. journal_size_limit cuts a WAL
 * back that grew while a slow reader held it. secure_delete, which Debian turns on, would write
 * every page of a dropped segment again, as zeros. wal_autocheckpoint: see sqlite/wal.h.
 */
static const char writer_pragmas[] = "PRAGMA page_size = 4096;"
                                     "PRAGMA wal_autocheckpoint = 0;"
                                     "PRAGMA journal_size_limit = 67108864;"
                                     "PRAGMA secure_delete = OFF;"
                                     "PRAGMA foreign_keys = OFF;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -8000;";

static const char tables[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"

    "CREATE TABLE events(seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, accepted_us INTEGER NOT "
    "NULL,"
    " occurred_us INTEGER, partner TEXT NOT NULL, account TEXT NOT NULL, type TEXT NOT NULL, key "
    "TEXT,"
    " class INTEGER NOT NULL, guarded INTEGER NOT NULL, amount TEXT, currency TEXT, traceparent "
    "TEXT,"
    " deliveries INTEGER NOT NULL, crc INTEGER NOT NULL);"

    "CREATE TABLE bodies(seq INTEGER PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL);"

    "CREATE TABLE deliveries(id INTEGER PRIMARY KEY, endpoint INTEGER NOT NULL, state INTEGER NOT "
    "NULL,"
    " reason INTEGER NOT NULL, lane INTEGER NOT NULL, generation INTEGER NOT NULL, attempts "
    "INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, due_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,"
    " started_us INTEGER NOT NULL, duration_us INTEGER NOT NULL, http_status INTEGER NOT NULL, "
    "broker_owned INTEGER "
    "NOT NULL,"
    " delivered_us INTEGER NOT NULL, class INTEGER NOT NULL, crc INTEGER NOT NULL);"
    "CREATE INDEX deliveries_pending ON deliveries(endpoint, id, class) WHERE state = 0 AND "
    "broker_owned = 0 AND lane <> 2;"
    "CREATE INDEX deliveries_replay ON deliveries(endpoint, id, class) WHERE state = 0 AND "
    "broker_owned = 0 AND lane = 2;"
    "CREATE INDEX deliveries_sending ON deliveries(endpoint, id, class) WHERE state = 1;"
    "CREATE INDEX deliveries_waiting ON deliveries(endpoint, due_us, duration_us, class) WHERE "
    "state = 2;"
    "CREATE INDEX deliveries_failed ON deliveries(endpoint) WHERE state = 2 AND reason = 1;"
    "CREATE INDEX deliveries_parked ON deliveries(endpoint, reason, id, class) WHERE state = 3;"
    "CREATE INDEX deliveries_dead ON deliveries(endpoint, id, class) WHERE state = 5;"
    "CREATE INDEX deliveries_broker_owned ON deliveries(broker_owned) WHERE broker_owned = 1;"

    "CREATE TABLE attempts(delivery INTEGER, number INTEGER, started_us INTEGER NOT NULL,"
    " duration_us INTEGER NOT NULL, http_status INTEGER NOT NULL, error TEXT NOT NULL,"
    " request_begun INTEGER NOT NULL, warm INTEGER NOT NULL, request_complete INTEGER NOT NULL,"
    " request_bytes INTEGER NOT NULL, answer_bytes INTEGER NOT NULL, excerpt BLOB NOT NULL,"
    " dns_us INTEGER NOT NULL, connect_us INTEGER NOT NULL, tls_us INTEGER NOT NULL,"
    " first_byte_us INTEGER NOT NULL, peer TEXT NOT NULL, tls TEXT NOT NULL, http TEXT NOT NULL,"
    " tls_problem TEXT NOT NULL, location TEXT NOT NULL, rule TEXT NOT NULL, cause TEXT NOT NULL, "
    "crc INTEGER NOT NULL,"
    " PRIMARY KEY(delivery, number)) WITHOUT ROWID;"

    "CREATE TABLE operator_actions(seq INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, at_us "
    "INTEGER NOT NULL,"
    " from_state INTEGER NOT NULL, to_state INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " from_endpoint INTEGER NOT NULL, to_endpoint INTEGER NOT NULL, actor INTEGER NOT NULL,"
    " note TEXT NOT NULL, crc INTEGER NOT NULL);"
    "CREATE INDEX operator_actions_by_delivery ON operator_actions(delivery);"

    "CREATE TABLE conflicts(seq INTEGER PRIMARY KEY, first_event BLOB NOT NULL, at_us INTEGER NOT "
    "NULL,"
    " partner TEXT NOT NULL, account TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL, amount "
    "TEXT,"
    " currency TEXT, body BLOB NOT NULL, times INTEGER NOT NULL, last_us INTEGER NOT NULL, crc "
    "INTEGER NOT NULL);"
    "CREATE INDEX conflicts_by_first ON conflicts(first_event);"

    "CREATE TABLE aliases(id BLOB PRIMARY KEY, first BLOB NOT NULL, at_us INTEGER NOT NULL, crc "
    "INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX aliases_by_time ON aliases(at_us);"

    "CREATE TABLE event_keys(bucket INTEGER PRIMARY KEY, entries BLOB NOT NULL, crc INTEGER NOT "
    "NULL);"
    "CREATE TABLE event_key_runs(run INTEGER PRIMARY KEY, entries BLOB NOT NULL, crc INTEGER NOT "
    "NULL);"

    "CREATE TABLE outbox(seq INTEGER PRIMARY KEY);"

    "CREATE TABLE poison(seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, queue TEXT NOT NULL, "
    "reason TEXT NOT NULL,"
    " message_id TEXT NOT NULL, headers TEXT NOT NULL, body_bytes INTEGER NOT NULL, body BLOB NOT "
    "NULL,"
    " crc INTEGER NOT NULL);"

    "CREATE TABLE lost(id BLOB PRIMARY KEY, found_us INTEGER NOT NULL, crc INTEGER NOT NULL) "
    "WITHOUT ROWID;"

    "CREATE TABLE replays(id BLOB PRIMARY KEY, filter TEXT NOT NULL, action INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, rate INTEGER NOT NULL, share_ppm INTEGER NOT NULL, total INTEGER NOT "
    "NULL, reason TEXT NOT NULL,"
    " state INTEGER NOT NULL, created_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,"
    " last_delivery INTEGER NOT NULL, found_endpoint INTEGER NOT NULL, found_all INTEGER NOT NULL, "
    "counts TEXT NOT NULL,"
    " crc INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX replays_open ON replays(id) WHERE state < 2;"
    "CREATE TABLE replay_cursors(replay BLOB, endpoint INTEGER, place INTEGER NOT NULL,"
    " key INTEGER NOT NULL, id INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " PRIMARY KEY(replay, endpoint)) WITHOUT ROWID;"

    "CREATE TABLE totals(day INTEGER, account TEXT, endpoint INTEGER, currency TEXT,"
    " accepted INTEGER NOT NULL, accepted_sum TEXT NOT NULL, delivered INTEGER NOT NULL, "
    "delivered_sum TEXT NOT NULL,"
    " discarded INTEGER NOT NULL, discarded_sum TEXT NOT NULL, crc INTEGER NOT NULL,"
    " PRIMARY KEY(day, account, endpoint, currency)) WITHOUT ROWID;";

static enum err refuse(char *ret_detail, enum err reason, const char *text)
{
    snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "%s", text);
    return reason;
}

static enum err write_meta(struct sqlite3 *db, unsigned shard)
{
    unsigned char random[16];
    char journal_id[2 * sizeof random + 1];
    crypto_random(random, sizeof random);
    hex_encode(slice_of(random, sizeof random), journal_id);
    char text[256];
    snprintf(text, sizeof text,
        "INSERT INTO meta(key, value) VALUES('journal_id', '%s'), ('created_us', %lld), ('shard', "
        "%u)",
        journal_id, (long long)clock_wall_us(), shard);
    return sql_run(db, text);
}

static enum err make_tables(struct sqlite3 *db, unsigned shard)
{
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d",
        SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    enum err result = sql_run(db, "BEGIN IMMEDIATE");
    if (!result)
        result = sql_run(db, tables);
    if (!result)
        result = write_meta(db, shard);
    if (!result)
        result = sql_run(db, stamp);
    if (!result)
        result = sql_run(db, "COMMIT");
    return result;
}

static enum err check_shard(struct sqlite3 *db, unsigned shard, char *ret_detail)
{
    int64_t found;
    enum err result = sql_read_int(db, "SELECT value FROM meta WHERE key = 'shard'", &found);
    if (result == ERR_NOT_FOUND || result == ERR_BUG) /* no row, or no such table */
        return refuse(ret_detail, ERR_DAMAGED,
            "the number of its shard is missing: restore the file from a backup");
    if (result)
        return refuse(ret_detail, result, sql_reason(db));
    if (found != shard) {
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES,
            "it is the journal of shard %lld, not of %u: files were swapped", (long long)found,
            shard);
        return ERR_DAMAGED;
    }
    return OK;
}

/* The broker records the journal that owns delivery by its id: two journals without one would look
 * the same. */
static enum err check_id(struct sqlite3 *db, char *ret_detail)
{
    int64_t is_there;
    enum err result = sql_read_int(
        db, "SELECT count(*) FROM meta WHERE key = 'journal_id' AND length(value) = 32", &is_there);
    if (result)
        return refuse(ret_detail, result, sql_reason(db));
    return is_there
               ? OK
               : refuse(ret_detail, ERR_DAMAGED, "the id of the journal is missing: restore it");
}

enum err schema_prepare(struct sqlite3 *db, unsigned shard, char *ret_detail)
{
    int64_t version;
    enum err result = sql_identify(db, SCHEMA_APPLICATION_ID, SCHEMA_VERSION, &version, ret_detail);
    if (result)
        return result;
    if (version != 0 && version < SCHEMA_VERSION)
        return refuse(ret_detail, ERR_DAMAGED,
            "this version cannot read its old format: move the data directory away, and start with "
            "an "
            "empty one");
    result = sql_run(db, writer_pragmas);
    if (result)
        return refuse(ret_detail, result, sql_reason(db));
    result = sql_make_wal(db, ret_detail);
    if (result)
        return result;
    if (version == 0)
        result = make_tables(db, shard);
    if (result)
        return refuse(ret_detail, result, sql_reason(db));
    result = check_shard(db, shard, ret_detail);
    return result ? result : check_id(db, ret_detail);
}
