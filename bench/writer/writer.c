/* SPDX-License-Identifier: Apache-2.0 */
#include "writer/writer.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "journal/store.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

struct writer {
    struct store store;
    struct event_id_generator ids;
    uint64_t ids_made;
};

static void check(const char *what, enum err error)
{
    if (!error)
        return;
    fprintf(stderr, "journal: %s: %s\n", what, err_name(error));
    exit(EX_SOFTWARE);
}

struct writer *writer_open(const char *directory, unsigned shard)
{
    char detail[256] = "";
    const struct store_options options = {
        .directory = directory, .shard = shard, .expiry = {7 * US_PER_DAY, 90 * US_PER_DAY}};
    struct writer *writer;
    MEMORY_NEW(writer);
    if (store_open(&writer->store, &options, detail) != OK) {
        fprintf(stderr, "journal: %s\n", detail);
        exit(EX_NOINPUT);
    }
    return writer;
}

void writer_close(struct writer *writer)
{
    if (writer)
        store_close(&writer->store, false);
    free(writer);
}

void writer_begin(struct writer *writer, unsigned deliveries_max)
{
    struct store *store = &writer->store;
    store->handover = memory_new_raw(
        sizeof *store->handover + deliveries_max * sizeof store->handover->deliveries[0]);
    store->handover->count = 0;
    store->handover_room = deliveries_max;
    check("begin", store_begin(store));
}

void writer_commit(struct writer *writer)
{
    struct store *store = &writer->store;
    check("commit", store_commit(store));
    for (unsigned i = 0; i < store->handover->count; i++)
        event_unref(store->handover->deliveries[i].event);
    free(TAKE(store->handover));
    check("checkpoint", checkpointer_work(&store->checkpointer));
}

void writer_make_id(struct writer *writer, struct event_parts *parts)
{
    unsigned char random[8];
    memcpy(random, &writer->ids_made, sizeof random);
    writer->ids_made++;
    event_id_make(&writer->ids, parts->accepted_us, 0, random, &parts->id);
}

static struct event *make_event(const struct event_parts *parts, struct dedupe_key *ret_key)
{
    struct event *event;
    check("an event", event_new(parts, NULL, 100, &event));
    dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, ret_key);
    return event;
}

void writer_add_key(struct writer *writer, const struct event_parts *parts)
{
    struct dedupe_key key;
    struct event *event = make_event(parts, &key);
    check("a key", dedupe_add(&writer->store.dedupe, &key, event));
    event_unref(event);
}

static int64_t add_event(
    struct writer *writer, const struct event_parts *parts, struct journal_append *append)
{
    append->event = make_event(parts, &append->dedupe_key);
    int64_t seq = writer->store.next_seq;
    check("an append", store_append(&writer->store, &append->request));
    check("an append's result", append->request.result);
    event_unref(append->event);
    return seq;
}

int64_t writer_append(
    struct writer *writer, const struct event_parts *parts, unsigned endpoints_count)
{
    struct journal_append append = {
        .request.kind = JOURNAL_APPEND, .endpoints_count = endpoints_count};
    for (unsigned i = 0; i < endpoints_count; i++)
        append.endpoints[i] = i + 1;
    return add_event(writer, parts, &append);
}

int64_t writer_append_to(struct writer *writer, const struct event_parts *parts, uint64_t endpoint)
{
    struct journal_append append = {
        .request.kind = JOURNAL_APPEND, .endpoints_count = 1, .endpoints = {endpoint}};
    return add_event(writer, parts, &append);
}

static void record_outcome(struct writer *writer, struct journal_record *outcome)
{
    check("an outcome", store_record_outcome(&writer->store, &outcome->request));
    check("an outcome's result", outcome->request.result);
}

void writer_deliver(struct writer *writer, int64_t seq, unsigned index)
{
    struct journal_record outcome = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DELIVERED,
        .has_attempt = true,
        .attempt = {.number = 1, .started_us = 1, .end.http_status = 200}};
    record_outcome(writer, &outcome);
}

