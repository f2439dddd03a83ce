/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of event_keys.h. */
#include "journal/event_keys.h"
#include "journal/event_keys_format.h"

enum err event_keys_look_up_init(
    struct event_keys_look_up *look_up, struct sqlite3 *db, struct slice key)
{
    *look_up = (struct event_keys_look_up){0};
    enum err err = event_keys_read_seed(db, &look_up->seed);
    look_up->has_seed = !err;
    look_up->tag = event_keys_tag(&look_up->seed, key);
    if (!err || err == ERR_NOT_FOUND || err == ERR_DAMAGED)
        err = sql_prepare(
            db, "SELECT entries, crc FROM event_keys WHERE bucket = ?", &look_up->read_bucket);
    if (!err)
        err = sql_prepare(db, EVENT_KEYS_READ_RUN_TEXT, &look_up->read_run);
    return err;
}

void event_keys_look_up_done(struct event_keys_look_up *look_up)
{
    sql_finalize(look_up->read_bucket);
    sql_finalize(look_up->read_run);
}

/* Returns how many entries are smaller than `entry`, which may be behind all 32-bit numbers. */
static size_t count_before(struct slice entries, uint64_t entry)
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
    size_t from = count_before(entries, least), to = count_before(entries, (uint64_t)greatest + 1);
    *ret_found = (struct event_keys_found){.is_indexed = true, .first = base};
    while (to > from && ret_found->count < EVENT_KEYS_FOUND_MAX) {
        uint32_t place = event_keys_entry_at(entries, --to) - least;
        ret_found->seqs[ret_found->count++] = base + place;
    }
    if (to > from)
        ret_found->first = ret_found->seqs[ret_found->count - 1];
}

/* The entries of one row, until sql_finish. A row on a page that is damaged is not there. */
static enum err read_entries(const struct event_keys_look_up *look_up, struct sql_use *use,
    int64_t number, size_t count_max, bool *ret_is_there, struct slice *ret_entries)
{
    bool row = false;
    sql_bind_int(use, number);
    enum err err = sql_step(use, &row);
    *ret_is_there =
        !err && row && event_keys_take(use, &look_up->seed, number, count_max, ret_entries);
    return err == ERR_DAMAGED ? OK : err;
}

static enum err find_in_chunk(struct event_keys_look_up *look_up, int64_t last, bool *ret_is_there,
    struct event_keys_found *ret_found)
{
    struct sql_use use = sql_use(look_up->read_bucket);
    int64_t chunk = last / EVENT_KEYS_CHUNK,
            bucket = chunk * EVENT_KEYS_BUCKETS + event_keys_bucket(look_up->tag);
    struct slice entries = {0};
    enum err err = read_entries(look_up, &use, bucket, EVENT_KEYS_CHUNK, ret_is_there, &entries);
    if (*ret_is_there)
        collect(entries, chunk * EVENT_KEYS_CHUNK, event_keys_bucket_entry(look_up->tag, 0),
            event_keys_bucket_entry(look_up->tag, (uint32_t)(last % EVENT_KEYS_CHUNK)), ret_found);
    sql_finish(&use);
    return err;
}

static enum err find_in_run(struct event_keys_look_up *look_up, int64_t last, bool *ret_is_there,
    struct event_keys_found *ret_found)
{
    struct sql_use use = sql_use(look_up->read_run);
    int64_t run = last / EVENT_KEYS_RUN;
    struct slice entries = {0};
    enum err err = read_entries(look_up, &use, run, EVENT_KEYS_RUN, ret_is_there, &entries);
    if (*ret_is_there)
        collect(entries, run * EVENT_KEYS_RUN, event_keys_run_entry(look_up->tag, 0),
            event_keys_run_entry(look_up->tag, (uint32_t)(last % EVENT_KEYS_RUN)), ret_found);
    sql_finish(&use);
    return err;
}

enum err event_keys_find(
    struct event_keys_look_up *look_up, int64_t last, struct event_keys_found *ret_found)
{
    bool is_there = false;
    enum err err = OK;
    if (look_up->has_seed)
        err = find_in_chunk(look_up, last, &is_there, ret_found);
    if (!err && !is_there && look_up->has_seed)
        err = find_in_run(look_up, last, &is_there, ret_found);
    if (!err && !is_there)
        *ret_found = (struct event_keys_found){.first = last / EVENT_KEYS_RUN * EVENT_KEYS_RUN};
    return err;
}
