/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-due: measures what it costs to find what is due, among few waiting deliveries and among
 * many.
 *
 * It fills a journal with waiting deliveries of 50 endpoints, in steps, and with a tenth as many
 * pending ones and replays. Three of four wait because of their endpoint. After each step it makes
 * loads as a delivery thread does: of a random endpoint, behind a random place, 64 deliveries with
 * their events. It prints the median and the 99th percentile of the loads of each kind, and of the
 * steps in which a change of settings moves due times (500 rows, with the commit). The file is in
 * the page cache.
 *
 * It measures the writer itself, without threads and network.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "common/histogram.h"
#include "common/random.h"
#include "writer/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define ENDPOINTS 50
#define BATCH 1000
#define LOADS 2000
#define PER_LOAD 64
#define STEPS 200
#define PER_STEP 500
#define BODY_BYTES 470
#define WAIT_US (3600 * US_PER_SECOND)

struct bench {
    struct writer *writer;
    uint64_t random;
    int64_t began_us; /* of the waits: they are due one after the other */
    int64_t waiting, others;
    struct histogram loads[WRITER_LOADS], steps;
};

static const char *const titles[WRITER_LOADS] = {[WRITER_LOAD_PENDING] = "pending",
    [WRITER_LOAD_REPLAYS] = "replays",
    [WRITER_LOAD_RECOVERED] = "recovered",
    [WRITER_LOAD_DUE] = "due",
    [WRITER_LOAD_PROBE] = "probe"};

/* One event for one endpoint, into the transaction that is open. Returns its number. */
static int64_t append(struct bench *bench)
{
    static const char body[BODY_BYTES] = {'{'};
    struct event_parts parts = {
        .accepted_us = clock_wall_us(),
        .class = CLASS_CRITICAL,
        .partner = SLICE_LITERAL("partner"),
        .account = SLICE_LITERAL("account"),
        .type = SLICE_LITERAL("purchase"),
        .amount = SLICE_LITERAL("1.25"),
        .currency = SLICE_LITERAL("EUR"),
        .body = slice_of(body, sizeof body),
    };
    writer_make_id(bench->writer, &parts);
    return writer_append_to(bench->writer, &parts, 1 + random_at(1, bench->random++) % ENDPOINTS);
}

static void add_waiting(struct bench *bench)
{
    enum wait_cause cause = bench->waiting % 4 ? WAIT_ENDPOINT : WAIT_EVENT;
    writer_wait(bench->writer, append(bench), 0, cause, bench->began_us + bench->waiting, WAIT_US);
    bench->waiting++;
}

static void add_others(struct bench *bench)
{
    append(bench);
    writer_replay(bench->writer, append(bench), 0);
    bench->others++;
}

static void fill(struct bench *bench, int64_t waiting)
{
    while (bench->waiting < waiting) {
        writer_begin(bench->writer, 3 * BATCH);
        for (int i = 0; i < BATCH && bench->waiting < waiting; i++) {
            add_waiting(bench);
            if (bench->waiting % 10 == 0)
                add_others(bench);
        }
        writer_commit(bench->writer);
    }
}

/* A place in the first nine tenths: there is something behind it. */
static int64_t place(struct bench *bench, enum writer_load load)
{
    int64_t events = bench->waiting + 2 * bench->others;
    int64_t share = (int64_t)(random_at(1, bench->random++) % 900);
    if (load == WRITER_LOAD_DUE)
        return bench->began_us + WAIT_US + bench->waiting * share / 1000;
    return events * share / 1000 * ACCOUNT_ENDPOINTS_MAX;
}

static unsigned measure(struct bench *bench, enum writer_load load)
{
    unsigned found = 0;
    histogram_init(&bench->loads[load]);
    for (int i = 0; i < LOADS; i++) {
        uint64_t endpoint = 1 + random_at(1, bench->random++) % ENDPOINTS;
        int64_t after = place(bench, load);
        writer_begin(bench->writer, 0);
        int64_t started_us = clock_mono_us();
        found += writer_load(bench->writer, load, endpoint, after, PER_LOAD);
        histogram_add(&bench->loads[load], clock_mono_us() - started_us);
        writer_commit(bench->writer);
    }
    return found;
}

static unsigned measure_steps(struct bench *bench)
{
    unsigned changed = 0;
    histogram_init(&bench->steps);
    for (int i = 0; i < STEPS; i++) {
        uint64_t endpoint = 1 + random_at(1, bench->random++) % ENDPOINTS;
        int64_t after_us = place(bench, WRITER_LOAD_DUE), started_us = clock_mono_us();
        writer_begin(bench->writer, 0);
        changed += writer_redue(bench->writer, endpoint, after_us, PER_STEP);
        writer_commit(bench->writer);
        histogram_add(&bench->steps, clock_mono_us() - started_us);
    }
    return changed;
}

static void print(const struct bench *bench, const char *title, const struct histogram *histogram,
    int count, unsigned found)
{
    printf("%9lld waiting  %-10s %5.1f found  p50 %6lld us  p99 %6lld us  %6.2f us for each\n",
        (long long)bench->waiting, title, (double)found / count,
        (long long)histogram_percentile(histogram, 50),
        (long long)histogram_percentile(histogram, 99),
        found ? histogram_mean_us(histogram) * count / found : 0.0);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static const char *const steps[] = {"10000", "100000", "1000000"};
    const char *const *counts = argc > 2 ? (const char *const *)argv + 2 : steps;
    int counts_len = argc > 2 ? argc - 2 : (int)ARRAY_LENGTH(steps);
    if (argc < 2 || argv[1][0] == '-') {
        fputs("Usage: penstock-due EMPTY_DIRECTORY [WAITING...]\n", stderr);
        return EX_USAGE;
    }
    bench.writer = writer_open(argv[1], 0);
    bench.began_us = clock_wall_us();
    for (int i = 0; i < counts_len; i++) {
        fill(&bench, atoll(counts[i]));
        for (int load = 0; load < WRITER_LOADS; load++) {
            unsigned found = measure(&bench, (enum writer_load)load);
            print(&bench, titles[load], &bench.loads[load], LOADS, found);
        }
        unsigned changed = measure_steps(&bench);
        print(&bench, "new rules", &bench.steps, STEPS, changed);
    }
    writer_close(bench.writer);
    return EX_OK;
}
