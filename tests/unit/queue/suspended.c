/* SPDX-License-Identifier: Apache-2.0 */
/* Events that wait to be delivered again: those of a lost channel, and those of the last run. */
#include "consumer_fixture.h"

TestSuite(suspended, .init = consumer_begin, .fini = consumer_end);
TestSuite(suspended_listing, .init = consumer_prepare, .fini = consumer_end);

#define PAGE 256

static const int64_t tick_us = 100 * US_PER_MS, depth_us = 2 * US_PER_SECOND;

static struct journal_list_broker_owned *listing(void)
{
    return CONTAINER_OF(
        queue_request(JOURNAL_LIST_BROKER_OWNED, 0), struct journal_list_broker_owned, request);
}

/* A page with so many events of a partition. */
static void answer_list(int64_t first_event, unsigned count, unsigned partition)
{
    struct journal_list_broker_owned *list = listing();
    cr_assert_leq(count, list->count_max);
    for (unsigned i = 0; i < count; i++)
        list->ret_events[i] =
            (struct journal_broker_owned){.event = first_event + i, .partition = partition};
    list->ret_count = count;
    queue_answer(&list->request, OK);
}

static int64_t suspended(void)
{
    return metrics_read(METRIC_SUSPENDED);
}

static void suspend(int64_t event)
{
    receive_event(CHANNEL_0, event, 1);
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    cr_assert_eq(suspended(), 1);
}

/* The next question for the depth of a queue is asked, and answered. */
static void answer_depth(unsigned channel, unsigned messages, unsigned consumers)
{
    unsigned asked = fake.channels[channel].depth_asked;
    consumer_pass(depth_us);
    cr_assert_eq(fake.channels[channel].depth_asked, asked + 1);
    fake_answer_depth(channel, messages, consumers);
}

/* The queue of channel 0 is empty, twice in a row. */
static void answer_empty_twice(void)
{
    answer_depth(CHANNEL_0, 0, 1);
    answer_depth(CHANNEL_0, 0, 1);
}

/* Listing */

Test(suspended_listing, the_events_of_the_last_run_are_listed_page_by_page_before_consuming_begins)
{
    consumer_start();
    cr_assert_eq(listing()->after_event, 0);
    answer_list(1, PAGE, 0);
    cr_assert_eq(listing()->after_event, PAGE);
    consumer_pass(US_PER_SECOND);
    cr_assert_eq(queue_requests(JOURNAL_LIST_BROKER_OWNED), 1);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
    answer_list(1 + PAGE, 44, 2);
    cr_assert_eq(queue_requests(JOURNAL_LIST_BROKER_OWNED), 0);
    cr_assert_eq(suspended(), 300);
    consumer_pass(tick_us);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
}

Test(suspended_listing, a_list_that_fails_is_asked_for_again)
{
    consumer_start();
    answer_list(1, PAGE, 0);
    queue_answer(&listing()->request, ERR_DISK);
    consumer_pass(tick_us);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
    cr_assert_eq(listing()->after_event, 0);
    answer_list(1, 3, 0);
    cr_assert_eq(suspended(), PAGE, "each counts once");
    consumer_pass(tick_us);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
}

Test(suspended_listing, a_page_that_comes_while_the_consumer_stops_is_the_last_one)
{
    consumer_start();
    consumer_stop();
    answer_list(1, PAGE, 0);
    cr_assert_eq(queue_requests(JOURNAL_LIST_BROKER_OWNED), 0);
    cr_assert_eq(suspended(), PAGE);
}

Test(suspended_listing, an_event_of_the_last_run_that_comes_again_is_delivered)
{
    consumer_start();
    answer_list(5, 1, 0);
    consumer_pass(tick_us);
    consumer_connect();
    struct message_tag tag = fake_send(CHANNEL_0, message_of(0));
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert_eq(suspended(), 0);
    end_job(5, 0, false);
    cr_assert(fake_is_acked(&tag));
}

Test(suspended_listing, an_event_with_a_damaged_partition_is_looked_for_in_the_first_queue)
{
    consumer_start();
    answer_list(5, 1, 4095);
    consumer_pass(tick_us);
    consumer_connect();
    answer_empty_twice();
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 1);
}

Test(suspended_listing, more_than_one_adoption_holds_are_adopted_in_steps)
{
    consumer_options.forced_since_us = 77;
    consumer_start();
    answer_list(1, PAGE, 0);
    answer_list(1 + PAGE, 44, 0);
    consumer_pass(tick_us);
    consumer_connect();
    answer_empty_twice();
    consumer_pass(depth_us);
    cr_assert_eq(adopt_at(0)->count, PAGE);
    cr_assert_eq(adopt_at(0)->park_guarded_before_us, 77);
    answer_adopt(OK);
    cr_assert_eq(suspended(), 44);
    cr_assert_eq(taken.scans, 0, "not before the last one");
    consumer_pass(depth_us);
    cr_assert_eq(adopt_at(0)->count, 44);
    answer_adopt(OK);
    cr_assert_eq(suspended(), 0);
    cr_assert_eq(taken.scans, 1);
}

