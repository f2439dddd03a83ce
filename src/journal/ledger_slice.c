/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/ledger_slice.h"

#include "journal/checksum.h"
#include "model/money.h"
#include "runtime/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

void ledger_entry_init(struct ledger_entry *entry, const struct ledger_key *key, const struct event *event)
{
    struct slice amount = event->parts.amount;
    size_t len = amount.len ? money_canonical(amount, entry->canonical) : 0;
    entry->key = key;
    entry->event = slice_of(event->parts.id.bytes, sizeof event->parts.id.bytes);
    entry->amount = slice_of(entry->canonical, len);
    entry->currency = event->parts.currency;
}

struct ledger_slice *ledger_slice_new(int64_t day, int64_t days_kept, unsigned part)
{
    struct ledger_slice *slice = calloc(1, sizeof *slice);
    if (!slice)
        return NULL;
    slice->day = day;
    slice->days_kept = days_kept;
    slice->part = part;
    char date[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(day * US_PER_DAY, date);
    int len = snprintf(slice->name, sizeof slice->name, "ledger_%c_%.4s%.2s%.2s",
        days_kept == LEDGER_CRITICAL_DAYS ? 'c' : 'o', date, date + 5, date + 8);
    if (part)
        snprintf(slice->name + len, sizeof slice->name - (size_t)len, "_%u", part);
    return slice;
}

void ledger_slice_free(struct ledger_slice *slice)
{
    if (!slice)
        return;
    sqlite3_finalize(slice->find);
    sqlite3_finalize(slice->add);
    key_filter_done(&slice->filter);
    key_filter_done(&slice->folded);
    key_index_done(&slice->index);
    free(slice);
}

enum err ledger_slice_from_name(const char *name, struct ledger_slice **ret_slice)
{
    char kind, date[CLOCK_TEXT_BYTES];
    int year, month, day;
    unsigned part = 0;
    int64_t midnight_us;
    if (sscanf(name, "ledger_%c_%4d%2d%2d_%9u", &kind, &year, &month, &day, &part) < 4 || (kind != 'c' && kind != 'o'))
        return ERR_NOT_FOUND;
    snprintf(date, sizeof date, "%04d-%02d-%02dT00:00:00Z", year % 10000, month % 100, day % 100);
    if (!clock_parse_rfc3339(slice_from_string(date), &midnight_us))
        return ERR_NOT_FOUND;
    int64_t days_kept = kind == 'c' ? LEDGER_CRITICAL_DAYS : LEDGER_OTHER_DAYS;
    struct ledger_slice *slice = ledger_slice_new(midnight_us / US_PER_DAY, days_kept, part);
    if (!slice)
        return ERR_NO_MEMORY;
    if (strcmp(slice->name, name) != 0) {
        ledger_slice_free(slice);
        return ERR_NOT_FOUND;
    }
    *ret_slice = slice;
    return OK;
}

bool ledger_slice_is_later(const struct ledger_slice *slice, const struct ledger_slice *other)
{
    return slice->day != other->day ? slice->day > other->day : slice->part > other->part;
}

/* Prepares `format`, whose one or two %s stand for the slice's name. */
static enum err prepare_for(
    struct ledger *ledger, const struct ledger_slice *slice, const char *format, sqlite3_stmt **ret_statement)
{
    char *text = sqlite3_mprintf(format, slice->name, slice->name);
    enum err result = text ? sql_prepare(ledger->db, text, ret_statement) : ERR_NO_MEMORY;
    sqlite3_free(text);
    return result;
}

static const char find_text[] = "SELECT " LEDGER_ROW_COLUMNS " FROM %s WHERE row = ?1";
static const char add_text[] = "INSERT INTO %s(key, event, amount, currency, crc) VALUES(?1, ?2, ?3, ?4, ?5)";

/* Without its number, which is not known before it is written; the key says which one it is. */
static int64_t row_checksum(
    const char *table, struct slice key, struct slice event, struct slice amount, struct slice currency)
{
    const struct slice texts[] = {slice_from_string(table), key, event, amount, currency};
    return checksum_columns(NULL, 0, texts, ARRAY_LENGTH(texts));
}

bool ledger_row_take(const char *table, const struct sql_use *use, struct ledger_row *ret_row)
{
    *ret_row = (struct ledger_row){
        .number = sql_column_int(use, 0),
        .key = sql_column_slice(use, 1),
        .event = sql_column_slice(use, 2),
        .amount = sql_column_slice(use, 3),
        .currency = sql_column_slice(use, 4),
    };
    return ret_row->key.len == LEDGER_KEY_BYTES && ret_row->event.len == EVENT_ID_BYTES && ret_row->number > 0 &&
           ret_row->number <= UINT32_MAX &&
           sql_column_int(use, 5) ==
               row_checksum(table, ret_row->key, ret_row->event, ret_row->amount, ret_row->currency);
}

static void name_damaged_row(const struct ledger_slice *slice, int64_t number)
{
    log_error("a row of the ledger is damaged: what might be it is refused slice=%s row=%lld", slice->name,
        (long long)number);
}

enum err ledger_slice_check_form(struct ledger *ledger, const struct ledger_slice *slice)
{
    sqlite3_stmt *statement = NULL;
    enum err result = prepare_for(ledger, slice, find_text, &statement);
    sqlite3_finalize(statement);
    return result == ERR_BUG ? ERR_DAMAGED : result;
}

enum err ledger_slice_make(struct ledger *ledger, struct ledger_slice *slice)
{
    char text[224];
    snprintf(text, sizeof text,
        "CREATE TABLE %s(row INTEGER PRIMARY KEY, key BLOB NOT NULL, event BLOB NOT NULL, amount TEXT, currency TEXT,"
        " crc INTEGER NOT NULL)",
        slice->name);
    slice->made = true;
    key_index_init(&slice->index, &ledger->seed);
    enum err result = key_filter_init(&slice->filter, ledger->slice_keys_max);
    return result ? result : sql_run(ledger->db, text);
}

/* What the rows of a slice say. */
struct contents {
    struct key_filter filter;
    struct key_index index;
    uint64_t keys;
    bool in_part; /* not all of them could be read */
};

static void contents_done(struct contents *contents)
{
    key_filter_done(&contents->filter);
    key_index_done(&contents->index);
}

static enum err contents_add(struct contents *contents, const struct ledger_row *row)
{
    struct ledger_key key;
    enum err result = key_index_reserve(&contents->index);
    if (result)
        return result;
    memcpy(key.bytes, row->key.data, sizeof key.bytes);
    key_filter_add(&contents->filter, &key);
    key_index_add(&contents->index, &key, (uint32_t)row->number);
    contents->keys++;
    return OK;
}

/* With a filter made for `filter_keys` keys, or without one for 0. */
static enum err contents_read(
    struct ledger *ledger, const struct ledger_slice *slice, uint64_t filter_keys, struct contents *ret_contents)
{
    struct contents contents = {0};
    sqlite3_stmt *statement = NULL;
    key_index_init(&contents.index, &ledger->seed);
    enum err result = filter_keys ? key_filter_init(&contents.filter, filter_keys) : OK;
    if (!result)
        result = prepare_for(ledger, slice, "SELECT " LEDGER_ROW_COLUMNS " FROM %s", &statement);
    struct sql_use use = sql_use(statement);
    bool there = false;
    while (!result && !(result = sql_step(&use, &there)) && there) {
        struct ledger_row row;
        if (ledger_row_take(slice->name, &use, &row)) {
            result = contents_add(&contents, &row);
        } else {
            name_damaged_row(slice, row.number);
            contents.in_part = true;
        }
    }
    sqlite3_finalize(statement);
    if (result == ERR_DAMAGED) {
        contents.in_part = true;
        result = OK;
    }
    if (result)
        contents_done(&contents);
    else
        *ret_contents = contents;
    return result;
}

enum err ledger_slice_scan(struct ledger *ledger, struct ledger_slice *slice, bool newest)
{
    struct contents contents;
    enum err result = contents_read(ledger, slice, ledger->slice_keys_max, &contents);
    if (!result && contents.keys > ledger->slice_keys_max) { /* made when slices had another bound */
        uint64_t keys = contents.keys;
        contents_done(&contents);
        result = contents_read(ledger, slice, keys, &contents);
    }
    if (result)
        return result;
    if (contents.in_part) {
        log_error("a slice of the ledger can't be read as a whole slice=%s keys_read=%llu", slice->name,
            (unsigned long long)contents.keys);
    }
    if (!newest)
        key_index_done(&contents.index);
    slice->filter = contents.filter;
    slice->index = contents.index;
    slice->keys = contents.keys;
    slice->unreadable = slice->filter_in_part = contents.in_part;
    slice->state = newest && !contents.in_part && slice->keys < ledger->slice_keys_max ? SLICE_OPEN : SLICE_CLOSED;
    return OK;
}

void ledger_slice_mended(struct ledger_slice *slice)
{
    slice->mended = true;
    slice->unreadable = slice->filter_in_part = false;
}

/* The oldest gives its index up, since duplicates are rarely that late. */
static void make_room_for_index(struct ledger *ledger)
{
    unsigned count = 0;
    for (size_t i = 0; i < ledger->count; i++) {
        struct ledger_slice *other = ledger->slices[i];
        if (other->state == SLICE_CLOSED && other->index.slots && ++count >= LEDGER_CLOSED_INDEXES_MAX)
            key_index_done(&other->index);
    }
}

/* Brings the index of a closed slice into memory. Its filter stays: where rows can't be read it knows more than they
 * do. */
static enum err index_rows(struct ledger *ledger, struct ledger_slice *slice)
{
    struct contents contents;
    make_room_for_index(ledger);
    enum err result = contents_read(ledger, slice, 0, &contents);
    if (result)
        return result;
    if (contents.in_part && !slice->unreadable && !slice->mended)
        log_error("a slice of the ledger can't be read: what might be in it is refused slice=%s keys_read=%llu",
            slice->name, (unsigned long long)contents.keys);
    slice->index = contents.index;
    slice->unreadable |= contents.in_part && !slice->mended;
    return OK;
}

/* They are made with the first slice that is sealed and not by a migration: like the slices they are the ledger's own.
 */
static enum err make_sealed_tables(sqlite3 *db)
{
    return sql_run(db, "CREATE TABLE IF NOT EXISTS ledger_filters(slice TEXT PRIMARY KEY, keys INTEGER NOT NULL,"
                       " seed BLOB NOT NULL, filter BLOB NOT NULL, crc INTEGER NOT NULL);"
                       "CREATE TABLE IF NOT EXISTS ledger_index(slice TEXT, bucket INTEGER, entries BLOB NOT NULL,"
                       " crc INTEGER NOT NULL, PRIMARY KEY(slice, bucket)) WITHOUT ROWID");
}

/* Over what the bytes mean, whose they are, and the bytes. `what` is a number of the format and a name. */
static int64_t checksum(
    const struct ledger_slice *slice, const char *what, uint64_t keys, const struct hash_seed *seed, struct slice bytes)
{
    char head[96];
    int len = snprintf(head, sizeof head, "%s %s %llu ", what, slice->name, (unsigned long long)keys);
    uLong crc = crc32(0, (const unsigned char *)head, (unsigned)len);
    crc = crc32(crc, seed->bytes, sizeof seed->bytes);
    return (int64_t)(bytes.len ? crc32_z(crc, (const unsigned char *)bytes.data, bytes.len) : crc);
}

static int64_t filter_checksum(
    const struct ledger_slice *slice, uint64_t keys, const struct hash_seed *seed, struct slice bytes)
{
    char what[32];
    snprintf(what, sizeof what, "%d filter", KEY_FILTER_FORMAT);
    return checksum(slice, what, keys, seed, bytes);
}

static int64_t bucket_checksum(const struct ledger_slice *slice, uint32_t bucket, struct slice bytes)
{
    char what[32];
    snprintf(what, sizeof what, "%d bucket %u", KEY_INDEX_FORMAT, bucket);
    return checksum(slice, what, slice->keys, &slice->index.seed, bytes);
}

static enum err seal_filter(struct ledger *ledger, struct ledger_slice *slice)
{
    static const char text[] =
        "INSERT OR REPLACE INTO ledger_filters(slice, keys, seed, filter, crc) VALUES(?1, ?2, ?3, ?4, ?5)";
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(ledger->db, text, &statement);
    if (!result) {
        struct slice bytes = key_filter_bytes(&slice->folded);
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(slice->name));
        sql_bind_int(&use, (int64_t)slice->keys);
        sql_bind_blob(&use, slice_of(slice->index.seed.bytes, HASH_SEED_BYTES));
        sql_bind_blob(&use, bytes);
        sql_bind_int(&use, filter_checksum(slice, slice->keys, &slice->index.seed, bytes));
        result = sql_execute(&use);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err forget_index(struct ledger *ledger, const struct ledger_slice *slice)
{
    sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(ledger->db, "DELETE FROM ledger_index WHERE slice = ?1", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(slice->name));
        result = sql_execute(&use);
    }
    sqlite3_finalize(statement);
    return result;
}

/* Entries of rows that were rolled back go with it. */
static enum err seal_index(struct ledger *ledger, struct ledger_slice *slice)
{
    static const char text[] = "INSERT INTO ledger_index(slice, bucket, entries, crc) VALUES(?1, ?2, ?3, ?4)";
    sqlite3_stmt *statement = NULL;
    struct buffer bytes = BUFFER_EMPTY;
    unsigned bits = key_bucket_bits(slice->keys);
    enum err result = forget_index(ledger, slice);
    if (!result)
        result = sql_prepare(ledger->db, text, &statement);
    for (uint32_t bucket = 0; bucket >> bits == 0 && !result; bucket++) {
        result = key_index_bucket(&slice->index, bits, bucket, &bytes);
        if (result)
            break;
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(slice->name));
        sql_bind_int(&use, bucket);
        sql_bind_blob(&use, buffer_slice(&bytes));
        sql_bind_int(&use, bucket_checksum(slice, bucket, buffer_slice(&bytes)));
        result = sql_execute(&use);
    }
    buffer_done(&bytes);
    sqlite3_finalize(statement);
    return result;
}

