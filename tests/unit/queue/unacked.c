/* SPDX-License-Identifier: Apache-2.0 */
/* Events that were consumed and are not acked yet. */
#include "consumer_fixture.h"

TestSuite(unacked, .init = consumer_begin, .fini = consumer_end);

static const int64_t tick_us = 100 * US_PER_MS;

Test(unacked, a_message_that_needs_no_job_is_acked_after_the_commit)
{
    static const struct {
        const char *title;
        enum journal_received received;
        bool is_new;
        enum metric metric;
    } cases[] = {
        {"its own, again", RECEIVED_JOURNAL_OWNED, false, METRIC_RECEIVED_AGAIN},
        {"its own, new", RECEIVED_JOURNAL_OWNED, true, METRIC_RECEIVED_NEW},
        {"an alias", RECEIVED_ALIAS, false, METRIC_RECEIVED_ALIAS},
        {"a conflict", RECEIVED_CONFLICT, true, METRIC_RECEIVED_CONFLICT},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        int64_t before = metrics_read(cases[i].metric);
        struct message_tag tag = fake_send(CHANNEL_0, message_of(0));
        cr_assert_not(fake_is_acked(&tag), "%s: before the commit", cases[i].title);
        cr_assert_eq(metrics_read(METRIC_RECEIVING), 1);
        answer_received(cases[i].received, cases[i].is_new, 0, 0);
        cr_expect(fake_is_acked(&tag), "%s", cases[i].title);
        cr_expect_eq(metrics_read(cases[i].metric), before + 1, "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_UNACKED), 0, "%s", cases[i].title);
    }
    cr_expect_eq(taken.count, 0);
    cr_expect_eq(taken.looked_again, 0, "they have endpoints");
}

Test(unacked, a_broker_owned_event_is_acked_once_after_its_last_delivery)
{
    struct message_tag tag = receive_event(CHANNEL_0, 5, 3);
    cr_assert_eq(taken.count, 3);
    cr_assert_eq(metrics_read(METRIC_RECEIVING), 0);
    end_job(5, 1, false);
    end_job(5, 0, false);
    cr_assert_eq(fake.acked, 0);
    end_job(5, 2, false);
    cr_assert_eq(fake.acked, 1);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(adopts(), 0);
    cr_assert_eq(metrics_read(METRIC_UNACKED), 0);
}

Test(unacked, a_job_is_a_fresh_delivery_of_the_event)
{
    struct message *message = message_of(0);
    fake_send(CHANNEL_0, message);
    struct event *event = receive_at(0)->event;
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct delivery *delivery = &job_of(5, i)->delivery;
        cr_assert_eq(delivery->endpoint, ENDPOINT_FIRST + i);
        cr_assert_eq(delivery->state, DELIVERY_PENDING);
        cr_assert_eq(delivery->lane, LANE_FRESH);
        cr_assert_eq(delivery->attempts + delivery->failures, 0);
        cr_assert_eq(delivery->due_us, message->parts.accepted_us);
        cr_assert_eq(delivery->event, event);
    }
    cr_assert_eq(event->references, 3);
}

Test(unacked, an_event_whose_delivery_waits_becomes_the_journals_and_is_acked)
{
    struct message_tag tag = receive_event(CHANNEL_0, 5, 3);
    end_job(5, 0, false);
    end_job(5, 1, true);
    cr_assert(fake_is_acked(&tag), "the commit of its outcome has adopted it");
    cr_assert_eq(adopts(), 0);
    cr_assert_null(job_of(5, 2)->sourced.event, "the rest is the journal's own");
    end_job(5, 2, false);
    cr_assert_eq(fake.acked, 1);
}

