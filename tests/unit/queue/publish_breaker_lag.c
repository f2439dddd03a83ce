/* SPDX-License-Identifier: Apache-2.0 */
/* The publish breaker alone: partitions whose events wait in the broker for too long. */
#include "breaker_fixture.h"

TestSuite(publish_breaker_lag, .init = breaker_begin_with_lag, .fini = breaker_end);

static const int64_t little_us = 10 * US_PER_MS;

static bool is_behind(unsigned partition)
{
    return publish_breaker_is_behind(breaker, partition, clock_mono_us());
}

/* An event of the partition is published and marked. */
static struct event_id mark(unsigned partition)
{
    struct event_parts parts = parts_of(partition);
    publish_breaker_mark(breaker, &parts.id, clock_mono_us());
    return parts.id;
}

static void arrive(const struct event_id *id)
{
    broker_lag_arrived(breaker_lag, id, clock_mono_us());
}

static struct event_id fall_behind(unsigned partition)
{
    struct event_id marked = mark(partition);
    breaker_pass(LAG_US_MAX + little_us);
    cr_assert(is_behind(partition));
    return marked;
}

Test(publish_breaker_lag, a_partition_is_behind_when_its_marked_event_waits_too_long)
{
    mark(1);
    breaker_pass(LAG_US_MAX);
    cr_assert_not(is_behind(1));
    breaker_pass(1);
    cr_assert(is_behind(1));
    cr_assert_not(is_behind(2));
    cr_assert(is_closed(1), "the connection is as good as it was");
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(publish_breaker_lag, one_event_at_a_time_is_marked)
{
    mark(1);
    breaker_pass(LAG_US_MAX / 2);
    struct event_id second = mark(1);
    arrive(&second); /* it is not the marked one */
    breaker_pass(LAG_US_MAX / 2 + little_us);
    cr_assert(is_behind(1));
}

Test(publish_breaker_lag, lag_probes_come_at_growing_distances_until_one_is_in_time)
{
    static const int64_t gaps_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct event_id marked = fall_behind(1);
    arrive(&marked);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        cr_assert(is_behind(1));
        breaker_pass(gaps_s[i] * US_PER_SECOND - little_us);
        cr_assert_not(probe(1), "probe %u is early", i);
        breaker_pass(little_us);
        cr_assert(probe(1), "probe %u is late", i);
        cr_assert_not(probe(1), "one at a time");
        struct event_id id = fake.published[fake.published_count - 1].id;
        end_probe(PUBLISHED);
        breaker_pass(LAG_US_MAX / 2 + little_us);
        arrive(&id);
    }
    cr_assert(is_behind(1));
    breaker_pass(30 * US_PER_SECOND);
    cr_assert(probe(1));
    struct event_id id = fake.published[fake.published_count - 1].id;
    end_probe(PUBLISHED);
    breaker_pass(LAG_US_MAX / 2);
    arrive(&id);
    cr_assert_not(is_behind(1));
}

Test(publish_breaker_lag, the_end_of_a_lag_probe_can_open_the_circuit)
{
    static const struct {
        const char *title;
        enum publish_end end;
        bool is_ended, is_closed;
    } cases[] = {
        {"confirmed", PUBLISHED, true, true},
        {"nacked", PUBLISH_NACKED, true, false},
        {"returned", PUBLISH_RETURNED, true, false},
        {"not confirmed in time", PUBLISHED, false, false},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            breaker_begin_with_lag();
        struct event_id marked = fall_behind(1);
        arrive(&marked);
        breaker_pass(US_PER_SECOND);
        cr_assert(probe(1), "%s", cases[i].title);
        if (cases[i].is_ended)
            end_probe(cases[i].end);
        else
            breaker_pass(CONFIRM_TIMEOUT_US);
        cr_expect_eq(is_closed(1), cases[i].is_closed, "%s", cases[i].title);
        cr_expect(is_closed(2), "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_PARTITIONS_BEHIND), cases[i].is_closed,
            "%s: a partition is open or behind, not both", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            breaker_end();
    }
}

Test(publish_breaker_lag, a_guarded_event_is_no_lag_probe)
{
    struct event_id marked = fall_behind(1);
    arrive(&marked);
    breaker_pass(2 * US_PER_SECOND);
    struct event_parts parts = parts_of(1);
    parts.guarded = true;
    publish_breaker_probe(breaker, 1, &parts);
    cr_assert_eq(fake.published_count, 0);
    cr_assert(probe(1));
}

Test(publish_breaker_lag, a_partition_without_a_lag_probe_for_half_a_minute_is_in_time)
{
    fall_behind(1);
    breaker_pass(31 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    breaker_pass(little_us);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
    cr_assert_not(is_behind(1));
}

Test(publish_breaker_lag, a_deposed_gateway_has_no_partition_behind)
{
    fall_behind(1);
    fake.deposed = true;
    cr_assert_not(is_behind(1), "what another gateway owns is not delivered by this one");
    breaker_pass(little_us);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
}

Test(publish_breaker_lag, a_new_connection_forgets_what_was_marked)
{
    fall_behind(1);
    fake_lose_publisher();
    breaker_pass(US_PER_SECOND);
    breaker_connect();
    cr_assert_not(is_behind(1));
}
