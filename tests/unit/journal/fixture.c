/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/fixture.h"

#include "unit/sqlite/faulty_disk.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS_MAX 60000

static struct desk *desk_of(void *receiver)
{
    return receiver;
}

static struct arrival *next_arrival(struct desk *desk)
{
    cr_assert(desk->arrivals_count < DESK_ARRIVALS_MAX);
    return &desk->arrivals[desk->arrivals_count++];
}

static void on_done(struct request *request, void *receiver)
{
    struct desk *desk = desk_of(receiver);
    next_arrival(desk)->answered = request;
    desk->answers_count++;
}

static void on_handover(struct mail *mail, void *receiver)
{
    struct journal_handover *handover = CONTAINER_OF(mail, struct journal_handover, mail);
    cr_assert(handover->count > 0, "an empty handover is not sent");
    for (unsigned i = 0; i < handover->count; i++) {
        if (handover->deliveries[i].endpoint != 0) {
            next_arrival(desk_of(receiver))->delivery = handover->deliveries[i];
        } else {
            event_unref(handover->deliveries[i].event);
            desk_of(receiver)->unrouted_count++;
        }
    }
    free(handover);
}

static void on_failed(void *context, enum err error)
{
    cr_assert(error == ERR_DISK);
    desk_of(context)->failures++;
}

enum err desk_try_open(struct desk *desk, unsigned shard)
{
    const struct journal_sqlite_options options = {
        .directory = desk->directory,
        .shard = shard,
        .reserve_bytes = desk->reserve_bytes,
        .reserve_all_bytes = desk->reserve_bytes,
        .listener = {.delivery = &desk->mailbox,
            .on_handover = on_handover,
            .on_failed = on_failed,
            .context = desk},
    };
    return journal_sqlite_open(&options, &desk->journal, desk->detail);
}

void desk_open(struct desk *desk)
{
    enum err result = desk_try_open(desk, 0);
    cr_assert(result == OK, "%s: %s", err_name(result), desk->detail);
}

struct desk *desk_new(void)
{
    struct desk *desk = calloc(1, sizeof *desk);
    cr_assert(desk);
    const char *parent = getenv("TMPDIR");
    snprintf(desk->directory, sizeof desk->directory, "%s/penstock-journal-XXXXXX",
        parent ? parent : "/tmp");
    cr_assert(mkdtemp(desk->directory));
    cr_assert(mailbox_init(&desk->mailbox, desk) == OK);
    desk->budget.bytes_max = INT64_C(1) << 30;
    desk_open(desk);
    return desk;
}

void desk_stop(struct desk *desk)
{
    journal_stop(desk->journal);
    desk->journal = NULL;
    mailbox_work(&desk->mailbox);
}

void desk_reopen(struct desk *desk)
{
    desk_stop(desk);
    desk_open(desk);
}

void desk_free(struct desk *desk)
{
    desk_stop(desk);
    for (size_t i = 0; i < desk->arrivals_count; i++)
        event_unref(desk->arrivals[i].delivery.event);
    mailbox_done(&desk->mailbox);
    DIR *directory = opendir(desk->directory);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", desk->directory, entry->d_name);
        unlink(path);
    }
    closedir(directory);
    rmdir(desk->directory);
    free(desk);
}

void desk_submit(struct desk *desk, struct request *request)
{
    request->reply_to = &desk->mailbox;
    request->on_done = on_done;
    journal_submit(desk->journal, request);
}

void desk_wait_for(struct desk *desk, const size_t *counter, size_t count)
{
    int64_t give_up_us = clock_mono_us() + WAIT_MS_MAX * US_PER_MS;
    mailbox_work(&desk->mailbox);
    while (*counter < count) {
        cr_assert(clock_mono_us() < give_up_us, "no answer");
        mailbox_wait(&desk->mailbox, 1000);
        mailbox_work(&desk->mailbox);
    }
}

void desk_wait_answers(struct desk *desk, size_t count)
{
    desk_wait_for(desk, &desk->answers_count, count);
}

enum err desk_call(struct desk *desk, struct request *request)
{
    size_t count = desk->answers_count + 1;
    desk_submit(desk, request);
    desk_wait_answers(desk, count);
    return request->result;
}