Test(unacked, an_event_without_room_for_a_job_is_adopted_at_once)
{
    taken.room = 1;
    struct message_tag tag = receive_event(CHANNEL_0, 5, 3);
    cr_assert_eq(adopts(), 1);
    cr_assert_eq(adopt_at(0)->count, 1);
    cr_assert_eq(adopt_at(0)->events[0], 5);
    cr_assert_eq(adopt_at(0)->park_guarded_before_us, 0);
    cr_assert_eq(fake.acked + taken.expected, 0, "before the commit");
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.expected, 2, "the journal has them as pending");
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(taken.expectations[i].delivery, placement_delivery(5, i + 1));
        cr_assert_eq(taken.expectations[i].endpoint, ENDPOINT_FIRST + i + 1);
    }
    cr_assert_eq(metrics_read(METRIC_ADOPTED), 1);
    cr_assert(has_job(5, 0));
}

Test(unacked, an_event_that_ends_as_adopted_while_it_is_being_adopted_is_acked_once)
{
    taken.room = 2;
    receive_event(CHANNEL_0, 5, 3);
    end_job(5, 0, false);
    end_job(5, 1, true);
    cr_assert_eq(fake.acked, 0, "its own answer ends it");
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 1);
    cr_assert_eq(taken.expected, 1);
}

Test(unacked, deliveries_without_room_are_expected_when_another_one_adopts_the_event)
{
    taken.room = 1;
    receive_event(CHANNEL_0, 5, 2);
    answer_adopt(ERR_DISK_FULL);
    cr_assert_eq(fake.acked + taken.expected, 0);
    end_job(5, 0, true);
    cr_assert_eq(fake.acked, 1);
    cr_assert_eq(taken.expected, 1);
    cr_assert_eq(taken.expectations[0].delivery, placement_delivery(5, 1));
    consumer_pass(2 * US_PER_SECOND);
    cr_assert_eq(adopts(), 0, "it is acked");
}

Test(unacked, an_event_without_room_in_the_byte_budget_gets_no_job)
{
    cr_assert(byte_budget_take(&queue_budgets[0], 1 << 20, 101));
    struct message_tag tag = receive_event(CHANNEL_0, 5, 2);
    byte_budget_give_back(&queue_budgets[0], 1 << 20);
    cr_assert_eq(taken.count, 0);
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.expected, 2);
}

Test(unacked, an_adoption_that_the_disk_refuses_is_tried_again_every_second)
{
    taken.room = 0;
    receive_event(CHANNEL_0, 5, 1);
    for (unsigned i = 0; i < 3; i++) {
        answer_adopt(ERR_DISK_FULL);
        cr_assert_eq(adopts(), 0);
        consumer_pass(US_PER_SECOND + tick_us);
        cr_assert_eq(adopts(), 1);
    }
    cr_assert_eq(fake.acked, 0);
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 1);
}

Test(unacked, an_event_is_adopted_when_it_is_unacked_for_more_than_five_seconds)
{
    receive_event(CHANNEL_0, 5, 2);
    consumer_pass(5 * US_PER_SECOND);
    cr_assert_eq(adopts(), 0);
    consumer_pass(tick_us);
    cr_assert_eq(adopts(), 1);
    cr_assert_eq(fake.acked, 0);
    consumer_pass(10 * US_PER_SECOND);
    cr_assert_eq(adopts(), 1, "it is asked once");
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 1);
    cr_assert_eq(taken.expected, 0, "its deliveries are jobs");
    end_job(5, 0, false);
    end_job(5, 1, false);
    cr_assert_eq(fake.acked, 1);
}

Test(unacked, an_event_whose_deliveries_end_while_it_is_adopted_is_acked_after_the_commit)
{
    receive_event(CHANNEL_0, 5, 1);
    consumer_pass(5 * US_PER_SECOND + tick_us);
    end_job(5, 0, false);
    cr_assert_eq(fake.acked, 0);
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 1);
}

Test(unacked, a_delivery_in_doubt_makes_the_journal_adopt_its_event)
{
    struct message_tag tag = receive_event(CHANNEL_0, 5, 2);
    doubt_job(5, 0);
    cr_assert_eq(adopts(), 1);
    cr_assert_eq(adopt_at(0)->events[0], 5);
    doubt_job(5, 1);
    cr_assert_eq(adopts(), 1);
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
}

/* A slow client */

