/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-expiry: measures how much expiry delays commits.
 *
 * It fills a journal with expired events: one full segment of the dedupe store, their bodies and
 * their history. Then it accepts events at a steady rate, first without expiry, then with the steps
 * of expiry between the commits, as the journal's thread does. It prints the longest and the 99.9th
 * percentile of both kinds of transaction, and the duration of the whole expiry.
 *
 * Only this bench uses src/journal directly: it measures the writer without threads and network.
 */
#include "base/cleanup.h"
#include "common/histogram.h"
#include "journal/store.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define FILL_BATCH 500
#define PACE_US 5000
#define EVENTS_PER_TURN 10 /* 2000 a second */
#define BODY_BYTES 470

struct bench {
    const char *directory;
    struct store store;
    struct event_id_generator ids;
    uint64_t number;
    struct histogram accepting, steps;
};

static void die(const char *what, enum err error)
{
    fprintf(stderr, "penstock-expiry: %s: %s\n", what, err_name(error));
    exit(EX_SOFTWARE);
}

static void check(const char *what, enum err error)
{
    if (error)
        die(what, error);
}

static void open_store(struct bench *bench)
{
    char detail[256] = "";
    const struct store_options options = {
        .directory = bench->directory, .expiry = {7 * US_PER_DAY, 90 * US_PER_DAY}};
    if (store_open(&bench->store, &options, detail) != OK) {
        fprintf(stderr, "penstock-expiry: %s\n", detail);
        exit(EX_NOINPUT);
    }
}

/* Adds one event for one endpoint to the open transaction. Returns its number. */
static int64_t append(struct bench *bench, int64_t accepted_us)
{
    static const char body[BODY_BYTES] = {'{'};
    char key[32];
    int len = snprintf(key, sizeof key, "key-%llu", (unsigned long long)bench->number++);
    struct event_parts parts = {
        .accepted_us = accepted_us,
        .class = CLASS_IMPORTANT,
        .partner = SLICE_LITERAL("partner"),
        .account = SLICE_LITERAL("account"),
        .type = SLICE_LITERAL("signup"),
        .key = slice_of(key, (size_t)len),
        .amount = SLICE_LITERAL("1.25"),
        .currency = SLICE_LITERAL("EUR"),
        .body = slice_of(body, sizeof body),
    };
    unsigned char random[8];
    memcpy(random, &bench->number, sizeof random);
    event_id_make(&bench->ids, accepted_us, 0, random, &parts.id);
    struct journal_append request = {
        .request.kind = JOURNAL_APPEND, .endpoints_count = 1, .endpoints = {1}};
    check("an event", event_new(&parts, NULL, 100, &request.event));
    dedupe_key_of(parts.partner, parts.account, parts.type, parts.key, &request.dedupe_key);
    int64_t seq = bench->store.next_seq;
    check("an append", store_append(&bench->store, &request.request));
    check("an append's result", request.request.result);
    event_unref(request.event);
    return seq;
}

static void begin(struct bench *bench, unsigned room)
{
    bench->store.handover =
        malloc(sizeof *bench->store.handover + room * sizeof bench->store.handover->deliveries[0]);
    if (!bench->store.handover)
        die("memory", ERR_NO_MEMORY);
    bench->store.handover->count = 0;
    bench->store.handover_room = room;
    check("begin", store_begin(&bench->store));
}

static void commit(struct bench *bench)
{
    check("commit", store_commit(&bench->store));
    for (unsigned i = 0; i < bench->store.handover->count; i++)
        event_unref(bench->store.handover->deliveries[i].event);
    free(TAKE(bench->store.handover));
    check("checkpoint", checkpointer_work(&bench->store.checkpointer));
}