/* The filter is folded in a copy, and the index stays, since the transaction may fail. */
enum err ledger_slice_seal(struct ledger *ledger, struct ledger_slice *slice)
{
    enum err result = OK;
    if (slice->state == SLICE_CLOSED && !slice->index.slots) {
        result = index_rows(ledger, slice);
        if (result || slice->unreadable)
            return result;
    }
    assert(slice->filter.lines_count); /* an empty one would deny every key */
    slice->sealed = true;
    result = key_filter_fold(&slice->filter, slice->keys, &slice->folded);
    if (!result)
        result = make_sealed_tables(ledger->db);
    if (!result)
        result = seal_filter(ledger, slice);
    return result ? result : seal_index(ledger, slice);
}

enum err ledger_slice_load(struct ledger_slice *slice, sqlite3_stmt *filters)
{
    struct sql_use use = sql_use(filters);
    bool row;
    sql_bind_text(&use, slice_from_string(slice->name));
    enum err result = sql_step(&use, &row);
    if (!result && row) {
        uint64_t keys = (uint64_t)sql_column_int(&use, 0);
        struct slice seed_bytes = sql_column_slice(&use, 1), bytes = sql_column_slice(&use, 2);
        struct hash_seed seed = {0};
        if (seed_bytes.len != sizeof seed.bytes)
            result = ERR_DAMAGED;
        else
            memcpy(seed.bytes, seed_bytes.data, sizeof seed.bytes);
        if (!result && sql_column_int(&use, 3) != filter_checksum(slice, keys, &seed, bytes))
            result = ERR_DAMAGED;
        if (!result)
            result = key_filter_load(&slice->filter, keys, bytes);
        if (!result) {
            key_index_init(&slice->index, &seed);
            slice->keys = keys;
            slice->state = SLICE_SEALED;
        }
    }
    sql_finish(&use);
    return result == ERR_DAMAGED ? OK : result;
}

