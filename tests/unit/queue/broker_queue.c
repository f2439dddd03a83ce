/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "runtime/metrics.h"

#include <stdio.h>

static void begin(void)
{
    queue_fixture_begin(false, 0);
}

static void begin_connected(void)
{
    begin();
    queue_connect();
}

TestSuite(broker_queue, .init = begin_connected, .fini = queue_fixture_end);
TestSuite(queue_closed, .init = begin, .fini = queue_fixture_end);

static const int64_t later_us = 100 * US_PER_MS;

Test(broker_queue, an_event_is_durable_when_the_broker_has_confirmed_it)
{
    struct sent *sent = queue_send(3, "k", "1");
    cr_assert_eq(fake.published_count, 1);
    cr_assert_eq(fake.published[0].partition, 3);
    cr_assert_eq(sent->answers, 0);
    fake_end(0, PUBLISHED);
    queue_expect(sent, OK);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 0);
    cr_assert_eq(metrics_read(METRIC_DIRECT), 0);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(broker_queue, confirms_may_come_in_any_order)
{
    struct sent *sent[20];
    for (unsigned i = 0; i < 20; i++)
        sent[i] = queue_send(i % QUEUE_PARTITIONS, "", "");
    for (unsigned i = 0; i < 20; i++)
        fake_end(i * 7 % 20, PUBLISHED);
    for (unsigned i = 0; i < 20; i++)
        queue_expect(sent[i], OK);
}

Test(broker_queue, a_duplicate_waits_for_the_first_and_later_ones_are_answered_at_once)
{
    struct sent *first = queue_send(0, "k", "1.0"), *second = queue_send(0, "k", "1"),
                *third = queue_send(0, "k", "2");
    cr_assert_eq(fake.published_count, 1);
    cr_assert_eq(second->answers + third->answers, 0);
    struct event_id id = fake.published[0].id;
    fake_end(0, PUBLISHED);
    queue_expect(first, OK);
    queue_expect(second, ERR_EXISTS);
    queue_expect(third, ERR_CONFLICT);
    cr_assert_arr_eq(&second->entry.append.ret_id, &id, sizeof id);
    queue_expect(queue_send(0, "k", "1.00"), ERR_EXISTS);
    queue_expect(queue_send(0, "k", "7"), ERR_CONFLICT);
    cr_assert_eq(fake.published_count, 1);
}

static struct dedupe_key key_k;
static struct recent_key_event of_another_thread;

/* Another thread has "k" in flight. */
static void enter_k_elsewhere(void)
{
    struct recent_key_event first;
    memset(of_another_thread.id.bytes, 7, EVENT_ID_BYTES);
    money_value_of(SLICE_LITERAL("1"), SLICE_LITERAL("EUR"), &of_another_thread.money);
    dedupe_key_of(SLICE_LITERAL("shop"), SLICE_LITERAL("acc_1"), SLICE_LITERAL("purchase"),
        SLICE_LITERAL("k"), &key_k);
    cr_assert_eq(
        recent_keys_enter(queue_known, &key_k, &of_another_thread, &first), RECENT_KEY_NEW);
}

Test(broker_queue, what_another_thread_has_in_flight_is_judged_with_its_end)
{
    enter_k_elsewhere();
    struct sent *same = queue_send(0, "k", "1.0"), *conflict = queue_send(0, "k", "2");
    queue_pass(later_us);
    cr_assert_eq(same->answers + conflict->answers, 0);
    recent_keys_end(queue_known, &key_k, &of_another_thread.id, &of_another_thread);
    queue_pass(later_us);
    queue_expect(same, ERR_EXISTS);
    queue_expect(conflict, ERR_CONFLICT);
    cr_assert_arr_eq(&same->entry.append.ret_id, &of_another_thread.id, EVENT_ID_BYTES);
    cr_assert_eq(fake.published_count, 0);
}

Test(broker_queue, conflicts_that_the_journal_never_sees_are_operator_events)
{
    char id[EVENT_ID_TEXT_BYTES];
    struct sent *first = queue_send(0, "k", "1"), *waiting = queue_send(0, "k", "2");
    fake_end(0, PUBLISHED);
    queue_expect(first, OK);
    queue_expect(waiting, ERR_CONFLICT);
    cr_assert_eq(queue_operator_events_count, 1, "it waited for the first one");
    const struct operator_event *conflict = &queue_operator_events[0];
    event_id_format(&first->id, id);
    cr_expect(conflict->kind == OPERATOR_EVENT_CONFLICT && conflict->count == 1);
    cr_expect_str_eq(conflict->first_event, id);
    cr_expect_str_eq(conflict->partner, "shop");
    cr_expect_str_eq(conflict->account, "acc_1");
    cr_expect_str_eq(conflict->detail, "type purchase, key k");
    for (int i = 0; i < 2; i++)
        queue_expect(queue_send(0, "k", "3"), ERR_CONFLICT);
    queue_pass(US_PER_SECOND - 1);
    cr_assert_eq(queue_operator_events_count, 1, "one a second");
    queue_pass(1);
    cr_assert_eq(queue_operator_events_count, 2, "none is left out for long");
    cr_expect_eq(queue_operator_events[1].count, 2);
}

