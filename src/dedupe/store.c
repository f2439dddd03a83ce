/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/store.h"

#include "base/crypto.h"
#include "base/limits.h"
#include "base/memory.h"
#include "dedupe/segment.h"
#include "runtime/log.h"
#include "sqlite/sql.h"

#include <stdio.h>
#include <stdlib.h>

#define TABLE_NAME_BYTES 64 /* a longer one is no segment */

/* The latest segment is the first. The dedupe store owns it from now on. */
static void insert_segment(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    if (dedupe->count == dedupe->capacity) {
        dedupe->capacity = dedupe->capacity ? dedupe->capacity * 2 : 16;
        dedupe->segments =
            memory_resize(dedupe->segments, dedupe->capacity * sizeof dedupe->segments[0]);
    }
    size_t at = dedupe->count++;
    for (; at > 0 && dedupe_segment_is_later(segment, dedupe->segments[at - 1]); at--)
        dedupe->segments[at] = dedupe->segments[at - 1];
    dedupe->segments[at] = segment;
}

static void remove_segment(struct dedupe_store *dedupe, size_t at)
{
    dedupe_segment_free(dedupe->segments[at]);
    for (dedupe->count--; at < dedupe->count; at++)
        dedupe->segments[at] = dedupe->segments[at + 1];
}

