/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event as an AMQP message (etc/api/asyncapi.yaml is the public description):
 *
 *   body           the partner's bytes
 *   message_id     evt_<uuid>           type            the event's type
 *   timestamp      accepted, seconds    app_id          penstock
 *   content_type   application/json     delivery_mode   2
 *   headers        format (1), account, partner, class, received_us (int64); if present: key,
 *                  guarded (true), traceparent
 *
 * Fields that are in the body (amount, currency, occurred_at) are not repeated: consumers read the
 * body.
 */
#ifndef PENSTOCK_BROKER_MESSAGE_H
#define PENSTOCK_BROKER_MESSAGE_H

#include "model/event.h"

#define MESSAGE_FORMAT 1

/* A received message. Absent texts are empty. The subscriber says how long they are valid. */
struct message {
    struct slice body;
    uint64_t body_bytes; /* the sender's value; larger than body.len: the body was cut */
    bool redelivered;
    struct slice message_id, type, content_type;
    /* The headers as JSON, for the operator who looks at poison. Only if is_event is false. */
    struct slice headers_json;
    /* Why a queue first dropped the message, and which queue. Empty: it was not dropped. */
    struct slice death_reason, death_queue;
    int64_t stream_offset; /* of a stream's message; otherwise -1 */
    bool is_event;
    const char *why_not; /* if is_event is false: what is missing or wrong; static */
    /* The event: id, accepted_us, class, guarded, partner, account, type, key, traceparent, body.
     * amount, currency and occurred_at are not set. */
    struct event_parts parts;
};

#endif
