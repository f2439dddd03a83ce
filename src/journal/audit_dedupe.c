/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dedupe store against the history: an event that the dedupe store knows, and that is too young
 * to have expired, must be there. The dedupe store is kept apart from the events, and says of one
 * that is gone at least its id, and with it the time.
 */
#include "journal/audit_internal.h"

#include "base/clock.h"
#include "dedupe/segment.h"
#include "journal/reading.h"

#include <stdio.h>

#define ROWS_PER_LOOK 64 /* at the clock */

/* An id may have been made under a clock that was held, or set, against the acceptance that the
 * expiry goes by. */
#define ID_AHEAD_US READING_DISORDER_US

/* The first 48 bits of a UUIDv7. */
static int64_t time_of(const struct event_id *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms * US_PER_MS;
}

static void note_row(struct audit_run *run, enum audit_kind kind, const struct dedupe_row *row)
{
    struct audit_finding finding = audit_finding_of(kind, NULL);
    if (row->event.len == sizeof finding.event.bytes) {
        finding.has_event = true;
        memcpy(finding.event.bytes, row->event.data, row->event.len);
    }
    finding.day = run->segment_day;
    audit_set_text(finding.amount, sizeof finding.amount, row->amount);
    audit_set_text(finding.currency, sizeof finding.currency, row->currency);
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, %.*s, row %lld", run->shard,
        AUDIT_SEGMENT_BYTES, run->segment, (long long)row->number);
    audit_note(run, &finding);
}

static enum err check_row(struct audit_run *run, const struct sql_use *use)
{
    struct dedupe_row row;
    struct event_id event;
    int64_t seq;
    bool good = dedupe_row_take(run->segment, use, &row);
    run->at = row.number;
    if (!good) {
        note_row(run, AUDIT_DAMAGED_DEDUPE, &row);
        return OK;
    }
    memcpy(event.bytes, row.event.data, sizeof event.bytes);
    if (time_of(&event) <= run->horizon_us)
        return OK;
    struct sql_use find = sql_use(run->statements[ASK_EVENT_OF_ID]);
    sql_bind_blob(&find, row.event);
    enum err result = sql_execute_int(&find, &seq);
    if (result == ERR_NOT_FOUND) {
        note_row(run, AUDIT_MISSING_EVENT, &row);
        result = OK;
    }
    return result;
}

static void leave_segment(struct audit_run *run)
{
    sql_finalize(run->segment_rows);
    run->segment_rows = NULL;
}

/* The next segment of a day that is asked for; none leaves `segment_rows` NULL. */
static enum err enter_next_segment(struct audit_run *run)
{
    struct sql_use use = sql_use(run->statements[ASK_NEXT_SEGMENT]);
    bool there = false;
    enum err result;
    sql_bind_text(&use, slice_from_string(run->segment));
    while (!(result = sql_step(&use, &there)) && there && !run->segment_rows) {
        struct dedupe_segment *segment;
        char name[AUDIT_SEGMENT_BYTES], text[160];
        audit_set_text(name, sizeof name, sql_column_slice(&use, 0));
        if (dedupe_segment_from_name(name, &segment) != OK)
            continue;
        run->segment_day = segment->day;
        dedupe_segment_free(segment);
        if (!audit_asks_for_day(run, run->segment_day))
            continue;
        snprintf(text, sizeof text,
            "SELECT " DEDUPE_ROW_COLUMNS " FROM %s WHERE row > ? ORDER BY row", name);
        result = sql_prepare(run->db, text, &run->segment_rows);
        if (result)
            break;
        memcpy(run->segment, name, sizeof name);
        run->at = 0;
    }
    sql_finish(&use);
    return result;
}

/* The rest of the segment, as far as time allows. */
static enum err check_segment(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->segment_rows);
    bool row = false;
    enum err result;
    sql_bind_int(&use, run->at);
    for (unsigned rows = 1; !(result = sql_step(&use, &row)) && row; rows++) {
        result = check_row(run, &use);
        *ret_more = rows % ROWS_PER_LOOK == 0 && audit_time_is_up(run);
        if (result || *ret_more)
            break;
    }
    sql_finish(&use);
    if (result == ERR_BUG) /* there is no such table any more: it has expired */
        result = OK;
    return result;
}

static void note_unreadable(struct audit_run *run)
{
    struct audit_finding finding = audit_finding_of(AUDIT_UNREADABLE, NULL);
    finding.day = run->segment_day;
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, %.*s, behind row %lld",
        run->shard, AUDIT_SEGMENT_BYTES, run->segment, (long long)run->at);
    audit_note(run, &finding);
}

enum err audit_check_dedupe(struct audit_run *run, bool *ret_more)
{
    int64_t history_us;
    enum err result =
        *run->question.account ? OK : reading_meta(run->db, "history_us", INT64_MIN, &history_us);
    if (result || *run->question.account) /* a key does not say whose it is */
        return result;
    run->horizon_us = history_us > INT64_MAX - ID_AHEAD_US ? INT64_MAX : history_us + ID_AHEAD_US;
    while (!result && !*ret_more) {
        if (!run->segment_rows)
            result = enter_next_segment(run);
        if (result || !run->segment_rows)
            break;
        result = check_segment(run, ret_more);
        if (result == ERR_DAMAGED) {
            note_unreadable(run);
            result = OK;
            *ret_more = false;
        }
        if (!*ret_more)
            leave_segment(run);
    }
    return result;
}
