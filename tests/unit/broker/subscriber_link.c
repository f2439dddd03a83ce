/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber on a connection: what it sends to the broker. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/reply.h"
#include "broker/subscriber_internal.h"
#include "peer.h"

static const char *const queues[] = {"penstock.deliver.1.0"};
static struct manual_host host;
static struct peer peer;
static struct subscriber *subscriber;
static struct message_tag tags[64];
static unsigned messages, channels_lost, connections_lost, depth;
static bool closes_on_message;

static void on_message(void *context, const struct message_tag *tag, const struct message *message)
{
    cr_assert_lt(messages, ARRAY_LENGTH(tags));
    tags[messages++] = *tag;
    if (closes_on_message)
        subscriber_close(subscriber);
}

static void on_channel_lost(
    void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    channels_lost++;
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
}

static void on_lost(void *context, const char *why)
{
    cr_expect_eq(channels_lost, 1, "the channels' loss is told first");
    connections_lost++;
}

static void on_depth(void *context, unsigned channel, uint32_t messages_ready, uint32_t consumers)
{
    depth = messages_ready;
}

static void hear_method(amqp_method_number_t id, amqp_frame_t *ret_frame)
{
    cr_assert(peer_hear(&peer, ret_frame), "0x%x was to come", id);
    cr_assert_eq(ret_frame->frame_type, AMQP_FRAME_METHOD);
    cr_assert_eq(
        ret_frame->payload.method.id, id, "0x%x and not 0x%x", ret_frame->payload.method.id, id);
}

static void hear_ack(uint64_t number)
{
    amqp_frame_t frame;
    hear_method(AMQP_BASIC_ACK_METHOD, &frame);
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    cr_expect(
        ack->delivery_tag == number && ack->multiple, "%lu", (unsigned long)ack->delivery_tag);
}

static void hear_nothing(void)
{
    amqp_frame_t frame;
    cr_expect(!peer_hear(&peer, &frame));
}

static void say_messages(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++) {
        amqp_basic_properties_t properties = {0};
        peer_say(
            &peer, 1, AMQP_BASIC_DELIVER_METHOD, &(amqp_basic_deliver_t){.delivery_tag = number});
        amqp_frame_t header = {.frame_type = AMQP_FRAME_HEADER,
            .channel = 1,
            .payload.properties = {.class_id = AMQP_BASIC_CLASS, .decoded = &properties}};
        cr_assert_eq(amqp_send_frame(peer.connection, &header), AMQP_STATUS_OK);
    }
    manual_host_turn(&host);
}

static void set_up(void)
{
    struct subscriber_options options = {.queues_count = 1, .queues = queues, .prefetch = 32};
    struct subscriber_listener listener = {.on_message = on_message,
        .on_channel_lost = on_channel_lost,
        .on_channel_open = on_channel_open,
        .on_lost = on_lost,
        .on_depth = on_depth};
    amqp_frame_t frame;
    manual_host_init(&host);
    subscriber = subscriber_new(&host.host, &options, &listener);
    cr_assert_eq(subscriber_open(subscriber, peer_begin(&peer)), OK);
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_OPEN_METHOD, &frame);
    hear_method(AMQP_BASIC_QOS_METHOD, &frame);
    cr_assert_eq(((amqp_basic_qos_t *)frame.payload.method.decoded)->prefetch_count, 32);
    hear_method(AMQP_BASIC_CONSUME_METHOD, &frame);
    cr_assert_not(((amqp_basic_consume_t *)frame.payload.method.decoded)->no_ack);
    peer_say(&peer, 1, AMQP_BASIC_CONSUME_OK_METHOD, &(amqp_basic_consume_ok_t){0});
    manual_host_turn(&host);
    cr_assert_eq(subscriber_channels_consuming(subscriber), 1);
}

static void tear_down(void)
{
    subscriber_free(subscriber);
    peer_end(&peer);
}

TestSuite(subscriber_link, .init = set_up, .fini = tear_down);

Test(subscriber_link, one_ack_covers_all_messages_before_the_first_open_one)
{
    say_messages(1, 5);
    cr_assert_eq(messages, 5);
    subscriber_ack(subscriber, &tags[2]);
    subscriber_ack(subscriber, &tags[1]);
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_nothing();
    subscriber_ack(subscriber, &tags[0]);
    manual_host_turn(&host);
    hear_nothing();
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_ack(3);
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_nothing();
}

