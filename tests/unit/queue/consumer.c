/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of the consumer, and what a message is. */
#include "consumer_fixture.h"

#include <stdio.h>

TestSuite(consumer, .init = consumer_begin, .fini = consumer_end);
TestSuite(consumer_life, .init = consumer_prepare, .fini = consumer_end);

static const int64_t tick_us = 100 * US_PER_MS, ownership_us = 5 * US_PER_SECOND;

/* Messages */

Test(consumer, a_message_becomes_a_request_to_the_journal)
{
    struct message *message = message_of(2);
    message->parts.guarded = true;
    fake_send(CHANNEL_2, message);
    cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 1);
    cr_assert_eq(queue_request_shard(JOURNAL_RECEIVE, 0), 0);
    const struct journal_receive *receive = receive_at(0);
    const struct event_parts *parts = &receive->event->parts;
    cr_assert_arr_eq(&parts->id, &message->parts.id, sizeof parts->id);
    cr_assert(slice_equal(parts->body, message->body));
    cr_assert_neq(parts->body.data, message->body.data, "the message is gone after the call");
    cr_assert(slice_equals_string(parts->partner, "shop"));
    cr_assert(slice_equals_string(parts->account, account_of(2)));
    cr_assert(slice_equals_string(parts->type, "purchase"));
    cr_assert(slice_equals_string(parts->key, "order-1"));
    cr_assert(slice_equals_string(parts->amount, "12.50"), "it is read from the body");
    cr_assert(slice_equals_string(parts->currency, "EUR"));
    cr_assert(parts->has_occurred_at);
    cr_assert_eq(parts->occurred_us, 1700000000000000);
    cr_assert_eq(parts->accepted_us, message->parts.accepted_us);
    cr_assert_eq(parts->class, CLASS_CRITICAL);
    cr_assert(parts->guarded);
    cr_assert_eq(receive->park_as, PARK_NONE);
    cr_assert_eq(receive->endpoints_count, 2);
    cr_assert_eq(receive->endpoints[0], ENDPOINT_FIRST);
    cr_assert_eq(receive->endpoints[1], ENDPOINT_SECOND);
    struct dedupe_key key;
    dedupe_key_of(parts->partner, parts->account, parts->type, parts->key, &key);
    cr_assert_arr_eq(&receive->dedupe_key, &key, sizeof key);
    cr_assert_eq(metrics_read(METRIC_UNACKED), 1);
    cr_assert_eq(fake.acked, 0);
}

Test(consumer, an_event_of_an_unknown_account_is_looked_at_again_by_delivery)
{
    struct message *message = message_of(0);
    char account[NAME_BYTES_MAX + 1], body[256];
    unsigned i = 0;
    do
        snprintf(account, sizeof account, "unknown_%u", i++);
    while (placement_partition(&consumer_seed, slice_from_string(account), QUEUE_PARTITIONS) != 0);
    snprintf(body, sizeof body, "{\"type\": \"purchase\", \"account\": \"%s\"}", account);
    message->parts.account = slice_from_string(account);
    message->body = message->parts.body = slice_from_string(body);
    struct message_tag tag = fake_send(CHANNEL_0, message);
    cr_assert_eq(receive_at(0)->endpoints_count, 0);
    cr_assert_eq(receive_at(0)->park_as, PARK_NONE);
    answer_received(RECEIVED_JOURNAL_OWNED, true, 0, 0);
    cr_assert_eq(taken.looked_again, 1);
    cr_assert(fake_is_acked(&tag));
}

Test(consumer, a_message_that_is_no_event_of_ours_is_poison)
{
    static const char other[] = "its headers and its body have different accounts or types";
    enum { NO_EVENT, NO_BODY, OTHER_ACCOUNT, OTHER_TYPE, KINDS };
    static const char *const reasons[KINDS] = {
        "no message id", "its body is not an event", other, other};
    for (int kind = 0; kind < KINDS; kind++) {
        struct message *message = message_of(0);
        message->is_event = kind != NO_EVENT;
        message->why_not = "no message id";
        if (kind == NO_BODY)
            message->body = SLICE_LITERAL("{\"type\": 1}");
        if (kind == OTHER_ACCOUNT)
            message->parts.account = slice_from_string(account_of(2));
        if (kind == OTHER_TYPE)
            message->parts.type = SLICE_LITERAL("lead");
        struct message_tag tag = fake_send(CHANNEL_0, message);
        cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 0);
        const struct journal_keep_poison *keep = CONTAINER_OF(
            queue_request(JOURNAL_KEEP_POISON, 0), struct journal_keep_poison, request);
        cr_expect_str_eq(keep->reason, reasons[kind]);
        answer_kept(OK);
        cr_expect(fake_is_acked(&tag), "%s", reasons[kind]);
    }
}

