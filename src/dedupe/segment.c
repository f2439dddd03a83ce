/* SPDX-License-Identifier: Apache-2.0 */
#include "dedupe/segment.h"

#include "base/memory.h"
#include "runtime/log.h"
#include "sqlite/checksum.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct dedupe_segment *dedupe_segment_new(int64_t day, int64_t days_kept, unsigned part)
{
    struct dedupe_segment *segment;
    MEMORY_NEW(segment);
    segment->day = day;
    segment->days_kept = days_kept;
    segment->part = part;
    char date[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(day * US_PER_DAY, date);
    int len = snprintf(segment->name, sizeof segment->name, "dedupe_%c_%.4s%.2s%.2s",
        days_kept == DEDUPE_CRITICAL_DAYS ? 'c' : 'o', date, date + 5, date + 8);
    if (part)
        snprintf(segment->name + len, sizeof segment->name - (size_t)len, "_%u", part);
    return segment;
}

void dedupe_segment_free(struct dedupe_segment *segment)
{
    if (!segment)
        return;
    sql_finalize(segment->find);
    sql_finalize(segment->add);
    key_filter_done(&segment->filter);
    key_filter_done(&segment->folded);
    key_index_done(&segment->index);
    free(segment);
}

enum err dedupe_segment_from_name(const char *name, struct dedupe_segment **ret_segment)
{
    char kind, date[CLOCK_TEXT_BYTES];
    int year, month, day;
    unsigned part = 0;
    int64_t midnight_us;
    if (sscanf(name, "dedupe_%c_%4d%2d%2d_%9u", &kind, &year, &month, &day, &part) < 4 ||
        (kind != 'c' && kind != 'o'))
        return ERR_NOT_FOUND;
    snprintf(date, sizeof date, "%04d-%02d-%02dT00:00:00Z", year % 10000, month % 100, day % 100);
    if (!clock_parse_rfc3339(slice_from_string(date), &midnight_us))
        return ERR_NOT_FOUND;
    int64_t days_kept = kind == 'c' ? DEDUPE_CRITICAL_DAYS : DEDUPE_OTHER_DAYS;
    struct dedupe_segment *segment = dedupe_segment_new(midnight_us / US_PER_DAY, days_kept, part);
    if (strcmp(segment->name, name) != 0) {
        dedupe_segment_free(segment);
        return ERR_NOT_FOUND;
    }
    *ret_segment = segment;
    return OK;
}

bool dedupe_segment_is_later(
    const struct dedupe_segment *segment, const struct dedupe_segment *other)
{
    return segment->day != other->day ? segment->day > other->day : segment->part > other->part;
}

enum err dedupe_segment_check_form(
    struct dedupe_store *dedupe, const struct dedupe_segment *segment)
{
    return dedupe_rows_check(dedupe->db, segment->name);
}

enum err dedupe_segment_make(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    segment->made = true;
    key_index_init(&segment->index, &dedupe->seed);
    enum err result = key_filter_init(&segment->filter, dedupe->segment_keys_max);
    return result ? result : dedupe_rows_make(dedupe->db, segment->name);
}

/* What the rows of a segment say. */
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

static enum err contents_add(const struct dedupe_row *row, void *context)
{
    struct contents *contents = context;
    struct dedupe_key key;
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
static enum err contents_read(struct dedupe_store *dedupe, const struct dedupe_segment *segment,
    uint64_t filter_keys, struct contents *ret_contents)
{
    struct contents contents = {0};
    bool all = true;
    key_index_init(&contents.index, &dedupe->seed);
    enum err result = filter_keys ? key_filter_init(&contents.filter, filter_keys) : OK;
    if (!result)
        result = dedupe_rows_each(dedupe->db, segment->name, contents_add, &contents, &all);
    contents.in_part = !all;
    if (result)
        contents_done(&contents);
    else
        *ret_contents = contents;
    return result;
}

enum err dedupe_segment_scan(
    struct dedupe_store *dedupe, struct dedupe_segment *segment, bool newest)
{
    struct contents contents;
    enum err result = contents_read(dedupe, segment, dedupe->segment_keys_max, &contents);
    if (!result &&
        contents.keys > dedupe->segment_keys_max) { /* made when segments had another bound */
        uint64_t keys = contents.keys;
        contents_done(&contents);
        result = contents_read(dedupe, segment, keys, &contents);
    }
    if (result)
        return result;
    if (contents.in_part) {
        log_error("rows of a segment of the dedupe store cannot be read segment=%s keys_read=%llu",
            segment->name, (unsigned long long)contents.keys);
    }
    if (!newest)
        key_index_done(&contents.index);
    segment->filter = contents.filter;
    segment->index = contents.index;
    segment->keys = contents.keys;
    segment->unreadable = segment->filter_in_part = contents.in_part;
    segment->state = newest && !contents.in_part && segment->keys < dedupe->segment_keys_max
                         ? SEGMENT_OPEN
                         : SEGMENT_CLOSED;
    return OK;
}

void dedupe_segment_mended(struct dedupe_segment *segment)
{
    segment->mended = true;
    segment->unreadable = segment->filter_in_part = false;
}

/* The oldest closed segment loses its index, since duplicates are rarely that late. */
static void make_room_for_index(struct dedupe_store *dedupe)
{
    unsigned count = 0;
    for (size_t i = 0; i < dedupe->count; i++) {
        struct dedupe_segment *other = dedupe->segments[i];
        if (other->state == SEGMENT_CLOSED && other->index.slots &&
            ++count >= DEDUPE_CLOSED_INDEXES_MAX)
            key_index_done(&other->index);
    }
}

/* Builds the index of a closed segment in memory. Its filter stays as it is: it may have keys of
 * rows that cannot be read any more. */
static enum err index_rows(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    struct contents contents;
    make_room_for_index(dedupe);
    enum err result = contents_read(dedupe, segment, 0, &contents);
    if (result)
        return result;
    if (contents.in_part && !segment->unreadable && !segment->mended)
        log_error(
            "a segment of the dedupe store cannot be read: events that may be in it are refused "
            "segment=%s keys_read=%llu",
            segment->name, (unsigned long long)contents.keys);
    segment->index = contents.index;
    segment->unreadable |= contents.in_part && !segment->mended;
    return OK;
}

/* Made with the first segment that is sealed, not by a migration: like the segments, they belong to
 * the dedupe store alone. */
static enum err make_sealed_tables(struct sqlite3 *db)
{
    return sql_run(db,
        "CREATE TABLE IF NOT EXISTS dedupe_filters(segment TEXT PRIMARY KEY, keys INTEGER NOT NULL,"
        " seed BLOB NOT NULL, filter BLOB NOT NULL, crc INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS dedupe_index(segment TEXT, bucket INTEGER, entries BLOB NOT "
        "NULL,"
        " crc INTEGER NOT NULL, PRIMARY KEY(segment, bucket)) WITHOUT ROWID");
}

/* Over the meaning of the bytes, their segment, and the bytes. `what` is the number of the format
 * and a name. */
static int64_t checksum(const struct dedupe_segment *segment, const char *what, uint64_t keys,
    const struct hash_seed *seed, struct slice bytes)
{
    char head[96];
    int len =
        snprintf(head, sizeof head, "%s %s %llu ", what, segment->name, (unsigned long long)keys);
    uint32_t crc = checksum_add_bytes(0, slice_of(head, (size_t)len));
    crc = checksum_add_bytes(crc, slice_of(seed->bytes, sizeof seed->bytes));
    return checksum_add_bytes(crc, bytes);
}

static int64_t filter_checksum(const struct dedupe_segment *segment, uint64_t keys,
    const struct hash_seed *seed, struct slice bytes)
{
    char what[32];
    snprintf(what, sizeof what, "%d filter", KEY_FILTER_FORMAT);
    return checksum(segment, what, keys, seed, bytes);
}

static int64_t bucket_checksum(
    const struct dedupe_segment *segment, uint32_t bucket, struct slice bytes)
{
    char what[32];
    snprintf(what, sizeof what, "%d bucket %u", KEY_INDEX_FORMAT, bucket);
    return checksum(segment, what, segment->keys, &segment->index.seed, bytes);
}

static enum err seal_filter(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    static const char text[] = "INSERT OR REPLACE INTO dedupe_filters(segment, keys, seed, filter, "
                               "crc) VALUES(?1, ?2, ?3, ?4, ?5)";
    struct sqlite3_stmt *statement = NULL;
    enum err result = sql_prepare(dedupe->db, text, &statement);
    if (!result) {
        struct slice bytes = key_filter_bytes(&segment->folded);
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(segment->name));
        sql_bind_int(&use, (int64_t)segment->keys);
        sql_bind_blob(&use, slice_of(segment->index.seed.bytes, HASH_SEED_BYTES));
        sql_bind_blob(&use, bytes);
        sql_bind_int(&use, filter_checksum(segment, segment->keys, &segment->index.seed, bytes));
        result = sql_execute(&use);
    }
    sql_finalize(statement);
    return result;
}

static enum err forget_index(struct dedupe_store *dedupe, const struct dedupe_segment *segment)
{
    struct sqlite3_stmt *statement = NULL;
    enum err result =
        sql_prepare(dedupe->db, "DELETE FROM dedupe_index WHERE segment = ?1", &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(segment->name));
        result = sql_execute(&use);
    }
    sql_finalize(statement);
    return result;
}

