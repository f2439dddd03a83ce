/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/ledger.h"

#include "base/limits.h"
#include "journal/key_filter.h"
#include "journal/sql.h"
#include "model/money.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define SLICE_NAME_BYTES 32 /* ledger_c_YYYYMMDD_N */

enum slice_state { SLICE_OPEN, SLICE_CLOSED, SLICE_SEALED };

struct ledger_slice {
    struct key_filter filter;
    int64_t day; /* since 1970-01-01, UTC */
    int64_t days_kept;
    unsigned part; /* of the day */
    char name[SLICE_NAME_BYTES];
    enum slice_state state;
    uint64_t keys;              /* in the filter: those that were rolled back count as well */
    bool made, dropped, sealed; /* in the transaction that is open */
    struct key_filter folded;   /* what `filter` will be when `sealed` is committed */
    sqlite3_stmt *find, *add;   /* prepared at first use: most old slices are hardly ever asked */
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
    key_filter_done(&slice->filter);
    key_filter_done(&slice->folded);
    free(slice);
}

static void slice_set_name(struct ledger_slice *slice)
{
    char date[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(slice->day * US_PER_DAY, date);
    int len = snprintf(slice->name, sizeof slice->name, "ledger_%c_%.4s%.2s%.2s",
        slice->days_kept == LEDGER_CRITICAL_DAYS ? 'c' : 'o', date, date + 5, date + 8);
    if (slice->part)
        snprintf(slice->name + len, sizeof slice->name - (size_t)len, "_%u", slice->part);
}

/* False for a table that is no slice. */
static bool slice_parse_name(const char *name, struct ledger_slice *ret_slice)
{
    char kind, date[CLOCK_TEXT_BYTES];
    int year, month, day;
    unsigned part = 0;
    int64_t midnight_us;
    if (sscanf(name, "ledger_%c_%4d%2d%2d_%9u", &kind, &year, &month, &day, &part) < 4 || (kind != 'c' && kind != 'o'))
        return false;
    snprintf(date, sizeof date, "%04d-%02d-%02dT00:00:00Z", year % 10000, month % 100, day % 100);
    if (!clock_parse_rfc3339(slice_from_string(date), &midnight_us))
        return false;
    struct ledger_slice slice = {
        .day = midnight_us / US_PER_DAY,
        .days_kept = kind == 'c' ? LEDGER_CRITICAL_DAYS : LEDGER_OTHER_DAYS,
        .part = part,
    };
    slice_set_name(&slice);
    if (strcmp(slice.name, name) != 0)
        return false;
    *ret_slice = slice;
    return true;
}

static bool slice_is_later(const struct ledger_slice *slice, const struct ledger_slice *other)
{
    return slice->day != other->day ? slice->day > other->day : slice->part > other->part;
}

/* Puts a slice where it belongs: the latest is the first. */
static enum err ledger_insert_slice(
    struct ledger *ledger, int64_t day, int64_t days_kept, unsigned part, struct ledger_slice **ret_slice)
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
    slice->part = part;
    slice_set_name(slice);
    size_t at = ledger->count++;
    for (; at > 0 && slice_is_later(slice, ledger->slices[at - 1]); at--)
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

/*
 * The filters of sealed slices. The table is made with the first of them and not by a migration: like the slices it is
 * the ledger's own.
 */
static enum err filters_make_table(sqlite3 *db)
{
    return sql_run(db, "CREATE TABLE IF NOT EXISTS ledger_filters(slice TEXT PRIMARY KEY, keys INTEGER NOT NULL,"
                       " filter BLOB NOT NULL, crc INTEGER NOT NULL)");
}

/* Over what the bits mean, whose they are, and the bits. */
static int64_t filter_checksum(const struct ledger_slice *slice, uint64_t keys, struct slice bytes)
{
    char head[64];
    int len = snprintf(head, sizeof head, "%d %s %llu ", KEY_FILTER_FORMAT, slice->name, (unsigned long long)keys);
    uLong crc = crc32(0, (const unsigned char *)head, (unsigned)len);
    return (int64_t)crc32_z(crc, (const unsigned char *)bytes.data, bytes.len);
}

/* Writes the filter of a slice that takes no more keys. It is folded in a copy, since the transaction may fail. */
static enum err slice_seal(struct ledger *ledger, struct ledger_slice *slice)
{
    static const char text[] = "INSERT OR REPLACE INTO ledger_filters(slice, keys, filter, crc) VALUES(?1, ?2, ?3, ?4)";
    sqlite3_stmt *statement = NULL;
    enum err result = key_filter_fold(&slice->filter, slice->keys, &slice->folded);
    slice->sealed = true;
    if (!result)
        result = filters_make_table(ledger->db);
    if (!result)
        result = sql_prepare(ledger->db, text, &statement);
    if (!result) {
        struct slice bytes = key_filter_bytes(&slice->folded);
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(slice->name));
        sql_bind_int(&use, (int64_t)slice->keys);
        sql_bind_blob(&use, bytes);
        sql_bind_int(&use, filter_checksum(slice, slice->keys, bytes));
        result = sql_execute(&use);
    }
    sqlite3_finalize(statement);
    return result;
}

