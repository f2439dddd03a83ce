/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins the sink logs. First each request is linked to its key, by its event id or else by the
 * number in its body. Then the requests of each key are judged in the order of their arrival.
 *
 * The requests of one delivery are those of one event to one path. When the journal has a single
 * delivery of the event, all its requests belong to that delivery: its endpoint may have moved, and
 * a sink that was restarted numbers its paths again.
 *
 * A request is a duplicate when an earlier request of its delivery was answered 2xx. This also
 * holds when the earlier one was not answered yet. There is one exception: if the earlier one took
 * longer than OVERLAP_US, the gateway may have given it up. Then the request is a re-send, and
 * counts as overlapping.
 *
 * For a guarded delivery there is no exception, and a lost answer is no excuse: once the work was
 * done, each further request is a duplicate. A request after a failure that the sink produced is a
 * normal attempt.
 */
#include "verdict/join.h"

#include <stdlib.h>

#define OVERLAP_US 1000000 /* shorter than any answer timeout of the gateway */

struct request {
    uint32_t record;
    uint32_t before; /* the previous request of the key, in the order of the logs */
    uint16_t log;
};

struct sinks {
    const struct run_log_view *logs;
    struct keys *keys;
    struct arrivals *arrivals;
    bool has_journal;
    enum figures_target target;

    struct request *requests;
    uint32_t count, capacity;

    const struct sink_record **sorted; /* the requests of the current key */
    uint32_t sorted_count, sorted_capacity;
};

static bool is_2xx(const struct sink_record *record)
{
    return record->status / 100 == 2;
}

/* A success for the gateway: the headers are complete, even if the body is not. */
static bool is_success(const struct sink_record *record)
{
    return is_2xx(record) && (record->deed == SINK_ANSWERED || record->deed == SINK_CUT_SHORT);
}

/* --- linking requests to keys --- */

static void count_request(struct arrivals *arrivals, const struct sink_record *record)
{
    arrivals->requests++;
    arrivals->deeds[record->deed]++;
    arrivals->statuses[record->status]++;
    arrivals->wrong_signatures += record->signature == SINK_WRONG;
    arrivals->unchecked_signatures += record->signature == SINK_UNCHECKED;
    if (!is_success(record))
        return;
    arrivals->successes++;
    if (!arrivals->first_success_us || record->received_us < arrivals->first_success_us)
        arrivals->first_success_us = record->received_us;
    if (record->received_us > arrivals->last_success_us)
        arrivals->last_success_us = record->received_us;
}

static enum err hang_onto(struct sinks *sinks, uint32_t place, size_t log, size_t record)
{
    void *array = sinks->requests;
    enum err result =
        keys_make_room(&array, &sinks->capacity, sinks->count, sizeof sinks->requests[0]);
    sinks->requests = array;
    if (result)
        return result;
    struct key *key = &sinks->keys->keys[place];
    sinks->requests[sinks->count] =
        (struct request){.record = (uint32_t)record, .before = key->request, .log = (uint16_t)log};
    key->request = sinks->count++;
    return OK;
}

/* Finds the key by the number in the body. When the run is not known, the body's hash must fit too:
 * the bytes contain the run's name. */
static uint32_t find_number(const struct keys *keys, uint8_t run, const struct sink_record *record)
{
    if (run != RUN_NONE)
        return keys_find_key(keys, run, record->number);
    for (unsigned i = 0; i < keys->runs_count; i++) {
        uint32_t place = keys_find_key(keys, (uint8_t)i, record->number);
        if (place != PLACE_NONE && keys_may_deliver(keys, &keys->keys[place], record->body_hash))
            return place;
    }
    return PLACE_NONE;
}

static bool has_wrong_bytes(
    const struct sinks *sinks, const struct key *key, const struct sink_record *record)
{
    switch (sinks->target) {
    case TARGET_PENSTOCK:
        return !keys_may_deliver(sinks->keys, key, record->body_hash);
    case TARGET_SAME_BODY:
        return !keys_was_sent(sinks->keys, key, record->body_hash);
    case TARGET_OTHER_BODY:
        break;
    }
    return false;
}

static enum err take_record(struct sinks *sinks, uint8_t run, size_t log, size_t at)
{
    struct keys *keys = sinks->keys;
    struct arrivals *arrivals = sinks->arrivals;
    const struct sink_record *record = (const struct sink_record *)sinks->logs[log].records + at;
    if (record->deed >= SINK_DEEDS || record->status >= STATUSES_MAX || at > UINT32_MAX)
        return ERR_DAMAGED;
    count_request(arrivals, record);
    bool has_id = !keys_is_zero_id(record->event);
    uint32_t id = has_id ? keys_find_id(keys, record->event) : PLACE_NONE;
    if (id != PLACE_NONE && keys->ids[id].key == PLACE_NONE) {
        arrivals->foreign++;
        return OK;
    }
    uint32_t place = id == PLACE_NONE ? find_number(keys, run, record) : keys->ids[id].key;
    if (place == PLACE_NONE || !keys_is_valid(&keys->keys[place])) {
        arrivals->unknown++;
        return OK;
    }
    arrivals->wrong_bytes += has_wrong_bytes(sinks, &keys->keys[place], record);
    if (id == PLACE_NONE &&
        sinks->target ==
            TARGET_PENSTOCK) { /* the 200 with this id was lost, or the id was never in an answer */
        arrivals->unknown += sinks->has_journal || !has_id;
        if (has_id) {
            enum err result = keys_take_id(keys, place, record->event);
            if (result)
                return result;
        }
    }
    return hang_onto(sinks, place, log, at);
}