void writer_die(struct writer *writer, int64_t seq, unsigned index)
{
    struct journal_record outcome = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DEAD,
        .failures = 1,
        .has_attempt = true,
        .attempt = {.number = 1,
            .started_us = 1,
            .end.error = ERR_CONNECT,
            .evidence.cause = CAUSE_CONNECT_REFUSED}};
    record_outcome(writer, &outcome);
}

void writer_wait(struct writer *writer, int64_t seq, unsigned index, enum wait_cause cause,
    int64_t began_us, int64_t wait_us)
{
    struct journal_record outcome = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_WAITING,
        .wait_cause = cause,
        .lane = LANE_RETRY,
        .failures = 1,
        .due_us = began_us + wait_us,
        .wait_us = wait_us};
    record_outcome(writer, &outcome);
}

void writer_replay(struct writer *writer, int64_t seq, unsigned index)
{
    const struct delivery_move ways[] = {
        {.to = DELIVERY_DEAD}, {.to = DELIVERY_PENDING, .lane = LANE_REPLAY}};
    struct delivery_row row;
    check("a row",
        delivery_rows_read(&writer->store.deliveries, placement_delivery(seq, index), &row));
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++)
        check("a replay", delivery_rows_move_row(
                              &writer->store.deliveries, &row, &ways[i], writer->store.now_us));
}

unsigned writer_load(struct writer *writer, enum writer_load load, uint64_t endpoint, int64_t after,
    unsigned count_max)
{
    bool is_pending = load == WRITER_LOAD_PENDING || load == WRITER_LOAD_REPLAYS;
    struct journal_load asked = {.request.kind = JOURNAL_LOAD,
        .endpoint = endpoint,
        .probe = load == WRITER_LOAD_PROBE,
        .pending_lanes = load == WRITER_LOAD_REPLAYS ? PENDING_REPLAY : PENDING_FRESH_AND_RETRY,
        .after_pending_id = is_pending ? after : INT64_MAX,
        .recovered_us = load == WRITER_LOAD_RECOVERED ? INT64_MAX : 0,
        .after_recovered_id = after,
        .due_by_us = load == WRITER_LOAD_DUE ? INT64_MAX : INT64_MIN,
        .after_waiting_due_us = after,
        .count_max = count_max,
        .bytes_max = INT64_MAX,
        .ret_deliveries = memory_new_raw(count_max * sizeof(struct delivery))};
    check("a load", store_load(&writer->store, &asked.request));
    for (unsigned i = 0; i < asked.ret_count; i++)
        event_unref(asked.ret_deliveries[i].event);
    free(asked.ret_deliveries);
    return asked.ret_count;
}

static int64_t one_earlier(const struct delivery *waiting, const void *context)
{
    return waiting->due_us - 1;
}

unsigned writer_redue(
    struct writer *writer, uint64_t endpoint, int64_t after_due_us, unsigned count_max)
{
    struct journal_redue step = {.request.kind = JOURNAL_REDUE,
        .endpoint = endpoint,
        .new_due_us = one_earlier,
        .after_due_us = after_due_us,
        .count_max = count_max};
    check("new due times", store_redue(&writer->store, &step.request));
    return step.ret_count;
}

void writer_park(struct writer *writer, int64_t seq, unsigned index, enum park_reason reason)
{
    struct journal_record outcome = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_delivery(seq, index),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_PARKED,
        .reason = reason};
    record_outcome(writer, &outcome);
}

void writer_add_alias(
    struct writer *writer, const struct event_id *id, const struct event_id *first, int64_t at_us)
{
    check("an alias", alias_rows_add(&writer->store.aliases, id, first, at_us));
}

bool writer_expiry_is_due(const struct writer *writer, int64_t now_us)
{
    return expiry_is_due(&writer->store.expiry, now_us);
}

void writer_expire_step(struct writer *writer, int64_t now_us)
{
    check("a step of expiry", expiry_step(&writer->store, now_us));
}