/* Whether a row holds the key; LEDGER_NEW when it does not. */
static enum err judge_row(struct ledger *ledger, struct ledger_slice *slice, uint32_t number,
    const struct ledger_entry *entry, enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    if (!slice->find) {
        enum err prepared = prepare_for(ledger, slice, find_text, &slice->find);
        if (prepared)
            return prepared;
    }
    struct sql_use use = sql_use(slice->find);
    bool row;
    sql_bind_int(&use, number);
    enum err result = sql_step(&use, &row);
    struct ledger_row found;
    *ret_finding = result == ERR_DAMAGED ? LEDGER_DAMAGED : LEDGER_NEW;
    if (!result && row && !ledger_row_take(slice->name, &use, &found)) {
        name_damaged_row(slice, number);
        *ret_finding = LEDGER_DAMAGED;
    } else if (!result && row && slice_equal(found.key, slice_of(entry->key->bytes, sizeof entry->key->bytes))) {
        memcpy(ret_first->bytes, found.event.data, found.event.len);
        bool same = slice_equal(found.amount, entry->amount) && slice_equal(found.currency, entry->currency);
        *ret_finding = same ? LEDGER_DUPLICATE : LEDGER_CONFLICT;
    }
    sql_finish(&use);
    return result == ERR_DAMAGED ? OK : result;
}

