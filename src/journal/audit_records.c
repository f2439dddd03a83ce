/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside the history: the checksums of attempts, operators' actions and conflicts; and
 * what is lost. */
#include "journal/audit_internal.h"

#include "base/clock.h"
#include "journal/attempt_row.h"
#include "journal/checksum.h"
#include "journal/conflict_rows.h"
#include "journal/event_rows.h"
#include "journal/lost.h"
#include "model/placement.h"

#include <stdio.h>

#define ROWS_PER_LOOK 32 /* at the clock */

/* Notes a row that belongs to a delivery, if its event is asked for. An event that is not there any
 * more is told of by others; who asks for one account is not told of what nobody knows whose it is.
 * */
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
                            audit_asks_for_account(run, parts.account)
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
        run->at = placement_last_delivery(run->told_after);
        run->at_number = INT64_MAX;
    }
    sql_bind_int(&use, run->at);
    sql_bind_int(&use, run->at_number);
    sql_bind_int(&use, placement_first_delivery(run->told_last + 1));
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

/* delivery, at_us, from_state, to_state, generation, from_endpoint, to_endpoint, note, crc, seq */
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
    return checksum_action(&before, &after, sql_column_slice(use, 7), sql_column_int(use, 1)) ==
           sql_column_int(use, 8);
}

enum err audit_check_actions(struct audit_run *run, bool *ret_more)
{
    struct sql_use use = sql_use(run->statements[ASK_ACTIONS]);
    bool row = false;
    enum err result;
    sql_bind_int(&use, run->at);
    for (unsigned rows = 1; !(result = sql_step(&use, &row)) && row; rows++) {
        run->at = sql_column_int(&use, 9);
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
    if (good || !audit_asks_for_day(run, day) || !audit_asks_for_account(run, row.parts.account))
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

/* Whose an event was that never came is not known: who asks for one account is not told. In one
 * step, since what is beyond the findings that are named is only counted. */
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