Test(unacked, a_slow_client_does_not_fill_the_prefetch)
{
    static const struct {
        const char *title;
        unsigned sent, ended; /* of those behind the first */
        unsigned slow;        /* so many of the first ones */
        unsigned adopted;
    } cases[] = {
        {"more than half is used, and all are late alike", 8, 0, 0, 0},
        {"more than half is used, and a client is slow", 5, 0, 1, 1},
        {"more than half is used, and two clients are slow", 8, 0, 2, 2},
        {"half is used, and a client is slow", 4, 0, 1, 0},
        {"more ended ones wait for the first than are open", 8, 5, 0, 3},
        {"as many ended ones wait for the first as are open", 8, 4, 0, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            consumer_begin();
        receive_event(CHANNEL_2, 100, 1); /* of another queue */
        for (unsigned event = 1; event <= cases[i].sent; event++)
            receive_event(CHANNEL_0, event, 1);
        for (unsigned event = 1; event <= cases[i].slow; event++)
            job_of(event, 0)->is_slow = true;
        for (unsigned event = 2; event < 2 + cases[i].ended; event++)
            end_job(event, 0, false);
        consumer_pass(2 * tick_us);
        cr_expect_eq(adopts(), 0, "%s: too early", cases[i].title);
        consumer_pass(tick_us);
        cr_expect_eq(adopts(), cases[i].adopted, "%s", cases[i].title);
        for (unsigned n = 0; n < adopts(); n++)
            cr_expect_lt(adopt_at(n)->events[0], 100, "%s", cases[i].title);
        if (cases[i].slow && adopts())
            cr_expect_eq(adopt_at(0)->events[0], 1, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            consumer_end();
    }
}

/* The channel is lost */

Test(unacked, an_event_of_a_lost_channel_that_has_not_started_is_suspended_until_it_comes_again)
{
    struct message *message = message_of(0);
    struct message_tag old = fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 2);
    fake_lose_one(CHANNEL_0, false);
    cr_assert(taken.jobs[0]->is_dropped && taken.jobs[1]->is_dropped);
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 1);
    cr_assert_eq(metrics_read(METRIC_UNACKED), 0);
    cr_assert_eq(adopts(), 0);
    fake_open_one(CHANNEL_0);
    message->redelivered = true;
    struct message_tag new = fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 2);
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 0);
    cr_assert_eq(metrics_read(METRIC_RECEIVED_AGAIN), 1);
    end_job(5, 0, false);
    end_job(5, 1, false);
    cr_assert_eq(fake.acked, 1);
    cr_assert_not(fake_is_acked(&old));
    cr_assert(fake_is_acked(&new));
}

Test(unacked, an_event_of_a_lost_channel_that_has_started_is_adopted)
{
    enum { STARTED, ENDED };
    for (int how = STARTED; how <= ENDED; how++) {
        if (how > STARTED)
            consumer_begin();
        receive_event(CHANNEL_0, 5, 2);
        if (how == STARTED)
            start_job(5, 0);
        else
            end_job(5, 0, false);
        fake_lose_one(CHANNEL_0, false);
        cr_assert_eq(metrics_read(METRIC_SUSPENDED), 0);
        cr_assert_eq(adopts(), 1);
        cr_assert(has_job(5, 1));
        answer_adopt(OK);
        cr_assert_eq(fake.acked, 0, "its channel is lost");
        end_job(5, 1, false);
        if (how == STARTED)
            end_job(5, 0, false);
        cr_assert_eq(metrics_read(METRIC_UNACKED), 0);
        if (how == STARTED)
            consumer_end();
    }
}

Test(unacked, an_adopted_event_that_comes_again_is_acked)
{
    receive_event(CHANNEL_0, 5, 1);
    start_job(5, 0);
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    struct message_tag again = fake_send(CHANNEL_0, message_of(0));
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 0);
    answer_received(RECEIVED_JOURNAL_OWNED, false, 0, 0);
    cr_assert(fake_is_acked(&again));
    cr_assert(has_job(5, 0), "its job is kept");
}

