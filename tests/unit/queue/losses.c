/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker confirmed, and whether all of it has come. */
#include "consumer_fixture.h"

static void begin(void)
{
    consumer_prepare();
    consumer_options.checks = true;
    consumer_start();
    consumer_list_nothing();
}

static const int64_t tick_us = 100 * US_PER_MS;

static struct journal_check_confirmed *check(void)
{
    return CONTAINER_OF(
        queue_request(JOURNAL_CHECK_CONFIRMED, 0), struct journal_check_confirmed, request);
}

static unsigned checks(void)
{
    return queue_requests(JOURNAL_CHECK_CONFIRMED);
}

static void answer_check(bool known, int64_t next_offset)
{
    for (unsigned i = 0; i < check()->count; i++)
        check()->ret_known[i] = known;
    check()->ret_next_offset = next_offset;
    queue_answer(&check()->request, OK);
}

/* The stream is read from its 40th list on. */
static void begin_connected(void)
{
    begin();
    consumer_pass(tick_us);
    answer_check(true, 40);
    consumer_pass(tick_us);
    consumer_connect();
}

TestSuite(losses_life, .init = begin, .fini = consumer_end);
TestSuite(losses, .init = begin_connected, .fini = consumer_end);

static struct message_tag send_list(int64_t offset, const struct event_id *ids, unsigned count)
{
    struct message message = {
        .body = slice_of((const char *)ids, count * sizeof *ids), .stream_offset = offset};
    return fake_send(CHANNEL_CONFIRMED, &message);
}

static struct event_id id_of(unsigned partition)
{
    return message_of(partition)->parts.id;
}

/* Waits for a question of this kind, about one event. */
static void expect_question(const struct event_id *id, bool judge)
{
    for (unsigned i = 0; checks() == 0 && i < 100; i++)
        consumer_pass(tick_us);
    cr_assert_eq(check()->count, 1);
    cr_assert_eq(check()->judge, judge);
    cr_assert_arr_eq(&check()->ids[0], id, sizeof *id);
}

/* All queues are empty, and consumed by us alone, each time their depth is asked for. */
static void pass_with_empty_queues(int64_t us)
{
    unsigned answered[FAKE_CHANNELS_MAX];
    for (unsigned i = 0; i < FAKE_CHANNELS_MAX; i++)
        answered[i] = fake.channels[i].depth_asked;
    for (; us > 0; us -= tick_us) {
        consumer_pass(tick_us);
        for (unsigned i = 0; i < CHANNEL_CONFIRMED; i++)
            for (; answered[i] < fake.channels[i].depth_asked; answered[i]++)
                fake_answer_depth(i, 0, 1);
    }
}

Test(losses_life, consuming_begins_when_it_is_known_where_the_stream_is_read_from)
{
    consumer_pass(tick_us);
    cr_assert_eq(check()->count, 0);
    cr_assert_eq(check()->next_offset, -1);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
    queue_answer(&check()->request, ERR_DISK);
    consumer_pass(US_PER_SECOND);
    cr_assert_not(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
    answer_check(true, 40);
    cr_assert_eq(fake.channels[CHANNEL_CONFIRMED].offset, 39, "the last known list comes again");
    consumer_pass(tick_us);
    cr_assert(fake_is_dialled(CONNECTOR_OPEN_SUBSCRIBER));
}

Test(losses, a_list_of_events_that_have_come_is_acked_without_a_question)
{
    struct message *message = message_of(0);
    struct event_id ids[] = {message->parts.id, id_of(1)}; /* the latter is another shard's */
    fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    struct message_tag tag = send_list(40, ids, 2);
    cr_assert_eq(fake.acked, 0);
    consumer_pass(US_PER_SECOND);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(fake.channels[CHANNEL_CONFIRMED].offset, 40);
    cr_assert_eq(check()->count, 0, "it stores the offset, and asks about none");
}

Test(losses, an_event_that_comes_later_ends_its_list)
{
    struct message *message = message_of(0);
    struct message_tag tag = send_list(40, &message->parts.id, 1);
    consumer_pass(US_PER_SECOND);
    fake_send(CHANNEL_0, message);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 1);
    consumer_pass(3 * US_PER_SECOND);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(check()->count, 0);
}

Test(losses, the_journal_is_asked_about_an_event_that_does_not_come_within_two_seconds)
{
    struct event_id id = id_of(0);
    struct message_tag tag = send_list(40, &id, 1);
    consumer_pass(US_PER_SECOND);
    cr_assert_eq(checks(), 0);
    expect_question(&id, false);
    answer_check(true, 40);
    consumer_pass(US_PER_SECOND);
    cr_assert(fake_is_acked(&tag));
}

