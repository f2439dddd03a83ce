/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit's walk through the history. Two statements, over events and over deliveries, step side
 * by side in order of their numbers. What they have for one number is a unit: an event and its
 * deliveries, which were written in one transaction and expire in one. A unit is counted as a
 * whole.
 *
 * A unit is counted for the day of its event. Its findings are noted by the first try that meets
 * it, so that a try that walks the same days again does not repeat them.
 */
#include "history/audit_internal.h"

#include "base/clock.h"
#include "journal/delivery_rows.h"
#include "journal/event_rows.h"
#include "journal/totals.h"
#include "model/placement.h"

#include <stdio.h>

#define UNITS_PER_LOOK 32 /* at the clock */

struct unit {
    int64_t seq;
    bool has_event, is_good;
    bool is_foreign; /* of an account that is not asked for: nothing else is read of it */
    struct event_parts parts;
    unsigned promised, count;
    struct delivery_row rows[ACCOUNT_ENDPOINTS_MAX];
    bool rows_are_good[ACCOUNT_ENDPOINTS_MAX];
};

struct walk {
    struct audit_run *run;
    struct sql_use events, deliveries;
    bool has_event, has_delivery; /* the statements have a row */
    int64_t event_seq;
    struct delivery_row row;
    bool row_is_good;
};

static enum err next_event(struct walk *walk)
{
    enum err result = sql_step(&walk->events, &walk->has_event);
    walk->event_seq = walk->has_event ? sql_column_int(&walk->events, 0) : INT64_MAX;
    return result;
}

static enum err next_delivery(struct walk *walk)
{
    enum err result = sql_step(&walk->deliveries, &walk->has_delivery);
    if (walk->has_delivery)
        walk->row_is_good = delivery_row_take(&walk->deliveries, 0, &walk->row);
    return result;
}

static int64_t delivery_seq(const struct walk *walk)
{
    return walk->has_delivery ? placement_event(walk->row.id) : INT64_MAX;
}

static void note_delivery(
    const struct audit_run *run, struct audit_finding *finding, int64_t seq, unsigned index)
{
    long long id = (long long)placement_delivery(seq, index);
    finding->index = (int)index;
    snprintf(finding->place, sizeof finding->place, "journal-%u.db, deliveries, id %lld",
        run->shard, id);
}

/* Findings about a unit are noted by the first try that meets it. */
static bool is_noted(const struct audit_run *run, int64_t seq)
{
    return seq > run->noted_after && seq <= run->noted_last;
}

static void note_of_delivery(struct audit_run *run, enum audit_kind kind, const struct unit *unit,
    const struct delivery_row *row, unsigned index)
{
    if (is_noted(run, unit->seq))
        return;
    struct audit_finding finding = audit_finding_of(kind, unit->has_event ? &unit->parts : NULL);
    finding.has_endpoint = kind == AUDIT_STRAY_DELIVERY; /* else the totals may know */
    finding.endpoint = finding.has_endpoint ? row->endpoint : 0;
    note_delivery(run, &finding, unit->seq, index);
    audit_note(run, &finding);
}

static void note_of_event(
    struct audit_run *run, enum audit_kind kind, const struct unit *unit, const char *table)
{
    if (is_noted(run, unit->seq))
        return;
    struct audit_finding finding = audit_finding_of(kind, &unit->parts);
    snprintf(finding.place, sizeof finding.place, "journal-%u.db, %s, seq %lld", run->shard, table,
        (long long)unit->seq);
    audit_note(run, &finding);
}

/* A delivery of the event to `endpoint`; or the event itself (TOTAL_EVENTS). */
static enum err count(
    struct audit_run *run, const struct unit *unit, uint64_t endpoint, enum audit_column column)
{
    const struct event_parts *parts = &unit->parts;
    const struct audit_key key = {
        .shard = run->shard,
        .day = parts->accepted_us / US_PER_DAY,
        .endpoint = endpoint,
        .account = parts->account,
        .currency = parts->amount.len ? parts->currency : (struct slice){0},
    };
    struct audit_entry *entry;
    struct audit_number one = {.count = 1};
    enum err result = audit_sums_get(&run->sums, &key, run->since, &entry);
    if (result)
        return result;
    if (!money_sum_add(&one.sum, parts->amount, 1))
        entry->overflow = true;
    audit_number_add(entry, &entry->row.columns[column], &one);
    if (run->is_tail)
        audit_number_add(entry, &entry->row.accepted, &one);
    else if (unit->seq > entry->since)
        entry->appended++;
    return OK;
}

static enum err check_body(struct audit_run *run, const struct unit *unit, bool must_be_there)
{
    struct sql_use use = sql_use(run->statements[ASK_BODY]);
    bool there;
    sql_bind_int(&use, unit->seq);
    enum err result = sql_step(&use, &there);
    if (!result && !there && must_be_there)
        note_of_event(run, AUDIT_MISSING_BODY, unit, "bodies");
    if (!result && there &&
        event_body_checksum(unit->seq, sql_column_slice(&use, 0)) != sql_column_int(&use, 1))
        note_of_event(run, AUDIT_DAMAGED_BODY, unit, "bodies");
    sql_finish(&use);
    if (result == ERR_DAMAGED) {
        note_of_event(run, AUDIT_DAMAGED_BODY, unit, "bodies");
        result = OK;
    }
    return result;
}