/* Depth */

Test(suspended, without_suspended_events_no_depth_is_asked_for)
{
    consumer_pass(10 * US_PER_SECOND);
    for (unsigned i = 0; i < CHANNEL_CONFIRMED; i++)
        cr_assert_eq(fake.channels[i].depth_asked, 0);
}

Test(suspended, events_that_the_queue_does_not_have_any_more_are_adopted_and_the_backlog_scanned)
{
    suspend(5);
    answer_empty_twice();
    cr_assert_eq(adopts(), 0);
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 1);
    cr_assert_eq(adopt_at(0)->count, 1);
    cr_assert_eq(adopt_at(0)->events[0], 5);
    cr_assert_eq(suspended(), 1, "before the commit");
    answer_adopt(OK);
    cr_assert_eq(suspended(), 0);
    cr_assert_eq(taken.scans, 1);
    cr_assert_eq(metrics_read(METRIC_ADOPTED), 1);
    cr_assert_eq(fake.channels[CHANNEL_2].depth_asked, 0);
}

Test(suspended, events_are_adopted_when_their_queue_was_found_empty_twice_in_turn)
{
    struct answer {
        unsigned messages, consumers;
    };
    static const struct {
        const char *title;
        struct answer answers[4];
        unsigned count;
        bool is_adopted;
    } cases[] = {
        {"empty once", {{0, 1}}, 1, false},
        {"empty twice", {{0, 1}, {0, 1}}, 2, true},
        {"empty twice, without us", {{0, 0}, {0, 0}}, 2, true},
        {"another consumer is there", {{0, 2}, {0, 2}, {0, 2}, {0, 2}}, 4, false},
        {"another consumer was there", {{0, 1}, {0, 2}, {0, 1}}, 3, false},
        {"messages were there", {{0, 1}, {1, 1}, {0, 1}}, 3, false},
        {"messages are there", {{9, 1}, {9, 1}, {9, 1}, {9, 1}}, 4, false},
        {"empty twice, at last", {{9, 1}, {0, 2}, {0, 1}, {0, 1}}, 4, true},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            consumer_begin();
        suspend(5);
        for (unsigned n = 0; n < cases[i].count; n++)
            answer_depth(CHANNEL_0, cases[i].answers[n].messages, cases[i].answers[n].consumers);
        consumer_pass(depth_us);
        cr_expect_eq(adopts(), cases[i].is_adopted, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            consumer_end();
    }
}

Test(suspended, a_channel_that_is_opened_again_resets_the_count_of_empty_answers)
{
    suspend(5);
    answer_empty_twice();
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 0);
}

Test(suspended, another_suspended_event_resets_the_count_of_empty_answers)
{
    suspend(5);
    answer_empty_twice();
    receive_event(CHANNEL_0, 6, 1);
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 0);
    cr_assert_eq(suspended(), 2);
}

Test(suspended, an_event_that_is_suspended_late_resets_the_count_of_empty_answers)
{
    receive_event(CHANNEL_0, 5, 1);
    fake_send(CHANNEL_0, message_of(0)); /* the journal has it, and says so later */
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    answer_empty_twice();
    answer_received(RECEIVED_BROKER_OWNED, true, 6, 1);
    cr_assert_eq(suspended(), 2);
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 0);
}

Test(suspended, an_adoption_that_the_disk_refuses_is_tried_again)
{
    suspend(5);
    answer_empty_twice();
    consumer_pass(depth_us);
    answer_adopt(ERR_DISK_FULL);
    cr_assert_eq(suspended(), 1);
    cr_assert_eq(taken.scans, 0);
    consumer_pass(depth_us);
    answer_adopt(OK);
    cr_assert_eq(suspended(), 0);
}

Test(suspended, an_event_that_comes_again_while_it_is_adopted_is_acked_and_has_its_job)
{
    suspend(5);
    answer_empty_twice();
    struct message_tag tag = fake_send(CHANNEL_0, message_of(0));
    consumer_pass(depth_us);
    cr_assert_eq(adopts(), 1);
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert(has_job(5, 0));
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
    cr_assert_null(job_of(5, 0)->sourced.event, "it is the journal's own");
}

Test(suspended, events_of_a_deleted_queue_are_adopted_by_the_journal)
{
    receive_event(CHANNEL_0, 5, 1);
    fake_lose_one(CHANNEL_0, true);
    cr_assert_eq(suspended(), 1);
    fake_open_one(CHANNEL_0); /* declared again, empty */
    answer_empty_twice();
    consumer_pass(depth_us);
    answer_adopt(OK);
    cr_assert_eq(suspended(), 0);
    cr_assert_eq(taken.scans, 1);
}
