/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-expiry: measures how much expiry delays commits.
 *
 * It fills a journal with expired events: one full segment of the dedupe store, their bodies and
 * their history. Then it accepts events at a steady rate, first without expiry, then with the steps
 * of expiry between the commits, as the journal's thread does. It prints the longest and the 99.9th
 * percentile of both kinds of transaction, and the duration of the whole expiry.
 *
 * It measures the writer itself, without threads and network.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "common/histogram.h"
#include "writer/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define FILL_BATCH 500
#define PACE_US 5000
#define EVENTS_PER_TURN 10 /* 2000 a second */
#define BODY_BYTES 470

struct bench {
    struct writer *writer;
    uint64_t number;
    struct histogram accepting, steps;
};

/* One event for one endpoint, into the transaction that is open. Returns its number. */
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
    writer_make_id(bench->writer, &parts);
    return writer_append(bench->writer, &parts, 1);
}

/* Delivered events of a day whose retention has ended. */
static void fill(struct bench *bench, unsigned events, int64_t accepted_us)
{
    for (unsigned done = 0; done < events; done += FILL_BATCH) {
        writer_begin(bench->writer, FILL_BATCH);
        for (unsigned i = 0; i < FILL_BATCH; i++)
            writer_deliver(bench->writer, append(bench, accepted_us), 0);
        writer_commit(bench->writer);
    }
}

static int64_t now_us(void)
{
    return clock_mono_us();
}

static void accept_some(struct bench *bench)
{
    int64_t started_us = now_us();
    writer_begin(bench->writer, EVENTS_PER_TURN);
    for (unsigned i = 0; i < EVENTS_PER_TURN; i++)
        append(bench, clock_wall_us());
    writer_commit(bench->writer);
    histogram_add(&bench->accepting, now_us() - started_us);
}

static void expire_some(struct bench *bench, int64_t wall_us)
{
    int64_t started_us = now_us();
    writer_begin(bench->writer, 0);
    writer_expire_step(bench->writer, wall_us);
    writer_commit(bench->writer);
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
         expire ? writer_expiry_is_due(bench->writer, clock_wall_us()) : done < turns; done++) {
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
    bench.writer = writer_open(argv[1], 0);
    int64_t started_us = now_us();
    fill(&bench, events, clock_wall_us() - 100 * US_PER_DAY);
    writer_close(bench.writer);
    printf("%u expired events, made in %.1f s; 2000 events a second meanwhile\n", events,
        (double)(now_us() - started_us) / 1e6);
    bench.writer = writer_open(argv[1], 0); /* with a cold cache, as after 90 days */
    run(&bench, false, 2000);
    print("accepting, alone", &bench.accepting);
    started_us = now_us();
    run(&bench, true, 0);
    print("accepting, expiry too", &bench.accepting);
    print("steps of expiry", &bench.steps);
    printf("  all gone in %.1f s\n", (double)(now_us() - started_us) / 1e6);
    writer_close(bench.writer);
    return EX_OK;
}
