/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/series.h"

#include "common/log_bucket.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define SECOND_US 1000000

/* --- a histogram of a step --- */

void small_histogram_add(struct small_histogram *histogram, int64_t value_us)
{
    int64_t value = value_us < 0 ? 0 : value_us;
    if (value > SERIES_VALUE_MAX_US)
        value = SERIES_VALUE_MAX_US;
    histogram->count++;
    if (value > histogram->max_us)
        histogram->max_us = value;
    histogram->buckets[log_bucket_of(value, SERIES_BITS)]++;
}

static void merge(struct small_histogram *into, const struct small_histogram *from)
{
    if (from->count == 0)
        return;
    into->count += from->count;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    for (unsigned i = 0; i < SERIES_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

int64_t small_histogram_percentile(const struct small_histogram *histogram, double percent)
{
    double wanted = ceil((double)histogram->count * percent / 100.0);
    uint64_t seen = 0;
    for (unsigned i = 0; i < SERIES_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            int64_t top_us = log_bucket_top(i, SERIES_BITS);
            return top_us < histogram->max_us ? top_us : histogram->max_us;
        }
    }
    return histogram->max_us;
}

/* --- the steps --- */

static void merge_point(struct series_point *into, const struct series_point *from)
{
    for (unsigned i = 0; i < SERIES_COUNTS; i++)
        into->counts[i] += from->counts[i];
    for (unsigned i = 0; i < SERIES_TIMES; i++)
        merge(&into->times[i], &from->times[i]);
}

static void double_step(struct series *series)
{
    for (unsigned i = 0; i < series->count; i++) {
        struct series_point *from = &series->points[i], *into = &series->points[i / 2];
        if (i == 0) /* it stays */
            continue;
        if (i % 2 == 0)
            memcpy(into, from, sizeof *into); /* `into` was cleared before */
        else
            merge_point(into, from);
        memset(from, 0, sizeof *from);
    }
    series->count = (series->count + 1) / 2;
    series->step_us *= 2;
}

void series_begin(struct series *series, int64_t start_us)
{
    series->start_us = start_us;
    series->step_us = SECOND_US;
}

/* Returns NULL for a time before the start. */
static struct series_point *point_of(struct series *series, int64_t at_us)
{
    if (series->start_us == 0 || at_us < series->start_us)
        return NULL;
    int64_t since_us = at_us - series->start_us;
    while (since_us / series->step_us >= SERIES_POINTS_MAX)
        double_step(series);
    unsigned point = (unsigned)(since_us / series->step_us);
    if (point >= series->count)
        series->count = point + 1;
    return &series->points[point];
}

void series_count(struct series *series, enum series_count what, int64_t at_us)
{
    struct series_point *point = point_of(series, at_us);
    if (point)
        point->counts[what]++;
}

void series_time(struct series *series, enum series_times what, int64_t at_us, int64_t value_us)
{
    struct series_point *point = point_of(series, at_us);
    if (point)
        small_histogram_add(&point->times[what], value_us);
}

double series_per_second(const struct series *series, unsigned point, enum series_count what)
{
    return (double)series->points[point].counts[what] * SECOND_US / (double)series->step_us;
}
