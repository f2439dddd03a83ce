/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels of a subscriber without a connection: sent frames are dropped, and the test makes the
 * received ones.
 */
#include "broker/subscriber_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/reply.h"

#include <criterion/criterion.h>

#define CHANNELS 2

static const char *const queues[CHANNELS] = {"penstock.deliver.2.0", "penstock.deliver.2.1"};
static struct subscriber *subscriber;
static struct message_tag last_tag;
static unsigned messages, opened, lost;
static size_t last_len;
static uint64_t last_bytes;
static char last_begin, last_end;
static uint32_t lost_generation;
static bool lost_is_gone, last_redelivered;

static void on_message(void *context, const struct message_tag *tag, const struct message *message)
{
    messages++;
    last_tag = *tag;
    last_len = message->body.len;
    last_bytes = message->body_bytes;
    last_redelivered = message->redelivered;
    last_begin = last_len ? message->body.data[0] : 0;
    last_end = last_len ? message->body.data[last_len - 1] : 0;
}

static void on_channel_lost(
    void *context, unsigned channel, uint32_t generation, bool is_gone, const char *why)
{
    lost++;
    lost_generation = generation;
    lost_is_gone = is_gone;
}

static void on_channel_open(void *context, unsigned channel, uint32_t generation)
{
    opened++;
}

static void on_lost(void *context, const char *why)
{
    cr_assert_fail("there is no connection");
}

static void set_up(void)
{
    static struct broker_host host;
    struct subscriber_options options = {
        .queues_count = CHANNELS, .queues = queues, .prefetch = 100};
    struct subscriber_listener listener = {.on_message = on_message,
        .on_channel_lost = on_channel_lost,
        .on_channel_open = on_channel_open,
        .on_lost = on_lost};
    subscriber = subscriber_new(&host, &options, &listener);
}

static void tear_down(void)
{
    subscriber_free(subscriber);
}

static void take_method(unsigned index, amqp_method_number_t id, void *method)
{
    amqp_frame_t frame = {
        .frame_type = AMQP_FRAME_METHOD, .payload.method = {.id = id, .decoded = method}};
    subscriber_channel_take_frame(&subscriber->channels[index], &frame);
}

static void take_header(unsigned index, uint64_t body_bytes)
{
    static unsigned char no_properties[2];
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER,
        .payload.properties = {.body_size = body_bytes, .raw = {.len = 2, .bytes = no_properties}}};
    subscriber_channel_take_frame(&subscriber->channels[index], &frame);
}

static void take_body(unsigned index, char *bytes, size_t len)
{
    amqp_frame_t frame = {
        .frame_type = AMQP_FRAME_BODY, .payload.body_fragment = {.len = len, .bytes = bytes}};
    subscriber_channel_take_frame(&subscriber->channels[index], &frame);
}

static void deliver(unsigned index, uint64_t number)
{
    take_method(index, AMQP_BASIC_DELIVER_METHOD, &(amqp_basic_deliver_t){.delivery_tag = number});
}

static void open_channel(unsigned index)
{
    subscriber_channel_open(&subscriber->channels[index]);
    take_method(index, AMQP_CHANNEL_OPEN_OK_METHOD, &(amqp_channel_open_ok_t){0});
    take_method(index, AMQP_BASIC_QOS_OK_METHOD, &(amqp_basic_qos_ok_t){0});
    take_method(index, AMQP_BASIC_CONSUME_OK_METHOD, &(amqp_basic_consume_ok_t){0});
}

static void close_channel(unsigned index, uint16_t code)
{
    take_method(index, AMQP_CHANNEL_CLOSE_METHOD,
        &(amqp_channel_close_t){
            .reply_code = code, .reply_text = amqp_cstring_bytes("the broker's words")});
}

TestSuite(subscriber_channel, .init = set_up, .fini = tear_down);

Test(subscriber_channel, body_is_joined_from_its_frames)
{
    char bytes[] = "abcdef";
    open_channel(0);
    cr_expect_eq(opened, 1);
    cr_expect_eq(subscriber_channels_consuming(subscriber), 1);
    take_method(
        0, AMQP_BASIC_DELIVER_METHOD, &(amqp_basic_deliver_t){.delivery_tag = 1, .redelivered = 1});
    take_header(0, 6);
    take_body(0, bytes, 2);
    take_body(0, bytes + 2, 3);
    cr_expect_eq(messages, 0);
    take_body(0, bytes + 5, 1);
    cr_expect_eq(messages, 1);
    cr_expect(last_len == 6 && last_begin == 'a' && last_end == 'f' && last_redelivered);
    deliver(0, 2);
    take_header(0, 6);
    take_body(0, bytes, 6);
    cr_expect(messages == 2 && last_len == 6 && last_end == 'f' && !last_redelivered, "one frame");
    deliver(0, 3);
    take_header(0, 0);
    cr_expect(messages == 3 && last_len == 0, "no body");
}

