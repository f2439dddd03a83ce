/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/story.h"

#include "journal/attempt_row.h"
#include "journal/delivery_rows.h"
#include "journal/reading.h"

#include <stdio.h>
#include <stdlib.h>

#define CACHE_KIB 512

/* The attempt that delivered stands in the delivery's row. */
static const char *const texts[STORY_STATEMENTS] = {
    [STORY_DELIVERIES] = "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id BETWEEN ? AND ? ORDER BY id",
    [STORY_ATTEMPTS] = "SELECT " ATTEMPT_COLUMNS " FROM attempts WHERE delivery BETWEEN ?1 AND ?2 UNION ALL"
                       " SELECT id, attempts, started_us, duration_us, http_status, 'ok', 1, 0, 1, 0, 0, NULL, 0"
                       " FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND started_us <> 0 ORDER BY 1, 2",
    [STORY_ACTS] = "SELECT delivery, at_us, from_state, to_state, from_endpoint, to_endpoint, note FROM acts"
                   " WHERE delivery BETWEEN ? AND ? ORDER BY seq",
    [STORY_CENSUS] = "SELECT 0, (SELECT count(*) FROM deliveries WHERE state = 0 AND held = 0)"
                     " + (SELECT count(*) FROM deliveries WHERE held = 1 AND state = 0) UNION ALL"
                     " SELECT 1, count(*) FROM deliveries WHERE state = 1 UNION ALL"
                     " SELECT 2, count(*) FROM deliveries WHERE state = 2 UNION ALL"
                     " SELECT 3, count(*) FROM deliveries WHERE state = 3",
};

enum err story_source_open(struct story_source *source, const char *directory, unsigned shard)
{
    *source = (struct story_source){0};
    enum err result = reading_open(directory, shard, CACHE_KIB, &source->db);
    if (!result)
        result = event_rows_init(&source->events, source->db);
    if (!result)
        result = alias_rows_init(&source->aliases, source->db);
    if (!result)
        result = sql_prepare_all(source->db, texts, STORY_STATEMENTS, source->statements);
    if (result)
        story_source_close(source);
    return result;
}

void story_source_close(struct story_source *source)
{
    if (!source->db)
        return;
    event_rows_done(&source->events);
    alias_rows_done(&source->aliases);
    sql_finalize_all(source->statements, STORY_STATEMENTS);
    sqlite3_close(source->db);
    source->db = NULL;
}

void story_free(struct story *story)
{
    if (!story)
        return;
    event_unref(story->event);
    free(story->deliveries);
    free(story->attempts);
    free(story->acts);
    free(story);
}

/* The array with room for one more, which may have moved; NULL when there is no memory. It grows at each power of two.
 */
static void *make_room(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? realloc(array, (count ? count * 2 : 1) * size) : array;
}

static struct sql_use use_for_event(sqlite3_stmt *statement, int64_t seq)
{
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, seq * ACCOUNT_ENDPOINTS_MAX);
    sql_bind_int(&use, seq * ACCOUNT_ENDPOINTS_MAX + ACCOUNT_ENDPOINTS_MAX - 1);
    return use;
}

struct story_delivery story_delivery_of(const struct delivery_row *row, bool damaged)
{
    return (struct story_delivery){
        .damaged = damaged,
        .reason = row->reason,
        .settled_us = row->settled_us,
        .delivered_us = delivery_row_delivered_us(row),
        .replay = delivery_row_replay(row),
        .held = row->held,
        .delivery = {.id = row->id,
            .endpoint = row->endpoint,
            .state = row->state,
            .lane = row->lane,
            .generation = row->generation,
            .attempts = row->attempts,
            .failures = row->failures,
            .due_us = row->due_us},
    };
}

