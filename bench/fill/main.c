/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-fill: gives a gateway a past. It writes keys into the dedupe stores and delivered events
 * into the journals of a data directory, as if they had been accepted on earlier days: the newest
 * yesterday, at most 500,000 of a kind for each shard and day. The gateway must have made the
 * directory, and must not run.
 *
 * Number n of shard s has the partner partner_bench, the account acc_0, the type purchase, 129.90
 * EUR, and the key "key-s-n" or "event-s-n".
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "common/options.h"
#include "model/object_id.h"
#include "writer/writer.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define BATCH 1000
#define PER_DAY 500000 /* keys of one segment: its maximum is 524,288 */

struct options {
    const char *data;
    int64_t keys, events;
    int64_t rare_every, dead_every; /* 0: none */
    uint64_t endpoint;              /* 0: number 1 */
};

static const char *set_data(void *options, const char *value)
{
    return option_set_text(value, &((struct options *)options)->data);
}

static const char *set_keys(void *options, const char *value)
{
    return option_set_number(value, 0, 1000000000, &((struct options *)options)->keys);
}

static const char *set_events(void *options, const char *value)
{
    return option_set_number(value, 0, 1000000000, &((struct options *)options)->events);
}

static const char *set_rare_every(void *options, const char *value)
{
    return option_set_number(value, 0, 1000000000, &((struct options *)options)->rare_every);
}

static const char *set_dead_every(void *options, const char *value)
{
    return option_set_number(value, 0, 1000000000, &((struct options *)options)->dead_every);
}

static const char *set_endpoint(void *options, const char *value)
{
    return endpoint_id_parse(slice_from_string(value), &((struct options *)options)->endpoint)
               ? NULL
               : "must be the id of an endpoint (ep_...)";
}

static const struct option_row rows[] = {
    {"--data", "DIR", set_data, "the data directory of a gateway that does not run; required"},
    {"--keys", "N", set_keys, "keys of accepted events, in the dedupe stores alone; default 0"},
    {"--events", "N", set_events, "delivered events, with their keys; default 0"},
    {"--rare-every", "N", set_rare_every,
        "each N-th event is of the account acc_rare; default none"},
    {"--dead-every", "N", set_dead_every, "the delivery of each N-th event is dead; default none"},
    {"--endpoint", "ID", set_endpoint, "the endpoint of the events; default the number 1"},
};

static const struct option_table table = {.program = "penstock-fill",
    .usage = "--data DIR [OPTIONS]",
    .before = "Writes the keys and events of earlier days into a data directory.\n",
    .rows = rows,
    .rows_count = ARRAY_LENGTH(rows)};

typedef void add_function(const struct options *options, struct writer *writer,
    const struct event_parts *parts, int64_t number);

static void add_key(const struct options *options, struct writer *writer,
    const struct event_parts *parts, int64_t number)
{
    writer_add_key(writer, parts);
}

static bool is_each(int64_t every, int64_t number)
{
    return every > 0 && number % every == 0;
}

static void add_event(const struct options *options, struct writer *writer,
    const struct event_parts *parts, int64_t number)
{
    struct event_parts event = *parts;
    if (is_each(options->rare_every, number))
        event.account = SLICE_LITERAL("acc_rare");
    int64_t seq = writer_append_to(writer, &event, options->endpoint ? options->endpoint : 1);
    if (is_each(options->dead_every, number))
        writer_die(writer, seq, 0);
    else
        writer_deliver(writer, seq, 0);
}

/* The oldest first: a segment is sealed when a later one begins. */
static void fill(const struct options *options, struct writer *writer, unsigned shard,
    int64_t count, const char *kind, add_function *add)
{
    static const char body[] = "{\"id\":\"old\",\"type\":\"purchase\",\"account\":\"acc_0\","
                               "\"amount\":\"129.90\",\"currency\":\"EUR\"}";
    int64_t now_us = clock_wall_us();
    for (int64_t done = 0; done < count; done += BATCH) {
        writer_begin(writer, BATCH);
        for (int64_t number = done; number < count && number < done + BATCH; number++) {
            char key[48];
            int len = snprintf(key, sizeof key, "%s-%u-%lld", kind, shard, (long long)number);
            int64_t days_ago = 1 + (count - 1 - number) / PER_DAY;
            struct event_parts parts = {
                .accepted_us = now_us - days_ago * US_PER_DAY,
                .class = CLASS_CRITICAL,
                .partner = SLICE_LITERAL("partner_bench"),
                .account = SLICE_LITERAL("acc_0"),
                .type = SLICE_LITERAL("purchase"),
                .key = slice_of(key, (size_t)len),
                .amount = SLICE_LITERAL("129.90"),
                .currency = SLICE_LITERAL("EUR"),
                .body = slice_of(body, sizeof body - 1),
            };
            writer_make_id(writer, &parts);
            add(options, writer, &parts, number);
        }
        writer_commit(writer);
    }
}

static unsigned count_shards(const char *directory)
{
    unsigned count = 0;
    char path[4096];
    while (count < SHARDS_MAX &&
           snprintf(path, sizeof path, "%s/journal-%u.db", directory, count) < (int)sizeof path &&
           access(path, F_OK) == 0)
        count++;
    return count;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    if (options_parse(&table, argc, argv, &options))
        return EX_USAGE;
    if (!options.data)
        return options_refuse(&table, "--data", "is missing") ? EX_USAGE : EX_OK;
    unsigned shards = count_shards(options.data);
    if (shards == 0) {
        fprintf(stderr, "penstock-fill: there is no journal-0.db in %s: start a gateway on it\n",
            options.data);
        return EX_NOINPUT;
    }
    for (unsigned shard = 0; shard < shards; shard++) {
        struct writer *writer = writer_open(options.data, shard);
        fill(&options, writer, shard, options.keys / shards, "key", add_key);
        fill(&options, writer, shard, options.events / shards, "event", add_event);
        writer_close(writer);
    }
    return EX_OK;
}
