/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of deliveries. An index is read group by group (one endpoint; of parked ones, one endpoint
 * and reason): only within a group can SQLite seek to a row's number.
 */
#include "history/listing.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "history/reading.h"
#include "history/timeline.h"
#include "journal/delivery_rows.h"
#include "model/placement.h"

#define ROWS_PER_LOOK 16 /* at the clock */

/* States are written out, since a partial index serves only a query that says its condition
 * literally. */
#define GROUP(index, condition, behind)                                                 \
    "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY " index " WHERE " condition \
    " AND endpoint = ?1 "                                                               \
    "AND " behind
#define NEXT_GROUP(index, condition)                                            \
    "SELECT endpoint, -1 FROM deliveries INDEXED BY " index " WHERE " condition \
    " AND endpoint > ?1 ORDER BY "                                              \
    "endpoint LIMIT 1"

struct listed_index {
    const char *rows; /* of the group (?1, ?2) behind number ?3, or behind (?2, ?3) */
    const char *next; /* the group behind (?1, ?2): its endpoint, and where its keys begin */
};
#define OWN_PENDING "state = 0 AND broker_owned = 0 AND lane <> 2"
#define OWN_REPLAYS "state = 0 AND broker_owned = 0 AND lane = 2"
static const struct listed_index indexes[DELIVERY_STATES] = {
    [DELIVERY_PENDING] = {GROUP("deliveries_pending", OWN_PENDING, "id > ?3 ORDER BY id"),
        NEXT_GROUP("deliveries_pending", OWN_PENDING)},
    [DELIVERY_SENDING] = {GROUP("deliveries_sending", "state = 1", "id > ?3 ORDER BY id"),
        NEXT_GROUP("deliveries_sending", "state = 1")},
    [DELIVERY_WAITING] = {GROUP("deliveries_waiting", "state = 2",
                              "(due_us, id) > (?2, ?3) ORDER BY due_us, id"),
        NEXT_GROUP("deliveries_waiting", "state = 2")},
    [DELIVERY_PARKED] = {GROUP("deliveries_parked", "state = 3",
                             "reason = ?2 AND id > ?3 ORDER BY id"),
        "SELECT endpoint, reason FROM deliveries INDEXED BY deliveries_parked WHERE state = 3"
        " AND (endpoint, reason) > (?1, ?2) ORDER BY endpoint, reason LIMIT 1"},
    [DELIVERY_DEAD] = {GROUP("deliveries_dead", "state = 5", "id > ?3 ORDER BY id"),
        NEXT_GROUP("deliveries_dead", "state = 5")},
};
static const struct listed_index replays = {
    GROUP("deliveries_replay", OWN_REPLAYS, "id > ?3 ORDER BY id"),
    NEXT_GROUP("deliveries_replay", OWN_REPLAYS)};
static const char broker_owned_text[] =
    "SELECT " DELIVERY_COLUMNS " FROM deliveries INDEXED BY deliveries_broker_owned WHERE "
    "broker_owned = 1 AND state = 0 AND id > ?3"
    " ORDER BY id";
static const char events_text[] =
    "SELECT " EVENT_COLUMNS " FROM events WHERE seq <= ? AND seq > ? ORDER BY seq DESC";
static const char last_attempt_text[] =
    "SELECT " ATTEMPT_COLUMNS " FROM attempts WHERE delivery = ? ORDER BY number DESC LIMIT 1";
static const char deliveries_text[] =
    "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id >= ? AND id <= ? ORDER BY id DESC";

static_assert(DELIVERY_PENDING == 0 && DELIVERY_SENDING == 1 && DELIVERY_WAITING == 2 &&
                  DELIVERY_PARKED == 3 && DELIVERY_DEAD == 5 && LANE_REPLAY == 2,
    "the statements have these numbers in their text");

struct pager {
    struct timeline_source *source;
    struct journal_list *list;
    struct sqlite3_stmt *last_attempt;
    int64_t deadline_us;
    int64_t after_seq, last_seq; /* events that may be of the time that is asked for */
    unsigned looked;
    bool is_over; /* full, or the time is up */
};

