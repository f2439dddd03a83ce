/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the journals: every event of every shard with its deliveries, in one pass along both
 * primary keys. The files are opened read-only, and closing does not checkpoint the WAL. So the
 * files of a gateway that was killed stay as they are.
 *
 * These are the only SQL statements of bench/ on files of a gateway: the verdict must not use the
 * code that it judges. tests/unit/bench/verdict_journal.c reads a journal that the code of the
 * gateway has written, and fails when the schema changes.
 */
#include "base/limits.h"
#include "verdict/join.h"
#include "verdict/join_late.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

_Static_assert(ACCOUNT_ENDPOINTS_MAX == 16, "the SQL text uses this number");

static const char before_reading[] = "PRAGMA mmap_size = 0; PRAGMA cache_size = -8000; BEGIN";
static const char text[] =
    "SELECT e.seq, e.id, e.key, e.guarded, e.amount, e.currency, e.accepted_us, d.state,"
    " d.reason FROM events e"
    " LEFT JOIN deliveries d ON d.id BETWEEN e.seq * 16 AND e.seq * 16 + 15 ORDER BY e.seq, d.id";
static const char aliases_text[] = "SELECT id, first FROM aliases";
enum column {
    COLUMN_SEQ,
    COLUMN_ID,
    COLUMN_KEY,
    COLUMN_GUARDED,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_AT,
    COLUMN_STATE,
    COLUMN_REASON
};

/* How far a state is from delivered. For an event the delivery that is furthest away counts. */
static const uint8_t distances[DELIVERY_STATES] = {
    [DELIVERY_DELIVERED] = 0,
    [DELIVERY_DISCARDED] = 1,
    [DELIVERY_DEAD] = 2,
    [DELIVERY_PARKED] = 3,
    [DELIVERY_WAITING] = 4,
    [DELIVERY_SENDING] = 5,
    [DELIVERY_PENDING] = 6,
};

/* The whole text must be "<run>-<number>". */
static bool parse_key(
    const struct keys *keys, const char *key, uint8_t *ret_run, uint64_t *ret_number)
{
    const char *dash = key ? strrchr(key, '-') : NULL;
    if (!dash || dash - key >= RUN_NAME_BYTES || !dash[1])
        return false;
    char run[RUN_NAME_BYTES] = "";
    memcpy(run, key, (size_t)(dash - key));
    uint64_t number = 0;
    for (const char *at = dash + 1; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        number = number * 10 + (uint64_t)(*at - '0');
    }
    *ret_run = keys_find_run(keys, run);
    *ret_number = number;
    return *ret_run != RUN_NONE;
}

/* Reads an amount like run_log_money. An amount with more than six digits after the point was never
 * sent: it reads as 0. */
static enum err read_money(
    struct keys *keys, sqlite3_stmt *row, int64_t *ret_micros, uint8_t *ret_currency)
{
    char body[128], currency[CURRENCY_TEXT_BYTES];
    const char *amount = (const char *)sqlite3_column_text(row, COLUMN_AMOUNT);
    const char *name = (const char *)sqlite3_column_text(row, COLUMN_CURRENCY);
    int len = snprintf(body, sizeof body, "\"amount\":\"%s\",\"currency\":\"%s\"",
        amount ? amount : "", name ? name : "");
    *ret_micros = 0;
    *ret_currency = 0;
    if (!amount || !name || strlen(name) != CURRENCY_BYTES || len >= (int)sizeof body)
        return OK;
    if (!run_log_money(slice_of(body, (size_t)len), ret_micros, currency))
        memcpy(currency, name, sizeof currency);
    return keys_take_currency(keys, currency, ret_currency);
}

/* A late conflict parks all deliveries of its event, so the first one is enough. */
static bool is_late_conflict(sqlite3_stmt *row)
{
    return sqlite3_column_type(row, COLUMN_STATE) != SQLITE_NULL &&
           sqlite3_column_int(row, COLUMN_STATE) == DELIVERY_PARKED &&
           sqlite3_column_int(row, COLUMN_REASON) == PARK_CONFLICT;
}

static enum err take_late_conflict(struct keys *keys, struct figures *figures, sqlite3_stmt *row,
    uint32_t place, bool was_answered)
{
    int64_t micros;
    uint8_t currency;
    enum err result = read_money(keys, row, &micros, &currency);
    if (!result)
        late_take_conflict(keys, figures, place, micros, currency, was_answered);
    return result;
}

/* Joins an event's first row. *ret_place is its key; PLACE_NONE when the event is not of these
 * runs, or when its key has another event already. */