Test(broker_queue, an_event_is_published_when_another_thread_failed_with_its_key)
{
    enter_k_elsewhere();
    struct sent *first = queue_send(0, "k", "2"), *second = queue_send(0, "k", "2");
    recent_keys_end(queue_known, &key_k, &of_another_thread.id, NULL);
    queue_pass(later_us);
    cr_assert_eq(fake.published_count, 1);
    fake_end(0, PUBLISHED);
    queue_expect(first, OK);
    queue_expect(second, ERR_EXISTS);
}

Test(broker_queue, an_event_that_waits_for_another_thread_at_the_end_is_answered)
{
    enter_k_elsewhere();
    struct sent *sent = queue_send(0, "k", "1");
    queue_stop(queue);
    queue_expect(sent, ERR_SHUTTING_DOWN);
}

Test(broker_queue, an_event_whose_confirm_is_late_takes_the_whole_window_to_the_journal)
{
    struct sent *sent[10];
    for (unsigned i = 0; i < 10; i++)
        sent[i] = queue_send(i % QUEUE_PARTITIONS, "", "");
    queue_pass(CONFIRM_TIMEOUT_US / 2);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 0);
    queue_pass(CONFIRM_TIMEOUT_US / 2 + later_us);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 10);
    cr_assert_eq(fake_unconfirmed(), 0, "late confirms are nobody's");
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(queue_request_shard(JOURNAL_APPEND, 0), i % QUEUE_SHARDS);
        cr_assert_not(queue_append(0)->to_outbox);
        queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
        queue_expect(sent[i], OK);
    }
    cr_assert_eq(metrics_read(METRIC_DIRECT), 10);
}

/* Leaves the breaker open, and nothing in flight. */
static void open_breaker(void)
{
    queue_send(0, "", "");
    queue_pass(CONFIRM_TIMEOUT_US + later_us);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
}

Test(broker_queue, a_probe_that_is_confirmed_leads_back)
{
    open_breaker();
    struct sent *direct = queue_send(1, "", "");
    cr_assert_eq(fake.published_count, 1, "too early for a probe");
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(direct, OK);
    queue_pass(US_PER_SECOND);
    struct sent *tried = queue_send(1, "", ""), *beside = queue_send(2, "", "");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2);
    cr_assert_eq(fake.published_count, 2, "one probe at a time");
    cr_assert_arr_eq(
        &fake.published[1].id, &tried->entry.append.event->parts.id, sizeof(struct event_id));
    fake_end(1, PUBLISHED);
    cr_assert_eq(tried->answers, 0, "the probe decides nothing");
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(tried, OK);
    queue_expect(beside, OK);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
    struct sent *back = queue_send(1, "", "");
    fake_end(2, PUBLISHED);
    queue_expect(back, OK);
}

Test(broker_queue, probes_that_fail_come_at_growing_distances)
{
    static const int64_t gaps_s[] = {1, 2, 4, 5, 5};
    open_breaker();
    for (unsigned i = 0; i < ARRAY_LENGTH(gaps_s); i++) {
        queue_pass(gaps_s[i] * US_PER_SECOND - later_us);
        queue_send(0, "", "");
        cr_assert_eq(fake.published_count, 1 + i, "probe %u is early", i);
        queue_pass(later_us);
        queue_send(0, "", "");
        cr_assert_eq(fake.published_count, 2 + i, "probe %u did not come", i);
        queue_pass(CONFIRM_TIMEOUT_US);
        cr_assert_eq(fake_unconfirmed(), 0, "the probe is given up");
    }
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2 * ARRAY_LENGTH(gaps_s));
}

