/* SPDX-License-Identifier: Apache-2.0 */
/* What the file is, and what happens when the disk is not well. */
#include "journal/event_keys.h"
#include "runtime/metrics.h"
#include "unit/journal/fixture.h"
#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(struct desk *desk, const char *content, size_t len)
{
    char path[300];
    snprintf(path, sizeof path, "%s/journal-0.db", desk->directory);
    FILE *file = fopen(path, "w");
    cr_assert(file && fwrite(content, 1, len, file) == len && fclose(file) == 0);
}

Test(file, says_what_it_is)
{
    struct desk *desk = desk_new();
    cr_assert(desk_sql_int(desk, "PRAGMA application_id") == 0x504e534a);
    cr_assert(desk_sql_int(desk, "PRAGMA user_version") == 9);
    cr_assert(desk_sql_int(desk, "SELECT length(value) FROM meta WHERE key = 'journal_id'") == 32);
    cr_assert(desk_sql_int(desk, "SELECT value FROM meta WHERE key = 'shard'") == 0);
    cr_assert(desk_sql_int(desk, "SELECT value > 0 FROM meta WHERE key = 'created_us'") == 1);
    desk_free(desk);
}

Test(file, a_file_that_is_not_this_shards_journal_is_refused_and_not_changed)
{
    static const struct {
        const char *change;
        enum err expected;
        const char *detail;
    } cases[] = {
        {"PRAGMA user_version = 10", ERR_NEWER_FORMAT, "newer program"},
        {"PRAGMA user_version = 8", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 7", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 6", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 5", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 4", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 3", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 2", ERR_DAMAGED, "old format"},
        {"PRAGMA user_version = 1", ERR_DAMAGED, "old format"},
        {"PRAGMA application_id = 1", ERR_DAMAGED, "another application"},
        {"PRAGMA application_id = 0", ERR_DAMAGED, "another application"},
        {"PRAGMA user_version = 0", ERR_DAMAGED, "another application"},
        {"UPDATE meta SET value = 3 WHERE key = 'shard'", ERR_DAMAGED, "shard 3"},
        {"DELETE FROM meta", ERR_DAMAGED, "number of its shard"},
        {"DELETE FROM meta WHERE key = 'journal_id'", ERR_DAMAGED, "id of the journal"},
        {"UPDATE meta SET value = '' WHERE key = 'journal_id'", ERR_DAMAGED, "id of the journal"},
        {"DROP TABLE meta", ERR_DAMAGED, "number of its shard"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct desk *desk = desk_new();
        desk_stop(desk);
        desk_sql(desk, cases[i].change);
        int64_t before = desk_sql_int(desk, "PRAGMA schema_version");
        enum err result = desk_try_open(desk, 0);
        cr_assert(result == cases[i].expected, "case %zu: %s", i, err_name(result));
        cr_assert(strstr(desk->detail, cases[i].detail), "case %zu: %s", i, desk->detail);
        cr_assert(strstr(desk->detail, "journal-0.db"), "case %zu: %s", i, desk->detail);
        cr_assert(desk_sql_int(desk, "PRAGMA schema_version") == before, "case %zu", i);
        desk_free(desk);
    }
}

Test(file, of_bytes_that_are_no_database_is_refused)
{
    struct desk *desk = desk_new();
    desk_stop(desk);
    static char text[8192] = "this is not a database, however long it is";
    write_file(desk, text, sizeof text);
    cr_assert(desk_try_open(desk, 0) == ERR_DAMAGED);
    desk_free(desk);
}

Test(file, of_a_foreign_database_keeps_its_journal_mode)
{
    struct desk *desk = desk_new();
    desk_stop(desk);
    write_file(desk, "", 0);
    desk_sql(desk, "CREATE TABLE theirs(x)");
    cr_assert(desk_try_open(desk, 0) == ERR_DAMAGED);
    cr_assert(desk_sql_int(desk, "SELECT journal_mode = 'delete' FROM pragma_journal_mode") == 1);
    desk_free(desk);
}

Test(file, that_is_empty_is_made_a_journal)
{
    struct desk *desk = desk_new();
    desk_stop(desk);
    write_file(desk, "", 0);
    desk_open(desk);
    cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    desk_free(desk);
}

Test(file, in_a_directory_that_is_not_there_can_not_be_opened)
{
    struct desk *desk = desk_new();
    desk_stop(desk);
    char directory[256];
    snprintf(directory, sizeof directory, "%s", desk->directory);
    snprintf(desk->directory, sizeof desk->directory, "/nonexistent/penstock");
    cr_assert(desk_try_open(desk, 0) == ERR_DISK);
    snprintf(desk->directory, sizeof desk->directory, "%s", directory);
    desk_free(desk);
}

Test(file, is_whole_without_its_wal_after_a_stop)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, NULL) == OK);
    desk_stop(desk);
    char path[300];
    struct stat status;
    snprintf(path, sizeof path, "%s/journal-0.db-wal", desk->directory);
    cr_assert(stat(path, &status) != 0 || status.st_size == 0);
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM events") == 1);
    desk_free(desk);
}

