/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of message.h: event parts to AMQP properties and back. Encoding allocates nothing and
 * copies no text. Decoding accepts only what encoding produces; other messages in a delivery queue
 * are for an operator to look at.
 */
#ifndef PENSTOCK_BROKER_MESSAGE_INTERNAL_H
#define PENSTOCK_BROKER_MESSAGE_INTERNAL_H

#include "base/buffer.h"
#include "broker/message.h"

#include <amqp.h>
#include <amqp_framing.h>

#define MESSAGE_APP_ID "penstock"
#define MESSAGE_REASON_HEADER "x-penstock-reason"
#define MESSAGE_REASON_BYTES_MAX 1024 /* longer reasons are cut */
#define MESSAGE_HEADERS_MAX 8
#define MESSAGE_HEADERS_JSON_BYTES_MAX 8192 /* cut at an entry */

/* Properties and the texts that are not in the parts. Must not be moved. */
struct message_encoding {
    amqp_basic_properties_t properties;
    amqp_table_entry_t headers[MESSAGE_HEADERS_MAX];
    char id_text[EVENT_ID_TEXT_BYTES];
};

void message_encode(const struct event_parts *parts, struct message_encoding *ret_encoding);

/* Encodes a message of the intake: unchanged, with the reason if it is not NULL. `id` is the
 * correlation_id. */
void message_encode_refused(const struct event_id *id, struct slice content_type,
    struct slice message_id, const char *reason, struct message_encoding *ret_encoding);

/* The message points into `properties`, `body` and `scratch` (the headers of poison as JSON). The
 * memory of `scratch` is used again. */
void message_decode(const amqp_basic_properties_t *properties, struct slice body,
    uint64_t body_bytes, bool redelivered, struct buffer *scratch, struct message *ret_message);

static inline amqp_bytes_t message_bytes(struct slice slice)
{
    return (amqp_bytes_t){.len = slice.len, .bytes = (void *)slice.data};
}

static inline struct slice message_slice(amqp_bytes_t bytes)
{
    return slice_of(bytes.bytes, bytes.len);
}

#endif