Test(unacked, an_event_that_comes_again_while_its_adoption_is_refused_is_acked_after_it)
{
    receive_event(CHANNEL_0, 5, 1);
    start_job(5, 0);
    fake_lose_one(CHANNEL_0, false);
    answer_adopt(ERR_DISK_FULL);
    fake_open_one(CHANNEL_0);
    struct message_tag again = fake_send(CHANNEL_0, message_of(0));
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert_eq(taken.count, 1, "it has its job");
    cr_assert_eq(metrics_read(METRIC_UNACKED), 1);
    cr_assert_eq(fake.acked, 0);
    consumer_pass(US_PER_SECOND + tick_us);
    answer_adopt(OK);
    cr_assert(fake_is_acked(&again));
}

Test(unacked, the_second_copy_of_a_message_is_acked_at_once)
{
    struct message_tag first = receive_event(CHANNEL_0, 5, 1);
    struct message_tag second = fake_send(CHANNEL_0, message_of(0));
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert_eq(taken.count, 1);
    cr_assert(fake_is_acked(&second));
    cr_assert_not(fake_is_acked(&first));
    end_job(5, 0, false);
    cr_assert(fake_is_acked(&first));
}

Test(unacked, a_lost_channel_concerns_its_own_messages_only)
{
    receive_event(CHANNEL_0, 5, 1);
    struct message_tag other = receive_event(CHANNEL_2, 6, 1);
    fake_lose_one(CHANNEL_0, false);
    cr_assert_not(has_job(5, 0));
    end_job(6, 0, false);
    cr_assert(fake_is_acked(&other));
}

Test(unacked, a_lost_connection_suspends_the_events_of_all_channels)
{
    receive_event(CHANNEL_0, 5, 1);
    receive_event(CHANNEL_2, 6, 1);
    fake_lose_connection();
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 2);
    cr_assert_not(has_job(5, 0));
    cr_assert_not(has_job(6, 0));
}

Test(unacked, deliveries_of_an_event_being_adopted_are_expected_when_its_channel_is_lost)
{
    static const struct {
        const char *title;
        bool is_refused; /* the adoption, when the channel is lost */
        bool is_started;
        unsigned expected;
    } cases[] = {
        {"being adopted, not started", false, false, 2},
        {"being adopted, started", false, true, 1},
        {"refused, not started", true, false, 2},
        {"refused, started", true, true, 1},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            consumer_begin();
        taken.room = 1;
        receive_event(CHANNEL_0, 5, 2);
        if (cases[i].is_started)
            start_job(5, 0);
        if (cases[i].is_refused)
            answer_adopt(ERR_DISK_FULL);
        fake_lose_one(CHANNEL_0, false);
        cr_expect_eq(taken.jobs[0]->is_dropped, !cases[i].is_started, "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_SUSPENDED), 0, "%s", cases[i].title);
        consumer_pass(US_PER_SECOND + tick_us);
        answer_adopt(OK);
        cr_expect_eq(taken.expected, cases[i].expected, "%s", cases[i].title);
        cr_expect_eq(fake.acked, 0, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            consumer_end();
    }
}

Test(unacked, an_answer_for_a_message_of_a_lost_channel_acks_nothing)
{
    static const struct {
        const char *title;
        enum err result;
        enum journal_received received;
        bool is_gone;
        unsigned suspended, unacked;
    } cases[] = {
        {"broker-owned", OK, RECEIVED_BROKER_OWNED, false, 1, 0},
        {"its own", OK, RECEIVED_JOURNAL_OWNED, false, 0, 0},
        {"refused: the broker has it", ERR_DISK_FULL, 0, false, 0, 0},
        {"broker-owned, of a deleted queue", OK, RECEIVED_BROKER_OWNED, true, 1, 0},
        {"refused, of a deleted queue: the only copy", ERR_DISK_FULL, 0, true, 0, 1},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (i > 0)
            consumer_begin();
        fake_send(CHANNEL_0, message_of(0));
        fake_lose_one(CHANNEL_0, cases[i].is_gone);
        if (cases[i].result)
            queue_answer(&receive_at(0)->request, cases[i].result);
        else
            answer_received(cases[i].received, false, 5, 1);
        cr_expect_eq(taken.count, 0, "%s", cases[i].title);
        cr_expect_eq(fake.acked, 0, "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_SUSPENDED), cases[i].suspended, "%s", cases[i].title);
        cr_expect_eq(metrics_read(METRIC_UNACKED), cases[i].unacked, "%s", cases[i].title);
        consumer_pass(US_PER_SECOND + tick_us);
        cr_expect_eq(queue_requests(JOURNAL_RECEIVE), cases[i].unacked, "%s", cases[i].title);
        if (i + 1 < ARRAY_LENGTH(cases))
            consumer_end();
    }
}

/* Refused */

Test(unacked, an_event_that_the_disk_refuses_is_tried_again_every_second_and_not_acked)
{
    static const enum err errors[] = {ERR_DISK_FULL, ERR_DISK, ERR_DAMAGED};
    struct message_tag tag = fake_send(CHANNEL_0, message_of(0));
    for (unsigned i = 0; i < ARRAY_LENGTH(errors); i++) {
        queue_answer(&receive_at(0)->request, errors[i]);
        cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 0);
        consumer_pass(US_PER_SECOND + tick_us);
        cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 1);
        cr_assert_eq(fake.acked, 0);
    }
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    cr_assert(has_job(5, 0));
    end_job(5, 0, false);
    cr_assert(fake_is_acked(&tag));
}

Test(unacked, a_refused_event_of_a_lost_channel_is_forgotten)
{
    fake_send(CHANNEL_0, message_of(0));
    queue_answer(&receive_at(0)->request, ERR_DISK_FULL);
    fake_lose_one(CHANNEL_0, false);
    cr_assert_eq(metrics_read(METRIC_UNACKED), 0);
    consumer_pass(US_PER_SECOND + tick_us);
    cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 0);
}