struct event *desk_event(struct desk *desk, struct draft draft)
{
    struct event_parts parts = {
        .accepted_us = draft.accepted_us ? draft.accepted_us : clock_wall_us(),
        .partner = SLICE_LITERAL("partner_1"),
        .account = SLICE_LITERAL("acc_42"),
        .type = slice_from_string(draft.type ? draft.type : "purchase"),
        .key = slice_from_string(draft.key),
        .amount = slice_from_string(draft.amount),
        .currency = slice_from_string(draft.currency),
        .body = draft.body.len ? draft.body : SLICE_LITERAL("{\"type\": \"purchase\"}"),
    };
    parts.class = class_of_type(&class_rules_default, parts.type);
    parts.guarded = class_type_is_guarded(&class_rules_default, parts.type);
    const unsigned char random[8] = {7};
    event_id_make(&desk->ids, parts.accepted_us, draft.partition, random, &parts.id);
    struct event *event;
    cr_assert(event_new(&parts, &desk->budget, 100, &event) == OK);
    return event;
}

struct journal_append *append_init(
    struct journal_append *append, struct event *event, const uint64_t *endpoints, unsigned count)
{
    const struct event_parts *parts = &event->parts;
    *append = (struct journal_append){
        .request.kind = JOURNAL_APPEND, .event = event, .endpoints_count = count};
    for (unsigned i = 0; i < count; i++)
        append->endpoints[i] = endpoints[i];
    dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &append->dedupe_key);
    return append;
}

enum err desk_append(
    struct desk *desk, struct draft draft, uint64_t endpoint, struct event_id *ret_id)
{
    struct event *event = desk_event(desk, draft);
    struct journal_append append;
    enum err result =
        desk_call(desk, &append_init(&append, event, &endpoint, endpoint ? 1 : 0)->request);
    if (ret_id)
        *ret_id = append.ret_id;
    event_unref(event);
    return result;
}

void desk_call_together(struct desk *desk, struct request **requests, size_t count)
{
    struct journal_append first;
    struct event *event = desk_event(desk, (struct draft){.type = "other"});
    size_t before = desk->answers_count;
    disk_hold_syncs();
    desk_submit(desk, &append_init(&first, event, NULL, 0)->request);
    disk_wait_until_held();
    for (size_t i = 0; i < count; i++)
        desk_submit(desk, requests[i]);
    disk_release_syncs();
    desk_wait_answers(desk, before + count + 1);
    event_unref(event);
}

int64_t desk_last_delivery(const struct desk *desk)
{
    for (size_t i = desk->arrivals_count; i > 0; i--)
        if (!desk->arrivals[i - 1].answered)
            return desk->arrivals[i - 1].delivery.id;
    cr_assert(false, "nothing has been handed over");
    return 0;
}

struct journal_record move_of(int64_t delivery, enum delivery_state from, enum delivery_state to)
{
    return (struct journal_record){
        .request.kind = to == DELIVERY_SENDING ? JOURNAL_START : JOURNAL_RECORD_OUTCOME,
        .delivery = delivery,
        .from = from,
        .to = to,
    };
}

struct attempt attempt_of(uint32_t number, int http_status, enum err error, const char *excerpt)
{
    struct attempt attempt = {
        .number = number,
        .started_us = clock_wall_us(),
        .duration_us = 1234,
        .end = {.http_status = http_status, .error = error, .request_begun = true},
        .excerpt_len = (uint32_t)strlen(excerpt),
    };
    memcpy(attempt.excerpt, excerpt, attempt.excerpt_len);
    return attempt;
}

void loaded_init(struct loaded *loaded, uint64_t endpoint)
{
    loaded->load = (struct journal_load){
        .request.kind = JOURNAL_LOAD,
        .endpoint = endpoint,
        .due_by_us = INT64_MAX,
        .count_max = DESK_DELIVERIES_MAX,
        .bytes_max = INT64_MAX,
        .budget_share_percent = 100,
        .ret_deliveries = loaded->deliveries,
    };
}

enum err desk_load(struct desk *desk, struct loaded *loaded)
{
    loaded->load.budget = &desk->budget;
    return desk_call(desk, &loaded->load.request);
}

void loaded_done(struct loaded *loaded)
{
    for (unsigned i = 0; i < loaded->load.ret_count; i++)
        event_unref(loaded->deliveries[i].event);
    loaded->load.ret_count = 0;
}

static sqlite3 *open_beside(struct desk *desk)
{
    char path[300];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/journal-0.db", desk->directory);
    cr_assert(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    /* While the journal is open only its own connection checkpoints. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_wal_autocheckpoint(db, 0);
    return db;
}

void desk_sql(struct desk *desk, const char *text)
{
    sqlite3 *db = open_beside(desk);
    int code = sqlite3_exec(db, text, NULL, NULL, NULL);
    cr_assert(code == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t desk_sql_int(struct desk *desk, const char *text)
{
    sqlite3 *db = open_beside(desk);
    sqlite3_stmt *statement = NULL;
    cr_assert(
        sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert(sqlite3_step(statement) == SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}