/* Entries of rows that were rolled back are written as well. */
static enum err seal_index(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    static const char text[] =
        "INSERT INTO dedupe_index(segment, bucket, entries, crc) VALUES(?1, ?2, ?3, ?4)";
    struct sqlite3_stmt *statement = NULL;
    struct buffer bytes = BUFFER_EMPTY;
    unsigned bits = key_bucket_bits(segment->keys);
    enum err result = forget_index(dedupe, segment);
    if (!result)
        result = sql_prepare(dedupe->db, text, &statement);
    for (uint32_t bucket = 0; bucket >> bits == 0 && !result; bucket++) {
        result = key_index_bucket(&segment->index, bits, bucket, &bytes);
        if (result)
            break;
        struct sql_use use = sql_use(statement);
        sql_bind_text(&use, slice_from_string(segment->name));
        sql_bind_int(&use, bucket);
        sql_bind_blob(&use, buffer_slice(&bytes));
        sql_bind_int(&use, bucket_checksum(segment, bucket, buffer_slice(&bytes)));
        result = sql_execute(&use);
    }
    buffer_done(&bytes);
    sql_finalize(statement);
    return result;
}

/* The filter is folded in a copy, and the index stays, since the transaction may fail. */
enum err dedupe_segment_seal(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    enum err result = OK;
    if (segment->state == SEGMENT_CLOSED && !segment->index.slots) {
        result = index_rows(dedupe, segment);
        if (result || segment->unreadable)
            return result;
    }
    assert(segment->filter.lines_count); /* an empty one would deny every key */
    segment->sealed = true;
    result = key_filter_fold(&segment->filter, segment->keys, &segment->folded);
    if (!result)
        result = make_sealed_tables(dedupe->db);
    if (!result)
        result = seal_filter(dedupe, segment);
    return result ? result : seal_index(dedupe, segment);
}

