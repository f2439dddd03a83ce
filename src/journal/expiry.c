/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/expiry.h"

#include "base/clock.h"
#include "journal/store.h"
#include "model/placement.h"
#include "sqlite/sql.h"

#define ROUND_US (600 * US_PER_SECOND)
#define PUT_OFF_US (10 * US_PER_SECOND)
#define DOUBTFUL_US (7 * US_PER_DAY)
#define BODIES_PER_STEP 512
#define EVENTS_PER_STEP 128
#define CONFLICTS_PER_STEP 256
#define ALIASES_PER_STEP 256

static_assert(DELIVERY_DELIVERED == 4 && DELIVERY_DISCARDED == 6,
    "the statements have these numbers in their text");

static const char *const texts[EXPIRY_STATEMENTS] = {
    [EXPIRY_LIST_BODIES] =
        "SELECT b.seq, e.accepted_us FROM bodies b LEFT JOIN events e ON e.seq = b.seq"
        " WHERE b.seq > ? ORDER BY b.seq LIMIT ?",
    /* What its event promises and is not there counts as open: the body is all that is left of it.
     * So does what promises nothing, which waits for the broker. */
    [EXPIRY_HAS_OPEN] =
        "SELECT coalesce((SELECT max(deliveries, 1) FROM events WHERE seq = ?3), 0) > count(*)"
        " FROM deliveries"
        " WHERE id BETWEEN ?1 AND ?2 AND state IN (4, 6)",
    [EXPIRY_DROP_BODY] = "DELETE FROM bodies WHERE seq = ?",
    [EXPIRY_LIST_EVENTS] = "SELECT seq, accepted_us FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
    [EXPIRY_LIST_DELIVERIES] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id BETWEEN ? AND ? ORDER BY id",
    [EXPIRY_DROP_DELIVERIES] = "DELETE FROM deliveries WHERE id BETWEEN ? AND ?",
    [EXPIRY_DROP_ATTEMPTS] = "DELETE FROM attempts WHERE delivery BETWEEN ? AND ?",
    [EXPIRY_DROP_ACTIONS] = "DELETE FROM operator_actions WHERE delivery BETWEEN ? AND ?",
    [EXPIRY_DROP_EVENT] = "DELETE FROM events WHERE seq = ?",
    [EXPIRY_DROP_CONFLICTS] =
        "DELETE FROM conflicts WHERE seq IN (SELECT seq FROM conflicts ORDER BY seq LIMIT ?)"
        " AND last_us < ?",
    [EXPIRY_DROP_ALIASES] =
        "DELETE FROM aliases WHERE id IN (SELECT id FROM aliases WHERE at_us < ?"
        " ORDER BY at_us LIMIT ?)",
    /* The newest event that has expired: up to it the dedupe store has events that the history has
     * not. */
    [EXPIRY_NOTE] =
        "INSERT INTO meta(key, value) VALUES('history_us', ?) ON CONFLICT(key) DO UPDATE"
        " SET value = max(value, excluded.value)",
};

enum err expiry_init(struct expiry *expiry, struct sqlite3 *db, const struct expiry_policy *policy)
{
    *expiry = (struct expiry){.policy = *policy};
    return sql_prepare_all(db, texts, EXPIRY_STATEMENTS, expiry->statements);
}

void expiry_done(struct expiry *expiry)
{
    sql_finalize_all(expiry->statements, EXPIRY_STATEMENTS);
}

bool expiry_is_due(const struct expiry *expiry, int64_t now_us)
{
    return now_us >= expiry->next_round_us;
}

void expiry_put_off(struct expiry *expiry, int64_t now_us)
{
    expiry->next_round_us = now_us + PUT_OFF_US;
}

bool expiry_is_doubtful(int64_t newest_us, int64_t now_us)
{
    return newest_us != 0 && now_us - newest_us > DOUBTFUL_US;
}

static void bind_range(struct sql_use *use, int64_t first_seq, int64_t last_seq)
{
    sql_bind_int(use, placement_first_delivery(first_seq));
    sql_bind_int(use, placement_last_delivery(last_seq));
}

static enum err drop_one(struct sqlite3_stmt *statement, int64_t seq)
{
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, seq);
    return sql_execute(&use);
}

static enum err drop_range(struct sqlite3_stmt *statement, int64_t seq)
{
    struct sql_use use = sql_use(statement);
    bind_range(&use, seq, seq);
    return sql_execute(&use);
}

/* The numbers of the next events (or bodies) behind `after` that were accepted before `cutoff_us`,
 * in order. */