static void look_at_clock(struct pager *pager)
{
    if (pager->list->page.ret_count == pager->list->page.count_max ||
        (++pager->looked % ROWS_PER_LOOK == 0 && clock_mono_us() >= pager->deadline_us))
        pager->is_over = true;
}

static bool row_fits(const struct delivery_filter *filter, const struct delivery_row *row)
{
    const struct delivery_filter_row asked = {.endpoint = row->endpoint,
        .state = row->state,
        .reason = row->reason,
        .was_delivered = row->delivered_us != 0};
    return delivery_filter_matches_row(filter, &asked);
}

/* Why the last attempt failed. Attempts are kept only of those that did, and the one that delivered
 * is in the row: a delivered row has no cause. */
static enum err read_cause(
    struct pager *pager, const struct delivery_row *row, enum attempt_cause *ret_cause)
{
    struct attempt attempt;
    struct sql_use use = sql_use(pager->last_attempt);
    int64_t delivery;
    bool there = false;
    *ret_cause = CAUSE_NONE;
    if (row->attempts == 0 || row->state == DELIVERY_DELIVERED)
        return OK;
    sql_bind_int(&use, row->id);
    enum err result = sql_step(&use, &there);
    if (!result && there && attempt_row_take(&use, &delivery, &attempt)) {
        const struct attempt_said said = attempt_said_of(&attempt);
        *ret_cause = attempt_cause_of(&said);
    }
    sql_finish(&use);
    return result;
}

/* Puts the row onto the page, if its event and its last attempt fit. A row without its event is
 * listed unless the filter asks for something of the event. */
static enum err offer(struct pager *pager, const struct delivery_row *row, bool damaged)
{
    static const struct event_reading reading = {.without_body = true};
    struct journal_list *list = pager->list;
    const struct delivery_filter *filter = &list->filter;
    struct event *event = NULL;
    enum attempt_cause cause;
    enum err result =
        event_rows_read(&pager->source->events, placement_event(row->id), &reading, &event, NULL);
    if (result && result != ERR_DAMAGED)
        return result;
    if (event ? !delivery_filter_matches_event(filter, &event->parts)
              : delivery_filter_asks_for_event(filter)) {
        event_unref(event);
        return OK;
    }
    result = read_cause(pager, row, &cause);
    if (result || (filter->cause && cause != filter->cause)) {
        event_unref(event);
        return result;
    }
    list->ret_deliveries[list->page.ret_count++] = (struct listed_delivery){
        .event = event,
        .cause = cause,
        .delivery = timeline_delivery_of(row, damaged),
    };
    return OK;
}

/* The index of a state. */

static int64_t key_of(const struct delivery_row *row)
{
    return row->state == DELIVERY_WAITING  ? row->due_us
           : row->state == DELIVERY_PARKED ? (int64_t)row->reason
                                           : -1;
}

/* As many of the cursor's parts as the statement has parameters. */
static struct sql_use use_at_cursor(
    struct sqlite3_stmt *statement, const struct listing_cursor *cursor)
{
    const int64_t parts[] = {cursor->endpoint, cursor->key, cursor->id};
    struct sql_use use = sql_use(statement);
    size_t count = (size_t)sql_parameters(statement);
    for (size_t i = 0; i < count && i < ARRAY_LENGTH(parts); i++)
        sql_bind_int(&use, parts[i]);
    return use;
}

static enum err read_group(struct pager *pager, struct sqlite3_stmt *rows)
{
    struct listing_cursor *cursor = &pager->list->page.cursor;
    struct sql_use use = use_at_cursor(rows, cursor);
    bool there = false;
    enum err result = OK;
    while (!result && !pager->is_over && !(result = sql_step(&use, &there)) && there) {
        struct delivery_row row;
        bool damaged = !delivery_row_take(&use, 0, &row);
        int64_t seq = placement_event(row.id);
        if (seq > pager->after_seq && seq <= pager->last_seq &&
            (damaged || row_fits(&pager->list->filter, &row)))
            result = offer(pager, &row, damaged);
        cursor->id = row.id;
        cursor->key = key_of(&row);
        look_at_clock(pager);
    }
    sql_finish(&use);
    return result;
}

