/* SPDX-License-Identifier: Apache-2.0 */
/* JOURNAL_CHECK_CONFIRMED. */
#include "journal/lost.h"

#include "base/clock.h"
#include "journal/store.h"
#include "sqlite/checksum.h"

static const char *const texts[LOST_STATEMENTS] = {
    [LOST_ADD] = "INSERT OR IGNORE INTO lost(id, found_us, crc) VALUES(?,?,?)",
    [LOST_READ_OFFSET] = "SELECT value FROM meta WHERE key = 'confirmed_offset'",
    [LOST_WRITE_OFFSET] = "INSERT OR REPLACE INTO meta(key, value) VALUES('confirmed_offset', ?)",
    [LOST_READ_SINCE] = "SELECT value FROM meta WHERE key = 'confirmed_since_us'",
    [LOST_WRITE_SINCE] = "INSERT INTO meta(key, value) VALUES('confirmed_since_us', ?)",
    [LOST_FORGET] =
        ("DELETE FROM lost WHERE EXISTS (SELECT 1 FROM events WHERE events.id = lost.id)"
         " OR EXISTS (SELECT 1 FROM aliases WHERE aliases.id = lost.id)"),
    [LOST_COUNT] = "SELECT count(*) FROM lost",
};

enum err lost_init(struct lost *lost, struct sqlite3 *db)
{
    return sql_prepare_all(db, texts, LOST_STATEMENTS, lost->statements);
}

void lost_done(struct lost *lost)
{
    sql_finalize_all(lost->statements, LOST_STATEMENTS);
}

static uint32_t checksum(struct slice id, int64_t found_us)
{
    return checksum_columns(&found_us, 1, &id, 1);
}

bool lost_row_take(const struct sql_use *use, struct event_id *ret_id, int64_t *ret_found_us)
{
    struct slice id = sql_column_slice(use, 0);
    *ret_found_us = sql_column_int(use, 1);
    *ret_id = (struct event_id){0};
    if (id.len != sizeof ret_id->bytes)
        return false;
    memcpy(ret_id->bytes, id.data, id.len);
    return checksum(id, *ret_found_us) == sql_column_int(use, 2);
}

/* One that was found to be lost before counts as known, so that it is not reported again. */
static enum err add(struct store *store, const struct event_id *id, bool *ret_known)
{
    struct sql_use use = sql_use(store->lost.statements[LOST_ADD]);
    struct slice slice = slice_of(id->bytes, sizeof id->bytes);
    sql_bind_blob(&use, slice);
    sql_bind_int(&use, store->now_us);
    sql_bind_int(&use, checksum(slice, store->now_us));
    enum err result = sql_execute(&use);
    *ret_known = !result && sql_changes(store->db) == 0;
    return result;
}

static enum err find(struct store *store, const struct event_id *id, bool *ret_known)
{
    int64_t seq;
    struct event_id first;
    enum err result = event_rows_find(&store->events, id, &seq);
    if (result == ERR_NOT_FOUND)
        result = alias_rows_find(&store->aliases, id, &first);
    *ret_known = result != ERR_NOT_FOUND;
    return result == ERR_NOT_FOUND || result == ERR_DAMAGED ? OK : result;
}

static bool may_have_expired(const struct store *store, const struct event_id *id)
{
    return store->expiry.policy.history_us > 0 &&
           event_id_time_us(id) <= store->now_us - store->expiry.policy.history_us;
}

/* Since when this journal is asked. Events that were confirmed before are in another journal, which
 * was given up, or were never checked. */
static enum err read_since(struct store *store, int64_t *ret_since_us)
{
    struct sql_use use = sql_use(store->lost.statements[LOST_READ_SINCE]);
    enum err result = sql_execute_int(&use, ret_since_us);
    if (result != ERR_NOT_FOUND)
        return result;
    *ret_since_us =
        store->now_us - US_PER_SECOND; /* ids have milliseconds, of another gateway's clock */
    use = sql_use(store->lost.statements[LOST_WRITE_SINCE]);
    sql_bind_int(&use, *ret_since_us);
    return sql_execute(&use);
}

static enum err read_offset(struct store *store, int64_t *ret_offset)
{
    struct sql_use use = sql_use(store->lost.statements[LOST_READ_OFFSET]);
    *ret_offset = 0;
    enum err result = sql_execute_int(&use, ret_offset);
    return result == ERR_NOT_FOUND ? OK : result;
}

static enum err write_offset(struct store *store, int64_t offset)
{
    struct sql_use use = sql_use(store->lost.statements[LOST_WRITE_OFFSET]);
    sql_bind_int(&use, offset);
    return sql_execute(&use);
}

enum err store_check_confirmed(struct store *store, struct request *request)
{
    struct journal_check_confirmed *check =
        CONTAINER_OF(request, struct journal_check_confirmed, request);
    int64_t since_us;
    enum err result = read_since(store, &since_us);
    for (unsigned i = 0; i < check->count && !result; i++) {
        result = find(store, &check->ids[i], &check->ret_known[i]);
        if (!result && !check->ret_known[i] &&
            (may_have_expired(store, &check->ids[i]) ||
                event_id_time_us(&check->ids[i]) < since_us))
            check->ret_known[i] = true;
        if (!result && !check->ret_known[i] && check->judge)
            result = add(store, &check->ids[i], &check->ret_known[i]);
    }
    if (!result && check->next_offset >= 0)
        result = write_offset(store, check->next_offset);
    check->ret_lost = 0;
    if (!result && check->count == 0) {
        /* An event that has arrived later is not lost, even when it has expired since. */
        struct sql_use use = sql_use(store->lost.statements[LOST_FORGET]);
        result = sql_execute(&use);
    }
    if (!result && check->count == 0) {
        struct sql_use use = sql_use(store->lost.statements[LOST_COUNT]);
        result = sql_execute_int(&use, &check->ret_lost);
    }
    return result ? result : read_offset(store, &check->ret_next_offset);
}

void store_undo_check_confirmed(struct request *request)
{
    struct journal_check_confirmed *check =
        CONTAINER_OF(request, struct journal_check_confirmed, request);
    for (unsigned i = 0; i < check->count; i++)
        check->ret_known[i] = false;
}