static enum err take_event(
    struct keys *keys, struct figures *figures, sqlite3_stmt *row, uint32_t *ret_place)
{
    uint8_t run;
    uint64_t number;
    const unsigned char *id = sqlite3_column_blob(row, COLUMN_ID);
    if (!id || sqlite3_column_bytes(row, COLUMN_ID) != EVENT_BYTES)
        return ERR_DAMAGED;
    uint32_t place = PLACE_NONE, known = keys_find_id(keys, id);
    if (parse_key(keys, (const char *)sqlite3_column_text(row, COLUMN_KEY), &run, &number)) {
        place = keys_find_key(keys, run, number);
        figures->arrivals.unknown_in_journal += place == PLACE_NONE;
    }
    if (place == PLACE_NONE && known != PLACE_NONE)
        place = keys->ids[known].key;
    enum err result = keys_take_id(keys, place, id);
    *ret_place = place;
    if (result || place == PLACE_NONE)
        return result;
    struct key *key = &keys->keys[place];
    if (!keys_is_valid(key))
        key->flags |= KEY_INVALID_ACCEPTED;
    if (is_late_conflict(row)) {
        *ret_place = PLACE_NONE;
        return take_late_conflict(keys, figures, row, place, known != PLACE_NONE);
    }
    if (sqlite3_column_int(row, COLUMN_GUARDED))
        key->flags |= KEY_GUARDED;
    if (key->flags & KEY_IN_JOURNAL) { /* a second event, or the same row in two shards */
        key->flags |= KEY_TWO_EVENTS;
        *ret_place = PLACE_NONE;
        return OK;
    }
    key->flags |= KEY_IN_JOURNAL;
    key->journal_state = DELIVERY_DELIVERED;
    key->journal_accepted_us = sqlite3_column_int64(row, COLUMN_AT);
    return read_money(keys, row, &key->journal_micros, &key->journal_currency);
}

static enum err take_delivery(struct key *key, sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, COLUMN_STATE) == SQLITE_NULL)
        return OK;
    int state = sqlite3_column_int(row, COLUMN_STATE);
    if (state < 0 || state >= DELIVERY_STATES)
        return ERR_DAMAGED;
    if (key->journal_deliveries < UINT8_MAX)
        key->journal_deliveries++;
    if (state == DELIVERY_DELIVERED && key->journal_delivered < UINT8_MAX)
        key->journal_delivered++;
    if (distances[state] > distances[key->journal_state])
        key->journal_state = (uint8_t)state;
    return OK;
}

static enum err read_rows(sqlite3_stmt *row, struct keys *keys, struct figures *figures)
{
    int code;
    bool any = false;
    sqlite3_int64 seq = 0;
    uint32_t place = PLACE_NONE;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        enum err result = OK;
        if (!any || sqlite3_column_int64(row, COLUMN_SEQ) != seq)
            result = take_event(keys, figures, row, &place);
        any = true;
        seq = sqlite3_column_int64(row, COLUMN_SEQ);
        if (!result && place != PLACE_NONE)
            result = take_delivery(&keys->keys[place], row);
        if (result)
            return result;
    }
    return code == SQLITE_DONE ? OK : ERR_DISK;
}

static enum err read_aliases(sqlite3_stmt *row, struct keys *keys, struct figures *figures)
{
    int code;
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(row, 0) != EVENT_BYTES ||
            sqlite3_column_bytes(row, 1) != EVENT_BYTES)
            return ERR_DAMAGED;
        late_take_alias(keys, figures, sqlite3_column_blob(row, 0), sqlite3_column_blob(row, 1));
    }
    return code == SQLITE_DONE ? OK : ERR_DISK;
}

static enum err read_file(
    const char *path, struct keys *keys, struct figures *figures, const char **ret_detail)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL, *alias = NULL;
    enum err result = ERR_DISK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
        sqlite3_wal_autocheckpoint(db, 0);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        if (sqlite3_exec(db, before_reading, NULL, NULL, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(db, text, -1, &row, NULL) == SQLITE_OK)
            result = read_rows(row, keys, figures);
        if (!result)
            result =
                sqlite3_prepare_v2(db, aliases_text, -1, &alias, NULL) == SQLITE_OK ? OK : ERR_DISK;
        if (!result)
            result = read_aliases(alias, keys, figures);
    }
    if (result)
        *ret_detail = result == ERR_DISK ? sqlite3_errstr(sqlite3_errcode(db)) : err_title(result);
    sqlite3_finalize(row);
    sqlite3_finalize(alias);
    sqlite3_close(db);
    return result;
}

enum err join_journal(const char *directory, struct keys *keys, struct figures *figures,
    char ret_detail[JOIN_DETAIL_BYTES])
{
    bool any = false;
    enum err result = OK;
    for (unsigned shard = 0; !result && shard < SHARDS_MAX; shard++) {
        char path[4096];
        const char *detail;
        int len = snprintf(path, sizeof path, "%s/journal-%u.db", directory, shard);
        if (len >= (int)sizeof path || access(path, F_OK) != 0)
            continue;
        any = true;
        result = read_file(path, keys, figures, &detail);
        if (result)
            snprintf(ret_detail, JOIN_DETAIL_BYTES, "journal-%u.db: %s", shard, detail);
    }
    if (!any) {
        snprintf(ret_detail, JOIN_DETAIL_BYTES, "the directory has no journal-N.db");
        return ERR_NOT_FOUND;
    }
    figures->has_journal = true;
    if (!result)
        late_resolve(keys);
    return result;
}
