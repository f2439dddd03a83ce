/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker dropped from a queue, and brings again from another one. */
#include "consumer_fixture.h"

TestSuite(drops, .init = consumer_begin, .fini = consumer_end);

static const int64_t tick_us = 100 * US_PER_MS;

static struct message_tag send_dropped(void)
{
    struct message *message = message_of(2);
    message->death_queue = SLICE_LITERAL("penstock.deliver.4.2");
    message->death_reason = SLICE_LITERAL("maxlen");
    return fake_send(CHANNEL_DROPPED_2, message);
}

Test(drops, a_dropped_event_is_adopted_by_the_journal_at_once)
{
    struct message_tag tag = send_dropped();
    cr_assert_eq(receive_at(0)->park_as, PARK_NONE);
    answer_received(RECEIVED_BROKER_OWNED, true, 5, 2);
    cr_assert_eq(taken.count, 0);
    cr_assert_eq(adopts(), 1);
    answer_adopt(OK);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(taken.expected, 2);
}

Test(drops, dropped_events_are_shown_until_none_is_dropped_for_ten_minutes)
{
    send_dropped();
    cr_assert_eq(metrics_read(METRIC_DROPPED), 1);
    consumer_pass(tick_us);
    struct broker_link_status shown = consumer_shown(BROKER_ROLE_KEEP);
    cr_assert_not(shown.good);
    cr_assert(strstr(shown.why, "1 were dropped from queues such as penstock.deliver.4.2 (maxlen)"),
        "%s", shown.why);
    consumer_pass(300 * US_PER_SECOND);
    send_dropped();
    consumer_pass(600 * US_PER_SECOND - tick_us);
    shown = consumer_shown(BROKER_ROLE_KEEP);
    cr_assert_not(shown.good);
    cr_assert(strstr(shown.why, "2 were dropped"), "%s", shown.why);
    consumer_pass(2 * tick_us);
    cr_assert(consumer_shown(BROKER_ROLE_KEEP).good);
}

Test(drops, the_board_is_renewed_at_most_once_a_minute)
{
    send_dropped();
    consumer_pass(tick_us);
    send_dropped();
    consumer_pass(59 * US_PER_SECOND);
    cr_assert(strstr(consumer_shown(BROKER_ROLE_KEEP).why, "1 were dropped"));
    consumer_pass(US_PER_SECOND);
    cr_assert(strstr(consumer_shown(BROKER_ROLE_KEEP).why, "2 were dropped"));
}

Test(drops, a_message_that_does_not_say_what_dropped_it_is_of_its_own_queue)
{
    fake_send(CHANNEL_DROPPED_0, message_of(0));
    consumer_pass(tick_us);
    cr_assert(strstr(consumer_shown(BROKER_ROLE_KEEP).why, "penstock.dropped.4.0 (unknown)"), "%s",
        consumer_shown(BROKER_ROLE_KEEP).why);
}
