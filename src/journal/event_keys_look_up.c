/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of event_keys.h. */
#include "journal/event_keys.h"
#include "journal/event_keys_format.h"

enum err event_keys_look_up_init(
    struct event_keys_look_up *look_up, struct sqlite3 *db, struct slice key)
{
    struct hash_seed seed;
    *look_up = (struct event_keys_look_up){0};
    enum err err = event_keys_read_seed(db, &seed);
    if (!err)
        err = sql_prepare(
            db, "SELECT entries, crc FROM event_keys WHERE bucket = ?", &look_up->read_bucket);
    if (!err)
        err = sql_prepare(db, EVENT_KEYS_READ_RUN_TEXT, &look_up->read_run);
    if (!err)
        look_up->tag = event_keys_tag(&seed, key);
    return err;
}

void event_keys_look_up_done(struct event_keys_look_up *look_up)
{
    sql_finalize(look_up->read_bucket);
    sql_finalize(look_up->read_run);
}

/* Returns how many entries are smaller than `entry`. */
static size_t count_before(struct slice entries, uint32_t entry)
{
    size_t low = 0, high = entries.len / EVENT_KEYS_ENTRY_BYTES;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (event_keys_entry_at(entries, middle) < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The candidates among the entries of a block, whose first event number is `base`. Entries of a tag
 * follow each other: those from `least` to `greatest` are asked for. */
static void collect(struct slice entries, int64_t base, uint32_t least, uint32_t greatest,
    struct event_keys_found *ret_found)
{
    size_t from = count_before(entries, least), to = count_before(entries, greatest + 1);
    *ret_found = (struct event_keys_found){.is_indexed = true, .first = base};
    while (to > from && ret_found->count < EVENT_KEYS_FOUND_MAX) {
        uint32_t place = event_keys_entry_at(entries, --to) - least;
        ret_found->seqs[ret_found->count++] = base + place;
    }
    if (to > from)
        ret_found->first = ret_found->seqs[ret_found->count - 1];
}

static enum err find_in_chunk(struct event_keys_look_up *look_up, int64_t last, bool *ret_is_there,
    struct event_keys_found *ret_found)
{
    struct sql_use use = sql_use(look_up->read_bucket);
    int64_t chunk = last / EVENT_KEYS_CHUNK,
            bucket = chunk * EVENT_KEYS_BUCKETS + event_keys_bucket(look_up->tag);
    struct slice entries;
    bool row = false;
    sql_bind_int(&use, bucket);
    enum err err = sql_step(&use, &row);
    *ret_is_there = !err && row && event_keys_take(&use, bucket, EVENT_KEYS_CHUNK, &entries);
    if (*ret_is_there)
        collect(entries, chunk * EVENT_KEYS_CHUNK, event_keys_bucket_entry(look_up->tag, 0),
            event_keys_bucket_entry(look_up->tag, (uint32_t)(last % EVENT_KEYS_CHUNK)), ret_found);
    sql_finish(&use);
    return err;
}

static enum err find_in_run(
    struct event_keys_look_up *look_up, int64_t last, struct event_keys_found *ret_found)
{
    struct sql_use use = sql_use(look_up->read_run);
    int64_t run = last / EVENT_KEYS_RUN, base = run * EVENT_KEYS_RUN;
    struct slice entries;
    bool row = false;
    sql_bind_int(&use, run);
    enum err err = sql_step(&use, &row);
    if (!err && row && event_keys_take(&use, run, EVENT_KEYS_RUN, &entries))
        collect(entries, base, event_keys_run_entry(look_up->tag, 0),
            event_keys_run_entry(look_up->tag, (uint32_t)(last % EVENT_KEYS_RUN)), ret_found);
    else if (!err)
        *ret_found = (struct event_keys_found){.first = base};
    sql_finish(&use);
    return err;
}

enum err event_keys_find(
    struct event_keys_look_up *look_up, int64_t last, struct event_keys_found *ret_found)
{
    bool is_there;
    enum err err = find_in_chunk(look_up, last, &is_there, ret_found);
    return err || is_there ? err : find_in_run(look_up, last, ret_found);
}
