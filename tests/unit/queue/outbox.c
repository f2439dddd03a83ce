/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "runtime/metrics.h"

static void begin(void)
{
    queue_fixture_begin(true, 3);
}

TestSuite(outbox, .init = begin, .fini = queue_fixture_end);

static const unsigned partitions_0[] = {0, 2, 0}; /* of shard 0 */

static struct journal_clear_outbox *clear_of(unsigned index)
{
    return CONTAINER_OF(
        queue_request(JOURNAL_CLEAR_OUTBOX, index), struct journal_clear_outbox, request);
}

static struct journal_load_outbox *load_of(unsigned index)
{
    return CONTAINER_OF(
        queue_request(JOURNAL_LOAD_OUTBOX, index), struct journal_load_outbox, request);
}

/* Connects; shard 0's load is answered with three events, shard 1's with none. */
static void relay_three(void)
{
    queue_connect();
    queue_pass(100 * US_PER_MS);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 2);
    cr_assert_eq(queue_request_shard(JOURNAL_LOAD_OUTBOX, 0), 0);
    queue_answer_load(0, 11, 3, partitions_0);
    queue_answer_load(0, 0, 0, NULL);
    cr_assert_eq(fake.published_count, 3);
}

Test(outbox, direct_events_of_a_gateway_that_does_not_deliver_go_there)
{
    struct sent *sent = queue_send(0, "k", "1");
    cr_assert(queue_append(0)->to_outbox);
    cr_assert_eq(metrics_read(METRIC_OUTBOX), 6);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(sent, OK);
    cr_assert_eq(metrics_read(METRIC_OUTBOX), 7);
}

Test(outbox, nothing_is_loaded_before_the_breaker_is_closed)
{
    queue_pass(5 * US_PER_SECOND);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0);
}

Test(outbox, what_the_broker_has_confirmed_is_cleared_and_the_next_is_loaded)
{
    relay_three();
    fake_end(2, PUBLISHED);
    fake_end(0, PUBLISHED);
    cr_assert_eq(queue_requests(JOURNAL_CLEAR_OUTBOX), 0);
    fake_end(1, PUBLISHED);
    cr_assert_eq(clear_of(0)->count, 3);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(clear_of(0)->numbers[i], 11 + i);
    queue_answer(&clear_of(0)->request, OK);
    cr_assert_eq(metrics_read(METRIC_OUTBOX), 3);
    cr_assert_eq(load_of(0)->after_event, 13);
    queue_answer_load(0, 0, 0, NULL);
    queue_pass(100 * US_PER_MS);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0, "a second's rest");
}

Test(outbox, what_is_not_confirmed_stays_and_comes_again)
{
    relay_three();
    fake_end(0, PUBLISHED);
    fake_end(1, PUBLISH_NACKED);
    fake_end(2, PUBLISHED);
    cr_assert_eq(clear_of(0)->count, 2);
    queue_answer(&clear_of(0)->request, OK);
    cr_assert_eq(load_of(0)->after_event, 13);
    queue_answer_load(0, 0, 0, NULL);
    queue_pass(US_PER_SECOND);
    cr_assert_eq(load_of(0)->after_event, 0);
    cr_assert_eq(metrics_read(METRIC_OUTBOX), 4);
}

Test(outbox, a_clear_that_fails_is_made_again)
{
    relay_three();
    for (unsigned i = 0; i < 3; i++)
        fake_end(i, PUBLISHED);
    queue_answer(&clear_of(0)->request, ERR_DISK);
    cr_assert_eq(metrics_read(METRIC_OUTBOX), 6);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0);
    queue_pass(US_PER_SECOND);
    cr_assert_eq(load_of(0)->after_event, 13);
}

Test(outbox, a_lost_connection_leaves_everything_where_it_is)
{
    relay_three();
    fake_lose_publisher();
    cr_assert_eq(queue_requests(JOURNAL_CLEAR_OUTBOX), 0);
    queue_pass(US_PER_SECOND);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0);
    queue_connect();
    queue_pass(US_PER_SECOND);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 2);
}

Test(outbox, what_is_never_confirmed_is_given_up_after_ten_seconds)
{
    relay_three();
    fake_end(1, PUBLISHED);
    queue_pass(9 * US_PER_SECOND);
    cr_assert_eq(fake_unconfirmed(), 2);
    queue_pass(2 * US_PER_SECOND);
    cr_assert_eq(fake_unconfirmed(), 0);
    cr_assert_eq(clear_of(0)->count, 1);
    cr_assert_eq(clear_of(0)->numbers[0], 12);
}

Test(outbox, with_the_window_half_full_nothing_is_relayed)
{
    static struct sent *sent[2048];
    queue_connect();
    for (unsigned i = 0; i < ARRAY_LENGTH(sent); i++)
        sent[i] = queue_send(0, "", "");
    queue_pass(0);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0);
    fake_end(0, PUBLISHED);
    queue_pass(0);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 2);
    queue_answer_load(0, 11, 3, partitions_0);
    cr_assert_eq(fake.published_count, 2049, "only as far as half of the window is free");
    fake_end(2048, PUBLISHED);
    cr_assert_eq(clear_of(0)->count, 1);
}

Test(outbox, while_the_breaker_is_open_one_of_its_events_is_the_probe)
{
    queue_connect();
    queue_send(1, "", "");
    queue_pass(CONFIRM_TIMEOUT_US + 100 * US_PER_MS);
    cr_assert_eq(queue_requests(JOURNAL_LOAD_OUTBOX), 0);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_pass(US_PER_SECOND);
    cr_assert_eq(load_of(0)->count_max, 1);
    queue_answer_load(0, 11, 1, partitions_0);
    cr_assert_eq(fake.published_count, 2);
    fake_end(1, PUBLISHED);
    cr_assert_eq(queue_requests(JOURNAL_CLEAR_OUTBOX), 0, "it was a probe only");
    queue_pass(US_PER_SECOND);
    struct sent *back = queue_send(1, "", "");
    fake_end(2, PUBLISHED);
    queue_expect(back, OK);
}

Test(outbox, a_partition_with_an_open_breaker_gets_its_probe_from_the_outbox_too)
{
    relay_three();
    fake_end(0, PUBLISH_NACKED);
    fake_end(2, PUBLISH_NACKED);
    fake_end(1, PUBLISH_NACKED);
    queue_pass(2 * US_PER_SECOND);
    queue_answer_load(0, 11, 3, partitions_0);
    cr_assert_eq(fake.published_count, 5, "one probe for each of the two partitions");
    fake_end(3, PUBLISHED);
    fake_end(4, PUBLISHED);
    queue_pass(2 * US_PER_SECOND);
    queue_answer_load(1, 11, 3, partitions_0);
    cr_assert_eq(fake.published_count, 8);
}

Test(outbox, what_is_in_flight_at_the_end_stays)
{
    relay_three();
    fake_end(0, PUBLISHED);
    queue_stop(queue);
    cr_assert_eq(queue_requests(JOURNAL_CLEAR_OUTBOX), 0);
}
