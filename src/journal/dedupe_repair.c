/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/dedupe_repair.h"

#include "dedupe/segment.h"
#include "journal/store.h"
#include "model/placement.h"
#include "runtime/log.h"

#define EVENTS_PER_STEP 1000

/* One segment's walk through the events of its day. */
struct mending {
    struct store *store;
    struct dedupe_segment *segment;
    struct sqlite3_stmt *list; /* numbers of the day's events, behind one of them */
    int64_t after;
    unsigned entered;
    bool complete; /* every event of the day could be read */
};

/* The first event of the history that is kept, or INT64_MIN: all of it is. */
static enum err history_begins_us(struct store *store, int64_t *ret_us)
{
    *ret_us = INT64_MIN;
    enum err result =
        sql_read_int(store->db, "SELECT value FROM meta WHERE key = 'history_us'", ret_us);
    return result == ERR_NOT_FOUND ? OK : result;
}

/* A conflict that was found late was never entered: the key belongs to the first event, even if the
 * first event cannot be read any more. */
static enum err is_conflict(struct store *store, int64_t seq, bool *ret_conflict)
{
    struct delivery_row row;
    enum err result = delivery_rows_read(&store->deliveries, placement_first_delivery(seq), &row);
    *ret_conflict = !result && row.state == DELIVERY_PARKED && row.reason == PARK_CONFLICT;
    return result == ERR_NOT_FOUND || result == ERR_DAMAGED ? OK : result;
}

static enum err mend_event(struct mending *mending, int64_t seq)
{
    static const struct event_reading reading = {.without_body = true};
    struct store *store = mending->store;
    struct event *event;
    unsigned deliveries;
    enum err result = event_rows_read(&store->events, seq, &reading, &event, &deliveries);
    if (result == ERR_DAMAGED) {
        mending->complete = false;
        return OK;
    }
    if (result)
        return result;
    const struct event_parts *parts = &event->parts;
    int64_t days_kept = parts->class == CLASS_CRITICAL ? DEDUPE_CRITICAL_DAYS : DEDUPE_OTHER_DAYS;
    struct dedupe_key key;
    enum dedupe_finding finding = DEDUPE_DUPLICATE;
    struct event_id first;
    bool is_late = false;
    bool is_in_dedupe = parts->key.len && deliveries > 0; /* not what is in the outbox */
    if (is_in_dedupe && days_kept == mending->segment->days_kept) {
        dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &key);
        result = dedupe_look_up(&store->dedupe, &key, event, &finding, &first);
    }
    if (!result && finding != DEDUPE_DUPLICATE)
        result = is_conflict(store, seq, &is_late);
    if (!result && !is_late && (finding == DEDUPE_NEW || finding == DEDUPE_DAMAGED)) {
        mending->entered++;
        result = dedupe_add(&store->dedupe, &key, event);
    }
    event_unref(event);
    return result;
}

/* The next events of the day; false in *ret_more at its end. */
static enum err mend_some(struct mending *mending, bool *ret_more)
{
    int64_t seqs[EVENTS_PER_STEP];
    unsigned count = 0;
    bool row = false;
    struct sql_use use = sql_use(mending->list);
    enum err result;
    sql_bind_int(&use, mending->after);
    sql_bind_int(&use, mending->segment->day * US_PER_DAY);
    sql_bind_int(&use, (mending->segment->day + 1) * US_PER_DAY - 1);
    sql_bind_int(&use, EVENTS_PER_STEP);
    while (!(result = sql_step(&use, &row)) && row && count < EVENTS_PER_STEP)
        seqs[count++] = sql_column_int(&use, 0);
    sql_finish(&use);
    for (unsigned i = 0; i < count && !result; i++)
        result = mend_event(mending, seqs[i]);
    if (count > 0)
        mending->after = seqs[count - 1];
    *ret_more = count == EVENTS_PER_STEP;
    return result;
}

static enum err walk(struct mending *mending)
{
    bool more = true;
    enum err result = OK;
    while (!result && more) {
        result = store_begin(mending->store);
        if (!result)
            result = mend_some(mending, &more);
        if (!result)
            result = store_commit(mending->store);
    }
    return result;
}

static enum err mend_segment(struct store *store, struct dedupe_segment *segment)
{
    struct mending mending = {.store = store, .segment = segment, .complete = true};
    int64_t kept_from_us;
    enum err result = history_begins_us(store, &kept_from_us);
    if (result || segment->day * US_PER_DAY <= kept_from_us)
        return result;
    result = sql_prepare(store->db,
        "SELECT seq FROM events WHERE seq > ? AND accepted_us BETWEEN ? AND ? ORDER BY seq LIMIT ?",
        &mending.list);
    if (!result)
        result = walk(&mending);
    sql_finalize(mending.list);
    if (result == ERR_DAMAGED) { /* of a page of the events: the doubt stays */
        (void)!store_roll_back(store);
        return OK;
    }
    if (result)
        return result;
    if (mending.complete)
        dedupe_segment_mended(segment);
    log_warn("the dedupe store was repaired from the events of the day segment=%s "
             "keys_added=%u complete=%s",
        segment->name, mending.entered,
        mending.complete ? "yes" : "\"no: some events of the day cannot be read\"");
    return OK;
}

enum err dedupe_repair(struct store *store)
{
    enum err result = OK;
    /* Mending may make segments, which come before the ones that are being looked at. */
    for (size_t i = store->dedupe.count; i > 0 && !result; i--) {
        size_t count = store->dedupe.count;
        if (store->dedupe.segments[i - 1]->unreadable)
            result = mend_segment(store, store->dedupe.segments[i - 1]);
        i += store->dedupe.count - count;
    }
    return result;
}
