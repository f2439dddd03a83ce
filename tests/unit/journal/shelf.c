/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal/shelf.h"
#include "model/placement.h"
#include "unit/journal/recount.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void shelf_open(struct shelf *shelf)
{
    char detail[256];
    const struct store_options options = {.directory = shelf->directory,
        .expiry = {7 * US_PER_DAY, 90 * US_PER_DAY},
        .operator_events = shelf->operator_events};
    enum err result = store_open(&shelf->store, &options, detail);
    cr_assert(result == OK, "%s: %s", err_name(result), detail);
    cr_assert(shelf->changed_by_hand || recount_agrees(&shelf->store));
}

struct shelf *shelf_new(void)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    cr_assert(shelf);
    snprintf(shelf->directory, sizeof shelf->directory, "/tmp/penstock-shelf-XXXXXX");
    cr_assert(mkdtemp(shelf->directory));
    shelf_open(shelf);
    return shelf;
}

void shelf_free(struct shelf *shelf)
{
    char command[128];
    store_close(&shelf->store, false);
    snprintf(command, sizeof command, "rm -r %s", shelf->directory);
    cr_assert(system(command) == 0);
    free(shelf);
}

void shelf_crash(struct shelf *shelf)
{
    store_close(&shelf->store, true);
    shelf_open(shelf);
}

void shelf_begin(struct shelf *shelf)
{
    cr_assert(store_begin(&shelf->store) == OK);
}

void shelf_commit(struct shelf *shelf)
{
    cr_assert(store_commit(&shelf->store) == OK);
    cr_assert(shelf->changed_by_hand || recount_agrees(&shelf->store));
}

struct event *shelf_event(struct shelf *shelf, struct shelved draft)
{
    struct event_parts parts = {
        .accepted_us = draft.accepted_us ? draft.accepted_us : clock_wall_us(),
        .class = draft.class,
        .partner = slice_from_string(draft.partner ? draft.partner : "p"),
        .account = slice_from_string(draft.account ? draft.account : "acc_1"),
        .type = SLICE_LITERAL("purchase"),
        .key = slice_from_string(draft.key),
        .amount = slice_from_string(draft.amount),
        .currency = slice_from_string(draft.currency),
        .body = SLICE_LITERAL("{\"some\":\"body\"}"),
    };
    const unsigned char random[8] = {9};
    struct event *event;
    event_id_make(&shelf->ids, parts.accepted_us, draft.partition, random, &parts.id);
    cr_assert(event_new(&parts, NULL, 100, &event) == OK);
    return event;
}

static struct dedupe_key key_of_event(const struct event *event)
{
    const struct event_parts *parts = &event->parts;
    struct dedupe_key key;
    dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &key);
    return key;
}

enum err shelf_call(struct shelf *shelf,
    enum err (*apply)(struct store *store, struct request *request), struct request *request)
{
    request->result = OK;
    shelf_begin(shelf);
    cr_assert(apply(&shelf->store, request) == OK);
    shelf_commit(shelf);
    struct journal_handover *handover = TAKE(shelf->store.handover);
    shelf->handed_over = handover ? handover->count : 0;
    for (unsigned i = 0; handover && i < handover->count; i++)
        event_unref(handover->deliveries[i].event);
    free(handover);
    return request->result;
}

enum err shelf_append_event(struct shelf *shelf, struct event *event, unsigned endpoints)
{
    struct journal_append append = {
        .event = event, .dedupe_key = key_of_event(event), .endpoints_count = endpoints};
    for (unsigned i = 0; i < endpoints; i++)
        append.endpoints[i] = i + 1;
    return shelf_call(shelf, store_append, &append.request);
}

struct journal_receive shelf_receive(
    struct shelf *shelf, struct event *event, unsigned endpoints, enum park_reason park_as)
{
    struct journal_receive receive = {.event = event,
        .dedupe_key = key_of_event(event),
        .endpoints_count = endpoints,
        .park_as = park_as};
    for (unsigned i = 0; i < endpoints; i++)
        receive.endpoints[i] = i + 1;
    (void)shelf_call(shelf, store_receive, &receive.request);
    return receive;
}

enum err shelf_try_append(struct shelf *shelf, struct shelved draft)
{
    struct event *event = shelf_event(shelf, draft);
    enum err result = shelf_append_event(shelf, event, draft.endpoints);
    event_unref(event);
    return result;
}

int64_t shelf_append(struct shelf *shelf, struct shelved draft)
{
    int64_t seq = shelf->store.next_seq;
    cr_assert(shelf_try_append(shelf, draft) == OK);
    return seq;
}

struct event_id shelf_id_of(struct shelf *shelf, int64_t seq)
{
    sqlite3_stmt *statement = NULL;
    struct event_id id;
    cr_assert(sqlite3_prepare_v2(shelf->store.db, "SELECT id FROM events WHERE seq = ?", -1,
                  &statement, NULL) == SQLITE_OK);
    sqlite3_bind_int64(statement, 1, seq);
    cr_assert(sqlite3_step(statement) == SQLITE_ROW);
    memcpy(id.bytes, sqlite3_column_blob(statement, 0), sizeof id.bytes);
    sqlite3_finalize(statement);
    return id;
}

enum err shelf_move(struct shelf *shelf, int64_t seq, unsigned index, enum delivery_state from,
    enum delivery_state to)
{
    struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = from,
        .to = to,
        .reason = PARK_AMBIGUOUS,
        .lane = LANE_RETRY};
    shelf_begin(shelf);
    cr_assert(store_record_outcome(&shelf->store, &order.request) == OK);
    shelf_commit(shelf);
    return order.request.result;
}

unsigned shelf_expire(struct shelf *shelf, int64_t now_us)
{
    unsigned steps = 0;
    while (expiry_is_due(&shelf->store.expiry, now_us)) {
        shelf_begin(shelf);
        cr_assert(expiry_step(&shelf->store, now_us) == OK);
        shelf_commit(shelf);
        cr_assert(++steps < 10000, "a round comes to its end");
    }
    return steps;
}

void shelf_sql(struct shelf *shelf, const char *text)
{
    char *message = NULL;
    shelf->changed_by_hand |= strstr(text, "deliveries") != NULL;
    cr_assert(sqlite3_exec(shelf->store.db, text, NULL, NULL, &message) == SQLITE_OK, "%s: %s",
        text, message);
}

int64_t shelf_sql_int(struct shelf *shelf, const char *text)
{
    sqlite3_stmt *statement = NULL;
    cr_assert(sqlite3_prepare_v2(shelf->store.db, text, -1, &statement, NULL) == SQLITE_OK,
        "%s: %s", text, sqlite3_errmsg(shelf->store.db));
    cr_assert(sqlite3_step(statement) == SQLITE_ROW, "%s", text);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}