Test(subscriber_channel, channels_are_independent)
{
    char first[] = "aaaa", second[] = "bbbbbb";
    open_channel(0);
    open_channel(1);
    deliver(0, 1);
    take_header(0, 4);
    deliver(1, 1);
    take_body(0, first, 2);
    take_header(1, 6);
    take_body(1, second, 6);
    cr_expect(messages == 1 && last_tag.channel == 1 && last_len == 6 && last_end == 'b');
    take_body(0, first + 2, 2);
    cr_expect(messages == 2 && last_tag.channel == 0 && last_len == 4 && last_end == 'a');
}

Test(subscriber_channel, too_large_body_is_cut_and_marked)
{
    static char part[100000];
    uint64_t bytes = BROKER_BODY_BYTES_MAX + 3 * sizeof part;
    open_channel(0);
    deliver(0, 1);
    take_header(0, bytes);
    for (uint64_t came = 0; came < bytes; came += sizeof part)
        take_body(0, part, bytes - came < sizeof part ? bytes - came : sizeof part);
    cr_expect_eq(messages, 1);
    cr_expect_eq(last_len, BROKER_BODY_BYTES_MAX);
    cr_expect_eq(last_bytes, bytes);
}

Test(subscriber_channel, tags_of_an_earlier_opening_are_ignored)
{
    open_channel(0);
    deliver(0, 1);
    take_header(0, 0);
    struct message_tag old = last_tag;
    cr_expect(message_tag_is_current(subscriber, &old));
    close_channel(0, 541);
    cr_expect(lost == 1 && lost_generation == old.generation && !lost_is_gone);
    cr_expect(!message_tag_is_current(subscriber, &old));
    open_channel(0);
    deliver(0, 1);
    take_header(0, 0);
    cr_expect_gt(last_tag.generation, old.generation);
    subscriber_ack(subscriber, &old);
    cr_expect_eq(tag_window_out(&subscriber->channels[0].tags), 1);
    subscriber_ack(subscriber, &last_tag);
    subscriber_channel_send_ack(&subscriber->channels[0]);
    cr_expect_eq(tag_window_out(&subscriber->channels[0].tags), 0);
}

Test(subscriber_channel, missing_queue_is_reported_as_gone)
{
    subscriber_channel_open(&subscriber->channels[0]);
    close_channel(0, BROKER_CODE_NOT_FOUND);
    cr_expect(lost == 1 && lost_is_gone && opened == 0, "an opening that fails");
    open_channel(0);
    take_method(0, AMQP_BASIC_CANCEL_METHOD, &(amqp_basic_cancel_t){0});
    cr_expect(lost == 2 && lost_is_gone, "a subscriber that is cancelled");
    cr_expect_eq(subscriber_channels_consuming(subscriber), 0);
}

Test(subscriber_channel, frames_are_ignored_while_it_closes)
{
    open_channel(0);
    take_method(0, AMQP_BASIC_CANCEL_METHOD, &(amqp_basic_cancel_t){0});
    deliver(0, 1);
    take_header(0, 0);
    close_channel(0, 541);
    cr_expect(messages == 0 && lost == 1);
    cr_expect_eq(subscriber->channels[0].state, CHANNEL_CLOSING, "until its own close is answered");
    take_method(0, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    cr_expect_eq(subscriber->channels[0].state, CHANNEL_CLOSED);
}

Test(subscriber_channel, waits_longer_after_each_failure)
{
    static const int seconds[] = {1, 2, 4, 5, 5};
    for (size_t i = 0; i < ARRAY_LENGTH(seconds); i++) {
        subscriber_channel_open(&subscriber->channels[0]);
        close_channel(0, 541);
        int64_t wait_us = subscriber->channels[0].reopen_mono_us - clock_mono_us();
        cr_expect_leq(wait_us, seconds[i] * US_PER_SECOND * 12 / 10);
        cr_expect_geq(
            wait_us, seconds[i] * US_PER_SECOND * 8 / 10 - US_PER_SECOND / 10, "%d s", seconds[i]);
    }
    open_channel(0);
    close_channel(0, 541);
    cr_expect_leq(subscriber->channels[0].reopen_mono_us - clock_mono_us(), US_PER_SECOND * 12 / 10,
        "it had worked");
}

Test(subscriber_channel, lost_connection_is_reported_for_consuming_channels)
{
    open_channel(0);
    subscriber_channel_open(&subscriber->channels[1]);
    for (unsigned i = 0; i < CHANNELS; i++)
        subscriber_channel_drop(&subscriber->channels[i]);
    for (unsigned i = 0; i < CHANNELS; i++)
        subscriber_channel_tell_loss(&subscriber->channels[i], false, "");
    cr_expect_eq(lost, 1);
    cr_expect_eq(lost_generation, 1);
    open_channel(0);
    cr_expect_eq(subscriber->channels[0].generation, 2, "generations go on over connections");
}
