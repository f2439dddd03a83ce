/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tap.h"

#include "base/memory.h"
#include "broker/link.h"
#include "broker/message_internal.h"
#include "runtime/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TAP_CHANNEL 1

struct tap {
    struct broker_host *host;
    void (*on_lost)(void *context, const char *why);
    void *context;
    struct broker_link *link; /* NULL: closed */
};

static void close_tap(struct tap *tap, const char *why)
{
    broker_link_free(TAKE(tap->link));
    if (tap->on_lost)
        tap->on_lost(tap->context, why);
}

static void on_frame(struct broker_link *link, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD || frame->channel != TAP_CHANNEL ||
        frame->payload.method.id != AMQP_CHANNEL_CLOSE_METHOD)
        return;
    const amqp_channel_close_t *close = frame->payload.method.decoded;
    struct slice text = message_slice(close->reply_text);
    char why[BROKER_DETAIL_BYTES];
    snprintf(why, sizeof why, "the broker closed the channel: %u %.*s", close->reply_code,
        SLICE_ARGS(text));
    broker_link_put_method(
        link, TAP_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
    close_tap(link->owner, why);
}

static void on_dead(struct broker_link *link, const char *why)
{
    close_tap(link->owner, why);
}

struct tap *tap_new(
    struct broker_host *host, void (*on_lost)(void *context, const char *why), void *context)
{
    struct tap *tap = memory_new_raw(sizeof *tap);
    *tap = (struct tap){.host = host, .on_lost = on_lost, .context = context};
    return tap;
}

void tap_free(struct tap *tap)
{
    if (!tap)
        return;
    broker_link_free(tap->link);
    free(tap);
}

enum err tap_open(struct tap *tap, struct broker_link *link)
{
    assert(!tap->link);
    link->owner = tap;
    link->on_frame = on_frame;
    link->on_frames_done = NULL;
    link->on_dead = on_dead;
    enum err err = broker_link_attach(link, tap->host);
    if (err)
        broker_link_free(link);
    else
        tap->link = link;
    return err;
}

bool tap_is_open(const struct tap *tap)
{
    return tap->link;
}

void tap_publish(struct tap *tap, const struct event_parts *parts)
{
    if (!tap->link || tap->link->blocked || broker_link_unsent(tap->link) >= TAP_UNSENT_BYTES_MAX) {
        metrics_add(METRIC_TAPS_DROPPED, 1);
        return;
    }
    char key[EVENT_TYPE_BYTES_MAX + 1 + NAME_BYTES_MAX + 1];
    snprintf(key, sizeof key, "%.*s.%.*s", SLICE_ARGS(parts->type), SLICE_ARGS(parts->account));
    const amqp_basic_publish_t method = {
        .exchange = message_bytes(SLICE_LITERAL(BROKER_TAPS_EXCHANGE)),
        .routing_key = message_bytes(slice_from_string(key)),
    };
    struct message_encoding encoding;
    message_encode(parts, &encoding);
    broker_link_put_message(tap->link, TAP_CHANNEL, &method, &encoding.properties, parts->body);
    metrics_add(METRIC_TAPS_SENT, 1);
}

void tap_tick(struct tap *tap, int64_t now_mono_us)
{
    if (tap->link)
        broker_link_tick(tap->link, now_mono_us);
}
