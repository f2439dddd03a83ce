/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store.h"

#include "journal/schema.h"
#include "journal/sql.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

/* Nobody else writes, so that it is a matter of moments (another connection that recovers the WAL's index). */
#define BUSY_TIMEOUT_MS 5000

/* Numbers are never used again while anything of their event is left: bodies and deliveries may outlive or go before
 * its row. */
static const char next_seq_text[] =
    "SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(seq) FROM bodies), 0),"
    " coalesce((SELECT max(id) FROM deliveries), 0) / ?) + 1";

static enum err read_next_seq(struct store *store)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(store->db, next_seq_text, &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_int(&use, ACCOUNT_ENDPOINTS_MAX);
        result = sql_execute_int(&use, &store->next_seq);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err park_interrupted(struct store *store)
{
    int64_t count;
    enum err result = delivery_rows_park_interrupted(&store->deliveries, clock_wall_us(), &count);
    if (!result && count > 0)
        log_warn("guarded deliveries were being sent when the last run ended: parked as ambiguous shard=%u count=%lld",
            store->shard, (long long)count);
    return result;
}

static enum err prepare(struct store *store)
{
    checkpointer_init(&store->checkpointer, store->db);
    enum err result = ledger_init(&store->ledger, store->db);
    if (!result)
        result = event_rows_init(&store->events, store->db);
    if (!result)
        result = delivery_rows_init(&store->deliveries, store->db);
    if (!result)
        result = park_interrupted(store);
    if (!result)
        result = read_next_seq(store);
    return result;
}

enum err store_open(struct store *store, const char *directory, unsigned shard, char *ret_detail)
{
    char path[4096], reason[SCHEMA_DETAIL_BYTES] = "";
    *store = (struct store){.shard = shard};
    int len = snprintf(path, sizeof path, "%s/journal-%u.db", directory, shard);
    if (len < 0 || (size_t)len >= sizeof path) {
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "the data directory's path is too long");
        return ERR_DISK;
    }
    int code =
        sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    enum err result = store->db ? sql_err(store->db, code) : ERR_NO_MEMORY;
    if (result) {
        snprintf(reason, sizeof reason, "%s", store->db ? sqlite3_errmsg(store->db) : "out of memory");
    } else {
        sqlite3_extended_result_codes(store->db, 1);
        sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
        result = schema_prepare(store->db, shard, reason);
    }
    if (!result) {
        result = prepare(store);
        if (result)
            snprintf(reason, sizeof reason, "%s", sqlite3_errmsg(store->db));
    }
    /* The reason is what helps: a long path gives way to it. */
    if (result)
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "%.100s/journal-%u.db: %.130s", directory, shard, reason);
    return result;
}

void store_close(struct store *store, bool in_doubt)
{
    ledger_done(&store->ledger);
    event_rows_done(&store->events);
    delivery_rows_done(&store->deliveries);
    if (in_doubt)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    else if (store->next_seq && checkpointer_finish(&store->checkpointer))
        log_warn("the journal could not be checkpointed at its end, the next start will shard=%u reason=%s",
            store->shard, sqlite3_errmsg(store->db));
    sqlite3_close(store->db);
    store->db = NULL;
}

enum err store_begin(struct store *store)
{
    store->now_us = clock_wall_us();
    checkpointer_begin(&store->checkpointer);
    return sql_run(store->db, "BEGIN IMMEDIATE");
}

enum err store_commit(struct store *store)
{
    enum err result = sql_run(store->db, "COMMIT");
    if (!result)
        ledger_committed(&store->ledger);
    return result;
}

enum err store_roll_back(struct store *store)
{
    /* After some errors SQLite has rolled back already, and would say that there is no transaction. */
    enum err result = sqlite3_get_autocommit(store->db) ? OK : sql_run(store->db, "ROLLBACK");
    ledger_rolled_back(&store->ledger);
    return result;
}

bool store_is_in_doubt(struct store *store, bool while_committing)
{
    int code = sqlite3_extended_errcode(store->db);
    if (sql_is_sync_failure(code))
        return true;
    return while_committing && (code & 0xff) == SQLITE_IOERR && sql_err(store->db, code) != ERR_DISK_FULL;
}
