/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of rabbitmq mode whose gateway sees how long its events wait in the broker. */
#include "fixture.h"

#include "runtime/metrics.h"

static void begin_connected(void)
{
    queue_fixture_begin_with_lag();
    queue_connect();
}

TestSuite(queue_lag, .init = begin_connected, .fini = queue_fixture_end);

static const int64_t little_us = 10 * US_PER_MS;

/* Published and confirmed; whether it has come is the test's. */
static struct sent *send_confirmed(unsigned partition)
{
    struct sent *sent = queue_send(partition, "", "");
    fake_end(fake.published_count - 1, PUBLISHED);
    queue_expect(sent, OK);
    return sent;
}

/* Its event waits in the broker. */
static struct sent *fall_behind(unsigned partition)
{
    struct sent *marked = send_confirmed(partition);
    queue_pass(LAG_US_MAX + little_us);
    return marked;
}

static void expect_direct(const struct sent *sent)
{
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    cr_assert_eq(sent->answers, 0);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(sent, OK);
}

Test(queue_lag, while_events_wait_for_too_long_new_ones_of_the_partition_take_the_direct_path)
{
    struct sent *marked = fall_behind(1);
    expect_direct(queue_send(1, "", ""));
    cr_assert_eq(fake.published_count, 1);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0,
        "the broker is well, and the thread uses it");
    send_confirmed(2);
    queue_arrive(marked);
    expect_direct(queue_send(1, "", "")); /* it took too long, and another is to show more */
}

/* The event that is to find out how long it takes now. */
static struct sent *probe(unsigned partition, int64_t gap_us)
{
    queue_pass(gap_us - little_us);
    unsigned published = fake.published_count;
    expect_direct(queue_send(partition, "", ""));
    cr_assert_eq(fake.published_count, published, "too early");
    queue_pass(little_us);
    struct sent *sent = queue_send(partition, "", "");
    expect_direct(sent);
    cr_assert_eq(fake.published_count, published + 1, "it is in the broker as well");
    cr_assert_arr_eq(&fake.published[published].id, &sent->id, sizeof(struct event_id));
    expect_direct(queue_send(partition, "", ""));
    cr_assert_eq(fake.published_count, published + 1, "one at a time");
    return sent;
}

Test(queue_lag, a_marked_event_that_comes_in_half_the_time_leads_back)
{
    static const int64_t gaps_s[] = {1, 2, 4, 8, 16, 30, 30};
    struct sent *marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        struct sent *slow = probe(0, gaps_s[i] * US_PER_SECOND);
        fake_end(fake.published_count - 1, PUBLISHED);
        queue_pass(LAG_US_MAX / 2 + little_us);
        queue_arrive(slow);
        expect_direct(queue_send(0, "", "")); /* sees that it was slow */
    }
    struct sent *quick = probe(0, 30 * US_PER_SECOND);
    fake_end(fake.published_count - 1, PUBLISHED);
    queue_pass(LAG_US_MAX / 2 - little_us);
    queue_arrive(quick);
    send_confirmed(0);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
}

/* A probe leads back, and then the next event waits for too long. */
static void come_back_for_a_moment(unsigned partition, int64_t gap_us)
{
    struct sent *quick = probe(partition, gap_us);
    fake_end(fake.published_count - 1, PUBLISHED);
    queue_arrive(quick);
    struct sent *marked = fall_behind(partition);
    expect_direct(queue_send(partition, "", ""));
    queue_arrive(marked);
}

Test(queue_lag, one_that_falls_behind_again_is_left_alone_for_longer)
{
    struct sent *marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    come_back_for_a_moment(0, US_PER_SECOND);
    come_back_for_a_moment(0, 2 * US_PER_SECOND);
    struct sent *quick = probe(0, 4 * US_PER_SECOND);
    fake_end(fake.published_count - 1, PUBLISHED);
    queue_arrive(quick);
    queue_arrive(send_confirmed(0));
    queue_pass(31 * US_PER_SECOND);
    marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    quick = probe(0, US_PER_SECOND);
    fake_end(fake.published_count - 1, PUBLISHED);
}

Test(queue_lag, events_that_arrive_in_time_change_nothing)
{
    for (unsigned i = 0; i < 100; i++) {
        struct sent *sent = send_confirmed(i % QUEUE_PARTITIONS);
        queue_pass(LAG_US_MAX - little_us);
        queue_arrive(sent);
    }
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 0);
    queue_pass(3600 * US_PER_SECOND);
    send_confirmed(0); /* an old wait is no present one */
}

