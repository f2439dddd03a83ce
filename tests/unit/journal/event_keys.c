/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/event_keys.h"
#include "journal/event_keys_format.h"
#include "unit/journal/shelf.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define FOUND_MAX 4096

/* Adds events in a transaction of its own, or within the one that is open: every tenth has the key
 * "again", every seventh none, and the others "key-<number>". */
static void add_in_transaction(struct shelf *shelf, unsigned count)
{
    struct store *store = &shelf->store;
    for (unsigned i = 0; i < count; i++) {
        int64_t seq = store->next_seq++;
        char key[32];
        snprintf(key, sizeof key, "key-%lld", (long long)seq);
        struct shelved draft = {.key = seq % 10 == 0 ? "again" : seq % 7 == 0 ? "" : key};
        struct event *event = shelf_event(shelf, draft);
        cr_assert(event_rows_add(&store->events, seq, event, 1) == OK);
        cr_assert(event_keys_add(&store->keys, seq, event->parts.key) == OK);
        event_unref(event);
    }
}

static void add(struct shelf *shelf, unsigned count)
{
    shelf_begin(shelf);
    add_in_transaction(shelf, count);
    shelf_commit(shelf);
}

/* The numbers of the events with a key, newest first, as a reader finds them. */
struct found {
    int64_t seqs[FOUND_MAX];
    unsigned count, answers;
    unsigned read; /* events that were read in vain, or because they are not indexed */
};

static void offer(struct shelf *shelf, int64_t seq, const char *key, struct found *found)
{
    static const struct event_reading reading = {.without_body = true};
    struct event *event;
    if (event_rows_read(&shelf->store.events, seq, &reading, &event, NULL) != OK)
        return;
    found->read++;
    if (slice_equals_string(event->parts.key, key)) {
        cr_assert(found->count < FOUND_MAX);
        found->seqs[found->count++] = seq;
    }
    event_unref(event);
}

static struct found find(struct shelf *shelf, const char *key)
{
    struct event_keys_look_up look_up;
    struct event_keys_found page;
    struct found found = {0};
    cr_assert(event_keys_look_up_init(&look_up, shelf->store.db, slice_from_string(key)) == OK);
    for (int64_t last = shelf->store.next_seq - 1; last > 0; last = page.first - 1) {
        cr_assert(event_keys_find(&look_up, last, &page) == OK);
        cr_assert(page.first <= last, "it leads on");
        found.answers++;
        for (unsigned i = 0; i < page.count; i++)
            offer(shelf, page.seqs[i], key, &found);
        for (int64_t seq = last; !page.is_indexed && seq >= page.first; seq--)
            offer(shelf, seq, key, &found);
    }
    event_keys_look_up_done(&look_up);
    return found;
}

static void expect_one(struct shelf *shelf, int64_t seq)
{
    char key[32];
    snprintf(key, sizeof key, "key-%lld", (long long)seq);
    struct found found = find(shelf, key);
    cr_expect_eq(found.count, 1, "%s is found %u times", key, found.count);
    cr_expect_eq(found.seqs[0], seq);
}

#define RUNS "SELECT count(*) FROM event_key_runs"
#define BUCKETS "SELECT count(*) FROM event_keys"

Test(event_keys, finds_an_event_in_a_chunk_in_a_run_and_in_what_is_not_full)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 2 * EVENT_KEYS_CHUNK + 3 * EVENT_KEYS_RUN + 100);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 2 * EVENT_KEYS_BUCKETS);
    cr_expect_eq(shelf_sql_int(shelf, RUNS), 3);
    static const int64_t seqs[] = {1, 3, EVENT_KEYS_RUN - 3, EVENT_KEYS_RUN + 1,
        EVENT_KEYS_CHUNK - 1, EVENT_KEYS_CHUNK + 2, 2 * EVENT_KEYS_CHUNK - 2,
        2 * EVENT_KEYS_CHUNK + 1, 2 * EVENT_KEYS_CHUNK + EVENT_KEYS_RUN - 1,
        2 * EVENT_KEYS_CHUNK + 3 * EVENT_KEYS_RUN + 9};
    for (size_t i = 0; i < ARRAY_LENGTH(seqs); i++)
        expect_one(shelf, seqs[i]);
    struct found found = find(shelf, "never posted");
    cr_expect_eq(found.count, 0);
    cr_expect_eq(found.answers, 6, "one for each block, and not %u", found.answers);
    cr_expect(found.read < 110, "what is indexed is not read: %u", found.read);
    shelf_free(shelf);
}

