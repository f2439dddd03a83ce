/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases beside the walk: the checksums of attempts, operators' actions and conflicts; lost
 * events; and the dedupe store against the history. An event that the dedupe store holds and that
 * is too young to have expired must be there. The dedupe store is kept apart from the events: of an
 * event that is gone it still has the id, and with it the time.
 */
#include "history/audit_internal.h"

#include "base/clock.h"
#include "dedupe/segment.h"
#include "history/reading.h"
#include "journal/delivery_row.h"
#include "journal/duplicate_rows.h"
#include "journal/event_rows.h"
#include "journal/lost.h"
#include "model/placement.h"

#include <stdio.h>

#define ROWS_PER_LOOK 32 /* at the clock */
#define DEDUPE_ROWS_PER_LOOK 64

/* The time in an id and the time of acceptance, which expiry uses, may be of different clocks. */
#define ID_AHEAD_US READING_DISORDER_US

/* Notes a row of a delivery, if its event is asked for. A row without its event belongs to no
 * account: only an audit of all accounts names it. */
static enum err note_record(
    struct audit_run *run, enum audit_kind kind, int64_t delivery, const char *place)
{
    struct sql_use use = sql_use(run->statements[ASK_EVENT]);
    struct event_parts parts;
    int64_t seq;
    unsigned promised;
    bool there;
    sql_bind_int(&use, placement_event(delivery));
    enum err result = sql_step(&use, &there);
    bool good = !result && there && event_row_take(&use, &seq, &parts, &promised);
    if (result == ERR_DAMAGED)
        result = OK;
    bool asked = good ? audit_asks_for_day(run, parts.accepted_us / US_PER_DAY) &&
                            audit_asks_for_event(run, parts.partner, parts.account)
                      : !*run->question.account;
    if (!result && asked) {
        struct audit_finding finding = audit_finding_of(kind, good ? &parts : NULL);
        finding.index = (int)placement_index(delivery);
        snprintf(finding.place, sizeof finding.place, "journal-%u.db, %s", run->shard, place);
        audit_note(run, &finding);
    }
    sql_finish(&use);
    return result;
}

enum err audit_check_attempts(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->statements[ASK_ATTEMPTS]);
    bool row = false;
    enum err result;
    if (run->at == 0) { /* behind all of the last event that was left out */
        run->at = placement_last_delivery(run->noted_after);
        run->at_number = INT64_MAX;
    }
    sql_bind_int(&use, run->at);
    sql_bind_int(&use, run->at_number);
    sql_bind_int(&use, placement_first_delivery(run->noted_last + 1));
    for (unsigned rows = 1; !(result = sql_step(&use, &row)) && row; rows++) {
        struct attempt attempt;
        bool good = attempt_row_take(&use, &run->at, &attempt);
        run->at_number = attempt.number;
        if (!good) {
            char place[AUDIT_PLACE_BYTES];
            snprintf(place, sizeof place, "attempts, delivery %lld, number %u", (long long)run->at,
                attempt.number);
            result = note_record(run, AUDIT_DAMAGED_ATTEMPT, run->at, place);
        }
        *ret_more = rows % ROWS_PER_LOOK == 0 && audit_time_is_up(run);
        if (result || *ret_more)
            break;
    }
    sql_finish(&use);
    return result;
}

/* delivery, at_us, from_state, to_state, generation, from_endpoint, to_endpoint, actor, note, crc,
 * seq */
static bool action_is_good(const struct sql_use *use)
{
    const struct delivery_row before = {
        .state = (enum delivery_state)sql_column_int(use, 2),
        .endpoint = (uint64_t)sql_column_int(use, 5),
    };
    const struct delivery_row after = {
        .id = sql_column_int(use, 0),
        .state = (enum delivery_state)sql_column_int(use, 3),
        .generation = (uint32_t)sql_column_int(use, 4),
        .endpoint = (uint64_t)sql_column_int(use, 6),
    };
    return action_row_checksum(&before, &after, (enum action_actor)sql_column_int(use, 7),
               sql_column_slice(use, 8), sql_column_int(use, 1)) == sql_column_int(use, 9);
}

enum err audit_check_actions(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->statements[ASK_ACTIONS]);
    bool row = false;
    enum err result;
    sql_bind_int(&use, run->at);
    for (unsigned rows = 1; !(result = sql_step(&use, &row)) && row; rows++) {
        run->at = sql_column_int(&use, 10);
        if (!action_is_good(&use)) {
            char place[AUDIT_PLACE_BYTES];
            snprintf(place, sizeof place, "operator_actions, seq %lld", (long long)run->at);
            result = note_record(run, AUDIT_DAMAGED_ACTION, sql_column_int(&use, 0), place);
        }
        *ret_more = rows % ROWS_PER_LOOK == 0 && audit_time_is_up(run);
        if (result || *ret_more)
            break;
    }
    sql_finish(&use);
    return result;
}