/* The deliveries of an event that is what was written, and is asked for. */
static enum err look_at_deliveries(struct audit_run *run, const struct unit *unit)
{
    unsigned there = 0;
    bool is_open = unit->promised == 0; /* in the outbox */
    enum err result = is_open ? OK : count(run, unit, TOTAL_EVENTS, AUDIT_DELIVERED);
    for (unsigned i = 0; i < unit->count && !result; i++) {
        const struct delivery_row *row = &unit->rows[i];
        unsigned index = placement_index(row->id);
        there |= 1u << index;
        if (index >= unit->promised) {
            note_of_delivery(run, AUDIT_STRAY_DELIVERY, unit, row, index);
        } else if (!unit->rows_are_good[i]) {
            note_of_delivery(run, AUDIT_DAMAGED_DELIVERY, unit, row, index);
        } else {
            is_open |= !delivery_state_is_final(row->state);
            result = count(
                run, unit, row->endpoint, audit_column_of(row->state, row->delivered_us != 0));
        }
    }
    for (unsigned index = 0; index < unit->promised; index++)
        if (!(there & 1u << index))
            note_of_delivery(run, AUDIT_MISSING_DELIVERY, unit, NULL, index);
    if (!result && (is_open || run->question.bodies))
        result = check_body(run, unit, is_open);
    return result;
}

static enum err look_at(struct audit_run *run, const struct unit *unit)
{
    if (unit->is_foreign)
        return OK;
    if (!unit->has_event) {
        for (unsigned i = 0; run->in_range && !*run->question.account && i < unit->count; i++)
            note_of_delivery(
                run, AUDIT_STRAY_DELIVERY, unit, &unit->rows[i], placement_index(unit->rows[i].id));
        return OK;
    }
    int64_t day = unit->parts.accepted_us / US_PER_DAY;
    bool in_range = day >= run->from_day && day <= run->to_day;
    if (!unit->is_good) { /* its day may be what is wrong */
        if (in_range || run->in_range)
            note_of_event(run, AUDIT_DAMAGED_EVENT, unit, "events");
        return OK;
    }
    run->in_range = in_range;
    return in_range ? look_at_deliveries(run, unit) : OK;
}

/* The next number that has an event or deliveries. The event's texts are valid until its statement
 * steps. */
static enum err take_unit(struct walk *walk, struct unit *unit)
{
    int64_t of_delivery = delivery_seq(walk);
    unit->seq = walk->event_seq < of_delivery ? walk->event_seq : of_delivery;
    unit->has_event = walk->has_event && walk->event_seq == unit->seq;
    unit->is_foreign = unit->is_good = false;
    unit->count = 0;
    if (unit->has_event) {
        int64_t seq;
        unit->is_foreign =
            !audit_asks_for_event(walk->run, sql_column_slice(&walk->events, EVENT_COLUMN_PARTNER),
                sql_column_slice(&walk->events, EVENT_COLUMN_ACCOUNT));
        if (!unit->is_foreign)
            unit->is_good = event_row_take(&walk->events, &seq, &unit->parts, &unit->promised);
    }
    enum err result = OK;
    while (!result && walk->has_delivery && delivery_seq(walk) == unit->seq) {
        unit->rows[unit->count] = walk->row;
        unit->rows_are_good[unit->count++] = walk->row_is_good;
        result = next_delivery(walk);
    }
    return result;
}

static enum err go(struct walk *walk, bool *ret_more)
{
    struct audit_run *run = walk->run;
    struct unit unit;
    enum err result = next_event(walk);
    if (!result)
        result = next_delivery(walk);
    for (unsigned units = 1; !result && (walk->has_event || walk->has_delivery); units++) {
        result = take_unit(walk, &unit);
        if (!result)
            result = look_at(run, &unit);
        if (result)
            break;
        run->cursor = unit.seq;
        if (unit.has_event)
            result = next_event(walk);
        if (units % UNITS_PER_LOOK == 0 && audit_time_is_up(run)) {
            *ret_more = true;
            break;
        }
    }
    return result;
}

enum err audit_walk(struct audit_run *run, int64_t last_seq, bool *ret_more)
{
    struct walk walk = {
        .run = run,
        .events = sql_use(run->statements[ASK_EVENTS]),
        .deliveries = sql_use(run->statements[ASK_DELIVERIES]),
    };
    *ret_more = false;
    if (run->cursor >= last_seq)
        return OK;
    int64_t seq_max = PLACEMENT_EVENT_MAX, last = last_seq < seq_max ? last_seq : seq_max;
    sql_bind_int(&walk.events, run->cursor);
    sql_bind_int(&walk.events, last);
    sql_bind_int(&walk.deliveries, placement_first_delivery(run->cursor + 1));
    sql_bind_int(&walk.deliveries, placement_last_delivery(last));
    enum err result = go(&walk, ret_more);
    sql_finish(&walk.events);
    sql_finish(&walk.deliveries);
    return result;
}
