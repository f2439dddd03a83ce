/* SPDX-License-Identifier: Apache-2.0 */
/* What a run has come to, counted by each sender for itself and added up at the end. */
#ifndef PENSTOCK_BENCH_LOAD_TALLY_H
#define PENSTOCK_BENCH_LOAD_TALLY_H

#include "common/histogram.h"
#include "common/run_log.h"

#include <stdbool.h>

#define TALLY_STATUS_MAX 600

struct tally {
    struct histogram
        /* from intended to answered, or given up: first sendings that were due after the warm-up */
        answers;
    struct histogram
        late; /* from intended to sent, while there was a free stream: the generator's own delay */
    uint64_t events; /* first sendings */
    uint64_t resends;
    uint64_t ends[LOAD_UNFINISHED + 1];
    uint64_t statuses[TALLY_STATUS_MAX];
    uint64_t accepted, duplicates;
    uint64_t waited_for_stream; /* all streams of all connections were taken when they were due */
    uint64_t reconnects;
    uint64_t counted_ok;                    /* 200s after the warm-up, */
    int64_t counted_from_us, counted_to_us; /* and when the first was due and the last came */
    double cpu_seconds, wall_seconds;
};

void tally_record(struct tally *tally, const struct load_record *record, bool counts);
void tally_merge(struct tally *into, const struct tally *from);
/* Why the generator was the bottleneck, or NULL. `threads` shared the wall time. */
const char *tally_bottleneck(const struct tally *tally, unsigned threads, bool closed);
void tally_print(const struct tally *tally, const char *run, unsigned threads, bool closed,
    bool json, FILE *file);

#endif
