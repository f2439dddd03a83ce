/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram of times: 3 significant digits from 1 us to 10 min, in a table of fixed
 * size (Gil Tene's HdrHistogram without its configuration).
 *
 * The highest bits of a value select its bucket. Below 2048 us each microsecond has a bucket.
 * Above, each power of two has 1024 buckets, so a value is reported at most 1/1024 too high. Times
 * above 10 min count as 10 min.
 *
 * Not thread-safe: each thread has its own histogram, and histogram_merge adds them up.
 */
#ifndef PENSTOCK_BENCH_COMMON_HISTOGRAM_H
#define PENSTOCK_BENCH_COMMON_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_VALUE_MAX_US INT64_C(600000000)
#define HISTOGRAM_STEPS 1024
/* 2048 buckets of 1 us, then 1024 for each of the powers 2^11 .. 2^29 (10 min < 2^30 us). */
#define HISTOGRAM_BUCKETS (2 * HISTOGRAM_STEPS + 19 * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count;
    int64_t min_us, max_us; /* exact */
    double sum_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
/* Negative values count as 0. */
void histogram_add(struct histogram *histogram, int64_t value_us);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Returns the smallest value that at least `percent` (0 to 100) of the values do not exceed: the
 * upper end of its bucket, or the largest value if that is smaller. 0 when the histogram is
 * empty. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean_us(const struct histogram *histogram);

/* Walks through what is counted, for plots: with buckets of 1/128 of a value, of which a histogram
 * has at most 3072. Start with 0, and continue with what is returned while *ret_count is not 0.
 * The top is not above the largest value. */
#define HISTOGRAM_COARSE_BITS 7
unsigned histogram_next(
    const struct histogram *histogram, unsigned from, int64_t *ret_top_us, uint64_t *ret_count);

#endif
