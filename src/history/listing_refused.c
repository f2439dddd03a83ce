/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of what was not accepted as an event: conflicts and poison. Newest first. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "history/listing.h"
#include "history/reading.h"
#include "history/timeline.h"
#include "journal/duplicate_rows.h"
#include "journal/poison.h"

#include <stdlib.h>

#define ROWS_PER_LOOK 16                 /* at the clock; the bodies are read for their checksums */
#define PAGE_BYTES_MAX (4 * 1024 * 1024) /* of bodies and headers, except the last one */

/* Conflicts. */

static const char conflicts_text[] =
    "SELECT " CONFLICT_COLUMNS " FROM conflicts WHERE seq < ?1 ORDER BY seq DESC";
static const char conflicts_of_first_text[] =
    "SELECT " CONFLICT_COLUMNS
    " FROM conflicts WHERE first_event = ?2 AND seq < ?1 ORDER BY seq DESC";

static bool conflict_fits(const struct conflict_filter *filter, const struct conflict_row *row)
{
    return (!*filter->account || slice_equals_string(row->parts.account, filter->account)) &&
           (!*filter->partner || slice_equals_string(row->parts.partner, filter->partner)) &&
           (!filter->has_day || row->at_us / US_PER_DAY == filter->day);
}

static enum err add_conflict(
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

static enum err read_conflicts(struct journal_list_conflicts *list, struct sqlite3_stmt *statement,
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
        if (conflict_fits(filter, &row))
            result = add_conflict(list, &row, damaged);
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
        result = sql_prepare(source->db,
            list->filter.has_first ? conflicts_of_first_text : conflicts_text, &statement);
    if (!result)
        result = read_conflicts(list, statement, deadline_us, ret_over);
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

/* Poison. */

static const char poison_text[] =
    "SELECT " POISON_COLUMNS " FROM poison WHERE seq < ? ORDER BY seq DESC";

static void copy_text(struct slice from, char *ret_text, size_t size)
{
    size_t len = from.len < size ? from.len : size - 1;
    if (len)
        memcpy(ret_text, from.data, len);
    ret_text[len] = '\0';
}

static enum err add_poison(
    struct journal_list_poison *list, const struct poison_row *row, bool damaged)
{
    struct listed_poison *listed = &list->ret_poison[list->page.ret_count];
    *listed = (struct listed_poison){
        .at_us = row->at_us,
        .body_bytes = row->body_bytes,
        .headers_len = row->headers.len,
        .body_len = row->body.len,
        .damaged = damaged,
        .bytes = malloc(row->headers.len + row->body.len + 1),
    };
    if (!listed->bytes)
        return ERR_NO_MEMORY;
    copy_text(row->queue, listed->queue, sizeof listed->queue);
    copy_text(row->reason, listed->reason, sizeof listed->reason);
    copy_text(row->message_id, listed->message_id, sizeof listed->message_id);
    if (row->headers.len)
        memcpy(listed->bytes, row->headers.data, row->headers.len);
    if (row->body.len)
        memcpy(listed->bytes + row->headers.len, row->body.data, row->body.len);
    list->page.ret_count++;
    return OK;
}

static enum err read_poison(struct journal_list_poison *list, struct sqlite3_stmt *statement,
    int64_t deadline_us, bool *ret_over)
{
    struct sql_use use = sql_use(statement);
    bool there = false;
    enum err result = OK;
    sql_bind_int(&use, list->page.cursor.place ? list->page.cursor.id : INT64_MAX);
    *ret_over = false;
    while (!result && list->page.ret_count < list->page.count_max && list->bytes < PAGE_BYTES_MAX) {
        struct poison_row row;
        result = sql_step(&use, &there);
        *ret_over = !result && !there;
        if (result || !there)
            break;
        bool damaged = !poison_row_take(&use, &row);
        result = add_poison(list, &row, damaged);
        list->bytes += row.headers.len + row.body.len;
        list->page.cursor.place = 1;
        list->page.cursor.id = row.seq;
        if (clock_mono_us() >= deadline_us)
            break;
    }
    return result;
}

enum err listing_read_poison(
    struct timeline_source *source, struct journal_page *page, int64_t deadline_us, bool *ret_over)
{
    struct journal_list_poison *list = CONTAINER_OF(page, struct journal_list_poison, page);
    struct sqlite3_stmt *statement = NULL;
    enum err result = reading_begin(source->db);
    if (!result)
        result = sql_prepare(source->db, poison_text, &statement);
    if (!result)
        result = read_poison(list, statement, deadline_us, ret_over);
    sql_finalize(statement);
    reading_end(source->db);
    return result;
}

void journal_list_poison_done(struct journal_list_poison *list)
{
    for (unsigned i = 0; i < list->page.ret_count; i++)
        free(list->ret_poison[i].bytes);
    free(TAKE(list->ret_poison));
    list->page.ret_count = 0;
}