enum err dedupe_segment_load(struct dedupe_segment *segment, struct sqlite3_stmt *filters)
{
    struct sql_use use = sql_use(filters);
    bool row;
    sql_bind_text(&use, slice_from_string(segment->name));
    enum err result = sql_step(&use, &row);
    if (!result && row) {
        uint64_t keys = (uint64_t)sql_column_int(&use, 0);
        struct slice seed_bytes = sql_column_slice(&use, 1), bytes = sql_column_slice(&use, 2);
        struct hash_seed seed = {0};
        if (seed_bytes.len != sizeof seed.bytes)
            result = ERR_DAMAGED;
        else
            memcpy(seed.bytes, seed_bytes.data, sizeof seed.bytes);
        if (!result && sql_column_int(&use, 3) != filter_checksum(segment, keys, &seed, bytes))
            result = ERR_DAMAGED;
        if (!result)
            result = key_filter_load(&segment->filter, keys, bytes);
        if (!result) {
            key_index_init(&segment->index, &seed);
            segment->keys = keys;
            segment->state = SEGMENT_SEALED;
        }
    }
    sql_finish(&use);
    return result == ERR_DAMAGED ? OK : result;
}

static enum err find_by_index(struct dedupe_store *dedupe, struct dedupe_segment *segment,
    const struct dedupe_entry *entry, enum dedupe_finding *ret_finding, struct event_id *ret_first)
{
    enum err result = OK;
    struct key_index_search search = key_index_search(&segment->index, entry->key);
    uint32_t row;
    while (
        !result && *ret_finding == DEDUPE_NEW && (row = key_index_next(&segment->index, &search)))
        result = dedupe_row_judge(
            dedupe->db, segment->name, &segment->find, row, entry, ret_finding, ret_first);
    return result;
}

/* ERR_DAMAGED: the bucket is missing or not the one that was written. */
static enum err find_by_bucket(struct dedupe_store *dedupe, struct dedupe_segment *segment,
    const struct dedupe_entry *entry, enum dedupe_finding *ret_finding, struct event_id *ret_first)
{
    static const char text[] =
        "SELECT entries, crc FROM dedupe_index WHERE segment = ?1 AND bucket = ?2";
    enum err result =
        dedupe->find_bucket ? OK : sql_prepare(dedupe->db, text, &dedupe->find_bucket);
    if (result)
        return result == ERR_BUG ? ERR_DAMAGED : result; /* there is no such table */
    uint32_t tag = key_index_tag(&segment->index.seed, entry->key);
    uint32_t bucket = key_bucket_of(tag, key_bucket_bits(segment->keys)), number;
    struct sql_use use = sql_use(dedupe->find_bucket);
    bool row;
    sql_bind_text(&use, slice_from_string(segment->name));
    sql_bind_int(&use, bucket);
    result = sql_step(&use, &row);
    if (result == ERR_BUG || (!result && !row))
        result = ERR_DAMAGED;
    struct slice bytes = result ? (struct slice){0} : sql_column_slice(&use, 0);
    if (!result && sql_column_int(&use, 1) != bucket_checksum(segment, bucket, bytes))
        result = ERR_DAMAGED;
    struct key_index_search search = key_bucket_search(bytes, tag);
    while (!result && *ret_finding == DEDUPE_NEW && (number = key_bucket_next(bytes, &search)))
        result = dedupe_row_judge(
            dedupe->db, segment->name, &segment->find, number, entry, ret_finding, ret_first);
    sql_finish(&use);
    return result;
}