Test(queue_lag, a_marked_event_that_never_comes_is_given_up)
{
    fall_behind(3);
    for (unsigned i = 0; i < 9; i++) {
        expect_direct(queue_send(3, "", ""));
        queue_pass(US_PER_SECOND);
    }
    cr_assert_eq(fake.published_count, 1);
    queue_pass(US_PER_SECOND);
    struct sent *other = queue_send(3, "", "");
    expect_direct(other);
    cr_assert_eq(fake.published_count, 2);
    fake_end(1, PUBLISHED);
    queue_arrive(other);
    send_confirmed(3);
}

Test(queue_lag, what_the_broker_does_not_confirm_shows_nothing)
{
    queue_send(1, "", "");
    fake_lose_publisher();
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_pass(LAG_US_MAX + little_us);
    queue_pass(US_PER_SECOND);
    queue_connect();
    send_confirmed(1);
    queue_send(2, "", "");
    fake_end(fake.published_count - 1, PUBLISH_NACKED);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_pass(US_PER_SECOND);
    struct sent *probe = queue_send(2, "", "");
    fake_end(fake.published_count - 1, PUBLISHED);
    expect_direct(probe);
    send_confirmed(2);
}

Test(queue_lag, a_guarded_event_is_no_probe)
{
    struct sent *marked = fall_behind(0);
    queue_sends_guarded = true;
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    for (unsigned i = 0; i < 30; i++) {
        queue_pass(US_PER_SECOND);
        expect_direct(queue_send(0, "", ""));
    }
    cr_assert_eq(fake.published_count, 1, "another gateway might get the copy");
    queue_pass(2 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
    send_confirmed(0); /* without a copy, as ever */
}

Test(queue_lag, where_nothing_comes_any_more_nothing_is_behind)
{
    fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_pass(20 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 1);
    queue_pass(20 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0);
}

Test(queue_lag, what_is_neither_slow_nor_quick_is_no_failed_probe)
{
    struct sent *marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    struct sent *quick = probe(0, US_PER_SECOND);
    fake_end(fake.published_count - 1, PUBLISHED);
    queue_arrive(quick);
    struct sent *medium = send_confirmed(0);
    queue_pass(LAG_US_MAX / 4 * 3);
    queue_arrive(medium);
    marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    probe(0, 2 * US_PER_SECOND);
    fake_end(fake.published_count - 1, PUBLISHED);
}

Test(queue_lag, a_probe_that_is_not_confirmed_opens_the_breaker_of_its_partition)
{
    struct sent *marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    probe(0, US_PER_SECOND);
    queue_pass(CONFIRM_TIMEOUT_US + little_us);
    cr_assert_eq(fake_unconfirmed(), 0);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
    queue_pass(US_PER_SECOND);
    expect_direct(queue_send(0, "", ""));
    fake_end(2, PUBLISHED);
    send_confirmed(0);
}

Test(queue_lag, a_nacked_probe_opens_the_breaker_of_its_partition)
{
    struct sent *marked = fall_behind(0);
    expect_direct(queue_send(0, "", ""));
    queue_arrive(marked);
    probe(0, US_PER_SECOND);
    fake_end(1, PUBLISH_NACKED);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
    cr_assert_eq(metrics_read(METRIC_PARTITIONS_BEHIND), 0, "it is one or the other");
    queue_pass(US_PER_SECOND);
    expect_direct(queue_send(0, "", ""));
    fake_end(2, PUBLISHED);
    send_confirmed(0);
    cr_assert_eq(fake.publishers_made, 1, "the connection is as good as it was");
}

Test(queue_lag, a_journal_that_would_not_be_sooner_is_spared)
{
    struct disk_board *room = queue_room(1);
    fall_behind(1);
    disk_board_begin(room, clock_mono_us());
    expect_direct(queue_send(1, "", ""));
    queue_pass(LAG_US_MAX + little_us);
    send_confirmed(1); /* its transaction hangs */
    disk_board_end(room, clock_mono_us());
    disk_board_begin(room, clock_mono_us());
    disk_board_end(room, clock_mono_us());
    send_confirmed(1); /* one was slow a moment ago */
    queue_pass(US_PER_SECOND);
    expect_direct(queue_send(1, "", ""));
    disk_board_set(room, &(struct room){.space = SPACE_LOW, .reason = ROOM_RESERVE});
    send_confirmed(1); /* it keeps its room for outcomes */
    fall_behind(0);
    expect_direct(queue_send(0, "", "")); /* the other shard's */
}
