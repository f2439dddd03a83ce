/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event as an AMQP message (etc/api/asyncapi.yaml describes it for everybody else):
 *
 *   body            the partner's bytes
 *   message_id      evt_<uuid>            type            the event's type
 *   timestamp       accepted, seconds     app_id          penstock
 *   content_type    application/json      delivery_mode   2
 *   headers         format (1), account, partner, class, received_us (int64), and where there is one: key, guarded
 *                   (true), traceparent
 *
 * What stands in the body as well (amount, currency, occurred_at) is not repeated: who consumes
 * reads the body.
 */
#ifndef PENSTOCK_BROKER_MESSAGE_H
#define PENSTOCK_BROKER_MESSAGE_H

#include "model/event.h"

#define MESSAGE_FORMAT 1

/* A message as it came. Texts are empty where there are none; all are valid as long as the
 * subscriber says. */
struct message {
    struct slice body;
    uint64_t body_bytes; /* as the sender says; more than body.len: it was cut */
    bool redelivered;
    struct slice message_id, type, content_type;
    struct slice
        /* the headers as JSON, for people who look at poison; only with is_event false */
        headers_json;
    /* The event's own: id, accepted_us, class, guarded, partner, account, type, key, traceparent,
     * body; amount, currency and occurred_at are not filled in. */
    struct slice death_reason,
        death_queue;       /* why a queue dropped it first, and which; empty: none has */
    int64_t stream_offset; /* of a stream's message; else -1 */
    bool is_event;
    const char *why_not; /* what is missing or wrong, when it is none; static */
    struct event_parts parts;
};

#endif