static enum err find_by_index(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry,
    enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    enum err result = OK;
    struct key_index_search search = key_index_search(&slice->index, entry->key);
    uint32_t row;
    while (!result && *ret_finding == LEDGER_NEW && (row = key_index_next(&slice->index, &search)))
        result = judge_row(ledger, slice, row, entry, ret_finding, ret_first);
    return result;
}

/* ERR_DAMAGED: the bucket is missing or not the one that was written. */
static enum err find_by_bucket(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry,
    enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    static const char text[] = "SELECT entries, crc FROM ledger_index WHERE slice = ?1 AND bucket = ?2";
    enum err result = ledger->find_bucket ? OK : sql_prepare(ledger->db, text, &ledger->find_bucket);
    if (result)
        return result == ERR_BUG ? ERR_DAMAGED : result; /* there is no such table */
    uint32_t tag = key_index_tag(&slice->index.seed, entry->key);
    uint32_t bucket = key_bucket_of(tag, key_bucket_bits(slice->keys)), number;
    struct sql_use use = sql_use(ledger->find_bucket);
    bool row;
    sql_bind_text(&use, slice_from_string(slice->name));
    sql_bind_int(&use, bucket);
    result = sql_step(&use, &row);
    if (result == ERR_BUG || (!result && !row))
        result = ERR_DAMAGED;
    struct slice bytes = result ? (struct slice){0} : sql_column_slice(&use, 0);
    if (!result && sql_column_int(&use, 1) != bucket_checksum(slice, bucket, bytes))
        result = ERR_DAMAGED;
    struct key_index_search search = key_bucket_search(bytes, tag);
    while (!result && *ret_finding == LEDGER_NEW && (number = key_bucket_next(bytes, &search)))
        result = judge_row(ledger, slice, number, entry, ret_finding, ret_first);
    sql_finish(&use);
    return result;
}

