/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of event_keys.h. Entries are 32-bit numbers in little-endian order, sorted:
 *
 *   of a run      tag (23 bits), place in the run (9 bits)
 *   of a bucket   low 16 bits of the tag, place in the chunk (14 bits). The high 7 bits of the tag
 *                 are the bucket's number
 */
#include "journal/event_keys.h"
#include "journal/event_keys_format.h"

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "runtime/log.h"
#include "sqlite/checksum.h"

#include <stdlib.h>

#define RUNS_PER_CHUNK (EVENT_KEYS_CHUNK / EVENT_KEYS_RUN)

static const char *const texts[EVENT_KEYS_STATEMENTS] = {
    [EVENT_KEYS_LIST_EVENTS] =
        "SELECT seq, key FROM events WHERE seq BETWEEN ? AND ? AND key IS NOT NULL",
    [EVENT_KEYS_COUNT_EVENTS] =
        "SELECT count(*) FROM (SELECT 1 FROM events WHERE seq BETWEEN ? AND ? LIMIT ?)",
    [EVENT_KEYS_READ_RUN] = EVENT_KEYS_READ_RUN_TEXT,
    [EVENT_KEYS_WRITE_RUN] =
        "INSERT OR REPLACE INTO event_key_runs(run, entries, crc) VALUES(?,?,?)",
    [EVENT_KEYS_DROP_RUNS] = "DELETE FROM event_key_runs WHERE run BETWEEN ? AND ?",
    [EVENT_KEYS_WRITE_BUCKET] =
        "INSERT OR REPLACE INTO event_keys(bucket, entries, crc) VALUES(?,?,?)",
    [EVENT_KEYS_DROP_BUCKETS] = "DELETE FROM event_keys WHERE bucket BETWEEN ? AND ?",
};

/* The first number behind all blocks of a kind. */
static const char *const end_texts[] = {
    "SELECT coalesce(max(run) + 1, 0) * 512 FROM event_key_runs",
    "SELECT coalesce(max(bucket) / 128 + 1, 0) * 16384 FROM event_keys",
};
static_assert(EVENT_KEYS_RUN == 512 && EVENT_KEYS_BUCKETS == 128 && EVENT_KEYS_CHUNK == 16384,
    "the texts have these numbers");

enum err event_keys_read_seed(struct sqlite3 *db, struct hash_seed *ret_seed)
{
    struct sqlite3_stmt *statement = NULL;
    bool row = false;
    enum err err =
        sql_prepare(db, "SELECT value FROM meta WHERE key = 'event_keys_seed'", &statement);
    struct sql_use use = sql_use(statement);
    if (!err)
        err = sql_step(&use, &row);
    struct slice seed = {0};
    if (!err && row)
        seed = sql_column_slice(&use, 0);
    if (!err && seed.len != sizeof ret_seed->bytes)
        err = ERR_NOT_FOUND;
    if (!err)
        memcpy(ret_seed->bytes, seed.data, seed.len);
    sql_finalize(statement);
    return err;
}

uint32_t event_keys_tag(const struct hash_seed *seed, struct slice key)
{
    return (uint32_t)(hash_siphash(seed, key) & EVENT_KEYS_TAG_MASK);
}

uint32_t event_keys_checksum(const struct hash_seed *seed, int64_t number, struct slice entries)
{
    const struct slice parts[] = {slice_of(seed->bytes, sizeof seed->bytes), entries};
    return checksum_columns(&number, 1, parts, ARRAY_LENGTH(parts));
}

static void give_up(struct event_keys *keys, enum err err)
{
    log_error("the index of keys is given up until the next start: a search by a key reads the "
              "events that are accepted from now on one by one shard=%u error=%s reason=%s",
        keys->shard, err_name(err), sql_reason(keys->db));
    keys->given_up = keys->gave_way = true;
}

/* Notes that a run or a chunk is left out, since what it is made of cannot be read. */
static void leave_out(
    struct event_keys *keys, int64_t *ret_left_out, int64_t number, int64_t block_events)
{
    log_warn("events cannot be read to index their keys: a search by a key reads them one by one "
             "shard=%u first=%lld count=%lld reason=%s",
        keys->shard, (long long)(number * block_events), (long long)block_events,
        sql_reason(keys->db));
    *ret_left_out = number;
    keys->gave_way = true;
}