static void check_conflict(struct audit_run *run, const struct sql_use *use)
{
    struct conflict_row row;
    bool good = conflict_row_take(use, &row);
    int64_t day = row.at_us / US_PER_DAY;
    run->at = row.seq;
    if (good || !audit_asks_for_day(run, day) ||
        !audit_asks_for_event(run, row.parts.partner, row.parts.account))
        return;
    row.parts.id = row.first;
    struct audit_finding finding = audit_finding_of(AUDIT_DAMAGED_CONFLICT, &row.parts);
    finding.accepted_us = 0;
    finding.day = day;
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, conflicts, seq %lld", run->shard,
        (long long)row.seq);
    audit_note(run, &finding);
}

enum err audit_check_conflicts(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->statements[ASK_CONFLICTS]);
    bool row = false;
    enum err result;
    sql_bind_int(&use, run->at);
    for (unsigned rows = 1; !(result = sql_step(&use, &row)) && row; rows++) {
        check_conflict(run, &use);
        *ret_more = rows % ROWS_PER_LOOK == 0 && audit_time_is_up(run);
        if (*ret_more)
            break;
    }
    sql_finish(&use);
    return result;
}

/* The account of an event that never arrived is not known: only an audit of all accounts names it.
 * In one step, since findings beyond those that are named are only counted. */
enum err audit_check_lost(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->statements[ASK_LOST]);
    bool row = false;
    enum err result = OK;
    *ret_more = false;
    while (!*run->question.account && !(result = sql_step(&use, &row)) && row) {
        struct event_id id;
        int64_t found_us;
        char found[CLOCK_TEXT_BYTES];
        bool good = lost_row_take(&use, &id, &found_us);
        struct audit_finding finding = audit_finding_of(AUDIT_LOST, NULL);
        finding.has_event = good;
        finding.event = id;
        finding.accepted_us = good ? event_id_time_us(&id) : 0;
        finding.day = finding.accepted_us / US_PER_DAY;
        if (good && !audit_asks_for_day(run, finding.day))
            continue;
        clock_format_rfc3339(found_us, found);
        snprintf(finding.place, sizeof finding.place, "partition %u, found %s, journal-%u.db, lost",
            event_id_partition(&id), found, run->shard);
        audit_note(run, &finding);
    }
    sql_finish(&use);
    return result;
}

/* The dedupe store. */

/* The first 48 bits of a UUIDv7. */
static int64_t time_of(const struct event_id *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms * US_PER_MS;
}

static void note_dedupe_row(
    struct audit_run *run, enum audit_kind kind, const struct dedupe_row *row)
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

static enum err check_dedupe_row(struct audit_run *run, const struct sql_use *use)
{
    struct dedupe_row row;
    struct event_id event;
    int64_t seq;
    bool good = dedupe_row_take(run->segment, use, &row);
    run->at = row.number;
    if (!good) {
        note_dedupe_row(run, AUDIT_DAMAGED_DEDUPE, &row);
        return OK;
    }
    memcpy(event.bytes, row.event.data, sizeof event.bytes);
    if (time_of(&event) <= run->horizon_us)
        return OK;
    struct sql_use find = sql_use(run->statements[ASK_EVENT_OF_ID]);
    sql_bind_blob(&find, row.event);
    enum err result = sql_execute_int(&find, &seq);
    if (result == ERR_NOT_FOUND) {
        note_dedupe_row(run, AUDIT_MISSING_EVENT, &row);
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
        result = check_dedupe_row(run, &use);
        *ret_more = rows % DEDUPE_ROWS_PER_LOOK == 0 && audit_time_is_up(run);
        if (result || *ret_more)
            break;
    }
    sql_finish(&use);
    if (result == ERR_BUG) /* there is no such table any more: it has expired */
        result = OK;
    return result;
}

static void note_unreadable_segment(struct audit_run *run)
{
    struct audit_finding finding = audit_finding_of(AUDIT_UNREADABLE, NULL);
    finding.day = run->segment_day;
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, %.*s, after row %lld", run->shard,
        AUDIT_SEGMENT_BYTES, run->segment, (long long)run->at);
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
            note_unreadable_segment(run);
            result = OK;
            *ret_more = false;
        }
        if (!*ret_more)
            leave_segment(run);
    }
    return result;
}