static enum err enter_next_group(struct pager *pager, struct sqlite3_stmt *next, bool *ret_found)
{
    struct listing_cursor *cursor = &pager->list->page.cursor;
    const struct delivery_filter *filter = &pager->list->filter;
    struct sql_use use = use_at_cursor(next, cursor);
    enum err result = sql_step(&use, ret_found);
    if (!result && *ret_found) {
        cursor->endpoint = sql_column_int(&use, 0);
        cursor->key = sql_column_int(&use, 1);
        cursor->id = -1;
        *ret_found = !filter->has_endpoint || (uint64_t)cursor->endpoint == filter->endpoint;
    }
    sql_finish(&use);
    return result;
}

/* Behind the group before the first one. */
static void begin_index(struct pager *pager, unsigned place)
{
    const struct delivery_filter *filter = &pager->list->filter;
    struct listing_cursor *cursor = &pager->list->page.cursor;
    cursor->place = place;
    cursor->endpoint = filter->has_endpoint ? (int64_t)filter->endpoint - 1 : -1;
    cursor->key = cursor->id = INT64_MAX;
}

static enum err read_index(struct pager *pager, const struct listed_index *index, unsigned place)
{
    struct sqlite3 *db = pager->source->db;
    struct sqlite3_stmt *rows = NULL, *next = NULL;
    bool found = true;
    if (pager->list->page.cursor.place != place)
        begin_index(pager, place);
    enum err result = sql_prepare(db, index->rows, &rows);
    if (!result)
        result = sql_prepare(db, index->next, &next);
    while (!result && found) {
        result = read_group(pager, rows);
        if (result || pager->is_over)
            break;
        result = enter_next_group(pager, next, &found);
    }
    sql_finalize(rows);
    sql_finalize(next);
    return result;
}

/* What is the broker's and pending, whatever the endpoint: it is bounded by what may be unacked. */
static enum err read_held(struct pager *pager)
{
    struct listing_cursor *cursor = &pager->list->page.cursor;
    struct sqlite3_stmt *rows = NULL;
    if (cursor->place != LISTING_PLACE_BROKER_OWNED)
        *cursor = (struct listing_cursor){
            .shard = cursor->shard, .place = LISTING_PLACE_BROKER_OWNED, .id = -1};
    enum err result = sql_prepare(pager->source->db, broker_owned_text, &rows);
    if (!result)
        result = read_group(pager, rows);
    sql_finalize(rows);
    return result;
}

static enum err read_indexes(struct pager *pager)
{
    struct listing_cursor *cursor = &pager->list->page.cursor;
    enum err result = OK;
    for (unsigned state = cursor->place ? cursor->place - 1 : 0; state < DELIVERY_STATES; state++) {
        if (!(pager->list->filter.states & 1u << state))
            continue;
        result = read_index(pager, &indexes[state], 1 + state);
        if (result || pager->is_over)
            return result;
    }
    if (!(pager->list->filter.states & 1u << DELIVERY_PENDING))
        return result;
    if (cursor->place != LISTING_PLACE_BROKER_OWNED)
        result = read_index(pager, &replays, LISTING_PLACE_REPLAYS);
    return result || pager->is_over ? result : read_held(pager);
}

/* The history. */

static enum err read_event(struct pager *pager, struct sqlite3_stmt *deliveries, int64_t seq)
{
    struct listing_cursor *cursor = &pager->list->page.cursor;
    struct sql_use use = sql_use(deliveries);
    bool there = false;
    enum err result = OK;
    sql_bind_int(&use, placement_first_delivery(seq));
    sql_bind_int(&use, cursor->id - 1);
    while (!result && !pager->is_over && !(result = sql_step(&use, &there)) && there) {
        struct delivery_row row;
        bool damaged = !delivery_row_take(&use, 0, &row);
        if (damaged ? !pager->list->filter.states : row_fits(&pager->list->filter, &row))
            result = offer(pager, &row, damaged);
        cursor->id = row.id;
        look_at_clock(pager);
    }
    sql_finish(&use);
    return result;
}