enum err ledger_slice_find(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry,
    enum ledger_finding *ret_finding, struct event_id *ret_first)
{
    enum ledger_finding finding = LEDGER_NEW;
    enum err result = OK;
    if (slice->state == SLICE_SEALED) {
        result = find_by_bucket(ledger, slice, entry, &finding, ret_first);
        if (result == ERR_DAMAGED) {
            log_error("a slice of the ledger has a damaged index: its rows are read again slice=%s", slice->name);
            slice->state = SLICE_CLOSED;
            result = OK;
        }
    }
    if (!result && slice->state == SLICE_CLOSED && !slice->index.slots)
        result = index_rows(ledger, slice);
    if (!result && slice->state != SLICE_SEALED)
        result = find_by_index(ledger, slice, entry, &finding, ret_first);
    if (!result)
        *ret_finding = finding == LEDGER_NEW && slice->unreadable ? LEDGER_DAMAGED : finding;
    return result;
}

enum err ledger_slice_add(struct ledger *ledger, struct ledger_slice *slice, const struct ledger_entry *entry)
{
    enum err result = key_index_reserve(&slice->index);
    if (!result && !slice->add)
        result = prepare_for(ledger, slice, add_text, &slice->add);
    if (result)
        return result;
    /* Before the row: at no moment may there be one that its filter denies. */
    key_filter_add(&slice->filter, entry->key);
    slice->keys++;
    struct sql_use use = sql_use(slice->add);
    struct slice key = slice_of(entry->key->bytes, sizeof entry->key->bytes);
    sql_bind_blob(&use, key);
    sql_bind_blob(&use, entry->event);
    sql_bind_optional_text(&use, entry->amount);
    sql_bind_optional_text(&use, entry->currency);
    sql_bind_int(&use, row_checksum(slice->name, key, entry->event, entry->amount, entry->currency));
    result = sql_execute(&use);
    if (result)
        return result;
    int64_t row = sqlite3_last_insert_rowid(ledger->db);
    if (row <= 0 || row > UINT32_MAX)
        return ERR_DAMAGED; /* a slice is full long before that */
    key_index_add(&slice->index, entry->key, (uint32_t)row);
    return OK;
}

