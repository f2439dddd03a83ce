/* SPDX-License-Identifier: Apache-2.0 */
#include "history/timeline.h"

#include "base/memory.h"
#include "history/reading.h"
#include "journal/delivery_row.h"
#include "journal/delivery_rows.h"
#include "model/placement.h"
#include "sqlite/database.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHE_KIB 512

/* The attempt that delivered is in the delivery's row. */
static const char *const texts[TIMELINE_STATEMENTS] = {
    [TIMELINE_DELIVERIES] =
        "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id BETWEEN ? AND ? ORDER BY id",
    [TIMELINE_ATTEMPTS] =
        "SELECT " ATTEMPT_COLUMNS " FROM attempts WHERE delivery BETWEEN ?1 AND ?2 UNION ALL"
        " SELECT " DELIVERED_ATTEMPT_COLUMNS
        " FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND started_us <> 0 ORDER BY 1, 2",
    [TIMELINE_ACTIONS] = "SELECT delivery, at_us, from_state, to_state, from_endpoint, "
                         "to_endpoint, note, actor FROM operator_actions"
                         " WHERE delivery BETWEEN ? AND ? ORDER BY seq",
};

enum err timeline_source_open(struct timeline_source *source, const char *directory, unsigned shard)
{
    *source = (struct timeline_source){0};
    enum err result = reading_open(directory, shard, CACHE_KIB, &source->db);
    if (!result)
        result = event_rows_init(&source->events, source->db);
    if (!result)
        result = alias_rows_init(&source->aliases, source->db);
    if (!result)
        result = sql_prepare_all(source->db, texts, TIMELINE_STATEMENTS, source->statements);
    if (result)
        timeline_source_close(source);
    return result;
}

void timeline_source_close(struct timeline_source *source)
{
    if (!source->db)
        return;
    event_rows_done(&source->events);
    alias_rows_done(&source->aliases);
    sql_finalize_all(source->statements, TIMELINE_STATEMENTS);
    sql_close(source->db);
    source->db = NULL;
}

void timeline_free(struct timeline *timeline)
{
    if (!timeline)
        return;
    event_unref(timeline->event);
    free(timeline->deliveries);
    free(timeline->attempts);
    free(timeline->actions);
    free(timeline);
}

/* Returns the array with room for one more entry; it may have moved. NULL: there is no memory. It
 * grows at each power of two. */
static void *make_room(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? realloc(array, (count ? count * 2 : 1) * size) : array;
}

static struct sql_use use_for_event(struct sqlite3_stmt *statement, int64_t seq)
{
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, placement_first_delivery(seq));
    sql_bind_int(&use, placement_last_delivery(seq));
    return use;
}

struct timeline_delivery timeline_delivery_of(const struct delivery_row *row, bool damaged)
{
    return (struct timeline_delivery){
        .damaged = damaged,
        .reason = row->reason,
        .changed_us = row->changed_us,
        .delivered_us = delivery_row_delivered_us(row),
        .replay = delivery_row_replay(row),
        .broker_owned = row->broker_owned,
        .delivery = {.id = row->id,
            .endpoint = row->endpoint,
            .state = row->state,
            .lane = row->lane,
            .generation = row->generation,
            .attempts = row->attempts,
            .failures = row->failures,
            .wait_cause = row->wait_cause,
            .due_us = row->due_us},
    };
}

static enum err read_deliveries(
    struct timeline_source *source, int64_t seq, struct timeline *timeline)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[TIMELINE_DELIVERIES], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct timeline_delivery *larger = make_room(
            timeline->deliveries, timeline->deliveries_count, sizeof timeline->deliveries[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        timeline->deliveries = larger;
        struct delivery_row found;
        bool damaged = !delivery_row_take(&use, 0, &found);
        timeline->deliveries[timeline->deliveries_count++] = timeline_delivery_of(&found, damaged);
    }
    sql_finish(&use);
    return result;
}

static enum err read_attempts(
    struct timeline_source *source, int64_t seq, struct timeline *timeline)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[TIMELINE_ATTEMPTS], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct timeline_attempt *larger =
            make_room(timeline->attempts, timeline->attempts_count, sizeof timeline->attempts[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        timeline->attempts = larger;
        struct timeline_attempt *attempt = &timeline->attempts[timeline->attempts_count++];
        /* An attempt is shown even when its row is damaged. */
        (void)attempt_row_take(&use, &attempt->delivery, &attempt->attempt);
    }
    sql_finish(&use);
    return result;
}

static enum err read_actions(struct timeline_source *source, int64_t seq, struct timeline *timeline)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[TIMELINE_ACTIONS], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct timeline_action *larger =
            make_room(timeline->actions, timeline->actions_count, sizeof timeline->actions[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        timeline->actions = larger;
        struct timeline_action *action = &timeline->actions[timeline->actions_count++];
        *action = (struct timeline_action){
            .delivery = sql_column_int(&use, 0),
            .at_us = sql_column_int(&use, 1),
            .from = (enum delivery_state)sql_column_int(&use, 2),
            .to = (enum delivery_state)sql_column_int(&use, 3),
            .from_endpoint = (uint64_t)sql_column_int(&use, 4),
            .to_endpoint = (uint64_t)sql_column_int(&use, 5),
            .actor = (enum action_actor)sql_column_int(&use, 7),
        };
        snprintf(action->note, sizeof action->note, "%.*s", SLICE_ARGS(sql_column_slice(&use, 6)));
    }
    sql_finish(&use);
    return result;
}

/* The number of the event of this id, or of the first one if it is an alias. */
static enum err find(struct timeline_source *source, const struct event_id *id, int64_t *ret_seq,
    bool *ret_is_of_first)
{
    struct event_id first;
    enum err result = event_rows_find(&source->events, id, ret_seq);
    if (result != ERR_NOT_FOUND)
        return result;
    result = alias_rows_find(&source->aliases, id, &first);
    *ret_is_of_first = !result;
    return result ? result : event_rows_find(&source->events, &first, ret_seq);
}

static enum err read_timeline(
    struct timeline_source *source, const struct event_id *id, struct timeline *timeline)
{
    int64_t seq;
    const struct event_reading reading = {.body_bytes_max = INT64_MAX, .may_lack_body = true};
    enum err result = find(source, id, &seq, &timeline->is_of_first);
    if (!result)
        result = event_rows_read(&source->events, seq, &reading, &timeline->event, NULL);
    if (!result)
        result = read_deliveries(source, seq, timeline);
    if (!result)
        result = read_attempts(source, seq, timeline);
    if (!result)
        result = read_actions(source, seq, timeline);
    return result;
}

enum err timeline_source_find(
    struct timeline_source *source, const struct event_id *id, struct timeline **ret_timeline)
{
    struct timeline *timeline;
    MEMORY_NEW(timeline);
    enum err result = reading_begin(source->db);
    if (!result)
        result = read_timeline(source, id, timeline);
    reading_end(source->db);
    if (result) {
        timeline_free(timeline);
        return result;
    }
    *ret_timeline = timeline;
    return OK;
}