Test(file, is_checkpointed_while_it_grows)
{
    struct desk *desk = desk_new();
    static const char body[EVENT_BYTES_MAX] = {'{'};
    for (int i = 0; i < 300; i++)
        cr_assert(
            desk_append(desk, (struct draft){.body = slice_of(body, sizeof body)}, 7, NULL) == OK);
    char path[300];
    struct stat status;
    snprintf(path, sizeof path, "%s/journal-0.db-wal", desk->directory);
    cr_assert(stat(path, &status) == 0);
    cr_assert(
        status.st_size < 6 * 1024 * 1024, "the WAL has %lld bytes", (long long)status.st_size);
    desk_free(desk);
}

Test(stop, works_off_what_was_submitted_before)
{
    struct desk *desk = desk_new();
    struct event *event = desk_event(desk, (struct draft){0});
    struct journal_append append;
    desk_submit(desk, &append_init(&append, event, (uint64_t[]){7}, 1)->request);
    desk_stop(desk);
    cr_assert(desk->answers_count == 1 && append.request.result == OK);
    cr_assert(desk_sql_int(desk, "SELECT count(*) FROM events") == 1);
    event_unref(event);
    desk_free(desk);
}

Test(disk, that_is_full_refuses_and_passes)
{
    struct desk *desk = desk_new();
    struct draft draft = {.key = "k"};
    cr_assert(desk_append(desk, (struct draft){.key = "before"}, 7, NULL) == OK);
    int64_t held = desk->budget.taken_bytes;
    disk_be_full(true);
    cr_assert(desk_append(desk, draft, 7, NULL) == ERR_DISK_FULL);
    cr_assert(desk_append(desk, draft, 7, NULL) == ERR_DISK_FULL);
    cr_assert(desk->budget.taken_bytes == held, "the refused events are let go");
    disk_be_full(false);
    cr_assert(
        desk_append(desk, draft, 7, NULL) == OK, "the key was forgotten with its transaction");
    cr_assert(desk_append(desk, draft, 7, NULL) == ERR_EXISTS);
    cr_assert(desk->failures == 0);
    desk_free(desk);
}

Test(disk, that_is_full_rolls_back_the_days_first_segment)
{
    struct desk *desk = desk_new();
    struct draft draft = {.key = "k"};
    disk_be_full(true);
    cr_assert(desk_append(desk, draft, 7, NULL) == ERR_DISK_FULL);
    disk_be_full(false);
    cr_assert(desk_append(desk, draft, 7, NULL) == OK);
    desk_free(desk);
}