#define FORCED_US 1700000000000000

Test(consumer_life, an_event_is_parked_where_it_does_not_belong_or_another_gateway_had_it)
{
    static const struct {
        const char *title;
        unsigned channel, account_partition, id_partition;
        bool guarded, redelivered;
        int64_t accepted_s; /* after the take-over */
        enum park_reason park_as;
        unsigned shard; /* whose journal is asked */
    } cases[] = {
        {"it fits", CHANNEL_2, 2, 2, true, false, 1, PARK_NONE, 0},
        {"its id is of another partition", CHANNEL_0, 0, 2, false, false, 1, PARK_MISMATCH, 0},
        {"its id is of another shard", CHANNEL_0, 0, 1, false, false, 1, PARK_MISMATCH, 1},
        {"its account is of another shard", CHANNEL_0, 1, 1, false, false, 1, PARK_MISMATCH, 1},
        {"it is of another queue", CHANNEL_2, 0, 0, false, false, 1, PARK_MISMATCH, 0},
        {"mismatch and take-over", CHANNEL_2, 0, 0, true, true, -1, PARK_MISMATCH, 0},
        {"guarded, from before", CHANNEL_0, 0, 0, true, false, -1, PARK_TAKEN_OVER, 0},
        {"not guarded, from before", CHANNEL_0, 0, 0, false, false, -1, PARK_NONE, 0},
        {"guarded, from then", CHANNEL_0, 0, 0, true, false, 0, PARK_NONE, 0},
        {"again, just after", CHANNEL_0, 0, 0, true, true, 59, PARK_TAKEN_OVER, 0},
        {"again, a minute after", CHANNEL_0, 0, 0, true, true, 60, PARK_NONE, 0},
        {"dropped, just after", CHANNEL_DROPPED_0, 0, 0, true, false, 59, PARK_TAKEN_OVER, 0},
        {"not guarded, again", CHANNEL_0, 0, 0, false, true, 59, PARK_NONE, 0},
    };
    consumer_options.forced_since_us = FORCED_US;
    consumer_start();
    consumer_list_nothing();
    consumer_pass(tick_us);
    consumer_connect();
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct message *message = message_of(cases[i].account_partition);
        message->parts.id = message_of(cases[i].id_partition)->parts.id;
        message->parts.guarded = cases[i].guarded;
        message->redelivered = cases[i].redelivered;
        message->parts.accepted_us = FORCED_US + cases[i].accepted_s * US_PER_SECOND;
        struct message_tag tag = fake_send(cases[i].channel, message);
        cr_expect_eq(receive_at(0)->park_as, cases[i].park_as, "%s", cases[i].title);
        cr_expect_eq(queue_request_shard(JOURNAL_RECEIVE, 0), cases[i].shard, "%s", cases[i].title);
        answer_received(RECEIVED_JOURNAL_OWNED, true, 0, 0);
        cr_expect(fake_is_acked(&tag), "%s", cases[i].title);
    }
    cr_expect_eq(taken.count + taken.looked_again, 0);
}

Test(consumer, a_mismatch_that_its_own_shard_has_as_the_brokers_is_acked_without_a_job)
{
    struct message_tag tag = fake_send(CHANNEL_0, message_of(1));
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.count, 0);
}

Test(consumer_life, a_marked_event_has_arrived_when_the_journal_has_it)
{
    consumer_options.lag = broker_lag_new(QUEUE_PARTITIONS, 1);
    consumer_start();
    consumer_list_nothing();
    consumer_pass(tick_us);
    consumer_connect();
    struct message *message = message_of(0);
    broker_lag_mark(consumer_options.lag, 0, &message->parts.id, clock_mono_us());
    fake_send(CHANNEL_0, message);
    cr_assert(broker_lag_is_marked(consumer_options.lag, 0, 0));
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    cr_assert_not(broker_lag_is_marked(consumer_options.lag, 0, 0));
    broker_lag_free(consumer_options.lag);
}