static enum err list_old(struct sqlite3_stmt *statement, int64_t after, unsigned count_max,
    int64_t cutoff_us, int64_t *ret_seqs, int64_t *ret_newest_us, unsigned *ret_count)
{
    struct sql_use use = sql_use(statement);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(&use, after);
    sql_bind_int(&use, count_max);
    while (!(result = sql_step(&use, &row)) && row && count < count_max) {
        int64_t accepted_us = sql_column_int(&use, 1); /* 0 for a body without an event */
        if (accepted_us >= cutoff_us)
            break;
        if (accepted_us > *ret_newest_us)
            *ret_newest_us = accepted_us;
        ret_seqs[count++] = sql_column_int(&use, 0);
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}

/* Asked for each by itself: between two bodies that were kept may lie a quarter of a year of
 * deliveries. */
static enum err has_open(struct expiry *expiry, int64_t seq, bool *ret_open)
{
    struct sql_use use = sql_use(expiry->statements[EXPIRY_HAS_OPEN]);
    int64_t open;
    bind_range(&use, seq, seq);
    sql_bind_int(&use, seq);
    enum err result = sql_execute_int(&use, &open);
    if (!result)
        *ret_open = open != 0;
    return result;
}

static enum err drop_body_if_over(struct expiry *expiry, int64_t seq)
{
    bool open;
    enum err result = has_open(expiry, seq, &open);
    return result || open ? result : drop_one(expiry->statements[EXPIRY_DROP_BODY], seq);
}

/* Each phase does one step and says whether there may be more of it. */

static enum err expire_dedupe(struct store *store, int64_t now_us, bool *ret_more)
{
    return dedupe_expire(&store->dedupe, now_us, ret_more);
}

static enum err expire_bodies(struct store *store, int64_t now_us, bool *ret_more)
{
    struct expiry *expiry = &store->expiry;
    int64_t seqs[BODIES_PER_STEP], newest_us = 0, cutoff_us = now_us - expiry->policy.bodies_us;
    unsigned count;
    if (expiry->policy.bodies_us == 0)
        return OK;
    enum err result = list_old(expiry->statements[EXPIRY_LIST_BODIES], expiry->bodies_after,
        BODIES_PER_STEP, cutoff_us, seqs, &newest_us, &count);
    if (result || count == 0)
        return result;
    expiry->bodies_after = seqs[count - 1];
    *ret_more = count == BODIES_PER_STEP;
    for (unsigned i = 0; i < count && !result; i++)
        result = drop_body_if_over(expiry, seqs[i]);
    return result;
}

/* The deliveries of one event; false in *ret_over when one of them is open, missing or damaged. */
static enum err read_deliveries(struct expiry *expiry, int64_t seq, unsigned expected,
    struct delivery_row ret_rows[ACCOUNT_ENDPOINTS_MAX], bool *ret_over)
{
    struct sql_use use = sql_use(expiry->statements[EXPIRY_LIST_DELIVERIES]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    bind_range(&use, seq, seq);
    *ret_over = true;
    while (!(result = sql_step(&use, &row)) && row && *ret_over) {
        struct delivery_row *it = &ret_rows[count];
        *ret_over = count++ < expected && delivery_row_take(&use, 0, it) &&
                    (it->state == DELIVERY_DELIVERED || it->state == DELIVERY_DISCARDED);
    }
    sql_finish(&use);
    *ret_over = *ret_over && count == expected && count > 0;
    return result;
}

static enum err drop_event(struct store *store, int64_t seq)
{
    static const enum expiry_statement ranges[] = {
        EXPIRY_DROP_DELIVERIES, EXPIRY_DROP_ATTEMPTS, EXPIRY_DROP_ACTIONS};
    struct sqlite3_stmt **statements = store->expiry.statements;
    enum err result = OK;
    for (size_t i = 0; i < ARRAY_LENGTH(ranges) && !result; i++)
        result = drop_range(statements[ranges[i]], seq);
    if (!result)
        result = drop_one(statements[EXPIRY_DROP_BODY], seq);
    return result ? result : drop_one(statements[EXPIRY_DROP_EVENT], seq);
}

/* What expires leaves its number in the totals. */
static void move_into_totals(struct store *store, const struct event_parts *parts,
    const struct delivery_row *rows, unsigned count)
{
    int64_t now_us = clock_mono_us();
    for (unsigned i = 0; i < count; i++) {
        enum total_column column =
            rows[i].state == DELIVERY_DELIVERED ? TOTAL_DELIVERED : TOTAL_DISCARDED;
        totals_add(&store->totals, parts, rows[i].endpoint, column, 1, now_us);
    }
    totals_add(&store->totals, parts, TOTAL_EVENTS, TOTAL_DELIVERED, 1, now_us);
}

/* One event of the history, if all its deliveries are final. A damaged one stays, and the audit
 * names it. */
static enum err expire_event(struct store *store, int64_t seq, bool *ret_dropped)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *event;
    unsigned expected;
    enum err result = event_rows_read(&store->events, seq, &reading, &event, &expected);
    if (result)
        return result == ERR_DAMAGED ? OK : result;
    struct delivery_row rows[ACCOUNT_ENDPOINTS_MAX];
    bool over;
    result = read_deliveries(&store->expiry, seq, expected, rows, &over);
    if (!result && over)
        move_into_totals(store, &event->parts, rows, expected);
    if (!result && over)
        result = drop_event(store, seq);
    *ret_dropped |= !result && over;
    event_unref(event);
    return result;
}

static enum err expire_history(struct store *store, int64_t now_us, bool *ret_more)
{
    struct expiry *expiry = &store->expiry;
    int64_t seqs[EVENTS_PER_STEP], newest_us = 0, cutoff_us = now_us - expiry->policy.history_us;
    unsigned count;
    bool dropped = false;
    if (expiry->policy.history_us == 0 || store->totals.given_up) /* its sums would be lost */
        return OK;
    enum err result = list_old(expiry->statements[EXPIRY_LIST_EVENTS], expiry->history_after,
        EVENTS_PER_STEP, cutoff_us, seqs, &newest_us, &count);
    if (result || count == 0)
        return result;
    expiry->history_after = seqs[count - 1];
    *ret_more = count == EVENTS_PER_STEP;
    for (unsigned i = 0; i < count && !result; i++) {
        result = expire_event(store, seqs[i], &dropped);
        bool is_last = i + 1 == count;
        if (!result && (is_last || seqs[i] / EVENT_KEYS_CHUNK != seqs[i + 1] / EVENT_KEYS_CHUNK))
            result = event_keys_expire(&store->keys, seqs[i]);
    }
    if (result || !dropped)
        return result;
    totals_demand(&store->totals);
    return drop_one(expiry->statements[EXPIRY_NOTE], newest_us);
}

static enum err expire_conflicts(struct store *store, int64_t now_us, bool *ret_more)
{
    if (store->expiry.policy.history_us == 0)
        return OK;
    struct sql_use use = sql_use(store->expiry.statements[EXPIRY_DROP_CONFLICTS]);
    sql_bind_int(&use, CONFLICTS_PER_STEP);
    sql_bind_int(&use, now_us - store->expiry.policy.history_us);
    enum err result = sql_execute(&use);
    *ret_more = !result && sql_changes(store->db) == CONFLICTS_PER_STEP;
    return result;
}

static enum err expire_aliases(struct store *store, int64_t now_us, bool *ret_more)
{
    if (store->expiry.policy.history_us == 0)
        return OK;
    struct sql_use use = sql_use(store->expiry.statements[EXPIRY_DROP_ALIASES]);
    sql_bind_int(&use, now_us - store->expiry.policy.history_us);
    sql_bind_int(&use, ALIASES_PER_STEP);
    enum err result = sql_execute(&use);
    *ret_more = !result && sql_changes(store->db) == ALIASES_PER_STEP;
    return result;
}

static enum err (*const phases[EXPIRY_PHASES])(
    struct store *store, int64_t now_us, bool *ret_more) = {
    [EXPIRY_DEDUPE] = expire_dedupe,
    [EXPIRY_BODIES] = expire_bodies,
    [EXPIRY_HISTORY] = expire_history,
    [EXPIRY_CONFLICTS] = expire_conflicts,
    [EXPIRY_ALIASES] = expire_aliases,
};

enum err expiry_step(struct store *store, int64_t now_us)
{
    struct expiry *expiry = &store->expiry;
    if (expiry->phase == 0 && now_us / US_PER_DAY != expiry->round_day) {
        expiry->round_day = now_us / US_PER_DAY;
        expiry->bodies_after = expiry->history_after = 0;
    }
    bool more = false;
    int64_t bodies_after = expiry->bodies_after, history_after = expiry->history_after;
    enum err result = phases[expiry->phase](store, now_us, &more);
    bool gave_way = result == ERR_DAMAGED && event_keys_gave_way(&store->keys);
    if (result && (result != ERR_DAMAGED || gave_way)) { /* the step is repeated */
        expiry->bodies_after = bodies_after;
        expiry->history_after = history_after;
        return result;
    }
    if (more)
        return result;
    if (result == ERR_DAMAGED && expiry->phase == EXPIRY_DEDUPE)
        return result; /* it remembers which segment it was */
    expiry->phase++;
    if (expiry->phase == EXPIRY_PHASES) {
        expiry->phase = EXPIRY_DEDUPE;
        expiry->next_round_us = now_us + ROUND_US;
    }
    return result;
}