static enum err read_history(struct pager *pager)
{
    struct sqlite3_stmt *events = NULL, *deliveries = NULL;
    struct listing_cursor *cursor = &pager->list->page.cursor;
    const int64_t id_max = placement_first_delivery(INT64_MAX / ACCOUNT_ENDPOINTS_MAX);
    bool there = false;
    if (!cursor->place)
        *cursor = (struct listing_cursor){
            .shard = cursor->shard, .place = LISTING_PLACE_HISTORY, .id = id_max};
    enum err result = sql_prepare(pager->source->db, events_text, &events);
    if (!result)
        result = sql_prepare(pager->source->db, deliveries_text, &deliveries);
    struct sql_use use = sql_use(events);
    if (!result) {
        int64_t seq_max = placement_event(cursor->id - 1);
        sql_bind_int(&use, seq_max < pager->last_seq ? seq_max : pager->last_seq);
        sql_bind_int(&use, pager->after_seq);
    }
    while (!result && !pager->is_over && !(result = sql_step(&use, &there)) && there) {
        struct event_parts parts;
        int64_t seq;
        unsigned promised;
        bool good = event_row_take(&use, &seq, &parts, &promised);
        if (cursor->id > placement_first_delivery(seq + 1))
            cursor->id = placement_first_delivery(seq + 1);
        if (!good || delivery_filter_matches_event(
                         &pager->list->filter, &parts)) /* a damaged one is judged again */
            result = read_event(pager, deliveries, seq);
        if (!result && !pager->is_over) {
            cursor->id = placement_first_delivery(seq);
            look_at_clock(pager);
        }
    }
    sql_finalize(events);
    sql_finalize(deliveries);
    return result;
}

static bool is_by_index(const struct delivery_filter *filter)
{
    const unsigned indexed =
        DELIVERY_STATES_IN_PROGRESS | 1u << DELIVERY_PARKED | 1u << DELIVERY_DEAD;
    return filter->states && !(filter->states & ~indexed);
}

static bool cursor_fits(const struct journal_list *list)
{
    unsigned place = list->page.cursor.place;
    if (place == 0)
        return true;
    if (!is_by_index(&list->filter))
        return place == LISTING_PLACE_HISTORY && list->page.cursor.id > 0;
    bool is_pending = place == LISTING_PLACE_BROKER_OWNED || place == LISTING_PLACE_REPLAYS;
    unsigned state = is_pending ? DELIVERY_PENDING : place - 1;
    return state < DELIVERY_STATES && list->filter.states & 1u << state;
}

enum err listing_read(
    struct timeline_source *source, struct journal_page *page, int64_t deadline_us, bool *ret_over)
{
    struct journal_list *list = CONTAINER_OF(page, struct journal_list, page);
    struct pager pager = {
        .source = source, .list = list, .deadline_us = deadline_us, .last_seq = INT64_MAX};
    const struct delivery_filter *filter = &list->filter;
    if (!cursor_fits(list))
        return ERR_INVALID;
    enum err result = reading_begin(source->db);
    if (!result)
        result = sql_prepare(source->db, last_attempt_text, &pager.last_attempt);
    if (!result && (filter->since_us || filter->until_us))
        result = reading_find_range(source->db, filter->since_us,
            filter->until_us ? filter->until_us : INT64_MAX, &pager.after_seq, &pager.last_seq);
    if (!result)
        result = is_by_index(filter) ? read_indexes(&pager) : read_history(&pager);
    sql_finalize(pager.last_attempt);
    reading_end(source->db);
    *ret_over = !pager.is_over;
    return result;
}

void journal_list_done(struct journal_list *list)
{
    for (unsigned i = 0; i < list->page.ret_count; i++)
        event_unref(list->ret_deliveries[i].event);
    free(TAKE(list->ret_deliveries));
    list->page.ret_count = 0;
}
