/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a journal. A start finds a file that the last run may have left at any moment, and brings
 * it into a state from which the thread can work:
 *
 *   opened        reserve, WAL, file, schema. Nothing is written before the file has said whose it
 *                 is
 *   counted       what is open, for the backlog board (backlog_fill.h)
 *   interrupted   guarded deliveries that were being sent are parked as ambiguous: how far they got
 *                 is not known
 *   adopted       broker-owned events of which something had started become the journal's (adopt.h)
 *   mended        keys that the dedupe store cannot read are entered again from the events
 *                 (dedupe_repair.h)
 *   totals        events that were accepted after the totals were written last are counted again
 *
 * Each step works in transactions of its own, and can be repeated after a crash. On a full disk the
 * steps use the room of the reserve.
 */
#include "journal/adopt.h"
#include "journal/backlog_fill.h"
#include "journal/dedupe_repair.h"
#include "journal/schema.h"
#include "journal/store.h"
#include "model/placement.h"
#include "runtime/log.h"
#include "sqlite/database.h"

#include <errno.h>
#include <stdio.h>

/* No other connection writes. One that recovers the WAL's index holds the lock for a moment. */
#define BUSY_MS 5000
#define INTERRUPTED_PER_STEP 256

/* Numbers are never used again while anything of their event is left: bodies and deliveries may
 * outlive or go before its row. */
static const char next_seq_text[] = "SELECT max(coalesce((SELECT max(seq) FROM events), 0), "
                                    "coalesce((SELECT max(seq) FROM bodies), 0),"
                                    " coalesce((SELECT max(id) FROM deliveries), 0) / ?) + 1";

static enum err read_next_seq(struct store *store)
{
    struct sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(store->db, next_seq_text, &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_int(&use, ACCOUNT_ENDPOINTS_MAX);
        result = sql_execute_int(&use, &store->next_seq);
    }
    sql_finalize(statement);
    return result;
}

static enum err read_newest(struct store *store)
{
    enum err result = sql_read_int(
        store->db, "SELECT accepted_us FROM events ORDER BY seq DESC LIMIT 1", &store->newest_us);
    return result == ERR_NOT_FOUND ? OK : result;
}

/* They are parked, for the reason that their row says, or delivered as before a forced replay. */
static enum err note_interrupted(struct store *store, const int64_t *deliveries, unsigned count)
{
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row row;
        result = delivery_rows_read(&store->deliveries, deliveries[i], &row);
        if (!result && row.state == DELIVERY_PARKED)
            result = store_note_parked(store, row.id, row.endpoint, row.reason);
        else if (result == ERR_NOT_FOUND || result == ERR_DAMAGED)
            result = OK;
    }
    return result;
}

static enum err park_interrupted(struct store *store)
{
    int64_t deliveries[INTERRUPTED_PER_STEP];
    unsigned parked, all = 0;
    enum err result;
    do {
        result = store_begin(store);
        if (!result)
            result = delivery_rows_park_interrupted(
                &store->deliveries, INTERRUPTED_PER_STEP, store->now_us, deliveries, &parked);
        if (!result)
            result = note_interrupted(store, deliveries, parked);
        if (!result)
            result = store_commit(store);
        if (!result)
            all += parked;
    } while (!result && parked == INTERRUPTED_PER_STEP);
    if (all > 0)
        log_warn("guarded deliveries were being sent when the last run ended: parked as ambiguous "
                 "shard=%u count=%u",
            store->shard, all);
    return result;
}

/* One event, and the endpoints of its deliveries, as far as they can be read, into the totals. What
 * is in the outbox has no deliveries, and is none of ours to count. */
static enum err total_event(struct store *store, int64_t seq)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *event;
    unsigned count;
    enum err result = event_rows_read(&store->events, seq, &reading, &event, &count);
    if (result)
        return result == ERR_DAMAGED ? OK : result; /* not there, or the audit names it */
    if (count > 0)
        totals_add(&store->totals, &event->parts, TOTAL_EVENTS, TOTAL_ACCEPTED, 1, clock_mono_us());
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row row;
        result = delivery_rows_read(&store->deliveries, placement_delivery(seq, i), &row);
        if (!result)
            totals_add(
                &store->totals, &event->parts, row.endpoint, TOTAL_ACCEPTED, 1, clock_mono_us());
        else if (result == ERR_NOT_FOUND || result == ERR_DAMAGED)
            result = OK;
    }
    event_unref(event);
    return result;
}