Test(subscriber_link, ack_is_sent_at_once_when_an_eighth_of_the_prefetch_is_ended)
{
    say_messages(1, 8);
    for (unsigned i = 0; i < 4; i++)
        subscriber_ack(subscriber, &tags[i]);
    manual_host_turn(&host);
    hear_ack(4);
    subscriber_ack(subscriber, &tags[4]);
    say_messages(9, 9);
    hear_ack(5); /* after a reading */
}

Test(subscriber_link, ended_messages_are_acked_before_the_close)
{
    amqp_frame_t frame;
    say_messages(1, 2);
    subscriber_ack(subscriber, &tags[0]);
    subscriber_close(subscriber);
    cr_expect(channels_lost == 1 && connections_lost == 0);
    hear_ack(1);
    hear_method(AMQP_CONNECTION_CLOSE_METHOD, &frame);
    cr_expect(!message_tag_is_current(subscriber, &tags[1]));
    subscriber_ack(subscriber, &tags[1]);
}

Test(subscriber_link, may_be_closed_in_on_message)
{
    closes_on_message = true;
    say_messages(1, 3);
    cr_expect(messages == 1 && channels_lost == 1, "what was read with it comes to nobody");
    cr_expect(!subscriber_is_open(subscriber));
}

Test(subscriber_link, close_is_answered_and_the_channel_opened_again)
{
    amqp_frame_t frame;
    peer_say(&peer, 1, AMQP_CHANNEL_CLOSE_METHOD,
        &(amqp_channel_close_t){
            .reply_code = BROKER_CODE_NOT_FOUND, .reply_text = amqp_cstring_bytes("NOT_FOUND")});
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_CLOSE_OK_METHOD, &frame);
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_nothing();
    subscriber_tick(subscriber, clock_mono_us() + 2 * US_PER_SECOND);
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_OPEN_METHOD, &frame);
}

Test(subscriber_link, cancelled_channel_is_closed)
{
    amqp_frame_t frame;
    peer_say(&peer, 1, AMQP_BASIC_CANCEL_METHOD,
        &(amqp_basic_cancel_t){.consumer_tag = amqp_cstring_bytes("penstock")});
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_CLOSE_METHOD, &frame);
    subscriber_tick(subscriber, clock_mono_us() + 2 * US_PER_SECOND);
    manual_host_turn(&host);
    hear_nothing(); /* until the broker answers the close */
    peer_say(&peer, 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    manual_host_turn(&host);
    subscriber_tick(subscriber, clock_mono_us() + 2 * US_PER_SECOND);
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_OPEN_METHOD, &frame);
}

Test(subscriber_link, quiet_channel_is_reopened_without_a_report)
{
    amqp_frame_t frame;
    unsigned lost_before = channels_lost;
    subscriber->channels[0].since_mono_us -= 31 * US_PER_SECOND;
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_CLOSE_METHOD, &frame);
    peer_say(&peer, 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    manual_host_turn(&host);
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_method(AMQP_CHANNEL_OPEN_METHOD, &frame);
    cr_expect_eq(channels_lost, lost_before);
}

Test(subscriber_link, quiet_channel_with_an_open_message_is_not_reopened)
{
    say_messages(1, 1);
    subscriber->channels[0].since_mono_us -= 31 * US_PER_SECOND;
    subscriber_tick(subscriber, clock_mono_us());
    manual_host_turn(&host);
    hear_nothing();
}

Test(subscriber_link, depth_is_asked_without_declaring_a_queue)
{
    amqp_frame_t frame;
    subscriber_ask_depth(subscriber, 0);
    manual_host_turn(&host);
    hear_method(AMQP_QUEUE_DECLARE_METHOD, &frame);
    cr_expect(((amqp_queue_declare_t *)frame.payload.method.decoded)->passive);
    peer_say(&peer, 1, AMQP_QUEUE_DECLARE_OK_METHOD,
        &(amqp_queue_declare_ok_t){
            .queue = amqp_cstring_bytes(queues[0]), .message_count = 7, .consumer_count = 1});
    manual_host_turn(&host);
    cr_expect_eq(depth, 7);
}

Test(subscriber_link, lost_connection_loses_all_channels)
{
    say_messages(1, 1);
    peer_end(&peer);
    manual_host_turn(&host);
    cr_expect(channels_lost == 1 && connections_lost == 1);
    cr_expect(!subscriber_is_open(subscriber) && !message_tag_is_current(subscriber, &tags[0]));
    subscriber_ack(subscriber, &tags[0]);
    subscriber_tick(subscriber, clock_mono_us());
}
