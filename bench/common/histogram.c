/* SPDX-License-Identifier: Apache-2.0 */
#include "common/histogram.h"

#include "common/log_bucket.h"

#include <math.h>
#include <string.h>

#define STEP_BITS 10 /* HISTOGRAM_STEPS is 2^10 */

void histogram_init(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, int64_t value_us)
{
    if (value_us < 0)
        value_us = 0;
    if (value_us > HISTOGRAM_VALUE_MAX_US)
        value_us = HISTOGRAM_VALUE_MAX_US;
    if (histogram->count == 0 || value_us < histogram->min_us)
        histogram->min_us = value_us;
    if (value_us > histogram->max_us)
        histogram->max_us = value_us;
    histogram->count++;
    histogram->sum_us += (double)value_us;
    histogram->buckets[log_bucket_of(value_us, STEP_BITS)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_us < into->min_us)
        into->min_us = from->min_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    into->count += from->count;
    into->sum_us += from->sum_us;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

int64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    if (histogram->count == 0)
        return 0;
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100.0);
    if (wanted < 1)
        wanted = 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            int64_t top = log_bucket_top(i, STEP_BITS);
            return top < histogram->max_us ? top : histogram->max_us;
        }
    }
    return histogram->max_us;
}

double histogram_mean_us(const struct histogram *histogram)
{
    return histogram->count ? histogram->sum_us / (double)histogram->count : 0;
}

unsigned histogram_next(
    const struct histogram *histogram, unsigned from, int64_t *ret_top_us, uint64_t *ret_count)
{
    unsigned coarse = 0;
    *ret_count = 0;
    for (unsigned i = from; i < HISTOGRAM_BUCKETS; i++) {
        int64_t top_us = log_bucket_top(i, STEP_BITS);
        if (*ret_count > 0 && log_bucket_of(top_us, HISTOGRAM_COARSE_BITS) != coarse)
            return i;
        if (histogram->buckets[i] == 0)
            continue;
        coarse = log_bucket_of(top_us, HISTOGRAM_COARSE_BITS);
        *ret_count += histogram->buckets[i];
        *ret_top_us = log_bucket_top(coarse, HISTOGRAM_COARSE_BITS);
        if (*ret_top_us > histogram->max_us)
            *ret_top_us = histogram->max_us;
    }
    return HISTOGRAM_BUCKETS;
}