/* What was accepted after the totals were written last, which a crash has taken out of memory. */
static enum err catch_totals_up(struct store *store)
{
    int64_t last = store->next_seq - 1;
    if (store->totals.through >= last)
        return OK;
    enum err result = store_begin(store);
    for (int64_t seq = store->totals.through + 1; seq <= last && !result; seq++)
        result = total_event(store, seq);
    totals_demand(&store->totals);
    if (!result)
        result = store_commit(store);
    if (result == ERR_DAMAGED && store->totals.given_up) /* without them, then */
        return store_roll_back(store);
    return result;
}

/* Numbers of events, and what depends on them. */
static enum err read_numbers(struct store *store)
{
    enum err result = read_next_seq(store);
    /* Some events were rolled back after the totals had counted past their numbers. */
    if (store->next_seq <= store->totals.through)
        store->next_seq = store->totals.through + 1;
    /* Their blocks of the index of keys outlived them, and would hide new events. */
    if (store->next_seq < store->keys.end)
        store->next_seq = store->keys.end;
    return result ? result : read_newest(store);
}

/* What the last run has left to do, which writes. */
static enum err clear_up(struct store *store)
{
    store->found = (struct journal_found){0};
    enum err result = park_interrupted(store);
    if (!result)
        result = adopt_started(store);
    if (!result)
        result = dedupe_repair(store);
    return result ? result : catch_totals_up(store);
}

/* On a full disk it is done in the reserve's room. */
static enum err clear_up_anyhow(struct store *store)
{
    enum err result = clear_up(store);
    if (result != ERR_DISK_FULL || !store->reserve.held)
        return result;
    disk_reserve_give_up(&store->reserve, clock_mono_us());
    result = store_roll_back(store);
    return result ? result : clear_up(store);
}

/* `sending` is none of them: what was being sent has been parked by then. */
static enum err count_own_open(struct store *store)
{
    struct backlog_counts counts = {0};
    int64_t broker_owned;
    backlog_board_add_all(&store->backlog, &counts);
    enum err result = sql_read_int(
        store->db, "SELECT count(*) FROM deliveries WHERE broker_owned = 1", &broker_owned);
    if (!result)
        store->found.open = backlog_in_progress(&counts) - broker_owned;
    return result;
}

/* What there is, for those who must know before they begin. */
static enum err look_around(struct store *store)
{
    struct sqlite3_stmt *id = NULL;
    bool row;
    enum err result = count_own_open(store);
    if (!result)
        result = sql_prepare(store->db, "SELECT value FROM meta WHERE key = 'journal_id'", &id);
    struct sql_use use = sql_use(id);
    if (!result)
        result = sql_step(&use, &row);
    if (!result && row)
        snprintf(store->journal_id, sizeof store->journal_id, "%.*s",
            SLICE_ARGS(sql_column_slice(&use, 0)));
    store->found.outbox = store->outbox.count;
    sql_finalize(id);
    return result ? result : store_read_rules(store->db, &store->found.rules);
}

enum err store_open(struct store *store, const struct store_options *options, char *ret_detail)
{
    char path[4096], reason[SCHEMA_DETAIL_BYTES] = "";
    *store = (struct store){.shard = options->shard, .reserve.fd = -1};
    store_init_notices(store, &options->operator_events);
    int len = snprintf(path, sizeof path, "%s/journal-%u.db", options->directory, options->shard);
    if (len < 0 || (size_t)len >= sizeof path) {
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "the data directory's path is too long");
        return ERR_DISK;
    }
    enum err result = disk_reserve_open(&store->reserve, options->directory, options->shard,
        options->reserve_bytes, options->reserve_all_bytes);
    if (result) {
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "%.100s/reserve-%u: %s", options->directory,
            options->shard, strerror(errno));
        return result;
    }
    result = wal_make_durable(path);
    if (result) {
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "%.100s/journal-%u.db-wal cannot be written: %s",
            options->directory, options->shard, err_title(result));
        return result;
    }
    const struct sql_options opening = {.access = SQL_CREATE, .busy_ms = BUSY_MS};
    result = sql_open(path, &opening, &store->db, reason);
    if (!result)
        result = schema_prepare(store->db, options->shard, reason);
    if (!result) {
        result = store_prepare(store, &options->expiry);
        if (!result)
            result = read_numbers(store);
        if (!result)
            result = backlog_fill(store->db, &store->backlog);
        if (!result)
            result = clear_up_anyhow(store);
        if (!result)
            result = look_around(store);
        if (!result)
            store_report_notices(store, clock_mono_us());
        if (result)
            snprintf(reason, sizeof reason, "%s", sql_reason(store->db));
    }
    /* The reason is what helps: a long path gives way to it. */
    if (result)
        snprintf(ret_detail, SCHEMA_DETAIL_BYTES, "%.100s/journal-%u.db: %.130s",
            options->directory, options->shard, reason);
    return result;
}