static enum err read_deliveries(struct story_source *source, int64_t seq, struct story *story)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[STORY_DELIVERIES], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct story_delivery *larger =
            make_room(story->deliveries, story->deliveries_count, sizeof story->deliveries[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        story->deliveries = larger;
        struct delivery_row found;
        bool damaged = !delivery_row_take(&use, 0, &found);
        story->deliveries[story->deliveries_count++] = story_delivery_of(&found, damaged);
    }
    sql_finish(&use);
    return result;
}

static enum err read_attempts(struct story_source *source, int64_t seq, struct story *story)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[STORY_ATTEMPTS], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct story_attempt *larger = make_room(story->attempts, story->attempts_count, sizeof story->attempts[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        story->attempts = larger;
        struct story_attempt *attempt = &story->attempts[story->attempts_count++];
        (void)attempt_row_take(&use, &attempt->delivery, &attempt->attempt); /* a person judges what is odd */
    }
    sql_finish(&use);
    return result;
}

static enum err read_acts(struct story_source *source, int64_t seq, struct story *story)
{
    bool row = false;
    enum err result;
    struct sql_use use = use_for_event(source->statements[STORY_ACTS], seq);
    while (!(result = sql_step(&use, &row)) && row) {
        struct story_act *larger = make_room(story->acts, story->acts_count, sizeof story->acts[0]);
        if (!larger) {
            result = ERR_NO_MEMORY;
            break;
        }
        story->acts = larger;
        struct story_act *act = &story->acts[story->acts_count++];
        *act = (struct story_act){
            .delivery = sql_column_int(&use, 0),
            .at_us = sql_column_int(&use, 1),
            .from = (enum delivery_state)sql_column_int(&use, 2),
            .to = (enum delivery_state)sql_column_int(&use, 3),
            .from_endpoint = (uint64_t)sql_column_int(&use, 4),
            .to_endpoint = (uint64_t)sql_column_int(&use, 5),
        };
        snprintf(act->note, sizeof act->note, "%.*s", SLICE_ARGS(sql_column_slice(&use, 6)));
    }
    sql_finish(&use);
    return result;
}

/* The number of the event of this id, or of the first one if it is an alias. */
static enum err find(struct story_source *source, const struct event_id *id, int64_t *ret_seq, bool *ret_is_of_first)
{
    struct event_id first;
    enum err result = event_rows_find(&source->events, id, ret_seq);
    if (result != ERR_NOT_FOUND)
        return result;
    result = alias_rows_find(&source->aliases, id, &first);
    *ret_is_of_first = !result;
    return result ? result : event_rows_find(&source->events, &first, ret_seq);
}

static enum err read_story(struct story_source *source, const struct event_id *id, struct story *story)
{
    int64_t seq;
    const struct event_reading reading = {.body_bytes_max = INT64_MAX, .may_lack_body = true};
    enum err result = find(source, id, &seq, &story->is_of_first);
    if (!result)
        result = event_rows_read(&source->events, seq, &reading, &story->event, NULL);
    if (!result)
        result = read_deliveries(source, seq, story);
    if (!result)
        result = read_attempts(source, seq, story);
    if (!result)
        result = read_acts(source, seq, story);
    return result;
}

enum err story_source_find(struct story_source *source, const struct event_id *id, struct story **ret_story)
{
    struct story *story = calloc(1, sizeof *story);
    if (!story)
        return ERR_NO_MEMORY;
    enum err result = reading_begin(source->db);
    if (!result)
        result = read_story(source, id, story);
    reading_end(source->db);
    if (result) {
        story_free(story);
        return result;
    }
    *ret_story = story;
    return OK;
}

enum err story_source_count(struct story_source *source, int64_t counts[DELIVERY_STATES])
{
    int64_t found[DELIVERY_STATES] = {0};
    bool row = false;
    enum err result;
    struct sql_use use = sql_use(source->statements[STORY_CENSUS]);
    while (!(result = sql_step(&use, &row)) && row)
        found[sql_column_int(&use, 0)] = sql_column_int(&use, 1);
    sql_finish(&use);
    for (int state = 0; !result && state < DELIVERY_STATES; state++)
        counts[state] += found[state];
    return result;
}