Test(event_keys, a_key_that_many_events_have_is_found_newest_first)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 5000);
    struct found found = find(shelf, "again");
    cr_expect_eq(found.count, 500);
    for (unsigned i = 0; i < found.count; i++)
        cr_expect_eq(found.seqs[i], 5000 - 10 * (int64_t)i);
    shelf_free(shelf);
}

Test(event_keys, a_start_continues_in_the_middle_of_a_block)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_RUN + 50);
    shelf_crash(shelf);
    add(shelf, EVENT_KEYS_RUN);
    shelf_crash(shelf);
    add(shelf, EVENT_KEYS_CHUNK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), EVENT_KEYS_BUCKETS);
    cr_expect_eq(shelf_sql_int(shelf, RUNS), 2);
    for (int64_t seq = 1; seq < EVENT_KEYS_CHUNK; seq += 111)
        if (seq % 10 && seq % 7)
            expect_one(shelf, seq);
    cr_expect_eq(find(shelf, "again").count, (EVENT_KEYS_CHUNK + 2 * EVENT_KEYS_RUN + 50) / 10);
    shelf_free(shelf);
}

Test(event_keys, a_roll_back_loses_no_entry_of_a_block_that_it_took_back)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_CHUNK - 50);
    shelf_begin(shelf);
    add_in_transaction(shelf, EVENT_KEYS_RUN + 200);
    cr_assert(store_roll_back(&shelf->store) == OK);
    shelf_begin(shelf);
    add_in_transaction(shelf, 20); /* rolled back without a block */
    cr_assert(store_roll_back(&shelf->store) == OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 0);
    expect_one(shelf, EVENT_KEYS_CHUNK - 51);
    add(shelf, EVENT_KEYS_RUN);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), EVENT_KEYS_BUCKETS);
    expect_one(shelf, EVENT_KEYS_CHUNK - 51);
    expect_one(shelf, shelf->store.next_seq - 1);
    expect_one(shelf, 1);
    shelf_free(shelf);
}

Test(event_keys, a_damaged_row_costs_time_only)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_CHUNK + EVENT_KEYS_RUN + 10);
    shelf_sql(shelf, "UPDATE event_keys SET entries = zeroblob(8) WHERE bucket % 2 = 0");
    shelf_sql(shelf, "DELETE FROM event_keys WHERE bucket % 2 = 1");
    shelf_sql(shelf, "UPDATE event_key_runs SET crc = crc + 1");
    expect_one(shelf, 1);
    expect_one(shelf, 9999);
    expect_one(shelf, EVENT_KEYS_CHUNK + 2);
    shelf_free(shelf);
}

Test(event_keys, a_chunk_is_made_of_events_where_a_run_is_damaged)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 3 * EVENT_KEYS_RUN);
    shelf_sql(shelf, "UPDATE event_key_runs SET crc = crc + 1 WHERE run = 0");
    shelf_sql(shelf, "DELETE FROM event_key_runs WHERE run = 1");
    add(shelf, EVENT_KEYS_CHUNK);
    struct found found = find(shelf, "key-1");
    cr_expect_eq(found.count, 1);
    cr_expect(found.read < EVENT_KEYS_RUN, "%u", found.read);
    expect_one(shelf, EVENT_KEYS_RUN + 1);
    shelf_free(shelf);
}

Test(event_keys, a_chunk_expires_with_its_last_event)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 2 * EVENT_KEYS_CHUNK + 10);
    shelf_sql(shelf, "DELETE FROM events WHERE seq < 16384 AND seq <> 77");
    cr_assert(event_keys_expire(&shelf->store.keys, 100) == OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 2 * EVENT_KEYS_BUCKETS, "one event is left");
    expect_one(shelf, 16388);
    shelf_sql(shelf, "DELETE FROM events WHERE seq = 77");
    cr_assert(event_keys_expire(&shelf->store.keys, 77) == OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), EVENT_KEYS_BUCKETS);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT min(bucket) FROM event_keys"), EVENT_KEYS_BUCKETS);
    expect_one(shelf, 16388);
    shelf_free(shelf);
}

Test(event_keys, runs_of_events_that_have_expired_make_no_chunk)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 3 * EVENT_KEYS_RUN);
    shelf_sql(shelf, "DELETE FROM events");
    shelf->store.next_seq = EVENT_KEYS_CHUNK + 1;
    add(shelf, 10);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 0);
    cr_expect_eq(shelf_sql_int(shelf, RUNS), 0);
    expect_one(shelf, EVENT_KEYS_CHUNK + 2);
    shelf_free(shelf);
}
