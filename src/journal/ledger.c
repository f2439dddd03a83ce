/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/ledger.h"

#include "base/cleanup.h"
#include "journal/sql.h"
#include "model/money.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_NAME_BYTES 24 /* ledger_c_YYYYMMDD */

struct ledger_slice {
    int64_t day; /* since 1970-01-01, UTC */
    int64_t days_kept;
    char name[SLICE_NAME_BYTES];
    bool uncommitted; /* made, or dropped, in the transaction that is open */
    bool dropped;
    sqlite3_stmt *find, *add; /* prepared at first use: most old slices are only ever asked */
};

/* What is compared of two events of one key. */
struct money_text {
    struct slice amount, currency;
    char canonical[AMOUNT_TEXT_BYTES];
};

static void slice_free(struct ledger_slice *slice)
{
    if (!slice)
        return;
    sqlite3_finalize(slice->find);
    sqlite3_finalize(slice->add);
    free(slice);
}

static void slice_name(int64_t day, int64_t days_kept, char ret_name[SLICE_NAME_BYTES])
{
    char date[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(day * US_PER_DAY, date);
    snprintf(ret_name, SLICE_NAME_BYTES, "ledger_%c_%.4s%.2s%.2s", days_kept == LEDGER_CRITICAL_DAYS ? 'c' : 'o', date,
        date + 5, date + 8);
}

/* False for a table that is no slice. */
static bool slice_parse_name(const char *name, int64_t *ret_day, int64_t *ret_days_kept)
{
    char kind, date[CLOCK_TEXT_BYTES], again[SLICE_NAME_BYTES];
    int year, month, day;
    int64_t midnight_us;
    if (sscanf(name, "ledger_%c_%4d%2d%2d", &kind, &year, &month, &day) != 4 || (kind != 'c' && kind != 'o'))
        return false;
    snprintf(date, sizeof date, "%04d-%02d-%02dT00:00:00Z", year % 10000, month % 100, day % 100);
    if (!clock_parse_rfc3339(slice_from_string(date), &midnight_us))
        return false;
    int64_t days_kept = kind == 'c' ? LEDGER_CRITICAL_DAYS : LEDGER_OTHER_DAYS;
    slice_name(midnight_us / US_PER_DAY, days_kept, again);
    if (strcmp(again, name) != 0)
        return false;
    *ret_day = midnight_us / US_PER_DAY;
    *ret_days_kept = days_kept;
    return true;
}

/* Puts a slice where it belongs: days go down. */
static enum err ledger_insert_slice(
    struct ledger *ledger, int64_t day, int64_t days_kept, struct ledger_slice **ret_slice)
{
    if (ledger->count == ledger->capacity) {
        size_t capacity = ledger->capacity ? ledger->capacity * 2 : 16;
        struct ledger_slice **slices = realloc(ledger->slices, capacity * sizeof *slices);
        if (!slices)
            return ERR_NO_MEMORY;
        ledger->slices = slices;
        ledger->capacity = capacity;
    }
    struct ledger_slice *slice = calloc(1, sizeof *slice);
    if (!slice)
        return ERR_NO_MEMORY;
    slice->day = day;
    slice->days_kept = days_kept;
    slice_name(day, days_kept, slice->name);
    size_t at = ledger->count++;
    for (; at > 0 && ledger->slices[at - 1]->day < day; at--)
        ledger->slices[at] = ledger->slices[at - 1];
    ledger->slices[at] = slice;
    *ret_slice = slice;
    return OK;
}

static void ledger_remove_slice(struct ledger *ledger, size_t at)
{
    slice_free(ledger->slices[at]);
    for (ledger->count--; at < ledger->count; at++)
        ledger->slices[at] = ledger->slices[at + 1];
}

enum err ledger_init(struct ledger *ledger, sqlite3 *db)
{
    *ledger = (struct ledger){.db = db};
    sqlite3_stmt *statement = NULL;
    enum err result =
        sql_prepare(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ledger_*'", &statement);
    if (result)
        return result;
    struct sql_use use = sql_use(statement);
    bool row;
    while (!(result = sql_step(&use, &row)) && row) {
        int64_t day, days_kept;
        struct ledger_slice *slice;
        if (!slice_parse_name((const char *)sqlite3_column_text(statement, 0), &day, &days_kept))
            continue;
        result = ledger_insert_slice(ledger, day, days_kept, &slice);
        if (result)
            break;
    }
    sqlite3_finalize(statement);
    return result;
}

void ledger_done(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        slice_free(ledger->slices[i]);
    free(ledger->slices);
    *ledger = (struct ledger){0};
}

/* Here the filter of an old slice will answer without a look at the disk; until then every slice may hold every key. */
static bool slice_may_hold(const struct ledger_slice *slice, const struct ledger_key *key)
{
    (void)key;
    return !slice->dropped;
}

static void money_text_init(struct money_text *money, const struct event *event)
{
    struct slice amount = event->parts.amount;
    size_t len = amount.len ? money_canonical(amount, money->canonical) : 0;
    money->amount = slice_of(money->canonical, len);
    money->currency = event->parts.currency;
}

static enum err slice_find(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_key *key,
    const struct money_text *money, enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    if (!slice->find) {
        char text[128];
        snprintf(text, sizeof text, "SELECT event, amount, currency FROM %s WHERE key = ?1", slice->name);
        enum err prepared = sql_prepare(ledger->db, text, &slice->find);
        if (prepared)
            return prepared;
    }
    struct sql_use use = sql_use(slice->find);
    bool row;
    sql_bind_blob(&use, slice_of(key->bytes, sizeof key->bytes));
    enum err result = sql_step(&use, &row);
    *ret_finding = LEDGER_NEW;
    if (!result && row) {
        struct slice first = sql_column_slice(&use, 0);
        if (first.len != sizeof ret_first->bytes) {
            *ret_finding = LEDGER_DAMAGED;
        } else {
            memcpy(ret_first->bytes, first.data, first.len);
            bool same = slice_equal(sql_column_slice(&use, 1), money->amount) &&
                        slice_equal(sql_column_slice(&use, 2), money->currency);
            *ret_finding = same ? LEDGER_DUPLICATE : LEDGER_CONFLICT;
        }
    }
    sql_finish(&use);
    return result;
}

enum err ledger_look_up(struct ledger *ledger, const struct ledger_key *key, const struct event *event,
    enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    struct money_text money;
    money_text_init(&money, event);
    enum ledger_finding finding = LEDGER_NEW;
    struct event_id first;
    for (size_t i = 0; i < ledger->count && finding == LEDGER_NEW; i++) {
        if (!slice_may_hold(ledger->slices[i], key))
            continue;
        enum err result = slice_find(ledger, ledger->slices[i], key, &money, &finding, &first);
        if (result)
            return result;
    }
    *ret_finding = finding;
    if (finding == LEDGER_DUPLICATE || finding == LEDGER_CONFLICT)
        *ret_first = first;
    return OK;
}

/* The slice of a day, made where it is missing. */
static enum err ledger_slice_of(struct ledger *ledger, int64_t day, int64_t days_kept, struct ledger_slice **ret_slice)
{
    for (size_t i = 0; i < ledger->count && ledger->slices[i]->day >= day; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        if (slice->day == day && slice->days_kept == days_kept && !slice->dropped) {
            *ret_slice = slice;
            return OK;
        }
    }
    struct ledger_slice *slice;
    enum err result = ledger_insert_slice(ledger, day, days_kept, &slice);
    if (result)
        return result;
    slice->uncommitted = true;
    char text[192];
    snprintf(text, sizeof text,
        "CREATE TABLE %s(key BLOB PRIMARY KEY, event BLOB NOT NULL, amount TEXT, currency TEXT) WITHOUT ROWID",
        slice->name);
    result = sql_run(ledger->db, text);
    if (!result)
        *ret_slice = slice;
    return result;
}

enum err ledger_add(struct ledger *ledger, const struct ledger_key *key, const struct event *event)
{
    struct ledger_slice *slice;
    int64_t days_kept = event->class == CLASS_CRITICAL ? LEDGER_CRITICAL_DAYS : LEDGER_OTHER_DAYS;
    enum err result = ledger_slice_of(ledger, event->parts.accepted_us / US_PER_DAY, days_kept, &slice);
    if (!result && !slice->add) {
        char text[128];
        snprintf(text, sizeof text, "INSERT INTO %s(key, event, amount, currency) VALUES(?1, ?2, ?3, ?4)", slice->name);
        result = sql_prepare(ledger->db, text, &slice->add);
    }
    if (result)
        return result;
    struct money_text money;
    money_text_init(&money, event);
    struct sql_use use = sql_use(slice->add);
    sql_bind_blob(&use, slice_of(key->bytes, sizeof key->bytes));
    sql_bind_blob(&use, slice_of(event->parts.id.bytes, sizeof event->parts.id.bytes));
    sql_bind_optional_text(&use, money.amount);
    sql_bind_optional_text(&use, money.currency);
    return sql_execute(&use);
}

enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_dropped)
{
    int64_t today = now_us / US_PER_DAY;
    *ret_dropped = false;
    for (size_t i = ledger->count; i > 0; i--) {
        struct ledger_slice *slice = ledger->slices[i - 1];
        if (slice->dropped || today - slice->day <= slice->days_kept)
            continue;
        char text[64];
        snprintf(text, sizeof text, "DROP TABLE %s", slice->name);
        slice->uncommitted = slice->dropped = true;
        *ret_dropped = true;
        return sql_run(ledger->db, text);
    }
    return OK;
}

/* Forgets the slices that are not in the file any more, or never came into it. */
static void ledger_end(struct ledger *ledger, bool committed)
{
    for (size_t i = ledger->count; i > 0; i--) {
        struct ledger_slice *slice = ledger->slices[i - 1];
        if (!slice->uncommitted)
            continue;
        bool exists = slice->dropped ? !committed : committed;
        slice->uncommitted = slice->dropped = false;
        if (!exists)
            ledger_remove_slice(ledger, i - 1);
    }
}

void ledger_committed(struct ledger *ledger)
{
    ledger_end(ledger, true);
}

void ledger_rolled_back(struct ledger *ledger)
{
    ledger_end(ledger, false);
}
