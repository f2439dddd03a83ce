/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/confirmed_ids.h"

#include "base/clock.h"
#include "broker/message_internal.h"
#include "runtime/metrics.h"

#define SEND_EVERY_US US_PER_SECOND
#define ANSWER_US_MAX (30 * US_PER_SECOND)
#define MESSAGE_IDS_MAX 2048
#define MESSAGE_BYTES_MAX (MESSAGE_IDS_MAX * sizeof(struct event_id))

void confirmed_done(struct confirmed *confirmed)
{
    buffer_done(&confirmed->waiting);
    buffer_done(&confirmed->sent);
}

static void add(struct confirmed *confirmed, struct slice ids)
{
    if (confirmed->waiting.len + ids.len > CONFIRMED_BYTES_MAX) {
        metrics_add(METRIC_UNCHECKED, 1);
        return;
    }
    buffer_add_slice(&confirmed->waiting, ids);
    if (buffer_status(&confirmed->waiting)) {
        buffer_done(&confirmed->waiting);
        metrics_add(METRIC_UNCHECKED, 1);
    }
}

void confirmed_add(struct confirmed *confirmed, const struct event_id *id, int64_t now_mono_us)
{
    if (confirmed->waiting.len == 0 && confirmed->sent.len == 0)
        confirmed->since_mono_us = now_mono_us;
    add(confirmed, slice_of((const char *)id->bytes, sizeof id->bytes));
}

static void put_back(struct confirmed *confirmed)
{
    add(confirmed, buffer_slice(&confirmed->sent));
    buffer_clear(&confirmed->sent);
}

static void open_channel(struct confirmed *confirmed, struct broker_link *link)
{
    broker_link_put_method(link, CONFIRMED_CHANNEL, AMQP_CHANNEL_OPEN_METHOD,
        &(amqp_channel_open_t){.out_of_band = amqp_empty_bytes});
    broker_link_put_method(
        link, CONFIRMED_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &(amqp_confirm_select_t){0});
    confirmed->channel_is_open = true;
    confirmed->tag = 0;
}

/* Moves the first of the waiting ids to `sent` and publishes them. */
static void send_some(struct confirmed *confirmed, struct broker_link *link)
{
    size_t len =
        confirmed->waiting.len < MESSAGE_BYTES_MAX ? confirmed->waiting.len : MESSAGE_BYTES_MAX;
    buffer_clear(&confirmed->sent);
    buffer_add(&confirmed->sent, confirmed->waiting.data, len);
    if (buffer_status(&confirmed->sent))
        return;
    memmove(confirmed->waiting.data, confirmed->waiting.data + len, confirmed->waiting.len - len);
    confirmed->waiting.len -= len;
    if (!confirmed->channel_is_open)
        open_channel(confirmed, link);
    const amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_APP_ID_FLAG | AMQP_BASIC_TYPE_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .app_id = amqp_cstring_bytes(MESSAGE_APP_ID),
        .type = amqp_cstring_bytes("confirmed"),
    };
    const amqp_basic_publish_t method = {
        .routing_key = amqp_cstring_bytes(BROKER_CONFIRMED_STREAM), .mandatory = 1};
    broker_link_put_message(
        link, CONFIRMED_CHANNEL, &method, &properties, buffer_slice(&confirmed->sent));
    confirmed->tag++;
    confirmed->returned = false;
}

void confirmed_tick(struct confirmed *confirmed, struct broker_link *link, int64_t now_mono_us)
{
    int64_t age_us = now_mono_us - confirmed->since_mono_us;
    if (confirmed->sent.len > 0 && age_us > ANSWER_US_MAX)
        put_back(confirmed);
    if (confirmed->sent.len > 0 || confirmed->waiting.len == 0 ||
        (age_us < SEND_EVERY_US && confirmed->waiting.len < MESSAGE_BYTES_MAX))
        return;
    send_some(confirmed, link);
    confirmed->since_mono_us = now_mono_us;
}

void confirmed_send_last(struct confirmed *confirmed, struct broker_link *link)
{
    for (size_t before = SIZE_MAX; confirmed->waiting.len > 0 && confirmed->waiting.len < before;) {
        before = confirmed->waiting.len;
        send_some(confirmed, link);
    }
}

static void on_answer(struct confirmed *confirmed, uint64_t tag, bool multiple, bool taken)
{
    if (confirmed->sent.len == 0 ||
        (tag != confirmed->tag && !(multiple && (tag == 0 || tag > confirmed->tag))))
        return;
    if (taken && !confirmed->returned)
        buffer_clear(&confirmed->sent);
    else
        put_back(confirmed);
}

bool confirmed_take_frame(
    struct confirmed *confirmed, struct broker_link *link, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return true;
    const amqp_method_t *method = &frame->payload.method;
    if (method->id == AMQP_BASIC_RETURN_METHOD) {
        confirmed->returned = true;
        return false;
    }
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *ack = method->decoded;
        on_answer(confirmed, ack->delivery_tag, ack->multiple, true);
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *nack = method->decoded;
        on_answer(confirmed, nack->delivery_tag, nack->multiple, false);
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        broker_link_put_method(
            link, CONFIRMED_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
        confirmed_lose_link(confirmed);
    }
    return true;
}

void confirmed_lose_link(struct confirmed *confirmed)
{
    put_back(confirmed);
    confirmed->channel_is_open = false;
}

void confirmed_inherit(struct confirmed *confirmed, struct confirmed *other)
{
    put_back(other);
    add(confirmed, buffer_slice(&other->waiting));
    confirmed->since_mono_us = other->since_mono_us;
}