/* Reading */

/* A message of so many bytes that is poison: the journal keeps it when the test says so. */
static void send_bytes(size_t bytes)
{
    static char body[PREFETCH_BYTES];
    struct message *message = message_of(0);
    message->is_event = false;
    message->why_not = "a test";
    message->body = slice_of(body, bytes);
    fake_send(CHANNEL_0, message);
}

Test(consumer, reading_stops_at_the_prefetched_bytes_and_resumes_below_three_quarters)
{
    send_bytes(25000);
    send_bytes(1);
    send_bytes(74998);
    cr_assert(fake.subscriber_reading, "a byte is left");
    send_bytes(1);
    cr_assert_not(fake.subscriber_reading);
    answer_kept(OK);
    cr_assert_not(fake.subscriber_reading, "75000 are in memory");
    answer_kept(OK);
    cr_assert(fake.subscriber_reading, "74999 are in memory");
}

Test(consumer, reading_resumes_when_refused_poison_is_forgotten_with_its_channel)
{
    send_bytes(PREFETCH_BYTES);
    answer_kept(ERR_DISK_FULL);
    cr_assert_not(fake.subscriber_reading);
    fake_lose_one(CHANNEL_0, false);
    cr_assert(fake.subscriber_reading);
}

Test(consumer_life, unacked_events_count_as_prefetched_bytes)
{
    consumer_options.prefetch_bytes = 8; /* any event is more */
    consumer_start();
    consumer_list_nothing();
    consumer_pass(tick_us);
    consumer_connect();
    cr_assert(fake.subscriber_reading);
    receive_event(CHANNEL_0, 5, 1);
    cr_assert_not(fake.subscriber_reading);
    fake_lose_connection();
    cr_assert(fake.subscriber_reading, "suspended events are not in memory");
}

Test(consumer, a_new_connection_is_not_read_either)
{
    send_bytes(PREFETCH_BYTES);
    fake_lose_connection();
    consumer_pass(tick_us);
    fake.subscriber_reading = true;
    consumer_pass(US_PER_SECOND);
    consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, OK);
    cr_assert_not(fake.subscriber_reading);
    fake_open_channels();
    answer_kept(OK);
    cr_assert(fake.subscriber_reading);
}

/* The connection */

Test(consumer_life, consuming_is_shown_when_all_queues_are_consumed)
{
    struct broker_link_status shown;
    consumer_start();
    consumer_list_nothing();
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
    consumer_pass(tick_us);
    consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, OK);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(
            !broker_status_get(consumer_status, BROKER_ROLE_CONSUME, 0, &shown) || !shown.good);
        fake_open_one(i);
    }
    cr_assert(consumer_shown(BROKER_ROLE_CONSUME).good);
    fake_lose_one(CHANNEL_2, false);
    cr_assert_not(consumer_shown(BROKER_ROLE_CONSUME).good);
    fake_open_one(CHANNEL_2);
    cr_assert(consumer_shown(BROKER_ROLE_CONSUME).good);
    cr_assert(consumer_shown(BROKER_ROLE_KEEP).good, "nothing was dropped");
}

Test(consumer, a_lost_connection_is_dialled_again)
{
    fake_lose_connection();
    cr_assert_not(consumer_shown(BROKER_ROLE_CONSUME).good);
    consumer_pass(US_PER_SECOND);
    consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, ERR_CONNECT);
    cr_assert_str_eq(consumer_shown(BROKER_ROLE_CONSUME).why, "as the test says");
    consumer_pass(US_PER_SECOND);
    consumer_connect();
    cr_assert(consumer_shown(BROKER_ROLE_CONSUME).good);
}

Test(consumer, a_deleted_queue_has_all_queues_declared_again)
{
    fake_lose_one(CHANNEL_0, true);
    cr_assert_eq(fake.doubts, 1);
    cr_assert_not(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP));
    consumer_pass(tick_us);
    cr_assert(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP), "the check declares them");
    consumer_answer_dial(CONNECTOR_CHECK_OWNERSHIP, OK);
    consumer_pass(tick_us);
    cr_assert_not(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP), "once");
}

/* Ownership */

