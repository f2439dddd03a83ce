/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/ledger.h"

#include "base/crypto.h"
#include "base/limits.h"
#include "journal/ledger_slice.h"
#include "journal/sql.h"
#include "runtime/log.h"

#include <stdlib.h>

/* Puts a slice where it belongs: the latest is the first. The ledger owns it, or after a failure nobody. */
static enum err insert_slice(struct ledger *ledger, struct ledger_slice *slice)
{
    if (ledger->count == ledger->capacity) {
        size_t capacity = ledger->capacity ? ledger->capacity * 2 : 16;
        struct ledger_slice **slices = realloc(ledger->slices, capacity * sizeof *slices);
        if (!slices) {
            ledger_slice_free(slice);
            return ERR_NO_MEMORY;
        }
        ledger->slices = slices;
        ledger->capacity = capacity;
    }
    size_t at = ledger->count++;
    for (; at > 0 && ledger_slice_is_later(slice, ledger->slices[at - 1]); at--)
        ledger->slices[at] = ledger->slices[at - 1];
    ledger->slices[at] = slice;
    return OK;
}

static void remove_slice(struct ledger *ledger, size_t at)
{
    ledger_slice_free(ledger->slices[at]);
    for (ledger->count--; at < ledger->count; at++)
        ledger->slices[at] = ledger->slices[at + 1];
}

static enum err find_slices(struct ledger *ledger, bool *ret_has_filters)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(
        ledger->db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ledger_*'", &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    *ret_has_filters = false;
    while (!result && !(result = sql_step(&use, &row)) && row) {
        struct ledger_slice *slice;
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (!name) {
            result = ERR_NO_MEMORY;
        } else if (strcmp(name, "ledger_filters") == 0) {
            *ret_has_filters = true;
        } else {
            result = ledger_slice_from_name(name, &slice);
            result = result == ERR_NOT_FOUND ? OK : result ? result : insert_slice(ledger, slice);
        }
    }
    sqlite3_finalize(statement);
    return result;
}

/* Nothing is used after a failure, so that SQLite's message about it stays for the caller. */
static enum err check_forms(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++) {
        enum err result = ledger_slice_check_form(ledger, ledger->slices[i]);
        if (result) {
            log_error("a slice of the ledger has not the form of this version slice=%s reason=%s",
                ledger->slices[i]->name, sqlite3_errmsg(ledger->db));
            return result;
        }
    }
    return OK;
}

enum err ledger_init(struct ledger *ledger, sqlite3 *db)
{
    *ledger = (struct ledger){.db = db, .slice_keys_max = LEDGER_SLICE_KEYS_MAX};
    crypto_random(ledger->seed.bytes, sizeof ledger->seed.bytes);
    sqlite3_stmt *filters = NULL;
    bool has_filters, seen_critical = false, seen_other = false;
    enum err result = find_slices(ledger, &has_filters);
    if (!result)
        result = check_forms(ledger);
    if (!result && has_filters)
        result = sql_prepare(db, LEDGER_SLICE_FILTER, &filters);
    if (result == ERR_BUG) /* a column that we don't know */
        result = ERR_DAMAGED;
    for (size_t i = 0; i < ledger->count && !result; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        bool *seen = slice->days_kept == LEDGER_CRITICAL_DAYS ? &seen_critical : &seen_other;
        slice->state = SLICE_CLOSED;
        if (filters)
            result = ledger_slice_load(slice, filters);
        if (!result && slice->state != SLICE_SEALED)
            result = ledger_slice_scan(ledger, slice, !*seen);
        *seen = true;
    }
    sqlite3_finalize(filters);
    return result;
}

void ledger_done(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        ledger_slice_free(ledger->slices[i]);
    free(ledger->slices);
    sqlite3_finalize(ledger->find_bucket);
    *ledger = (struct ledger){0};
}

/* Whether a slice's retention is over. */
static bool is_over(const struct ledger_slice *slice, int64_t today)
{
    return today - slice->day > slice->days_kept;
}