static enum err find_segments(struct dedupe_store *dedupe, bool *ret_has_filters)
{
    struct sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(dedupe->db,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'dedupe_*'", &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    *ret_has_filters = false;
    while (!result && !(result = sql_step(&use, &row)) && row) {
        struct dedupe_segment *segment;
        char name[TABLE_NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", SLICE_ARGS(sql_column_slice(&use, 0)));
        if (strcmp(name, "dedupe_filters") == 0) {
            *ret_has_filters = true;
        } else if (dedupe_segment_from_name(name, &segment) == OK) {
            insert_segment(dedupe, segment);
        }
    }
    sql_finalize(statement);
    return result;
}

/* Nothing is called after a failure, so that sql_reason still holds for the caller. */
static enum err check_forms(struct dedupe_store *dedupe)
{
    for (size_t i = 0; i < dedupe->count; i++) {
        enum err result = dedupe_segment_check_form(dedupe, dedupe->segments[i]);
        if (result) {
            log_error("a segment of the dedupe store is of another version segment=%s "
                      "reason=%s",
                dedupe->segments[i]->name, sql_reason(dedupe->db));
            return result;
        }
    }
    return OK;
}

enum err dedupe_init(struct dedupe_store *dedupe, struct sqlite3 *db)
{
    *dedupe = (struct dedupe_store){.db = db, .segment_keys_max = DEDUPE_SEGMENT_KEYS_MAX};
    crypto_random(dedupe->seed.bytes, sizeof dedupe->seed.bytes);
    struct sqlite3_stmt *filters = NULL;
    bool has_filters, seen_critical = false, seen_other = false;
    enum err result = find_segments(dedupe, &has_filters);
    if (!result)
        result = check_forms(dedupe);
    if (!result && has_filters)
        result = sql_prepare(db, DEDUPE_SEGMENT_FILTER, &filters);
    if (result == ERR_BUG) /* the table does not have the columns that we read */
        result = ERR_DAMAGED;
    for (size_t i = 0; i < dedupe->count && !result; i++) {
        struct dedupe_segment *segment = dedupe->segments[i];
        bool *seen = segment->days_kept == DEDUPE_CRITICAL_DAYS ? &seen_critical : &seen_other;
        segment->state = SEGMENT_CLOSED;
        if (filters)
            result = dedupe_segment_load(segment, filters);
        if (!result && segment->state != SEGMENT_SEALED)
            result = dedupe_segment_scan(dedupe, segment, !*seen);
        *seen = true;
    }
    sql_finalize(filters);
    return result;
}

void dedupe_done(struct dedupe_store *dedupe)
{
    for (size_t i = 0; i < dedupe->count; i++)
        dedupe_segment_free(dedupe->segments[i]);
    free(dedupe->segments);
    sql_finalize(dedupe->find_bucket);
    *dedupe = (struct dedupe_store){0};
}

/* Whether a segment's retention has ended. */
static bool has_expired(const struct dedupe_segment *segment, int64_t today)
{
    return today - segment->day > segment->days_kept;
}

enum err dedupe_look_up(struct dedupe_store *dedupe, const struct dedupe_key *key,
    const struct event *event, enum dedupe_finding *ret_finding, struct event_id *ret_first)
{
    struct dedupe_entry entry;
    dedupe_entry_init(&entry, key, event);
    bool in_doubt = false;
    int64_t today = event->parts.accepted_us / US_PER_DAY;
    struct event_id first;
    for (size_t i = 0; i < dedupe->count; i++)
        key_filter_prefetch(&dedupe->segments[i]->filter, key);
    for (size_t i = 0; i < dedupe->count; i++) {
        struct dedupe_segment *segment = dedupe->segments[i];
        enum dedupe_finding finding;
        bool may_hold = segment->filter_in_part || key_filter_may_hold(&segment->filter, key);
        if (segment->dropped || segment->expiring || !may_hold)
            continue;
        if (segment->unreadable &&
            has_expired(segment, today)) /* its doubt ends here, dropped or not */
            continue;
        enum err result = dedupe_segment_find(dedupe, segment, &entry, &finding, &first);
        if (result)
            return result;
        if (finding == DEDUPE_DUPLICATE || finding == DEDUPE_CONFLICT) {
            *ret_finding = finding;
            *ret_first = first;
            return OK;
        }
        in_doubt |= finding == DEDUPE_DAMAGED; /* another segment may know it for certain */
    }
    *ret_finding = in_doubt ? DEDUPE_DAMAGED : DEDUPE_NEW;
    return OK;
}

/* Makes a segment, and seals the open ones of its retention that are earlier. */
static enum err make_segment(struct dedupe_store *dedupe, int64_t day, int64_t days_kept,
    unsigned part, struct dedupe_segment **ret_segment)
{
    struct dedupe_segment *segment = dedupe_segment_new(day, days_kept, part);
    insert_segment(dedupe, segment);
    enum err result = dedupe_segment_make(dedupe, segment);
    for (size_t i = 0; i < dedupe->count && !result; i++) {
        struct dedupe_segment *other = dedupe->segments[i];
        if (other->state == SEGMENT_OPEN && !other->sealed && !other->dropped && !other->expiring &&
            other->days_kept == days_kept && dedupe_segment_is_later(segment, other))
            result = dedupe_segment_seal(dedupe, other);
    }
    if (!result)
        *ret_segment = segment;
    return result;
}

/* The segment that takes the keys of a day. Only the day's latest part can. A dropped part keeps
 * its number for the rest of the transaction, since its table is gone only after the commit. */
static enum err segment_of_day(struct dedupe_store *dedupe, int64_t day, int64_t days_kept,
    struct dedupe_segment **ret_segment)
{
    unsigned part = 0;
    for (size_t i = 0; i < dedupe->count && dedupe->segments[i]->day >= day; i++) {
        struct dedupe_segment *segment = dedupe->segments[i];
        if (segment->day != day || segment->days_kept != days_kept)
            continue;
        bool takes_keys = segment->state == SEGMENT_OPEN && !segment->sealed && !segment->dropped &&
                          !segment->expiring;
        if (takes_keys && segment->keys < dedupe->segment_keys_max) {
            *ret_segment = segment;
            return OK;
        }
        part = segment->part + 1;
        break;
    }
    return make_segment(dedupe, day, days_kept, part, ret_segment);
}

bool dedupe_is_in_doubt(const struct dedupe_store *dedupe)
{
    for (size_t i = 0; i < dedupe->count; i++)
        if (dedupe->segments[i]->unreadable && !dedupe->segments[i]->dropped)
            return true;
    return false;
}

enum err dedupe_add(
    struct dedupe_store *dedupe, const struct dedupe_key *key, const struct event *event)
{
    struct dedupe_segment *segment;
    struct dedupe_entry entry;
    dedupe_entry_init(&entry, key, event);
    int64_t days_kept =
        event->parts.class == CLASS_CRITICAL ? DEDUPE_CRITICAL_DAYS : DEDUPE_OTHER_DAYS;
    enum err result =
        segment_of_day(dedupe, event->parts.accepted_us / US_PER_DAY, days_kept, &segment);
    return result ? result : dedupe_segment_add(dedupe, segment, &entry);
}

enum err dedupe_expire(struct dedupe_store *dedupe, int64_t now_us, bool *ret_worked)
{
    int64_t today = now_us / US_PER_DAY;
    *ret_worked = false;
    for (size_t i = dedupe->count; i > 0; i--) {
        struct dedupe_segment *segment = dedupe->segments[i - 1];
        if (segment->dropped || segment->undroppable || !has_expired(segment, today))
            continue;
        *ret_worked = true;
        enum err result = dedupe_segment_drop_step(dedupe, segment);
        segment->undroppable = result == ERR_DAMAGED;
        if (segment->undroppable)
            log_error(
                "a segment of the dedupe store has expired, but is too damaged to be dropped: "
                "it stays in the file and only takes room; PRAGMA integrity_check in the "
                "sqlite3 shell shows the damage segment=%s",
                segment->name);
        return result;
    }
    for (size_t i = 0; i < dedupe->count; i++) {
        struct dedupe_segment *segment = dedupe->segments[i];
        if (segment->state != SEGMENT_CLOSED || segment->sealed || segment->unreadable)
            continue;
        *ret_worked = true;
        return dedupe_segment_seal(dedupe, segment);
    }
    return OK;
}

static void end_transaction(struct dedupe_store *dedupe, bool committed)
{
    for (size_t i = dedupe->count; i > 0; i--)
        if (!dedupe_segment_end(dedupe->segments[i - 1], committed))
            remove_segment(dedupe, i - 1);
}

void dedupe_committed(struct dedupe_store *dedupe)
{
    end_transaction(dedupe, true);
}

void dedupe_rolled_back(struct dedupe_store *dedupe)
{
    end_transaction(dedupe, false);
}
