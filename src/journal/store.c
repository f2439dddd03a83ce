/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store.h"

#include "runtime/log.h"
#include "runtime/metrics.h"
#include "sqlite/database.h"

static const char *const texts[STORE_STATEMENTS] = {
    [STORE_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_COMMIT] = "COMMIT",
};

/* Text would be parsed again with every transaction. */
static enum err run(struct store *store, enum store_statement statement)
{
    struct sql_use use = sql_use(store->statements[statement]);
    return sql_execute(&use);
}

enum err store_prepare(struct store *store, const struct expiry_policy *policy)
{
    checkpointer_init(
        &store->checkpointer, store->db, METRIC_JOURNAL_WAL_PAGES, METRIC_JOURNAL_CHECKPOINTS);
    backlog_board_init(&store->backlog);
    enum err result = sql_prepare_all(store->db, texts, STORE_STATEMENTS, store->statements);
    if (!result)
        result = dedupe_init(&store->dedupe, store->db);
    if (!result)
        result = event_rows_init(&store->events, store->db);
    if (!result)
        result = event_keys_init(&store->keys, store->db, store->shard);
    if (!result)
        result = delivery_rows_init(&store->deliveries, store->db, &store->backlog);
    if (!result)
        result = conflict_rows_init(&store->conflicts, store->db);
    if (!result)
        result = alias_rows_init(&store->aliases, store->db);
    if (!result)
        result = outbox_init(&store->outbox, store->db);
    if (!result)
        result = poison_init(&store->poison, store->db);
    if (!result)
        result = lost_init(&store->lost, store->db);
    if (!result)
        result = replay_rows_init(&store->replays, store->db);
    if (!result)
        result = totals_init(&store->totals, store->db);
    if (!result)
        result = expiry_init(&store->expiry, store->db, policy);
    return result;
}

/* Writes what has gathered since the totals were written last. If this fails, the next start counts
 * it again. */
static void write_last_totals(struct store *store)
{
    if (store->totals.since_us == 0)
        return;
    enum err result = store_begin(store);
    totals_demand(&store->totals);
    if (!result)
        result = store_commit(store);
    if (result)
        (void)!store_roll_back(store);
}

void store_close(struct store *store, bool in_doubt)
{
    if (!in_doubt && store->next_seq)
        write_last_totals(store);
    sql_finalize_all(store->statements, STORE_STATEMENTS);
    dedupe_done(&store->dedupe);
    event_rows_done(&store->events);
    event_keys_done(&store->keys);
    delivery_rows_done(&store->deliveries);
    backlog_board_done(&store->backlog);
    conflict_rows_done(&store->conflicts);
    alias_rows_done(&store->aliases);
    outbox_done(&store->outbox);
    poison_done(&store->poison);
    lost_done(&store->lost);
    replay_rows_done(&store->replays);
    totals_done(&store->totals);
    expiry_done(&store->expiry);
    disk_reserve_close(&store->reserve);
    if (in_doubt)
        sql_checkpoint_on_close(store->db, false);
    else if (store->next_seq && checkpointer_finish(&store->checkpointer))
        log_warn(
            "the journal could not be checkpointed at the stop: the next start does it shard=%u "
            "reason=%s",
            store->shard, sql_reason(store->db));
    sql_close(store->db);
    store->db = NULL;
}

enum err store_begin(struct store *store)
{
    store->now_us = clock_wall_us();
    store->now_mono_us = clock_mono_us();
    store->received_count = 0;
    checkpointer_begin(&store->checkpointer);
    return run(store, STORE_BEGIN);
}

enum err store_commit(struct store *store)
{
    enum err result = totals_write_if_due(&store->totals, store->next_seq - 1, store->now_mono_us);
    if (!result)
        result = run(store, STORE_COMMIT);
    if (result)
        return result;
    dedupe_committed(&store->dedupe);
    event_keys_committed(&store->keys);
    totals_committed(&store->totals);
    backlog_board_committed(&store->backlog);
    outbox_committed(&store->outbox);
    poison_committed(&store->poison);
    notice_board_move(&store->notices, &store->noted, store->now_mono_us);
    return OK;
}

enum err store_roll_back(struct store *store)
{
    enum err result = sql_roll_back(store->db);
    dedupe_rolled_back(&store->dedupe);
    event_keys_rolled_back(&store->keys);
    totals_rolled_back(&store->totals);
    backlog_board_rolled_back(&store->backlog);
    outbox_rolled_back(&store->outbox);
    poison_rolled_back(&store->poison);
    notice_board_clear(&store->noted);
    return result;
}
