/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/outbox.h"

#include "journal/store.h"
#include "runtime/log.h"

static const char *const texts[OUTBOX_STATEMENTS] = {
    [OUTBOX_COUNT] = "SELECT count(*) FROM outbox",
    [OUTBOX_ADD] = "INSERT INTO outbox(seq) VALUES(?)",
    [OUTBOX_LIST] = "SELECT seq FROM outbox WHERE seq > ? ORDER BY seq",
    [OUTBOX_DROP] = "DELETE FROM outbox WHERE seq = ?",
    [OUTBOX_DROP_BODY] = "DELETE FROM bodies WHERE seq = ?",
    [OUTBOX_DROP_EVENT] = "DELETE FROM events WHERE seq = ?",
};

enum err outbox_init(struct outbox *outbox, struct sqlite3 *db)
{
    *outbox = (struct outbox){0};
    enum err result = sql_prepare_all(db, texts, OUTBOX_STATEMENTS, outbox->statements);
    struct sql_use use = sql_use(outbox->statements[OUTBOX_COUNT]);
    return result ? result : sql_execute_int(&use, &outbox->count);
}

void outbox_done(struct outbox *outbox)
{
    sql_finalize_all(outbox->statements, OUTBOX_STATEMENTS);
}

void outbox_committed(struct outbox *outbox)
{
    outbox->count += outbox->change;
    outbox->change = 0;
}

void outbox_rolled_back(struct outbox *outbox)
{
    outbox->change = 0;
}

static enum err run_with(struct outbox *outbox, enum outbox_statement statement, int64_t seq)
{
    struct sql_use use = sql_use(outbox->statements[statement]);
    sql_bind_int(&use, seq);
    return sql_execute(&use);
}

enum err outbox_add(struct store *store, const struct event *event)
{
    int64_t seq = store->next_seq;
    enum err result = event_rows_add(&store->events, seq, event, 0);
    if (result)
        return result == ERR_EXISTS ? OK : result;
    result = event_keys_add(&store->keys, seq, event->parts.key);
    if (result)
        return result;
    store->next_seq++;
    store->outbox.change++;
    totals_pass(&store->totals, store->now_mono_us);
    return run_with(&store->outbox, OUTBOX_ADD, seq);
}

/* ERR_TOO_LARGE and ERR_OVERLOADED: the answer ends before it. */
static enum err load_one(
    struct store *store, struct journal_load_outbox *load, int64_t seq, int64_t *bytes_left)
{
    const struct event_reading reading = {
        .budget = load->budget,
        .budget_share_percent = load->budget_share_percent,
        .body_bytes_max = *bytes_left,
    };
    struct journal_outbox_entry *entry = &load->ret_entries[load->ret_count];
    enum err result = event_rows_read(&store->events, seq, &reading, &entry->event, NULL);
    if (result == ERR_DAMAGED) {
        log_error("an event of the outbox is damaged: it is not sent, and stays in the outbox "
                  "shard=%u event_number=%lld",
            store->shard, (long long)seq);
        return OK;
    }
    if (result)
        return result;
    entry->number = seq;
    *bytes_left -= (int64_t)entry->event->parts.body.len;
    load->ret_count++;
    return OK;
}

enum err store_load_outbox(struct store *store, struct request *request)
{
    struct journal_load_outbox *load = CONTAINER_OF(request, struct journal_load_outbox, request);
    int64_t bytes_left = load->bytes_max;
    bool row = false;
    enum err result = OK;
    load->ret_count = 0;
    load->ret_left = store->outbox.count + store->outbox.change;
    struct sql_use use = sql_use(store->outbox.statements[OUTBOX_LIST]);
    sql_bind_int(&use, load->after_event);
    while (!result && load->ret_count < load->count_max && !(result = sql_step(&use, &row)) && row)
        result = load_one(store, load, sql_column_int(&use, 0), &bytes_left);
    sql_finish(&use);
    return result == ERR_TOO_LARGE || result == ERR_OVERLOADED ? OK : result;
}

void store_undo_load_outbox(struct request *request)
{
    struct journal_load_outbox *load = CONTAINER_OF(request, struct journal_load_outbox, request);
    for (unsigned i = 0; i < load->ret_count; i++)
        event_unref(load->ret_entries[i].event);
    load->ret_count = 0;
    load->ret_left = 0;
}

/* A number that is not in the outbox any more is passed over. */
static enum err clear_one(struct store *store, int64_t seq)
{
    struct outbox *outbox = &store->outbox;
    enum err result = run_with(outbox, OUTBOX_DROP, seq);
    if (result || sql_changes(store->db) == 0)
        return result;
    outbox->change--;
    result = run_with(outbox, OUTBOX_DROP_BODY, seq);
    return result ? result : run_with(outbox, OUTBOX_DROP_EVENT, seq);
}

enum err store_clear_outbox(struct store *store, struct request *request)
{
    const struct journal_clear_outbox *clear =
        CONTAINER_OF(request, struct journal_clear_outbox, request);
    enum err result = OK;
    for (unsigned i = 0; i < clear->count && !result; i++)
        result = clear_one(store, clear->numbers[i]);
    for (unsigned i = 0; i < clear->count && !result; i++)
        if (i + 1 == clear->count ||
            clear->numbers[i] / EVENT_KEYS_CHUNK != clear->numbers[i + 1] / EVENT_KEYS_CHUNK)
            result = event_keys_expire(&store->keys, clear->numbers[i]);
    return result;
}
