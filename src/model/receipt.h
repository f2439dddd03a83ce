/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receipt: proof, without a look-up, that this installation answered 200 for these bytes.
 * `r1.<a|d>.<base64url of HMAC-SHA256>` over the answer's status (accepted or duplicate), partner,
 * account, type, key, SHA-256 of the body and event id, each with its length in front. A
 * duplicate's receipt says so: its body may differ from the one that is delivered.
 */
#ifndef PENSTOCK_MODEL_RECEIPT_H
#define PENSTOCK_MODEL_RECEIPT_H

#include "base/crypto.h"
#include "model/event.h"

#define RECEIPT_TEXT_BYTES (5 + BASE64_BYTES(SHA256_BYTES))

/* `id` is the accepted event's: the first one's for a duplicate. */
void receipt_make(struct hmac *mac, bool duplicate, const struct event_parts *parts,
    const struct event_id *id, char ret_text[RECEIPT_TEXT_BYTES]);

#endif
