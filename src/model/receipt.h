/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receipt proves, without a look-up, that this installation answered 200 for these bytes.
 * `r1.<a|d>.<base64url of HMAC-SHA256>`. The HMAC covers the status of the answer (accepted or
 * duplicate), partner, account, type, key, SHA-256 of the body and event id, each with its length
 * before it. The receipt of a duplicate is marked, because its body may differ from the delivered
 * one.
 */
#ifndef PENSTOCK_MODEL_RECEIPT_H
#define PENSTOCK_MODEL_RECEIPT_H

#include "base/crypto.h"
#include "model/event.h"

#define RECEIPT_TEXT_BYTES (5 + BASE64_BYTES(SHA256_BYTES))

/* `id` is the id of the accepted event; for a duplicate, of the first event. */
void receipt_make(struct hmac *mac, bool duplicate, const struct event_parts *parts,
    const struct event_id *id, char ret_text[RECEIPT_TEXT_BYTES]);

#endif