Test(file, returns_its_id_and_its_counts_when_it_is_opened)
{
    struct desk *desk = desk_new();
    const struct journal *journal = desk->journal;
    cr_assert(strlen(journal->id) == 32 && journal->found.open == 0 && journal->found.outbox == 0);
    char id[JOURNAL_ID_BYTES];
    memcpy(id, journal->id, sizeof id);
    for (int i = 0; i < 3; i++)
        cr_assert(desk_append(desk, (struct draft){0}, 7, NULL) == OK);
    int64_t last = desk_last_delivery(desk);
    struct journal_record waits = move_of(last, DELIVERY_PENDING, DELIVERY_WAITING);
    struct journal_record starts =
        move_of(last - ACCOUNT_ENDPOINTS_MAX, DELIVERY_PENDING, DELIVERY_SENDING);
    cr_assert(desk_call(desk, &waits.request) == OK && desk_call(desk, &starts.request) == OK);
    struct event *event = desk_event(desk, (struct draft){0});
    struct journal_append append;
    append_init(&append, event, NULL, 0)->to_outbox = true;
    cr_assert(desk_call(desk, &append.request) == OK);
    event_unref(event);
    desk_reopen(desk);
    journal = desk->journal;
    cr_expect_str_eq(journal->id, id);
    cr_expect(
        journal->found.open == 2 && journal->found.broker_owned == 0 && journal->found.outbox == 1);
    desk_free(desk);
}

Test(disk, a_failed_transaction_clears_the_answers_about_broker_owned_events)
{
    struct desk *desk = desk_new();
    struct event *event = desk_event(desk, (struct draft){.key = "k"});
    struct event *waiting = desk_event(desk, (struct draft){.key = "m"});
    struct journal_append to_outbox;
    append_init(&to_outbox, waiting, NULL, 0)->to_outbox = true;
    cr_assert(desk_call(desk, &to_outbox.request) == OK);
    int64_t held = desk->budget.taken_bytes;
    struct journal_outbox_entry entries[2];
    struct journal_broker_owned list[2];
    struct journal_receive receive = {
        .request.kind = JOURNAL_RECEIVE, .event = event, .endpoints_count = 1, .endpoints = {7}};
    struct journal_list_broker_owned list_held = {
        .request.kind = JOURNAL_LIST_BROKER_OWNED, .count_max = 2, .ret_events = list};
    struct journal_keep_poison keep = {
        .request.kind = JOURNAL_KEEP_POISON, .body = SLICE_LITERAL("x")};
    struct journal_load_outbox load = {.request.kind = JOURNAL_LOAD_OUTBOX,
        .count_max = 2,
        .bytes_max = INT64_MAX,
        .budget = &desk->budget,
        .budget_share_percent = 100,
        .ret_entries = entries};
    struct request *requests[] = {
        &receive.request, &list_held.request, &keep.request, &load.request};
    disk_be_full(true);
    desk_submit(
        desk, requests[0]); /* by itself or with the others: all fail, or only what writes */
    desk_submit(desk, requests[2]);
    desk_wait_answers(desk, 3);
    cr_expect(receive.request.result == ERR_DISK_FULL && keep.request.result == ERR_DISK_FULL);
    cr_expect(!receive.ret_is_new && receive.ret_count == 0);
    disk_be_full(false);
    desk_call_together(desk, requests, ARRAY_LENGTH(requests));
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++)
        cr_expect_eq(requests[i]->result, OK, "request %zu: %s", i, err_name(requests[i]->result));
    cr_expect(receive.ret_is_new && receive.ret_received == RECEIVED_BROKER_OWNED &&
              receive.ret_count == 1);
    cr_expect(list_held.ret_count == 1 && load.ret_count == 1 && load.ret_left == 1);
    cr_expect(desk->budget.taken_bytes > held);
    event_unref(entries[0].event);
    cr_expect(desk->failures == 0);
    event_unref(event);
    event_unref(waiting);
    desk_free(desk);
}