Test(broker_queue, a_nack_opens_the_breaker_of_its_partition_until_a_probe_of_it_is_confirmed)
{
    struct sent *nacked = queue_send(1, "", ""), *other = queue_send(2, "", "");
    fake_end(0, PUBLISH_NACKED);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    cr_assert_eq(nacked->answers, 0);
    fake_end(1, PUBLISHED);
    queue_expect(other, OK);
    queue_send(1, "", "");
    cr_assert_eq(fake.published_count, 2);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2);
    struct sent *straight = queue_send(3, "", "");
    fake_end(2, PUBLISHED);
    queue_expect(straight, OK);
    queue_pass(US_PER_SECOND);
    queue_send(1, "", "");
    cr_assert_eq(fake.published_count, 4);
    fake_end(3, PUBLISHED);
    struct sent *back = queue_send(1, "", "");
    fake_end(4, PUBLISHED);
    queue_expect(back, OK);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
    cr_assert_eq(fake.doubts, 0);
}

Test(broker_queue, when_probes_are_nacked_for_half_a_minute_another_connection_is_made)
{
    queue_send(1, "", "");
    fake_end(0, PUBLISH_NACKED);
    int64_t passed_us = 0;
    for (unsigned ended = 1; fake.publishers_made == 1; passed_us += later_us) {
        queue_pass(later_us);
        queue_send(1, "", "");
        if (fake.published_count > ended)
            fake_end(ended++, PUBLISH_NACKED);
        cr_assert_leq(passed_us, 40 * US_PER_SECOND);
    }
    cr_assert_geq(passed_us, 30 * US_PER_SECOND - later_us);
    cr_assert_eq(fake.doubts, 0);
}

Test(broker_queue, a_return_has_the_queues_declared_again_with_a_new_connection)
{
    queue_send(1, "", "");
    struct sent *unconfirmed = queue_send(2, "", "");
    fake_end(0, PUBLISH_RETURNED);
    cr_assert_eq(fake.doubts, 1);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_pass(later_us);
    cr_assert_eq(fake.publishers_made, 2);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2, "what was in the window is lost");
    cr_assert_eq(unconfirmed->answers, 0);
    queue_pass(US_PER_SECOND);
    queue_connect();
    struct sent *other = queue_send(2, "", "");
    fake_end(2, PUBLISHED);
    queue_expect(other, OK);
    queue_send(1, "", ""); /* in the journal, and the probe of its partition */
    cr_assert_eq(fake.published_count, 4);
    fake_end(3, PUBLISH_RETURNED);
    queue_pass(later_us);
    cr_assert_eq(fake.publishers_made, 2, "not so soon again");
    queue_pass(5 * US_PER_SECOND);
    cr_assert_eq(fake.publishers_made, 3);
}

Test(broker_queue, where_one_queue_is_silent_among_others_its_own_breaker_opens)
{
    struct sent *silent = queue_send(1, "", "");
    queue_pass(CONFIRM_TIMEOUT_US - later_us);
    queue_send(2, "", "");
    fake_end(1, PUBLISHED);
    queue_pass(2 * later_us);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(silent, OK);
    queue_pass(US_PER_SECOND);
    queue_send(2, "", "");
    fake_end(2, PUBLISHED); /* the connection's probe */
    queue_send(1, "", "");
    cr_assert_eq(fake.published_count, 4, "the partition's own probe");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2);
    queue_pass(CONFIRM_TIMEOUT_US);
    struct sent *other = queue_send(2, "", "");
    fake_end(4, PUBLISHED);
    queue_expect(other, OK);
}

Test(broker_queue, a_lost_connection_hands_its_window_over_and_is_dialled_again)
{
    struct sent *sent = queue_send(0, "k", "1"), *twin = queue_send(0, "k", "1");
    fake_lose_publisher();
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 1);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(sent, OK);
    queue_expect(twin, ERR_EXISTS);
    queue_send(0, "", "");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_pass(US_PER_SECOND);
    queue_connect();
    struct sent *back = queue_send(0, "", "");
    fake_end(1, PUBLISHED);
    queue_expect(back, OK);
}

Test(broker_queue, while_it_is_blocked_events_take_the_direct_path)
{
    struct sent *before = queue_send(0, "", "");
    fake_set_blocked(true);
    cr_assert_eq(before->answers, 0);
    queue_send(0, "", "");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_pass(CONFIRM_TIMEOUT_US + later_us);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 2);
    queue_pass(2 * US_PER_SECOND);
    queue_send(0, "", "");
    cr_assert_eq(fake.published_count, 1, "no probe can get through");
    fake_set_blocked(false);
    struct sent *back = queue_send(0, "", "");
    fake_end(1, PUBLISHED);
    queue_expect(back, OK);
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(broker_queue, one_that_is_lost_while_it_is_blocked_is_dialled_again)
{
    fake_set_blocked(true);
    fake_lose_publisher();
    queue_pass(US_PER_SECOND);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
    queue_connect();
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}

