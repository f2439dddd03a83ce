/* SPDX-License-Identifier: Apache-2.0 */
/* A page of conflicts. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "journal/conflict_rows.h"
#include "journal/listing.h"
#include "journal/reading.h"
#include "journal/timeline.h"

#define ROWS_PER_LOOK 16 /* at the clock; the bodies are read for their checksums */

static const char all_text[] =
    "SELECT " CONFLICT_COLUMNS " FROM conflicts WHERE seq < ?1 ORDER BY seq DESC";
static const char of_first_text[] =
    "SELECT " CONFLICT_COLUMNS
    " FROM conflicts WHERE first_event = ?2 AND seq < ?1 ORDER BY seq DESC";

static bool fits(const struct conflict_filter *filter, const struct conflict_row *row)
{
    return (!*filter->account || slice_equals_string(row->parts.account, filter->account)) &&
           (!*filter->partner || slice_equals_string(row->parts.partner, filter->partner)) &&
           (!filter->has_day || row->at_us / US_PER_DAY == filter->day);
}

static enum err add(
    struct journal_list_conflicts *list, const struct conflict_row *row, bool damaged)
{
    struct listed_conflict *listed = &list->ret_conflicts[list->page.ret_count];
    struct event_parts parts = row->parts;
    parts.id = row->first;
    parts.body = (struct slice){0};
    *listed = (struct listed_conflict){
        .at_us = row->at_us,
        .last_us = row->last_us,
        .times = row->times,
        .body_bytes = row->parts.body.len,
        .damaged = damaged,
    };
    enum err result = event_new(&parts, NULL, 0, &listed->event);
    if (!result)
        list->page.ret_count++;
    return result;
}

static enum err read_rows(struct journal_list_conflicts *list, struct sqlite3_stmt *statement,
    int64_t deadline_us, bool *ret_over)
{
    const struct conflict_filter *filter = &list->filter;
    struct sql_use use = sql_use(statement);
    bool there = false;
    enum err result = OK;
    sql_bind_int(&use, list->page.cursor.place ? list->page.cursor.id : INT64_MAX);
    if (filter->has_first)
        sql_bind_blob(&use, slice_of(filter->first.bytes, sizeof filter->first.bytes));
    *ret_over = false;
    for (unsigned rows = 1; !result && list->page.ret_count < list->page.count_max; rows++) {
        result = sql_step(&use, &there);
        *ret_over = !result && !there;
        if (result || !there)
            break;
        struct conflict_row row;
        bool damaged = !conflict_row_take(&use, &row);
        if (fits(filter, &row))
            result = add(list, &row, damaged);
        list->page.cursor.place = 1;
        list->page.cursor.id = row.seq;
        if (rows % ROWS_PER_LOOK == 0 && clock_mono_us() >= deadline_us)
            break;
    }
    return result;
}

enum err listing_read_conflicts(
    struct timeline_source *source, struct journal_page *page, int64_t deadline_us, bool *ret_over)
{
    struct journal_list_conflicts *list = CONTAINER_OF(page, struct journal_list_conflicts, page);
    struct sqlite3_stmt *statement = NULL;
    enum err result = reading_begin(source->db);
    if (!result)
        result =
            sql_prepare(source->db, list->filter.has_first ? of_first_text : all_text, &statement);
    if (!result)
        result = read_rows(list, statement, deadline_us, ret_over);
    sql_finalize(statement);
    reading_end(source->db);
    return result;
}

void journal_list_conflicts_done(struct journal_list_conflicts *list)
{
    for (unsigned i = 0; i < list->page.ret_count; i++)
        event_unref(list->ret_conflicts[i].event);
    free(TAKE(list->ret_conflicts));
    list->page.ret_count = 0;
}