/* --- judging the requests of one key --- */

static int compare(const void *a, const void *b)
{
    const struct sink_record *left = *(const struct sink_record *const *)a;
    const struct sink_record *right = *(const struct sink_record *const *)b;
    if (left->received_us != right->received_us)
        return left->received_us < right->received_us ? -1 : 1;
    return (left->attempt > right->attempt) - (left->attempt < right->attempt);
}

static int compare_paths_first(const void *a, const void *b)
{
    const struct sink_record *left = *(const struct sink_record *const *)a;
    const struct sink_record *right = *(const struct sink_record *const *)b;
    return left->path != right->path ? (left->path < right->path ? -1 : 1) : compare(a, b);
}

static enum err sort_requests(struct sinks *sinks, const struct key *key, bool by_path)
{
    sinks->sorted_count = 0;
    for (uint32_t at = key->request; at != PLACE_NONE; at = sinks->requests[at].before) {
        void *array = sinks->sorted;
        enum err result = keys_make_room(
            &array, &sinks->sorted_capacity, sinks->sorted_count, sizeof sinks->sorted[0]);
        sinks->sorted = array;
        if (result)
            return result;
        const struct request *request = &sinks->requests[at];
        sinks->sorted[sinks->sorted_count++] =
            (const struct sink_record *)sinks->logs[request->log].records + request->record;
    }
    if (sinks->sorted_count > 1)
        qsort(sinks->sorted, sinks->sorted_count, sizeof sinks->sorted[0],
            by_path ? compare_paths_first : compare);
    return OK;
}

static void note_success(
    struct sinks *sinks, struct key *key, const struct sink_record *record, enum err *ret_result)
{
    if (key->sink_us && key->sink_us <= record->received_us)
        return;
    key->sink_us = record->received_us;
    key->due_us = record->due_us;
    if (sinks->target != TARGET_PENSTOCK) {
        keys_accepted_money(sinks->keys, key, &key->sink_micros, &key->sink_currency);
        return;
    }
    key->sink_micros = record->amount_micros;
    *ret_result = keys_take_currency(sinks->keys, record->currency, &key->sink_currency);
}

static void count_duplicate(struct arrivals *arrivals, struct key *key)
{
    arrivals->duplicated++;
    if (key->sink_again < UINT16_MAX)
        key->sink_again++;
}

/* Judges the requests of one delivery, in order. */
static enum err judge(
    struct sinks *sinks, struct key *key, const struct sink_record **requests, uint32_t count)
{
    struct arrivals *arrivals = sinks->arrivals;
    bool guarded = (key->flags & KEY_GUARDED) != 0;
    const struct sink_record *success = NULL; /* the first one */
    bool done = false;                        /* the work is done, even if its answer was lost */
    enum err result = OK;
    for (uint32_t i = 0; i < count && !result; i++) {
        const struct sink_record *request = requests[i];
        if (guarded && (success || done)) {
            count_duplicate(arrivals, key);
            arrivals->guarded_duplicated++;
        } else if (success) {
            bool overlaps = !success->answered_us || request->received_us < success->answered_us;
            if (overlaps && request->received_us - success->received_us >= OVERLAP_US)
                arrivals->overlapping++;
            else
                count_duplicate(arrivals, key);
        }
        if (sinks->target == TARGET_PENSTOCK && i > 0 &&
            request->attempt <= requests[i - 1]->attempt)
            arrivals->wrong_attempts++;
        done = done || is_2xx(request);
        if (is_success(request) && !success) {
            success = request;
            note_success(sinks, key, request, &result);
        }
    }
    if (success && key->sink_delivered < UINT8_MAX)
        key->sink_delivered++;
    return result;
}

static enum err judge_key(struct sinks *sinks, struct key *key)
{
    bool by_path = !(key->flags & KEY_IN_JOURNAL) || key->journal_deliveries != 1;
    enum err result = sort_requests(sinks, key, by_path);
    for (uint32_t from = 0, to; !result && from < sinks->sorted_count; from = to) {
        to = from + 1;
        while (to < sinks->sorted_count &&
               (!by_path || sinks->sorted[to]->path == sinks->sorted[from]->path))
            to++;
        result = judge(sinks, key, sinks->sorted + from, to - from);
    }
    return result;
}

/* Returns the run whose numbers are in a sink log: the one in its header. When that is empty, the
 * only run of the load logs. */
static uint8_t run_of(const struct keys *keys, const struct run_log_view *log)
{
    uint8_t run = keys_find_run(keys, log->run);
    if (run != RUN_NONE)
        return run;
    return keys->runs_count == 1 ? 0 : RUN_NONE;
}

enum err join_sinks(
    const struct run_log_view *logs, size_t count, struct keys *keys, struct figures *figures)
{
    struct sinks sinks = {.logs = logs,
        .keys = keys,
        .arrivals = &figures->arrivals,
        .has_journal = figures->has_journal,
        .target = figures->target};
    enum err result = OK;
    for (size_t log = 0; log < count && !result; log++) {
        uint8_t run = run_of(keys, &logs[log]);
        for (size_t at = 0; at < logs[log].count && !result; at++)
            result = take_record(&sinks, run, log, at);
    }
    for (uint32_t i = 0; i < keys->count && !result; i++)
        if (keys->keys[i].request != PLACE_NONE)
            result = judge_key(&sinks, &keys->keys[i]);
    free(sinks.requests);
    free(sinks.sorted);
    return result;
}