Test(broker_queue, without_room_in_the_window_an_event_takes_the_direct_path)
{
    struct sent *in_window = queue_send(0, "", "");
    fake.has_room = false;
    queue_send(0, "", "");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_pass(later_us);
    cr_assert_eq(fake.publishers_made, 1);
    fake.has_room = true;
    fake_end(0, PUBLISHED);
    queue_expect(in_window, OK);
    struct sent *back = queue_send(0, "", "");
    fake_end(1, PUBLISHED);
    queue_expect(back, OK);
}

Test(broker_queue, a_window_that_is_full_of_what_nobody_waits_for_is_renewed)
{
    fake.has_room = false;
    queue_pass(later_us);
    cr_assert_eq(fake.publishers_made, 2);
}

Test(broker_queue, when_the_broker_and_the_journal_fail_all_events_are_answered)
{
    struct sent *first = queue_send(0, "k", "1"), *second = queue_send(0, "k", "1");
    fake_end(0, PUBLISH_NACKED);
    queue_answer(queue_request(JOURNAL_APPEND, 0), ERR_DISK_FULL);
    queue_expect(first, ERR_DISK_FULL);
    queue_expect(second, ERR_DISK_FULL);
    cr_assert_eq(metrics_read(METRIC_DIRECT), 0);
    queue_send(0, "k", "1");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1, "the first is forgotten");
}

Test(broker_queue,
    behind_a_first_that_the_journal_refuses_as_a_conflict_the_journal_judges_the_others)
{
    struct sent *first = queue_send(0, "k", "2"), *second = queue_send(0, "k", "1");
    fake_lose_publisher();
    queue_answer(queue_request(JOURNAL_APPEND, 0), ERR_CONFLICT);
    queue_expect(first, ERR_CONFLICT);
    cr_assert_eq(second->answers, 0);
    queue_answer(queue_request(JOURNAL_APPEND, 0), ERR_EXISTS);
    queue_expect(second, ERR_EXISTS);
}

Test(broker_queue, unanswered_events_are_answered_at_the_end)
{
    struct sent *published = queue_send(0, "k", "1"), *waiting = queue_send(0, "k", "1");
    queue_stop(queue);
    queue_expect(published, ERR_SHUTTING_DOWN);
    queue_expect(waiting, ERR_SHUTTING_DOWN);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 0);
}

Test(broker_queue, an_event_is_found_once_it_is_durable)
{
    queue_send(0, "k", "1");
    struct event_id id = fake.published[0].id;
    struct queue_found found;
    cr_assert_not(queue_find(queue, &id, &found));
    fake_end(0, PUBLISHED);
    cr_assert(queue_find(queue, &id, &found));
    cr_assert(slice_equals_string(found.partner, "shop"));
}

Test(broker_queue, a_whole_window_moves_to_the_journal_in_one_go)
{
    static struct sent *sent[4096];
    for (unsigned i = 0; i < ARRAY_LENGTH(sent); i++)
        sent[i] = queue_send(i % QUEUE_PARTITIONS, "", "");
    queue_pass(CONFIRM_TIMEOUT_US + later_us);
    cr_assert_eq(fake_unconfirmed(), 0);
    cr_assert_eq(queue_requests(JOURNAL_APPEND), ARRAY_LENGTH(sent));
}

Test(queue_closed, until_there_is_a_connection_events_take_the_direct_path)
{
    struct sent *sent = queue_send(0, "", "");
    cr_assert_eq(queue_requests(JOURNAL_APPEND), 1);
    queue_answer(queue_request(JOURNAL_APPEND, 0), OK);
    queue_expect(sent, OK);
}

Test(queue_closed, a_broker_that_is_not_there_is_asked_for_again_and_again)
{
    for (unsigned i = 0; i < 10; i++) {
        fake_answer_dial(CONNECTOR_OPEN_PUBLISHER, ERR_CONNECT);
        queue_work();
        cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_PUBLISHER));
        int64_t gap_us = 0;
        for (; !fake_is_dialled(CONNECTOR_OPEN_PUBLISHER); gap_us += later_us)
            queue_pass(later_us);
        cr_assert_leq(gap_us, 6 * US_PER_SECOND + 2 * later_us);
        cr_assert(i < 6 || gap_us >= 4 * US_PER_SECOND);
    }
    queue_connect();
    cr_assert_eq(metrics_read(METRIC_PUBLISH_BREAKERS_OPEN), 0);
}