Test(losses, an_event_that_neither_the_journal_nor_the_broker_has_is_lost)
{
    struct event_id id = id_of(0);
    int64_t began_us = clock_mono_us();
    struct message_tag tag = send_list(40, &id, 1);
    expect_question(&id, false);
    answer_check(false, 40);
    for (unsigned i = 0; i < 100 && (checks() == 0 || !check()->judge); i++) {
        if (checks() > 0)
            answer_check(false, 40);
        pass_with_empty_queues(tick_us);
    }
    expect_question(&id, true);
    cr_assert_geq(clock_mono_us() - began_us, 10 * US_PER_SECOND);
    cr_assert_eq(fake.acked, 0);
    answer_check(false, 40);
    cr_assert_eq(metrics_read(METRIC_LOST), 1);
    cr_assert_not(consumer_shown(BROKER_ROLE_KEEP).good);
    consumer_pass(US_PER_SECOND);
    cr_assert(fake_is_acked(&tag), "it is judged");
}

Test(losses, an_event_that_may_still_come_is_not_judged)
{
    enum { DEPTH_UNKNOWN, NOT_EMPTY, ANOTHER_CONSUMER, REFUSED, WAYS };
    for (int way = 0; way < WAYS; way++) {
        if (way > 0)
            begin_connected();
        struct event_id id = id_of(0);
        send_list(40, &id, 1);
        if (way == REFUSED) {
            fake_send(CHANNEL_0, message_of(0));
            queue_answer(&receive_at(0)->request, ERR_DISK_FULL);
        }
        unsigned questions = 0;
        for (unsigned i = 0; i < 300; i++) {
            if (way == REFUSED)
                pass_with_empty_queues(tick_us);
            else
                consumer_pass(tick_us);
            for (unsigned c = 0; c < CHANNEL_CONFIRMED && way != DEPTH_UNKNOWN; c++)
                if (way != REFUSED && fake.channels[c].depth_asked)
                    fake_answer_depth(c, way == NOT_EMPTY && c == 1, way == NOT_EMPTY ? 1 : 2);
            if (queue_requests(JOURNAL_RECEIVE))
                queue_answer(&receive_at(0)->request, ERR_DISK_FULL);
            if (checks() == 0)
                continue;
            questions++;
            cr_assert_not(check()->judge, "way %d", way);
            answer_check(false, 40);
        }
        cr_assert_geq(questions, 5);
        cr_assert_eq(metrics_read(METRIC_LOST), 0);
        if (way + 1 < WAYS)
            consumer_end();
    }
}

Test(losses, the_offset_is_stored_every_half_a_minute_when_it_has_moved)
{
    struct event_id id = id_of(1);
    send_list(39, &id, 1); /* the last one that was known */
    consumer_pass(60 * US_PER_SECOND);
    cr_assert_eq(checks(), 0);
    send_list(40, &id, 1);
    consumer_pass(2 * US_PER_SECOND);
    cr_assert_eq(check()->count, 0);
    cr_assert_eq(check()->next_offset, 41);
    answer_check(true, 41);
    send_list(41, &id, 1);
    consumer_pass(28 * US_PER_SECOND);
    cr_assert_eq(checks(), 0);
    consumer_pass(2 * US_PER_SECOND);
    cr_assert_eq(check()->next_offset, 42);
}

Test(losses, lists_of_a_lost_channel_are_forgotten_and_read_again)
{
    struct event_id id = id_of(0);
    send_list(40, &id, 1);
    fake_lose_one(CHANNEL_CONFIRMED, false);
    consumer_pass(5 * US_PER_SECOND);
    cr_assert_eq(checks(), 0);
    cr_assert_eq(fake.channels[CHANNEL_CONFIRMED].offset, 39);
    fake_open_one(CHANNEL_CONFIRMED);
    send_list(40, &id, 1);
    expect_question(&id, false);
}

Test(losses, a_stream_that_does_not_bring_its_last_list_again_is_another_one)
{
    consumer_pass(21 * US_PER_SECOND);
    cr_assert_eq(fake.channels[CHANNEL_CONFIRMED].offset, 0, "it is read from its beginning");
    cr_assert_eq(metrics_read(METRIC_UNCHECKED), 1);
}

Test(losses, a_stream_that_brings_its_last_list_again_is_the_same)
{
    struct event_id id = id_of(1);
    send_list(39, &id, 1);
    consumer_pass(60 * US_PER_SECOND);
    cr_assert_eq(metrics_read(METRIC_UNCHECKED), 0);
    cr_assert_eq(fake.channels[CHANNEL_CONFIRMED].offset, 39);
}