/* Without its seed all that was indexed is not indexed any more. */
static enum err make_seed(struct event_keys *keys)
{
    struct sqlite3_stmt *statement = NULL;
    crypto_random(keys->seed.bytes, sizeof keys->seed.bytes);
    enum err err = sql_prepare(keys->db,
        "INSERT OR REPLACE INTO meta(key, value) VALUES('event_keys_seed', ?)", &statement);
    struct sql_use use = sql_use(statement);
    if (!err) {
        sql_bind_blob(&use, slice_of(keys->seed.bytes, sizeof keys->seed.bytes));
        err = sql_execute(&use);
    }
    sql_finalize(statement);
    return err;
}

static enum err read_end(struct event_keys *keys)
{
    for (size_t i = 0; i < ARRAY_LENGTH(end_texts); i++) {
        int64_t end = 0;
        enum err err = sql_read_int(keys->db, end_texts[i], &end);
        if (err == ERR_DAMAGED && !keys->given_up)
            give_up(keys, err);
        if (err && err != ERR_DAMAGED)
            return err;
        if (end > keys->end)
            keys->end = end;
    }
    return OK;
}

enum err event_keys_init(struct event_keys *keys, struct sqlite3 *db, unsigned shard)
{
    int64_t last = 0;
    *keys = (struct event_keys){
        .db = db, .shard = shard, .first_lost = -1, .left_out_run = -1, .left_out_chunk = -1};
    enum err err = sql_prepare_all(db, texts, EVENT_KEYS_STATEMENTS, keys->statements);
    if (err)
        return err;
    err = event_keys_read_seed(db, &keys->seed);
    if (err == ERR_NOT_FOUND)
        err = make_seed(keys);
    if (err)
        give_up(keys, err); /* on a disk that is full, for instance */
    err = read_end(keys);
    if (!err)
        err = sql_read_int(db, "SELECT coalesce(max(seq), 0) FROM events", &last);
    keys->run = last / EVENT_KEYS_RUN;
    keys->is_complete = last == 0;
    keys->gave_way = false;
    return err;
}

void event_keys_done(struct event_keys *keys)
{
    sql_finalize_all(keys->statements, EVENT_KEYS_STATEMENTS);
}

