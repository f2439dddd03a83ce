/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened over time: for each step of the run, counts and small histograms of answers and
 * freshness.
 *
 * A step is 1 s at first. When a time is beyond the last of 1200 steps, each two steps become one
 * of twice the length. So the memory is bounded by the struct (10 MB), and the length of a run need
 * not be known before. The order of what is counted does not matter.
 *
 * A histogram of a step reports a value at most 1/32 too high; the maximum is exact. Values above
 * 19 hours count as 19 hours.
 */
#ifndef PENSTOCK_BENCH_VERDICT_SERIES_H
#define PENSTOCK_BENCH_VERDICT_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#define SERIES_POINTS_MAX 1200
#define SERIES_BITS 5
/* 64 buckets of 1 us, then 32 for each of the powers 2^6 .. 2^35. */
#define SERIES_BUCKETS 1024
#define SERIES_VALUE_MAX_US ((INT64_C(1) << 36) - 1)

/* Counts of a step: what happened in it. */
enum series_count {
    SERIES_POSTED,    /* sendings that were due, re-sends as well */
    SERIES_ACCEPTED,  /* events that got their first 200 */
    SERIES_REFUSED,   /* sendings of valid events that ended without a 200 */
    SERIES_DELIVERED, /* events whose first request was answered 2xx */
    SERIES_COUNTS
};

enum series_times {
    SERIES_ANSWERS,   /* of first sendings, in the step in which they were due */
    SERIES_FRESHNESS, /* of delivered events, in the step in which they were accepted */
    SERIES_TIMES
};

struct small_histogram {
    uint32_t count;
    int64_t max_us;
    uint32_t buckets[SERIES_BUCKETS];
};

struct series {
    int64_t start_us; /* when the first event was due; 0: not known yet, nothing is counted */
    int64_t step_us;
    unsigned count; /* points up to the last one in which anything happened */
    struct series_point {
        uint32_t counts[SERIES_COUNTS];
        struct small_histogram times[SERIES_TIMES];
    } points[SERIES_POINTS_MAX];
};

void small_histogram_add(struct small_histogram *histogram, int64_t value_us);
/* Returns 0 when it is empty. */
int64_t small_histogram_percentile(const struct small_histogram *histogram, double percent);

/* All of the series is zero before. */
void series_begin(struct series *series, int64_t start_us);
/* These ignore times before the start. */
void series_count(struct series *series, enum series_count what, int64_t at_us);
void series_time(struct series *series, enum series_times what, int64_t at_us, int64_t value_us);

/* Returns a count as a rate. */
double series_per_second(const struct series *series, unsigned point, enum series_count what);

#endif