enum err dedupe_segment_find(struct dedupe_store *dedupe, struct dedupe_segment *segment,
    const struct dedupe_entry *entry, enum dedupe_finding *ret_finding, struct event_id *ret_first)
{
    enum dedupe_finding finding = DEDUPE_NEW;
    enum err result = OK;
    if (segment->state == SEGMENT_SEALED) {
        result = find_by_bucket(dedupe, segment, entry, &finding, ret_first);
        if (result == ERR_DAMAGED) {
            log_error("a segment of the dedupe store has a damaged index: its rows are read again "
                      "segment=%s",
                segment->name);
            segment->state = SEGMENT_CLOSED;
            result = OK;
        }
    }
    if (!result && segment->state == SEGMENT_CLOSED && !segment->index.slots)
        result = index_rows(dedupe, segment);
    if (!result && segment->state != SEGMENT_SEALED)
        result = find_by_index(dedupe, segment, entry, &finding, ret_first);
    if (!result)
        *ret_finding = finding == DEDUPE_NEW && segment->unreadable ? DEDUPE_DAMAGED : finding;
    return result;
}

enum err dedupe_segment_add(
    struct dedupe_store *dedupe, struct dedupe_segment *segment, const struct dedupe_entry *entry)
{
    enum err result = key_index_reserve(&segment->index);
    if (!result)
        result = dedupe_row_prepare_add(dedupe->db, segment->name, &segment->add);
    if (result)
        return result;
    /* Before the row is written: at no moment may there be a row that its filter denies. */
    key_filter_add(&segment->filter, entry->key);
    segment->keys++;
    uint32_t row;
    result = dedupe_row_add(dedupe->db, segment->name, &segment->add, entry, &row);
    if (!result)
        key_index_add(&segment->index, entry->key, row);
    return result;
}

static enum err drop_table(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    char text[160];
    snprintf(text, sizeof text, "DROP TABLE %s; DELETE FROM dedupe_filters WHERE segment = '%s'",
        segment->name, segment->name);
    segment->dropped = true;
    return sql_run(dedupe->db, text);
}

/* Runs a deletion whose one %s is the segment's name, and says whether it found anything. */
static enum err delete_some(struct dedupe_store *dedupe, const struct dedupe_segment *segment,
    const char *format, bool *ret_some)
{
    struct sqlite3_stmt *statement = NULL;
    enum err result = dedupe_prepare(dedupe->db, segment->name, format, &statement);
    if (!result) {
        struct sql_use use = sql_use(statement);
        result = sql_execute(&use);
    }
    *ret_some = !result && sql_changes(dedupe->db) > 0;
    sql_finalize(statement);
    return result;
}

/* A DROP of a full segment would read and free its ten thousand pages in one transaction. */
enum err dedupe_segment_drop_step(struct dedupe_store *dedupe, struct dedupe_segment *segment)
{
    bool some = false;
    segment->expiring = true;
    enum err result = delete_some(dedupe, segment,
        "DELETE FROM %s WHERE row IN (SELECT row FROM %s ORDER BY row LIMIT 4096)", &some);
    if (!result && !some)
        result = make_sealed_tables(dedupe->db);
    if (!result && !some)
        result = delete_some(dedupe, segment,
            "DELETE FROM dedupe_index WHERE segment = '%s' AND bucket IN"
            " (SELECT bucket FROM dedupe_index WHERE segment = '%s' ORDER BY bucket LIMIT 128)",
            &some);
    return result || some ? result : drop_table(dedupe, segment);
}

bool dedupe_segment_end(struct dedupe_segment *segment, bool committed)
{
    if (!segment->made && !segment->dropped && !segment->sealed)
        return true;
    bool exists = committed ? !segment->dropped : !segment->made;
    if (segment->sealed && committed) {
        key_filter_done(&segment->filter);
        segment->filter = segment->folded;
        segment->folded = (struct key_filter){0};
        key_index_done(&segment->index);
        segment->state = SEGMENT_SEALED;
        sql_finalize(segment->add);
        segment->add = NULL;
    }
    key_filter_done(&segment->folded);
    segment->made = segment->dropped = segment->sealed = false;
    return exists;
}
