/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/event_keys.h"
#include "journal/event_keys_format.h"
#include "unit/journal/shelf.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define FOUND_MAX 4096

/* Adds events in a transaction of its own, or within the one that is open: every tenth has the key
 * "again", every seventh none, and the others "key-<number>". */
static enum err try_to_add(struct shelf *shelf, unsigned count)
{
    struct store *store = &shelf->store;
    for (unsigned i = 0; i < count; i++) {
        int64_t seq = store->next_seq++;
        char key[32];
        snprintf(key, sizeof key, "key-%lld", (long long)seq);
        struct shelved draft = {.key = seq % 10 == 0 ? "again" : seq % 7 == 0 ? "" : key};
        struct event *event = shelf_event(shelf, draft);
        enum err e9 = event_rows_add(&store->events, seq, event, 1);
        cr_assert(e9 == OK, "%d %s seq %lld", e9, sql_reason(store->db), (long long)seq);
        enum err err = event_keys_add(&store->keys, seq, event->parts.key);
        event_unref(event);
        if (err)
            return err;
    }
    return OK;
}

static void add_in_transaction(struct shelf *shelf, unsigned count)
{
    cr_assert(try_to_add(shelf, count) == OK);
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

Test(event_keys, a_chunk_expires_when_few_of_its_events_are_left)
{
    struct shelf *shelf = shelf_new();
    add(shelf, 2 * EVENT_KEYS_CHUNK + 10);
    shelf_sql(shelf, "DELETE FROM events WHERE seq > 65 AND seq < 16384");
    cr_assert(event_keys_expire(&shelf->store.keys, 100) == OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 2 * EVENT_KEYS_BUCKETS, "65 events are left");
    shelf_sql(shelf, "DELETE FROM events WHERE seq = 9");
    cr_assert(event_keys_expire(&shelf->store.keys, 9) == OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), EVENT_KEYS_BUCKETS);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT min(bucket) FROM event_keys"), EVENT_KEYS_BUCKETS);
    expect_one(shelf, 65);
    expect_one(shelf, 16388);
    shelf_free(shelf);
}

Test(event_keys, buckets_of_a_chunk_that_has_expired_while_it_was_the_newest_are_dropped)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_CHUNK + 10);
    shelf_sql(shelf, "DELETE FROM events WHERE seq <> 100");
    shelf_crash(shelf);
    shelf_sql(shelf, "DELETE FROM events");
    cr_assert(event_keys_expire(&shelf->store.keys, 100) == OK);
    add(shelf, 10);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 0);
    shelf_free(shelf);
}

Test(event_keys, blocks_of_events_that_are_gone_hide_no_new_events)
{
    static const unsigned counts[] = {EVENT_KEYS_RUN + 10, EVENT_KEYS_CHUNK + 10};
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        struct shelf *shelf = shelf_new();
        add(shelf, counts[i]);
        /* As the outbox leaves it, when the totals were written long ago. */
        shelf_sql(shelf, "DELETE FROM events; DELETE FROM bodies");
        shelf_sql(shelf, "DELETE FROM meta WHERE key = 'totals_through'");
        shelf_crash(shelf);
        int64_t seq = shelf_append(shelf, (struct shelved){.key = "new"});
        add(shelf, 30);
        struct found found = find(shelf, "new");
        cr_expect_eq(found.count, 1, "behind %u", counts[i]);
        cr_expect_eq(found.seqs[0], seq);
        shelf_free(shelf);
    }
}

Test(event_keys, a_chunk_of_the_outbox_is_dropped_when_its_events_have_left)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_CHUNK + 10);
    cr_assert_eq(shelf_sql_int(shelf, BUCKETS), EVENT_KEYS_BUCKETS);
    shelf_sql(shelf, "DELETE FROM events WHERE seq BETWEEN 3 AND 16383");
    shelf_sql(shelf, "INSERT INTO outbox(seq) VALUES(1), (2), (16385)");
    shelf->store.outbox.count = 3;
    static const int64_t numbers[] = {1, 2, 16385};
    struct journal_clear_outbox clear = {.numbers = numbers, .count = ARRAY_LENGTH(numbers)};
    cr_expect_eq(shelf_call(shelf, store_clear_outbox, &clear.request), OK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS), 0);
    expect_one(shelf, 16388);
    shelf_free(shelf);
}

/* With a seed of zeros, the tag of this key has all its bits set. */
#define LAST_KEY "order-16905286"

Test(event_keys, a_key_with_the_last_of_all_tags_is_found)
{
    struct shelf *shelf = shelf_new();
    shelf_sql(shelf, "UPDATE meta SET value = zeroblob(16) WHERE key = 'event_keys_seed'");
    shelf_crash(shelf);
    cr_assert_eq(
        event_keys_tag(&shelf->store.keys.seed, SLICE_LITERAL(LAST_KEY)), EVENT_KEYS_TAG_MASK);
    int64_t seq = shelf_append(shelf, (struct shelved){.key = LAST_KEY});
    add(shelf, EVENT_KEYS_RUN);
    struct found found = find(shelf, LAST_KEY);
    cr_expect_eq(found.count, 1, "in a run");
    cr_expect_eq(found.seqs[0], seq);
    add(shelf, EVENT_KEYS_CHUNK);
    cr_expect_eq(find(shelf, LAST_KEY).count, 1, "in a chunk");
    shelf_free(shelf);
}

