/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_fixture.h"

TestSuite(poison, .init = consumer_begin, .fini = consumer_end);

static const int64_t retry_us = US_PER_SECOND + 100 * US_PER_MS;

static struct journal_keep_poison *keep_at(unsigned index)
{
    return CONTAINER_OF(
        queue_request(JOURNAL_KEEP_POISON, index), struct journal_keep_poison, request);
}

static unsigned keeps(void)
{
    return queue_requests(JOURNAL_KEEP_POISON);
}

static struct message_tag send_poison(unsigned channel)
{
    struct message *message = message_of(0);
    message->is_event = false;
    message->why_not = "its format is unknown";
    message->message_id = SLICE_LITERAL("strange");
    message->headers_json = SLICE_LITERAL("{\"format\": 9}");
    message->body = SLICE_LITERAL("what is this");
    message->body_bytes = 5000;
    return fake_send(channel, message);
}

Test(poison, a_message_is_kept_with_its_bytes_and_the_reason_and_then_acked)
{
    struct message_tag tag = send_poison(CHANNEL_2);
    const struct journal_keep_poison *keep = keep_at(0);
    cr_assert_str_eq(keep->queue, "penstock.deliver.4.2");
    cr_assert_str_eq(keep->reason, "its format is unknown");
    cr_assert_str_eq(keep->message_id, "strange");
    cr_assert(slice_equals_string(keep->headers, "{\"format\": 9}"));
    cr_assert(slice_equals_string(keep->body, "what is this"));
    cr_assert_eq(keep->body_bytes, 5000, "it was cut");
    cr_assert_eq(fake.acked, 0);
    answer_kept(OK);
    cr_assert_eq(fake.acked, 1);
    cr_assert(fake_is_acked(&tag));
    cr_assert_eq(metrics_read(METRIC_RECEIVED_POISON), 1);
    cr_assert_eq(queue_requests(JOURNAL_RECEIVE), 0);
}

Test(poison, a_message_that_the_journal_refuses_is_tried_again_every_second)
{
    struct message_tag first = send_poison(CHANNEL_0), second = send_poison(CHANNEL_0);
    for (unsigned i = 0; i < 3; i++) {
        answer_kept(ERR_DISK_FULL);
        answer_kept(ERR_DISK_FULL);
        cr_assert_eq(keeps(), 0);
        consumer_pass(retry_us);
        cr_assert_eq(keeps(), 2);
    }
    cr_assert_eq(fake.acked, 0);
    answer_kept(OK);
    cr_assert(fake_is_acked(&first));
    cr_assert_not(fake_is_acked(&second));
    answer_kept(OK);
    cr_assert(fake_is_acked(&second));
    consumer_pass(retry_us);
    cr_assert_eq(keeps(), 0);
    cr_assert_eq(metrics_read(METRIC_RECEIVED_POISON), 2, "each counts once");
}

Test(poison, a_refused_message_of_a_lost_channel_is_forgotten_since_it_comes_again)
{
    send_poison(CHANNEL_0);
    struct message_tag other = send_poison(CHANNEL_2);
    answer_kept(ERR_DISK_FULL);
    answer_kept(ERR_DISK_FULL);
    fake_lose_one(CHANNEL_0, false);
    consumer_pass(retry_us);
    cr_assert_eq(keeps(), 1, "that of the other channel");
    answer_kept(OK);
    cr_assert(fake_is_acked(&other));
}

Test(poison, a_refused_message_of_a_deleted_queue_is_tried_again)
{
    send_poison(CHANNEL_0);
    answer_kept(ERR_DISK_FULL);
    fake_lose_one(CHANNEL_0, true);
    consumer_pass(retry_us);
    cr_assert_eq(keeps(), 1, "it is the only copy");
    answer_kept(OK);
    cr_assert_eq(fake.acked, 0);
}

Test(poison, a_message_whose_channel_is_lost_before_it_is_kept_is_not_acked)
{
    send_poison(CHANNEL_0);
    fake_lose_one(CHANNEL_0, false);
    fake_open_one(CHANNEL_0);
    answer_kept(OK);
    cr_assert_eq(fake.acked, 0);
    struct message_tag again = send_poison(CHANNEL_0);
    answer_kept(OK);
    cr_assert(fake_is_acked(&again));
}
