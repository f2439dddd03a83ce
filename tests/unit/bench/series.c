/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/series.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define START_US INT64_C(1700000000000000)
#define SECOND_US INT64_C(1000000)

static struct series *series_of(void)
{
    struct series *series = calloc(1, sizeof *series);
    cr_assert(series);
    series_begin(series, START_US);
    return series;
}

static uint64_t sum_of(const struct series *series, enum series_count what)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < series->count; i++)
        sum += series->points[i].counts[what];
    return sum;
}

Test(series, counts_and_times_are_in_the_second_in_which_they_happened)
{
    struct series *series = series_of();
    series_count(series, SERIES_POSTED, START_US);
    series_count(series, SERIES_POSTED, START_US + SECOND_US - 1);
    series_count(series, SERIES_POSTED, START_US + SECOND_US);
    series_time(series, SERIES_ANSWERS, START_US + 2 * SECOND_US, 1234);
    cr_expect_eq(series->count, 3);
    cr_expect_eq(series->points[0].counts[SERIES_POSTED], 2);
    cr_expect_eq(series->points[1].counts[SERIES_POSTED], 1);
    cr_expect_eq(series->points[2].times[SERIES_ANSWERS].count, 1);
    cr_expect_eq(series->points[2].times[SERIES_FRESHNESS].count, 0);
    cr_expect_float_eq(series_per_second(series, 0, SERIES_POSTED), 2, 1e-9);
    free(series);
}

Test(series, a_time_before_the_start_is_ignored)
{
    struct series *series = series_of();
    series_count(series, SERIES_POSTED, START_US - 1);
    series_count(series, SERIES_POSTED, 0);
    cr_expect_eq(series->count, 0);
    free(series);
}

Test(series, a_long_run_has_longer_steps_and_the_same_sums_in_any_order)
{
    enum { SECONDS = 5000 };
    for (unsigned backwards = 0; backwards < 2; backwards++) {
        struct series *series = series_of();
        for (int64_t i = 0; i < SECONDS; i++) {
            int64_t second = backwards ? SECONDS - 1 - i : i;
            series_count(series, SERIES_DELIVERED, START_US + second * SECOND_US);
            series_time(series, SERIES_FRESHNESS, START_US + second * SECOND_US, second);
        }
        cr_expect_eq(series->step_us, 8 * SECOND_US);
        cr_expect_eq(series->count, SECONDS / 8);
        cr_expect_eq(sum_of(series, SERIES_DELIVERED), SECONDS);
        for (unsigned i = 0; i < series->count; i++) {
            cr_expect_eq(series->points[i].counts[SERIES_DELIVERED], 8, "point %u", i);
            cr_expect_eq(series->points[i].times[SERIES_FRESHNESS].count, 8);
            cr_expect_eq(series->points[i].times[SERIES_FRESHNESS].max_us, i * 8 + 7);
        }
        cr_expect_float_eq(series_per_second(series, 7, SERIES_DELIVERED), 1, 1e-9);
        free(series);
    }
}

Test(series, a_run_of_exactly_the_limit_keeps_its_steps_and_one_second_more_doubles_them)
{
    struct series *series = series_of();
    series_count(series, SERIES_POSTED, START_US + SERIES_POINTS_MAX * SECOND_US - 1);
    cr_expect_eq(series->step_us, SECOND_US);
    cr_expect_eq(series->count, SERIES_POINTS_MAX);
    series_count(series, SERIES_POSTED, START_US + SERIES_POINTS_MAX * SECOND_US);
    cr_expect_eq(series->step_us, 2 * SECOND_US);
    cr_expect_eq(series->count, SERIES_POINTS_MAX / 2 + 1);
    cr_expect_eq(series->points[SERIES_POINTS_MAX / 2 - 1].counts[SERIES_POSTED], 1);
    cr_expect_eq(series->points[SERIES_POINTS_MAX / 2].counts[SERIES_POSTED], 1);
    free(series);
}

Test(series, a_time_of_years_later_is_bounded_as_well)
{
    struct series *series = series_of();
    series_count(series, SERIES_POSTED, START_US);
    series_count(series, SERIES_POSTED, START_US + 100000000 * SECOND_US);
    cr_expect_leq(series->count, SERIES_POINTS_MAX);
    cr_expect_eq(sum_of(series, SERIES_POSTED), 2);
    free(series);
}

Test(series, a_percentile_of_a_step_is_at_most_a_thirty_second_too_high)
{
    struct small_histogram *histogram = calloc(1, sizeof *histogram);
    cr_assert(histogram);
    cr_expect_eq(small_histogram_percentile(histogram, 99), 0);
    for (int64_t value = 1; value <= 100000; value++)
        small_histogram_add(histogram, value * 100);
    static const double percents[] = {1, 50, 90, 99, 99.9};
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double exact = percents[i] * 100000;
        double found = (double)small_histogram_percentile(histogram, percents[i]);
        cr_expect(found >= exact && found <= exact * (1 + 1.0 / 32), "%g: %g", percents[i], found);
    }
    cr_expect_eq(small_histogram_percentile(histogram, 100), 10000000);
    free(histogram);
}

Test(series, the_largest_value_and_negative_ones_have_a_bucket)
{
    struct small_histogram *histogram = calloc(1, sizeof *histogram);
    cr_assert(histogram);
    small_histogram_add(histogram, -5);
    small_histogram_add(histogram, INT64_MAX);
    cr_expect_eq(histogram->buckets[0], 1);
    cr_expect_eq(histogram->buckets[SERIES_BUCKETS - 1], 1);
    cr_expect_eq(small_histogram_percentile(histogram, 100), SERIES_VALUE_MAX_US);
    free(histogram);
}
