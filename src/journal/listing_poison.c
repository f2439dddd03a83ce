/* SPDX-License-Identifier: Apache-2.0 */
/* A page of poison. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "journal/listing.h"
#include "journal/poison.h"
#include "journal/reading.h"
#include "journal/timeline.h"

#include <stdlib.h>

#define PAGE_BYTES_MAX (4 * 1024 * 1024) /* of bodies and headers, but for the last one */

static const char text[] = "SELECT " POISON_COLUMNS " FROM poison WHERE seq < ? ORDER BY seq DESC";

static void copy_text(struct slice from, char *ret_text, size_t size)
{
    size_t len = from.len < size ? from.len : size - 1;
    if (len)
        memcpy(ret_text, from.data, len);
    ret_text[len] = '\0';
}

static enum err add(struct journal_list_poison *list, const struct poison_row *row, bool damaged)
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

static enum err read_rows(struct journal_list_poison *list, struct sqlite3_stmt *statement,
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
        result = add(list, &row, damaged);
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
        result = sql_prepare(source->db, text, &statement);
    if (!result)
        result = read_rows(list, statement, deadline_us, ret_over);
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