static enum err drop_table(struct ledger *ledger, struct ledger_slice *slice)
{
    char text[160];
    snprintf(
        text, sizeof text, "DROP TABLE %s; DELETE FROM ledger_filters WHERE slice = '%s'", slice->name, slice->name);
    slice->dropped = true;
    return sql_run(ledger->db, text);
}

/* Runs a deletion whose one %s is the slice's name, and says whether it found anything. */
static enum err delete_some(struct ledger *ledger, const struct ledger_slice *slice, const char *format, bool *ret_some)
{
    sqlite3_stmt *statement = NULL;
    enum err result = prepare_for(ledger, slice, format, &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        result = sql_execute(&use);
    }
    *ret_some = !result && sqlite3_changes64(ledger->db) > 0;
    sqlite3_finalize(statement);
    return result;
}

/* A DROP of a full slice would read and free its ten thousand pages in one go. */
enum err ledger_slice_drop_step(struct ledger *ledger, struct ledger_slice *slice)
{
    bool some = false;
    slice->expiring = true;
    enum err result =
        delete_some(ledger, slice, "DELETE FROM %s WHERE row IN (SELECT row FROM %s ORDER BY row LIMIT 4096)", &some);
    if (!result && !some)
        result = make_sealed_tables(ledger->db);
    if (!result && !some)
        result = delete_some(ledger, slice,
            "DELETE FROM ledger_index WHERE slice = '%s' AND bucket IN"
            " (SELECT bucket FROM ledger_index WHERE slice = '%s' ORDER BY bucket LIMIT 128)",
            &some);
    return result || some ? result : drop_table(ledger, slice);
}

bool ledger_slice_end(struct ledger_slice *slice, bool committed)
{
    if (!slice->made && !slice->dropped && !slice->sealed)
        return true;
    bool exists = committed ? !slice->dropped : !slice->made;
    if (slice->sealed && committed) {
        key_filter_done(&slice->filter);
        slice->filter = slice->folded;
        slice->folded = (struct key_filter){0};
        key_index_done(&slice->index);
        slice->state = SLICE_SEALED;
        sqlite3_finalize(slice->add);
        slice->add = NULL;
    }
    key_filter_done(&slice->folded);
    slice->made = slice->dropped = slice->sealed = false;
    return exists;
}