Test(disk, a_failed_transaction_fails_each_of_its_requests_and_frees_what_they_loaded)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){.key = "before"}, 7, NULL) == OK);
    struct event *event = desk_event(desk, (struct draft){.key = "k"});
    int64_t held = desk->budget.taken_bytes;
    struct journal_append first, append;
    struct event *holder = desk_event(desk, (struct draft){0});
    struct loaded loaded;
    struct journal_backlog_scan scan = {.request.kind = JOURNAL_SCAN_BACKLOG, .now_us = INT64_MAX};
    struct journal_record move = move_of(desk_last_delivery(desk), DELIVERY_PENDING, DELIVERY_DEAD);
    loaded_init(&loaded, 7);
    loaded.load.budget = &desk->budget;

    disk_hold_syncs();
    size_t before = desk->answers_count;
    desk_submit(desk, &append_init(&first, holder, NULL, 0)->request);
    disk_wait_until_held();
    desk_submit(desk, &append_init(&append, event, (uint64_t[]){7, 8}, 2)->request);
    desk_submit(desk, &loaded.load.request);
    desk_submit(desk, &scan.request);
    desk_submit(desk, &move.request);
    disk_be_full(true);
    disk_release_syncs();
    desk_wait_answers(desk, before + 5);
    disk_be_full(false);

    cr_assert(first.request.result == OK);
    cr_assert(
        append.request.result == ERR_DISK_FULL && loaded.load.request.result == ERR_DISK_FULL);
    cr_assert(scan.request.result == ERR_DISK_FULL && move.request.result == ERR_DISK_FULL);
    cr_assert(loaded.load.ret_count == 0 && !scan.ret_backlogs && scan.ret_count == 0);
    event_unref(holder);
    cr_assert(desk->budget.taken_bytes == held);
    cr_assert(desk_call(desk, &move.request) == OK, "the failed move did not happen");
    event_unref(event);
    desk_free(desk);
}

Test(disk, whose_sync_failed_is_not_trusted_again)
{
    struct desk *desk = desk_new();
    cr_assert(desk_append(desk, (struct draft){.key = "before"}, 7, NULL) == OK);
    disk_fail_syncs(true);
    cr_assert(desk_append(desk, (struct draft){.key = "k"}, 7, NULL) == ERR_DISK);
    disk_fail_syncs(false);
    cr_assert(desk->failures == 1);
    cr_assert(desk_append(desk, (struct draft){.key = "m"}, 7, NULL) == ERR_DISK);
    struct loaded loaded;
    loaded_init(&loaded, 7);
    cr_assert(desk_load(desk, &loaded) == ERR_DISK && loaded.load.ret_count == 0);
    cr_assert(desk->failures == 1);
    cr_assert(metrics_read(METRIC_JOURNAL_FAILED) == 1);
    desk_reopen(desk);
    cr_assert(metrics_read(METRIC_JOURNAL_FAILED) == 0);
    cr_assert(desk_append(desk, (struct draft){.key = "before"}, 7, NULL) == ERR_EXISTS);
    cr_assert(desk_append(desk, (struct draft){.key = "m"}, 7, NULL) == OK);
    desk_free(desk);
}

static void append_keyed(struct desk *desk, int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k-%d", i);
        cr_assert(desk_append(desk, (struct draft){.key = key}, 7, NULL) == OK, "%d", i);
    }
}

/* The start leaves the run of these events without an index; no request fails because of it. */
Test(disk, a_damaged_page_of_old_events_fails_no_append)
{
    struct desk *desk = desk_new();
    char path[300];
    append_keyed(desk, 0, 300);
    desk_stop(desk);
    int64_t page = desk_sql_int(desk,
        "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path LIMIT "
        "1 OFFSET 2");
    snprintf(path, sizeof path, "%s/journal-0.db", desk->directory);
    int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0 && pwrite(fd, (char[8]){0}, 8, (page - 1) * 4096) == 8 && close(fd) == 0);
    desk_open(desk);
    append_keyed(desk, 300, EVENT_KEYS_RUN + 20);
    cr_expect_eq(desk_sql_int(desk, "SELECT count(*) FROM event_key_runs"), 0);
    desk_free(desk);
}