Test(event_keys, another_seed_hides_no_event)
{
    static const char *const changes[] = {
        "UPDATE meta SET value = zeroblob(16) WHERE key = 'event_keys_seed'",
        "UPDATE meta SET value = 'short' WHERE key = 'event_keys_seed'",
        "DELETE FROM meta WHERE key = 'event_keys_seed'"};
    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        struct shelf *shelf = shelf_new();
        add(shelf, EVENT_KEYS_CHUNK + EVENT_KEYS_RUN + 10);
        shelf_sql(shelf, changes[i]);
        expect_one(shelf, 1);
        shelf_crash(shelf);
        add(shelf, EVENT_KEYS_RUN);
        expect_one(shelf, 1);
        expect_one(shelf, EVENT_KEYS_CHUNK + 2);
        expect_one(shelf, shelf->store.next_seq - 1);
        cr_expect_not(shelf->store.keys.given_up);
        shelf_free(shelf);
    }
}

/* Adds events as the journal does it: again, as long as the index gives way. */
static void add_in_spite_of_damage(struct shelf *shelf, unsigned count)
{
    bool again;
    do {
        shelf_begin(shelf);
        again = try_to_add(shelf, count) == ERR_DAMAGED;
        if (again)
            cr_assert(store_roll_back(&shelf->store) == OK);
        cr_assert(!again || event_keys_gave_way(&shelf->store.keys));
    } while (again);
    shelf_commit(shelf);
}

/* Zeros over the header of a table's leaf: the newest one, or one that is `back` before it. The
 * connection reads it from the file again. */
static void spoil_leaf(struct shelf *shelf, const char *table, unsigned back)
{
    char text[160], path[128];
    snprintf(text, sizeof text,
        "SELECT pageno FROM dbstat WHERE name = '%s' AND pagetype = 'leaf' ORDER BY path DESC "
        "LIMIT "
        "1 OFFSET %u",
        table, back);
    shelf_sql_int(shelf, "PRAGMA wal_checkpoint(TRUNCATE)");
    int64_t page = shelf_sql_int(shelf, text);
    snprintf(path, sizeof path, "%s/journal-0.db", shelf->directory);
    AUTO_CLOSE int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, (char[8]){0}, 8, (page - 1) * 4096) == 8);
    sqlite3_db_release_memory(shelf->store.db);
}

Test(event_keys, a_damaged_page_of_the_index_stops_no_append_and_hides_no_event)
{
    static const char *const tables[] = {"event_keys", "event_key_runs"};
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
        struct shelf *shelf = shelf_new();
        add(shelf, EVENT_KEYS_CHUNK + 2 * EVENT_KEYS_RUN + 10);
        spoil_leaf(shelf, tables[i], 0);
        add_in_spite_of_damage(shelf, EVENT_KEYS_CHUNK);
        cr_expect(shelf->store.keys.given_up, "%s", tables[i]);
        expect_one(shelf, 1);
        expect_one(shelf, EVENT_KEYS_CHUNK + 2);
        expect_one(shelf, shelf->store.next_seq - 1);
        shelf_crash(shelf);
        add(shelf, EVENT_KEYS_CHUNK);
        expect_one(shelf, 1);
        expect_one(shelf, shelf->store.next_seq - 1);
        cr_expect_eq(event_keys_expire(&shelf->store.keys, 1), OK);
        shelf_free(shelf);
    }
}

Test(event_keys, a_damaged_page_of_events_leaves_its_run_out_of_the_index)
{
    struct shelf *shelf = shelf_new();
    add(shelf, EVENT_KEYS_RUN + 400);
    spoil_leaf(shelf, "events", 2);
    shelf_crash(shelf);
    add_in_spite_of_damage(shelf, 2 * EVENT_KEYS_RUN);
    cr_expect_not(shelf->store.keys.given_up);
    cr_expect_eq(shelf_sql_int(shelf, RUNS " WHERE run = 1"), 0);
    cr_expect_eq(shelf_sql_int(shelf, RUNS " WHERE run = 2"), 1);
    expect_one(shelf, EVENT_KEYS_RUN - 3);
    expect_one(shelf, shelf->store.next_seq - 1);
    add_in_spite_of_damage(shelf, EVENT_KEYS_CHUNK);
    cr_expect_eq(shelf_sql_int(shelf, BUCKETS " WHERE bucket < 128"), 0);
    cr_expect_eq(shelf_sql_int(shelf, RUNS " WHERE run = 0"), 1, "its runs stay");
    expect_one(shelf, EVENT_KEYS_RUN - 3);
    shelf_free(shelf);
}

Test(event_keys, a_damaged_page_of_the_index_keeps_no_event_from_expiring)
{
    struct shelf *shelf = shelf_new();
    int64_t now_us = clock_wall_us();
    int64_t old = shelf_append(shelf,
        (struct shelved){.key = "old", .accepted_us = now_us - 100 * US_PER_DAY, .endpoints = 1});
    cr_assert(shelf_move(shelf, old, 0, DELIVERY_PENDING, DELIVERY_DELIVERED) == OK);
    add(shelf, EVENT_KEYS_CHUNK + 10);
    shelf_sql(shelf, "DELETE FROM events WHERE seq BETWEEN 2 AND 16383");
    spoil_leaf(shelf, "event_keys", 3);
    unsigned damages = 0;
    while (expiry_is_due(&shelf->store.expiry, now_us)) {
        shelf_begin(shelf);
        enum err err = expiry_step(&shelf->store, now_us);
        cr_assert(err == OK || err == ERR_DAMAGED);
        if (err)
            cr_assert(store_roll_back(&shelf->store) == OK);
        else
            shelf_commit(shelf);
        cr_assert((damages += err == ERR_DAMAGED) <= 1);
    }
    cr_expect_eq(damages, 1);
    cr_expect(shelf->store.keys.given_up);
    cr_expect_eq(shelf_sql_int(shelf, "SELECT count(*) FROM events WHERE seq = 1"), 0);
    expect_one(shelf, 16388);
    shelf_free(shelf);
}