enum err ledger_look_up(struct ledger *ledger, const struct ledger_key *key, const struct event *event,
    enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    struct ledger_entry entry;
    ledger_entry_init(&entry, key, event);
    bool in_doubt = false;
    int64_t today = event->parts.accepted_us / US_PER_DAY;
    struct event_id first;
    for (size_t i = 0; i < ledger->count; i++)
        key_filter_prefetch(&ledger->slices[i]->filter, key);
    for (size_t i = 0; i < ledger->count; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        enum ledger_finding finding;
        bool may_hold = slice->filter_in_part || key_filter_may_hold(&slice->filter, key);
        if (slice->dropped || slice->expiring || !may_hold)
            continue;
        if (slice->unreadable && is_over(slice, today)) /* its doubt ends here, dropped or not */
            continue;
        enum err result = ledger_slice_find(ledger, slice, &entry, &finding, &first);
        if (result)
            return result;
        if (finding == LEDGER_DUPLICATE || finding == LEDGER_CONFLICT) {
            *ret_finding = finding;
            *ret_first = first;
            return OK;
        }
        in_doubt |= finding == LEDGER_DAMAGED; /* another slice may know it for certain */
    }
    *ret_finding = in_doubt ? LEDGER_DAMAGED : LEDGER_NEW;
    return OK;
}

/* Makes a slice, and seals the open ones of its retention that are earlier. */
static enum err make_slice(
    struct ledger *ledger, int64_t day, int64_t days_kept, unsigned part, struct ledger_slice **ret_slice)
{
    struct ledger_slice *slice = ledger_slice_new(day, days_kept, part);
    enum err result = slice ? insert_slice(ledger, slice) : ERR_NO_MEMORY;
    if (!result)
        result = ledger_slice_make(ledger, slice);
    for (size_t i = 0; i < ledger->count && !result; i++) {
        struct ledger_slice *other = ledger->slices[i];
        if (other->state == SLICE_OPEN && !other->sealed && !other->dropped && !other->expiring &&
            other->days_kept == days_kept && ledger_slice_is_later(slice, other))
            result = ledger_slice_seal(ledger, other);
    }
    if (!result)
        *ret_slice = slice;
    return result;
}

/* The slice that takes the keys of a day. Only the day's latest part can; a dropped one keeps its number for the rest
 * of the transaction, since its table goes only with the commit. */
static enum err slice_of_day(struct ledger *ledger, int64_t day, int64_t days_kept, struct ledger_slice **ret_slice)
{
    unsigned part = 0;
    for (size_t i = 0; i < ledger->count && ledger->slices[i]->day >= day; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        if (slice->day != day || slice->days_kept != days_kept)
            continue;
        bool takes_keys = slice->state == SLICE_OPEN && !slice->sealed && !slice->dropped && !slice->expiring;
        if (takes_keys && slice->keys < ledger->slice_keys_max) {
            *ret_slice = slice;
            return OK;
        }
        part = slice->part + 1;
        break;
    }
    return make_slice(ledger, day, days_kept, part, ret_slice);
}

bool ledger_is_in_doubt(const struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->slices[i]->unreadable && !ledger->slices[i]->dropped)
            return true;
    return false;
}

enum err ledger_add(struct ledger *ledger, const struct ledger_key *key, const struct event *event)
{
    struct ledger_slice *slice;
    struct ledger_entry entry;
    ledger_entry_init(&entry, key, event);
    int64_t days_kept = event->parts.class == CLASS_CRITICAL ? LEDGER_CRITICAL_DAYS : LEDGER_OTHER_DAYS;
    enum err result = slice_of_day(ledger, event->parts.accepted_us / US_PER_DAY, days_kept, &slice);
    return result ? result : ledger_slice_add(ledger, slice, &entry);
}

enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_worked)
{
    int64_t today = now_us / US_PER_DAY;
    *ret_worked = false;
    for (size_t i = ledger->count; i > 0; i--) {
        struct ledger_slice *slice = ledger->slices[i - 1];
        if (slice->dropped || slice->undroppable || !is_over(slice, today))
            continue;
        *ret_worked = true;
        enum err result = ledger_slice_drop_step(ledger, slice);
        slice->undroppable = result == ERR_DAMAGED;
        if (slice->undroppable)
            log_error(
                "a slice of the ledger is over, but too damaged to be dropped: it stays in the file and takes only "
                "room; PRAGMA integrity_check in the sqlite3 shell tells more slice=%s",
                slice->name);
        return result;
    }
    for (size_t i = 0; i < ledger->count; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        if (slice->state != SLICE_CLOSED || slice->sealed || slice->unreadable)
            continue;
        *ret_worked = true;
        return ledger_slice_seal(ledger, slice);
    }
    return OK;
}

static void end_transaction(struct ledger *ledger, bool committed)
{
    for (size_t i = ledger->count; i > 0; i--)
        if (!ledger_slice_end(ledger->slices[i - 1], committed))
            remove_slice(ledger, i - 1);
}

void ledger_committed(struct ledger *ledger)
{
    end_transaction(ledger, true);
}

void ledger_rolled_back(struct ledger *ledger)
{
    end_transaction(ledger, false);
}
