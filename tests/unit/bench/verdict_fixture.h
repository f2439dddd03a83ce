/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic runs for the tests of the verdict: run_new makes the records of a clean one, a test
 * tells a lie in them, and run_judge writes logs and journals and judges them. Event n has the
 * amount n.50 EUR, is sent n ms after the start, answered 2 ms later, accepted 1 ms and delivered 5
 * ms after it was sent.
 */
#ifndef PENSTOCK_TESTS_UNIT_BENCH_VERDICT_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_BENCH_VERDICT_FIXTURE_H

#include "verdict/verdict.h"

#define EVENTS 40
#define RECORDS_MAX 100
#define RUN "r1"
#define START_US INT64_C(1700000000000000)
#define MS INT64_C(1000)
#define UNIT INT64_C(1000000) /* of money */

/* Those of a journal's columns that the verdict reads. */
struct row {
    unsigned char event[16];
    char key[32], amount[32], currency[4];
    int64_t accepted_us;
    bool guarded;
    unsigned deliveries;
    enum delivery_state states[2];
    enum park_reason reason;
};

/* A duplicate that was found late, and the number whose event is the first. */
struct alias {
    unsigned char id[16], first[16];
};

struct run {
    char directory[64];
    struct load_record load[RECORDS_MAX];
    struct sink_record sink[RECORDS_MAX];
    struct row rows[RECORDS_MAX];
    struct alias aliases[4];
    size_t load_count, sink_count, rows_count, aliases_count;
    bool without_journal;
    struct options options;
    struct figures *figures;
};

struct run *run_new(void);
void run_free(struct run *run);

void run_set_event(unsigned char event[16], uint64_t number); /* the id of that event */
void run_add_row(struct run *run, uint64_t number);
struct load_record *run_add_sending(struct run *run, uint64_t number);
struct load_record *run_add_duplicate(struct run *run, uint64_t original);
/* Another amount for the key of `original`, refused as it must be. */
struct load_record *run_add_conflict(struct run *run, uint64_t original);
struct sink_record *run_add_request(struct run *run, uint64_t number);
/* The dedupe store has found event `id` to be a duplicate of event `first`. */
void run_add_alias(struct run *run, uint64_t id, uint64_t first);
/* The same event again, `after_us` after the first time. */
struct sink_record *run_add_request_again(struct run *run, uint64_t number, int64_t after_us);

/* Writes the files and judges them. */
const struct figures *run_judge(struct run *run);
/* The same with journals that are in the directory already. */
const struct figures *run_judge_written(struct run *run);
bool run_has_reason(const struct figures *figures, const char *text);

/* These judge it, and free it. */
#define ALONE true
#define AMONG_OTHERS false
void run_expect_pass(struct run *run);
/* It fails for this reason and, when it is `alone`, for no other. */
void run_expect_fail(struct run *run, const char *text, bool alone);

#endif