Test(unacked, a_refused_event_of_a_deleted_queue_is_written_to_the_journal)
{
    fake_send(CHANNEL_0, message_of(0));
    queue_answer(&receive_at(0)->request, ERR_DISK_FULL);
    fake_lose_one(CHANNEL_0, true);
    cr_assert_eq(metrics_read(METRIC_UNACKED), 1, "it is the only copy");
    consumer_pass(US_PER_SECOND + tick_us);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    cr_assert_eq(taken.count, 0, "it is not known whether the broker has it");
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 1);
}

Test(unacked, an_event_whose_id_another_event_has_is_kept_as_poison_and_acked_once)
{
    struct message *message = message_of(0);
    struct message_tag tag = fake_send(CHANNEL_0, message);
    queue_answer(&receive_at(0)->request, ERR_UNAVAILABLE);
    struct journal_keep_poison *keep =
        CONTAINER_OF(queue_request(JOURNAL_KEEP_POISON, 0), struct journal_keep_poison, request);
    cr_assert_str_eq(keep->reason, "another event has its id");
    cr_assert(slice_equal(keep->body, message->body));
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&message->parts.id, id);
    cr_assert_str_eq(keep->message_id, id);
    cr_assert_eq(fake.acked, 0);
    answer_kept(OK);
    cr_assert_eq(fake.acked, 1);
    cr_assert(fake_is_acked(&tag));
}

/* The journal's own */

Test(unacked, an_event_that_the_journal_hands_over_as_its_own_is_acked)
{
    struct message_tag tag = receive_event(CHANNEL_0, 5, 1);
    hand_over(5, ENDPOINT_FIRST, 1);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.handed_over, 1);
    cr_assert_null(job_of(5, 0)->sourced.event);
}

Test(unacked, an_event_that_is_handed_over_while_it_is_adopted_is_acked_once)
{
    taken.room = 0;
    receive_event(CHANNEL_0, 5, 1);
    hand_over(5, ENDPOINT_FIRST, 1);
    cr_assert_eq(fake.acked, 0);
    answer_adopt(OK);
    cr_assert_eq(fake.acked, 1);
}

Test(unacked, a_suspended_event_that_is_handed_over_is_not_suspended_any_more)
{
    receive_event(CHANNEL_0, 5, 1);
    fake_lose_one(CHANNEL_0, false);
    hand_over(5, ENDPOINT_FIRST, 1);
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 0);
}