static int compare_entries(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Sorts entries, and brings them into the order of bytes that the disk has. */
static struct slice seal(uint32_t *entries, unsigned count)
{
    qsort(entries, count, sizeof entries[0], compare_entries);
    for (unsigned i = 0; i < count; i++)
        entries[i] = htole32(entries[i]);
    return slice_of(entries, count * sizeof entries[0]);
}

static struct sql_use use_range(struct sqlite3_stmt *statement, int64_t first, int64_t last)
{
    struct sql_use use = sql_use(statement);
    sql_bind_int(&use, first);
    sql_bind_int(&use, last);
    return use;
}

static enum err write_row(struct event_keys *keys, enum event_keys_statement statement,
    int64_t number, struct slice entries)
{
    struct sql_use use = sql_use(keys->statements[statement]);
    sql_bind_int(&use, number);
    sql_bind_blob(&use, entries);
    sql_bind_int(&use, event_keys_checksum(&keys->seed, number, entries));
    return sql_execute(&use);
}

/* The entries of a run, from the keys of its events. */
static enum err read_events(
    struct event_keys *keys, int64_t run, uint32_t ret_entries[EVENT_KEYS_RUN], unsigned *ret_count)
{
    int64_t first = run * EVENT_KEYS_RUN;
    struct sql_use use =
        use_range(keys->statements[EVENT_KEYS_LIST_EVENTS], first, first + EVENT_KEYS_RUN - 1);
    unsigned count = 0;
    bool row = false;
    enum err err;
    while (!(err = sql_step(&use, &row)) && row && count < EVENT_KEYS_RUN)
        ret_entries[count++] =
            event_keys_run_entry(event_keys_tag(&keys->seed, sql_column_slice(&use, 1)),
                (uint32_t)(sql_column_int(&use, 0) - first));
    sql_finish(&use);
    *ret_count = count;
    return err;
}

/* The entries of a run that is full: of its row, or of its events where the row is not good. */
static enum err read_run(
    struct event_keys *keys, int64_t run, uint32_t ret_entries[EVENT_KEYS_RUN], unsigned *ret_count)
{
    struct sql_use use = sql_use(keys->statements[EVENT_KEYS_READ_RUN]);
    bool row = false, good = false;
    sql_bind_int(&use, run);
    enum err err = sql_step(&use, &row);
    struct slice entries = {0};
    if (!err && row)
        good = event_keys_take(&use, &keys->seed, run, EVENT_KEYS_RUN, &entries);
    for (size_t i = 0; good && i < entries.len / EVENT_KEYS_ENTRY_BYTES; i++)
        ret_entries[i] = event_keys_entry_at(entries, i);
    *ret_count = (unsigned)(entries.len / EVENT_KEYS_ENTRY_BYTES);
    sql_finish(&use);
    return err || good ? err : read_events(keys, run, ret_entries, ret_count);
}

static enum err write_run(struct event_keys *keys)
{
    enum err err = OK;
    if (keys->run == keys->left_out_run)
        return OK;
    if (!keys->is_complete)
        err = read_events(keys, keys->run, keys->entries, &keys->count);
    if (err == ERR_DAMAGED)
        leave_out(keys, &keys->left_out_run, keys->run, EVENT_KEYS_RUN);
    if (err)
        return err;
    keys->is_complete = false; /* sealed: the entries are of no more use */
    err = write_row(keys, EVENT_KEYS_WRITE_RUN, keys->run, seal(keys->entries, keys->count));
    if (err == ERR_DAMAGED)
        give_up(keys, err);
    return err;
}

/* What a chunk is made of while its buckets are filled. */
struct chunk {
    unsigned counts[EVENT_KEYS_BUCKETS + 1]; /* then: where each bucket begins */
    unsigned count;
    uint64_t entries[EVENT_KEYS_CHUNK]; /* tag and place, as the runs have them */
    uint32_t sorted[EVENT_KEYS_CHUNK];  /* entries of the buckets, bucket by bucket */
};

static enum err gather_runs(struct event_keys *keys, int64_t first_run, struct chunk *chunk)
{
    enum err err = OK;
    for (int64_t i = 0; i < RUNS_PER_CHUNK && !err; i++) {
        uint32_t entries[EVENT_KEYS_RUN];
        unsigned count;
        err = read_run(keys, first_run + i, entries, &count);
        for (unsigned j = 0; j < count && !err; j++) {
            uint32_t tag = entries[j] >> EVENT_KEYS_RUN_BITS;
            uint64_t place = (uint64_t)i * EVENT_KEYS_RUN + entries[j] % EVENT_KEYS_RUN;
            chunk->counts[event_keys_bucket(tag) + 1]++;
            chunk->entries[chunk->count++] = (uint64_t)tag << 32 | place;
        }
    }
    return err;
}

static void fill_buckets(struct chunk *chunk)
{
    unsigned next[EVENT_KEYS_BUCKETS];
    for (unsigned i = 0; i < EVENT_KEYS_BUCKETS; i++) {
        chunk->counts[i + 1] += chunk->counts[i];
        next[i] = chunk->counts[i];
    }
    for (unsigned i = 0; i < chunk->count; i++) {
        uint32_t tag = (uint32_t)(chunk->entries[i] >> 32);
        chunk->sorted[next[event_keys_bucket(tag)]++] =
            event_keys_bucket_entry(tag, (uint32_t)chunk->entries[i]);
    }
}

/* All buckets are written, the empty ones as well: one that is missing means that the chunk is not
 * indexed. */
static enum err write_buckets(struct event_keys *keys, int64_t number, struct chunk *chunk)
{
    enum err err = OK;
    for (unsigned i = 0; i < EVENT_KEYS_BUCKETS && !err; i++)
        err = write_row(keys, EVENT_KEYS_WRITE_BUCKET, number * EVENT_KEYS_BUCKETS + i,
            seal(chunk->sorted + chunk->counts[i], chunk->counts[i + 1] - chunk->counts[i]));
    return err;
}

/* How many events of a chunk are left, up to `count_max`. */
static enum err count_events(
    struct event_keys *keys, int64_t number, int64_t count_max, int64_t *ret_count)
{
    struct sql_use use = use_range(keys->statements[EVENT_KEYS_COUNT_EVENTS],
        number * EVENT_KEYS_CHUNK, (number + 1) * EVENT_KEYS_CHUNK - 1);
    sql_bind_int(&use, count_max);
    enum err err = sql_execute_int(&use, ret_count);
    if (err == ERR_DAMAGED)
        leave_out(keys, &keys->left_out_chunk, number, EVENT_KEYS_CHUNK);
    return err;
}

static enum err drop_runs(struct event_keys *keys, int64_t number)
{
    struct sql_use use = use_range(keys->statements[EVENT_KEYS_DROP_RUNS], number * RUNS_PER_CHUNK,
        (number + 1) * RUNS_PER_CHUNK - 1);
    return sql_execute(&use);
}

static enum err drop_chunk(struct event_keys *keys, int64_t number)
{
    struct sql_use use = use_range(keys->statements[EVENT_KEYS_DROP_BUCKETS],
        number * EVENT_KEYS_BUCKETS, (number + 1) * EVENT_KEYS_BUCKETS - 1);
    enum err err = sql_execute(&use);
    if (!err)
        err = drop_runs(keys, number);
    if (err == ERR_DAMAGED)
        give_up(keys, err);
    return err;
}

static enum err make_chunk(struct event_keys *keys, int64_t number, struct chunk *chunk)
{
    enum err err = gather_runs(keys, number * RUNS_PER_CHUNK, chunk);
    if (err == ERR_DAMAGED)
        leave_out(keys, &keys->left_out_chunk, number, EVENT_KEYS_CHUNK);
    if (err)
        return err;
    fill_buckets(chunk);
    err = write_buckets(keys, number, chunk);
    if (!err)
        err = drop_runs(keys, number);
    if (err == ERR_DAMAGED)
        give_up(keys, err);
    return err;
}

/* Makes a chunk of its runs. If its events have expired already, what it has is dropped. If its
 * runs cannot be read, they stay. */
static enum err write_chunk(struct event_keys *keys, int64_t number)
{
    int64_t count = 0;
    if (number == keys->left_out_chunk)
        return OK;
    enum err err = count_events(keys, number, 1, &count);
    if (err)
        return err;
    if (count == 0)
        return drop_chunk(keys, number);
    struct chunk *chunk = memory_new(sizeof *chunk);
    err = make_chunk(keys, number, chunk);
    free(chunk);
    return err;
}

/* Ends the run that is not full, and its chunk if `run` is in a later one. */
static enum err begin_run(struct event_keys *keys, int64_t run)
{
    if (keys->first_lost < 0)
        keys->first_lost = keys->run;
    enum err err = write_run(keys);
    if (!err && run / RUNS_PER_CHUNK != keys->run / RUNS_PER_CHUNK)
        err = write_chunk(keys, keys->run / RUNS_PER_CHUNK);
    if (err)
        return err; /* a roll-back follows */
    keys->run = run;
    keys->count = 0;
    keys->is_complete = true;
    return OK;
}

enum err event_keys_add(struct event_keys *keys, int64_t seq, struct slice key)
{
    int64_t run = seq / EVENT_KEYS_RUN;
    if (keys->given_up)
        return OK;
    enum err err = run == keys->run ? OK : begin_run(keys, run);
    if (!err && key.len && keys->is_complete && keys->count < EVENT_KEYS_RUN)
        keys->entries[keys->count++] = event_keys_run_entry(
            event_keys_tag(&keys->seed, key), (uint32_t)(seq % EVENT_KEYS_RUN));
    return err;
}

enum err event_keys_expire(struct event_keys *keys, int64_t seq)
{
    int64_t number = seq / EVENT_KEYS_CHUNK, count = 0;
    /* The chunk of the newest events is made of runs still. */
    if (keys->given_up || number == keys->run / RUNS_PER_CHUNK || number == keys->left_out_chunk)
        return OK;
    enum err err = count_events(keys, number, EVENT_KEYS_FEW + 1, &count);
    return err || count > EVENT_KEYS_FEW ? err : drop_chunk(keys, number);
}

bool event_keys_gave_way(struct event_keys *keys)
{
    bool gave_way = keys->gave_way;
    keys->gave_way = false;
    return gave_way;
}

void event_keys_committed(struct event_keys *keys)
{
    keys->first_lost = -1;
}

/* Entries of events that were rolled back may stay: the event of an entry is read and compared. A
 * run that was written is lost, and is ended once more with the next event. */
void event_keys_rolled_back(struct event_keys *keys)
{
    if (keys->first_lost < 0)
        return;
    keys->run = keys->first_lost;
    keys->first_lost = -1;
    keys->is_complete = false;
    keys->count = 0;
}