Test(consumer, the_ownership_is_checked_every_five_seconds)
{
    for (unsigned i = 0; i < 3; i++) {
        consumer_pass(ownership_us - tick_us);
        cr_assert_not(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP), "check %u is early", i);
        consumer_pass(tick_us);
        cr_assert(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP), "check %u is late", i);
        consumer_answer_dial(CONNECTOR_CHECK_OWNERSHIP, i == 1 ? ERR_CONNECT : OK);
    }
    cr_assert(fake.subscriber_open);
}

Test(consumer, a_check_that_is_not_answered_is_the_only_one)
{
    consumer_pass(60 * US_PER_SECOND); /* the fake connector takes one at a time */
    cr_assert(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP));
}

Test(consumer, a_deposed_gateway_closes_its_connection_and_asks_again_later)
{
    receive_event(CHANNEL_0, 5, 1);
    consumer_pass(ownership_us);
    consumer_answer_dial(CONNECTOR_CHECK_OWNERSHIP, ERR_NOT_OWNER);
    cr_assert_not(fake.subscriber_open);
    cr_assert_not(has_job(5, 0), "the other gateway delivers it");
    cr_assert_not(consumer_shown(BROKER_ROLE_CONSUME).good);
    consumer_pass(ownership_us - tick_us);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER), "too early");
    consumer_pass(tick_us);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER), "dial %u", i);
        consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, ERR_NOT_OWNER);
        cr_assert_not(fake.subscriber_open);
        consumer_pass(7 * US_PER_SECOND);
    }
    consumer_connect();
    cr_assert(consumer_shown(BROKER_ROLE_CONSUME).good);
}

Test(consumer, a_deposed_gateway_delivers_what_its_journal_owns)
{
    consumer_pass(ownership_us);
    consumer_answer_dial(CONNECTOR_CHECK_OWNERSHIP, ERR_NOT_OWNER);
    hand_over(9, ENDPOINT_FIRST, 1);
    cr_assert_eq(taken.handed_over, 1);
}

/* Handovers, and taps */

Test(consumer, a_handover_is_passed_on)
{
    hand_over(9, ENDPOINT_FIRST, 1);
    cr_assert_eq(taken.handed_over, 1);
    cr_assert_eq(taken.last_handed_over, placement_delivery(9, 0));
    hand_over(10, 0, 1);
    cr_assert_eq(taken.handed_over, 1);
    cr_assert_eq(taken.looked_again, 1, "no endpoint wants it");
}

Test(consumer_life, a_tap_gets_each_event_once)
{
    consumer_options.taps = true;
    consumer_start();
    consumer_list_nothing();
    consumer_pass(tick_us);
    consumer_connect();
    consumer_answer_dial(CONNECTOR_OPEN_TAP, OK);
    cr_assert(fake.tap_open);
    cr_assert(consumer_shown(BROKER_ROLE_TAP).good);
    struct message *message = message_of(0);
    fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    cr_assert_eq(fake.tapped, 1);
    cr_assert_arr_eq(&fake.last_tapped, &message->parts.id, sizeof fake.last_tapped);
    fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, false, 5, 1);
    cr_assert_eq(fake.tapped, 1, "it is not new");
    hand_over(6, ENDPOINT_FIRST, 3);
    cr_assert_eq(fake.tapped, 2);
    fake_lose_tap();
    cr_assert_not(consumer_shown(BROKER_ROLE_TAP).good);
    consumer_pass(US_PER_SECOND);
    consumer_answer_dial(CONNECTOR_OPEN_TAP, ERR_CONNECT);
    consumer_pass(US_PER_SECOND);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_TAP));
}

/* The end */

Test(consumer, a_stopping_consumer_takes_nothing_and_begins_nothing)
{
    receive_event(CHANNEL_0, 5, 1);
    consumer_stop();
    fake_send(CHANNEL_0, message_of(0));
    cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 0);
    consumer_pass(60 * US_PER_SECOND);
    cr_assert_eq(adopts(), 0);
    cr_assert_not(fake_is_dialled(CONNECTOR_CHECK_OWNERSHIP));
    fake_lose_connection();
    consumer_pass(US_PER_SECOND);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
}

Test(consumer, a_delivery_that_ends_while_the_consumer_stops_acks_its_message)
{
    struct message_tag tag = receive_event(CHANNEL_0, 5, 1);
    consumer_stop();
    end_job(5, 0, false);
    cr_assert(fake_is_acked(&tag));
}

