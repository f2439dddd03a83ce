/* SPDX-License-Identifier: Apache-2.0 */
#include "common/histogram.h"

#include <criterion/criterion.h>

static struct histogram histogram, other;

Test(histogram, every_percentile_has_three_digits_over_the_whole_range)
{
    for (int64_t value = 1; value <= HISTOGRAM_VALUE_MAX_US; value += value / 7 + 1) {
        histogram_init(&histogram);
        histogram_add(&histogram, value);
        histogram_add(&histogram, HISTOGRAM_VALUE_MAX_US);
        int64_t read = histogram_percentile(&histogram, 50);
        cr_assert(read >= value && read - value <= value / 1000, "%lld reads as %lld",
            (long long)value, (long long)read);
    }
}

Test(histogram, percentiles_count_as_ranks)
{
    histogram_init(&histogram);
    for (int64_t value = 1; value <= 1000; value++)
        histogram_add(&histogram, value);
    static const struct {
        double percent;
        int64_t value;
    } cases[] = {{0, 1}, {0.1, 1}, {50, 500}, {90, 900}, {99, 990}, {99.9, 999}, {100, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect_eq(histogram_percentile(&histogram, cases[i].percent), cases[i].value, "%g",
            cases[i].percent);
    cr_assert_float_eq(histogram_mean_us(&histogram), 500.5, 1e-9);
}

Test(histogram, what_is_out_of_range_counts_at_its_end_and_the_extremes_are_exact)
{
    histogram_init(&histogram);
    cr_assert_eq(histogram_percentile(&histogram, 99), 0, "nothing is in it");
    histogram_add(&histogram, -5);
    histogram_add(&histogram, 123456789);
    cr_assert_eq(histogram.min_us, 0);
    cr_assert_eq(histogram_percentile(&histogram, 100), 123456789);
    histogram_add(&histogram, INT64_MAX);
    cr_assert_eq(histogram.max_us, HISTOGRAM_VALUE_MAX_US);
}

Test(histogram, merged_ones_read_as_one)
{
    histogram_init(&histogram);
    histogram_init(&other);
    for (int64_t value = 1; value <= 1000; value++)
        histogram_add(value % 3 ? &histogram : &other, value * 17);
    histogram_merge(&histogram, &other);
    cr_assert_eq(histogram.count, 1000);
    cr_assert_eq(histogram.min_us, 17);
    cr_assert_eq(histogram.max_us, 17000);
    int64_t median = histogram_percentile(&histogram, 50);
    cr_assert(median >= 8500 && median < 8509);
}

Test(histogram, a_walk_finds_every_value_once_in_ascending_buckets)
{
    static struct histogram histogram;
    static const int64_t values[] = {
        0, 0, 1, 255, 256, 257, 1000, 2047, 2048, 50000, 50001, 599999999};
    const size_t values_count = sizeof values / sizeof values[0];
    histogram_init(&histogram);
    for (size_t i = 0; i < values_count; i++)
        histogram_add(&histogram, values[i]);
    uint64_t count, sum = 0;
    int64_t top_us = 0, before_us = -1;
    for (unsigned next = histogram_next(&histogram, 0, &top_us, &count); count > 0;
         next = histogram_next(&histogram, next, &top_us, &count)) {
        uint64_t expected = 0;
        for (size_t i = 0; i < values_count; i++)
            expected += values[i] > before_us && values[i] <= top_us;
        cr_expect_eq(count, expected, "up to %lld", (long long)top_us);
        cr_expect_gt(top_us, before_us);
        before_us = top_us;
        sum += count;
    }
    cr_expect_eq(sum, values_count);
    cr_expect_eq(before_us, 599999999);
}
