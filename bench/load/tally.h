/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a run. Each sender counts for itself; the results are added up at the end. */
#ifndef PENSTOCK_BENCH_LOAD_TALLY_H
#define PENSTOCK_BENCH_LOAD_TALLY_H

#include "common/histogram.h"
#include "common/run_log.h"

#include <stdbool.h>

#define TALLY_STATUS_MAX 600

struct tally {
    /* intended to answered or given up; first sendings that were due after the warm-up */
    struct histogram answers;
    struct histogram
        late;        /* intended to sent, while a stream was free: the generator's own delay */
    uint64_t events; /* first sendings */
    uint64_t resends;
    uint64_t ends[LOAD_UNFINISHED + 1];
    uint64_t statuses[TALLY_STATUS_MAX];
    uint64_t accepted, duplicates;
    uint64_t ok; /* 200s; of a target: its statuses that mean accepted or duplicate */
    uint64_t waited_for_stream; /* events that were due while all streams were in use */
    uint64_t reconnects;
    uint64_t counted_ok;                    /* `ok` after the warm-up */
    int64_t counted_from_us, counted_to_us; /* when the first was due; when the last arrived */
    double cpu_seconds, wall_seconds;
};

void tally_record(struct tally *tally, const struct load_record *record, bool counts);
void tally_merge(struct tally *into, const struct tally *from);
/* Returns why the generator was the bottleneck, or NULL. `threads` threads ran at the same time. */
const char *tally_bottleneck(const struct tally *tally, unsigned threads, bool closed);
void tally_print(const struct tally *tally, const char *run, unsigned threads, bool closed,
    bool json, FILE *file);

#endif