/* The row of a slice, when there is one that can be trusted: the slice is sealed then. `find` asks for it by name. */
static enum err slice_load_filter(struct ledger_slice *slice, sqlite3_stmt *find)
{
    struct sql_use use = sql_use(find);
    bool row;
    sql_bind_text(&use, slice_from_string(slice->name));
    enum err result = sql_step(&use, &row);
    if (!result && row) {
        uint64_t keys = (uint64_t)sql_column_int(&use, 0);
        struct slice bytes = sql_column_slice(&use, 1);
        if (sql_column_int(&use, 2) != filter_checksum(slice, keys, bytes))
            result = ERR_DAMAGED;
        if (!result)
            result = key_filter_load(&slice->filter, keys, bytes);
        if (!result) {
            slice->keys = keys;
            slice->state = SLICE_SEALED;
        }
    }
    sql_finish(&use);
    return result == ERR_DAMAGED ? OK : result;
}

/* Fills a new filter, made for `keys` keys, with all that the slice has. */
static enum err slice_read_keys(struct ledger *ledger, struct ledger_slice *slice, uint64_t keys)
{
    char text[96];
    snprintf(text, sizeof text, "SELECT key FROM %s", slice->name);
    sqlite3_stmt *statement = NULL;
    key_filter_done(&slice->filter);
    slice->keys = 0;
    enum err result = key_filter_init(&slice->filter, keys);
    if (!result)
        result = sql_prepare(ledger->db, text, &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    while (!result && !(result = sql_step(&use, &row)) && row) {
        struct slice bytes = sql_column_slice(&use, 0);
        struct ledger_key key;
        if (bytes.len != sizeof key.bytes)
            continue; /* damaged: no look-up will find it in the table either */
        memcpy(key.bytes, bytes.data, sizeof key.bytes);
        key_filter_add(&slice->filter, &key);
        slice->keys++;
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err slice_scan(struct ledger *ledger, struct ledger_slice *slice, bool newest)
{
    enum err result = slice_read_keys(ledger, slice, ledger->slice_keys_max);
    if (!result && slice->keys > ledger->slice_keys_max) /* made when slices had another bound */
        result = slice_read_keys(ledger, slice, slice->keys);
    slice->state = newest && !result && slice->keys < ledger->slice_keys_max ? SLICE_OPEN : SLICE_CLOSED;
    if (result == ERR_DAMAGED) {
        key_filter_done(&slice->filter);
        result = OK;
    }
    return result;
}

static enum err ledger_find_slices(struct ledger *ledger, bool *ret_has_filters)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(
        ledger->db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ledger_*'", &statement);
    struct sql_use use = sql_use(statement);
    bool row = false;
    *ret_has_filters = false;
    while (!result && !(result = sql_step(&use, &row)) && row) {
        struct ledger_slice parsed, *slice;
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (!name)
            result = ERR_NO_MEMORY;
        else if (strcmp(name, "ledger_filters") == 0)
            *ret_has_filters = true;
        else if (slice_parse_name(name, &parsed))
            result = ledger_insert_slice(ledger, parsed.day, parsed.days_kept, parsed.part, &slice);
    }
    sqlite3_finalize(statement);
    return result;
}

enum err ledger_init(struct ledger *ledger, sqlite3 *db)
{
    *ledger = (struct ledger){.db = db, .slice_keys_max = LEDGER_SLICE_KEYS_MAX};
    sqlite3_stmt *find = NULL;
    bool has_filters, seen_critical = false, seen_other = false;
    enum err result = ledger_find_slices(ledger, &has_filters);
    if (!result && has_filters)
        result = sql_prepare(db, "SELECT keys, filter, crc FROM ledger_filters WHERE slice = ?1", &find);
    for (size_t i = 0; i < ledger->count && !result; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        bool *seen = slice->days_kept == LEDGER_CRITICAL_DAYS ? &seen_critical : &seen_other;
        slice->state = SLICE_CLOSED;
        if (find)
            result = slice_load_filter(slice, find);
        if (!result && slice->state != SLICE_SEALED)
            result = slice_scan(ledger, slice, !*seen);
        *seen = true;
    }
    sqlite3_finalize(find);
    return result;
}

void ledger_done(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        slice_free(ledger->slices[i]);
    free(ledger->slices);
    *ledger = (struct ledger){0};
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
    for (size_t i = 0; i < ledger->count; i++)
        key_filter_prefetch(&ledger->slices[i]->filter, key);
    for (size_t i = 0; i < ledger->count && finding == LEDGER_NEW; i++) {
        if (ledger->slices[i]->dropped || !key_filter_may_hold(&ledger->slices[i]->filter, key))
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

/* Makes a slice, and seals the open ones of its retention that are earlier. */
static enum err ledger_make_slice(
    struct ledger *ledger, int64_t day, int64_t days_kept, unsigned part, struct ledger_slice **ret_slice)
{
    struct ledger_slice *slice;
    enum err result = ledger_insert_slice(ledger, day, days_kept, part, &slice);
    if (result)
        return result;
    slice->made = true;
    char text[192];
    snprintf(text, sizeof text,
        "CREATE TABLE %s(key BLOB PRIMARY KEY, event BLOB NOT NULL, amount TEXT, currency TEXT) WITHOUT ROWID",
        slice->name);
    result = key_filter_init(&slice->filter, ledger->slice_keys_max);
    if (!result)
        result = sql_run(ledger->db, text);
    for (size_t i = 0; i < ledger->count && !result; i++) {
        struct ledger_slice *other = ledger->slices[i];
        if (other->state == SLICE_OPEN && !other->sealed && !other->dropped && other->days_kept == days_kept &&
            slice_is_later(slice, other))
            result = slice_seal(ledger, other);
    }
    if (!result)
        *ret_slice = slice;
    return result;
}

/* The slice that takes the keys of a day. Only the day's latest part can; a dropped one keeps its number for the rest
 * of the transaction, since its table goes only with the commit. */
static enum err ledger_slice_of(struct ledger *ledger, int64_t day, int64_t days_kept, struct ledger_slice **ret_slice)
{
    unsigned part = 0;
    for (size_t i = 0; i < ledger->count && ledger->slices[i]->day >= day; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        if (slice->day != day || slice->days_kept != days_kept)
            continue;
        bool takes_keys = slice->state == SLICE_OPEN && !slice->sealed && !slice->dropped;
        if (takes_keys && slice->keys < ledger->slice_keys_max) {
            *ret_slice = slice;
            return OK;
        }
        part = slice->part + 1;
        break;
    }
    return ledger_make_slice(ledger, day, days_kept, part, ret_slice);
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
    /* Before the row: at no moment may there be one that its filter denies. */
    key_filter_add(&slice->filter, key);
    slice->keys++;
    struct money_text money;
    money_text_init(&money, event);
    struct sql_use use = sql_use(slice->add);
    sql_bind_blob(&use, slice_of(key->bytes, sizeof key->bytes));
    sql_bind_blob(&use, slice_of(event->parts.id.bytes, sizeof event->parts.id.bytes));
    sql_bind_optional_text(&use, money.amount);
    sql_bind_optional_text(&use, money.currency);
    return sql_execute(&use);
}

static enum err slice_drop(struct ledger *ledger, struct ledger_slice *slice)
{
    char text[160];
    snprintf(
        text, sizeof text, "DROP TABLE %s; DELETE FROM ledger_filters WHERE slice = '%s'", slice->name, slice->name);
    slice->dropped = true;
    enum err result = filters_make_table(ledger->db);
    return result ? result : sql_run(ledger->db, text);
}

enum err ledger_expire(struct ledger *ledger, int64_t now_us, bool *ret_worked)
{
    int64_t today = now_us / US_PER_DAY;
    *ret_worked = false;
    for (size_t i = ledger->count; i > 0; i--) {
        struct ledger_slice *slice = ledger->slices[i - 1];
        if (slice->dropped || today - slice->day <= slice->days_kept)
            continue;
        *ret_worked = true;
        return slice_drop(ledger, slice);
    }
    for (size_t i = 0; i < ledger->count; i++) {
        struct ledger_slice *slice = ledger->slices[i];
        if (slice->state != SLICE_CLOSED || slice->sealed || slice->filter.lines_count == 0)
            continue;
        *ret_worked = true;
        return slice_seal(ledger, slice);
    }
    return OK;
}

/* False when the slice is not in the file any more, or never came into it. */
static bool slice_end(struct ledger_slice *slice, bool committed)
{
    if (!slice->made && !slice->dropped && !slice->sealed)
        return true;
    bool exists = committed ? !slice->dropped : !slice->made;
    if (slice->sealed && committed) {
        key_filter_done(&slice->filter);
        slice->filter = slice->folded;
        slice->folded = (struct key_filter){0};
        slice->state = SLICE_SEALED;
        sqlite3_finalize(slice->add);
        slice->add = NULL;
    }
    key_filter_done(&slice->folded);
    slice->made = slice->dropped = slice->sealed = false;
    return exists;
}

static void ledger_end(struct ledger *ledger, bool committed)
{
    for (size_t i = ledger->count; i > 0; i--)
        if (!slice_end(ledger->slices[i - 1], committed))
            ledger_remove_slice(ledger, i - 1);
}

void ledger_committed(struct ledger *ledger)
{
    ledger_end(ledger, true);
}

void ledger_rolled_back(struct ledger *ledger)
{
    ledger_end(ledger, false);
}
