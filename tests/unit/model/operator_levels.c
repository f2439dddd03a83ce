/* SPDX-License-Identifier: Apache-2.0 */
#include "model/operator_levels.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <string.h>

static struct operator_event posted[16];
static unsigned posts;
static struct operator_levels levels;
static struct operator_readings readings;
static struct operator_limits limits = {.freshness_us_max = 15 * US_PER_SECOND,
    .backlog_max = 1000,
    .past_due_us_max = 300 * US_PER_SECOND};

static void keep(void *context, const struct operator_event *event)
{
    cr_assert_null(context);
    cr_assert_lt(posts, 16);
    posted[posts++] = *event;
}

static void look(unsigned times)
{
    static const struct operator_event_sink sink = {.post = keep};
    while (times-- > 0)
        operator_levels_look(&levels, &limits, &readings, &sink);
}

static void expect(unsigned count, enum operator_event_kind last)
{
    cr_assert_eq(posts, count, "%u", posts);
    cr_assert_eq(posted[count - 1].kind, last);
}

Test(operator_levels, freshness_is_reported_when_more_than_a_hundredth_is_late)
{
    look(1);
    readings.in_time += 990;
    readings.late += 10;
    look(1);
    cr_assert_eq(posts, 0, "exactly 1 %%");
    readings.late += 1;
    look(1);
    expect(1, OPERATOR_FRESHNESS_LATE);
    cr_expect_eq(posted[0].count, 11);
    cr_expect_str_eq(posted[0].detail, "11 of 1001 deliveries of the last minute were late");
    look(10);
    readings.late += 100;
    look(OPERATOR_LEVELS_WINDOW);
    cr_assert_eq(posts, 1, "once");
    look(3 * OPERATOR_LEVELS_WINDOW);
    cr_assert_eq(posts, 1, "nothing is delivered: that is not well");
    readings.in_time += 1;
    look(1);
    expect(2, OPERATOR_FRESHNESS_WELL);
    look(2 * OPERATOR_LEVELS_WINDOW);
    cr_assert_eq(posts, 2);
}

Test(operator_levels, few_late_ones_are_reported_when_they_are_half_of_all)
{
    look(1);
    readings.in_time += 2;
    readings.late += 1;
    look(1);
    cr_assert_eq(posts, 0);
    readings.late += 1;
    look(1);
    expect(1, OPERATOR_FRESHNESS_LATE);
}

Test(operator_levels, freshness_that_is_not_measured_any_more_does_not_end_well)
{
    look(1);
    readings.late += 10;
    look(1);
    expect(1, OPERATOR_FRESHNESS_LATE);
    limits.freshness_us_max = 0;
    look(2 * OPERATOR_LEVELS_WINDOW);
    cr_assert_eq(posts, 1);
    limits.freshness_us_max = US_PER_SECOND;
    readings.late += 10;
    look(1);
    expect(2, OPERATOR_FRESHNESS_LATE);
}

Test(operator_levels, what_was_counted_before_the_first_look_does_not_matter)
{
    readings.late = 1000;
    look(3);
    cr_assert_eq(posts, 0);
}

Test(operator_levels, backlog_is_reported_by_count_and_by_age_and_ends_below_80_percent)
{
    readings.backlog = 1001;
    look(1);
    cr_assert_eq(posts, 0, "it is not known");
    readings.knows_backlog = true;
    look(2);
    expect(1, OPERATOR_BACKLOG_HIGH);
    readings.backlog = 801;
    look(2);
    cr_assert_eq(posts, 1);
    readings.backlog = 800;
    look(2);
    expect(2, OPERATOR_BACKLOG_WELL);
    readings.past_due_us = limits.past_due_us_max + 1;
    look(2);
    expect(3, OPERATOR_BACKLOG_HIGH);
    cr_expect_str_eq(posted[2].detail, "800 deliveries wait, the oldest is due since 300 s");
    readings.past_due_us = 0;
    look(2);
    expect(4, OPERATOR_BACKLOG_WELL);
}

Test(operator_levels, each_worse_level_of_the_disk_is_reported_and_better_ones_after_a_while)
{
    readings.shortage_text = "journal 0 accepts no optional events";
    readings.shortage = 1;
    look(5);
    expect(1, OPERATOR_DISK_LOW);
    cr_expect_str_eq(posted[0].detail, readings.shortage_text);
    readings.shortage = 2;
    look(5);
    expect(2, OPERATOR_DISK_LOW);
    readings.shortage = 1;
    look(OPERATOR_LEVELS_BETTER - 1);
    readings.shortage = 2;
    look(1);
    readings.shortage = 0;
    look(OPERATOR_LEVELS_BETTER - 1);
    cr_assert_eq(posts, 2);
    look(1);
    expect(3, OPERATOR_DISK_WELL);
    look(20);
    cr_assert_eq(posts, 3);
}