static void deliver(struct bench *bench, int64_t seq)
{
    struct journal_record order = {.request.kind = JOURNAL_RECORD_OUTCOME,
        .delivery = placement_first_delivery(seq),
        .from = DELIVERY_PENDING,
        .to = DELIVERY_DELIVERED,
        .has_attempt = true,
        .attempt = {.number = 1, .started_us = 1, .end.http_status = 200}};
    check("an outcome", store_record_outcome(&bench->store, &order.request));
    check("an outcome's result", order.request.result);
}

/* Adds delivered events that are older than every retention. */
static void fill(struct bench *bench, unsigned events, int64_t accepted_us)
{
    for (unsigned done = 0; done < events; done += FILL_BATCH) {
        begin(bench, FILL_BATCH);
        for (unsigned i = 0; i < FILL_BATCH; i++)
            deliver(bench, append(bench, accepted_us));
        commit(bench);
    }
}

static int64_t now_us(void)
{
    return clock_mono_us();
}

static void accept_some(struct bench *bench)
{
    int64_t started_us = now_us();
    begin(bench, EVENTS_PER_TURN);
    for (unsigned i = 0; i < EVENTS_PER_TURN; i++)
        append(bench, clock_wall_us());
    commit(bench);
    histogram_add(&bench->accepting, now_us() - started_us);
}

static void expire_some(struct bench *bench, int64_t wall_us)
{
    int64_t started_us = now_us();
    begin(bench, 0);
    check("a step", expiry_step(&bench->store, wall_us));
    commit(bench);
    histogram_add(&bench->steps, now_us() - started_us);
}

/* Runs turns at the steady rate. With `expire` each second turn makes a step of expiry, until a
 * whole round of expiry is done. Without it runs `turns` turns. */
static unsigned run(struct bench *bench, bool expire, unsigned turns)
{
    unsigned done = 0;
    histogram_init(&bench->accepting);
    histogram_init(&bench->steps);
    for (int64_t due_us = now_us();
         expire ? expiry_is_due(&bench->store.expiry, clock_wall_us()) : done < turns; done++) {
        accept_some(bench);
        if (expire && done % 2) /* every 10 ms, like the journal's thread */
            expire_some(bench, clock_wall_us());
        due_us += PACE_US;
        int64_t left_us = due_us - now_us();
        if (left_us > 0)
            nanosleep(&(struct timespec){.tv_nsec = left_us * 1000}, NULL);
        else
            due_us = now_us(); /* too slow for the rate: the printed duration shows it */
    }
    return done;
}

static void print(const char *what, const struct histogram *histogram)
{
    printf("  %-22s %7llu transactions, p50 %6.2f ms, p99.9 %6.2f ms, longest %6.2f ms\n", what,
        (unsigned long long)histogram->count, (double)histogram_percentile(histogram, 50) / 1000,
        (double)histogram_percentile(histogram, 99.9) / 1000, (double)histogram->max_us / 1000);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    unsigned events = argc > 2 ? (unsigned)atoi(argv[2]) : DEDUPE_SEGMENT_KEYS_MAX;
    if (argc < 2 || events == 0) {
        fputs("Usage: penstock-expiry EMPTY_DIRECTORY [EVENTS]\n", stderr);
        return EX_USAGE;
    }
    bench.directory = argv[1];
    open_store(&bench);
    int64_t started_us = now_us();
    fill(&bench, events, clock_wall_us() - 100 * US_PER_DAY);
    store_close(&bench.store, false);
    printf("%u expired events, made in %.1f s; 2000 events per second during the runs\n", events,
        (double)(now_us() - started_us) / 1e6);
    open_store(&bench); /* again: with a cold cache, as after 90 days */
    run(&bench, false, 2000);
    print("accepting, alone", &bench.accepting);
    started_us = now_us();
    run(&bench, true, 0);
    print("accepting, expiry too", &bench.accepting);
    print("steps of expiry", &bench.steps);
    printf("  everything expired in %.1f s\n", (double)(now_us() - started_us) / 1e6);
    store_close(&bench.store, false);
    return EX_OK;
}