Test(consumer, an_event_received_while_the_consumer_stops_gets_no_job)
{
    fake_send(CHANNEL_0, message_of(0));
    consumer_stop();
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    cr_assert_eq(taken.count, 0);
    cr_assert_eq(fake.acked, 0);
    cr_assert_eq(metrics_read(METRIC_SUSPENDED), 1);
}

Test(consumer, an_adoption_that_is_committed_while_the_consumer_stops_expects_nothing)
{
    taken.room = 0;
    struct message_tag tag = receive_event(CHANNEL_0, 5, 1);
    consumer_stop();
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.expected, 0, "the next run finds it in the journal");
}

Test(consumer, a_connection_that_comes_after_the_end_is_freed)
{
    fake_lose_connection();
    consumer_pass(US_PER_SECOND);
    consumer_stop();
    consumer_answer_dial(CONNECTOR_OPEN_SUBSCRIBER, OK);
    cr_assert_eq(fake.links_freed, 1);
    cr_assert_not(fake.subscriber_open);
}

static void leave_receiving(void)
{
    fake_send(CHANNEL_0, message_of(0));
}

static void leave_refused(void)
{
    leave_receiving();
    queue_answer(&receive_at(0)->request, ERR_DISK_FULL);
}

static void leave_refused_for_good(void)
{
    leave_refused();
    fake_lose_one(CHANNEL_0, true);
}

static void leave_broker_owned(void)
{
    receive_event(CHANNEL_0, 5, 2);
}

static void leave_started(void)
{
    receive_event(CHANNEL_0, 5, 2);
    start_job(5, 0);
    end_job(5, 1, false);
}

static void leave_adopting(void)
{
    taken.room = 1;
    receive_event(CHANNEL_0, 5, 2);
}

static void leave_adoption_refused(void)
{
    leave_adopting();
    answer_adopt(ERR_DISK_FULL);
}

static void leave_adopting_stale(void)
{
    leave_started();
    fake_lose_connection();
}

static void leave_suspended(void)
{
    receive_event(CHANNEL_0, 5, 1);
    fake_lose_one(CHANNEL_0, false);
}

static void leave_adopting_suspended(void)
{
    leave_suspended();
    fake_answer_depth(CHANNEL_0, 0, 1);
    fake_answer_depth(CHANNEL_0, 0, 1);
    consumer_pass(2 * US_PER_SECOND);
    cr_assert_eq(adopts(), 1);
}

static void leave_poison(void)
{
    send_bytes(10);
}

static void leave_poison_refused(void)
{
    send_bytes(10);
    answer_kept(ERR_DISK_FULL);
}

static void leave_ownership(void)
{
    consumer_pass(ownership_us);
}

static void leave_dialling(void)
{
    fake_lose_connection();
    consumer_pass(US_PER_SECOND);
}

static void (*const stages[])(void) = {leave_receiving, leave_refused, leave_refused_for_good,
    leave_broker_owned, leave_started, leave_adopting, leave_adoption_refused, leave_adopting_stale,
    leave_suspended, leave_adopting_suspended, leave_poison, leave_poison_refused, leave_ownership,
    leave_dialling};

Test(consumer_life, an_end_in_any_stage_leaves_nothing_behind)
{
    enum { AT_ONCE, ANSWERED, CLOSED, WAYS }; /* how the requests that are out are answered */
    for (unsigned i = 0; i < ARRAY_LENGTH(stages); i++) {
        for (int way = 0; way < WAYS; way++) {
            if (i + (unsigned)way > 0)
                consumer_prepare();
            consumer_start();
            consumer_list_nothing();
            consumer_pass(tick_us);
            consumer_connect();
            stages[i]();
            if (way != AT_ONCE)
                consumer_stop();
            if (way == CLOSED)
                event_source_close(source);
            for (unsigned n = queue_requests(JOURNAL_RECEIVE); way != AT_ONCE && n > 0; n--)
                answer_received(RECEIVED_BROKER_OWNED, true, 6, 1);
            if (way != AT_ONCE)
                queue_answer_all(OK);
            cr_assert_eq(way == CLOSED && fake.subscriber_open, 0);
            if (i + 1 < ARRAY_LENGTH(stages) || way + 1 < WAYS)
                consumer_end();
        }
    }
}

Test(consumer_life, an_end_before_the_last_run_is_listed_leaves_nothing_behind)
{
    consumer_options.taps = consumer_options.checks = true;
    consumer_start();
    consumer_pass(tick_us);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_TAP));
}
