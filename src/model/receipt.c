/* SPDX-License-Identifier: Apache-2.0 */
#include "model/receipt.h"

static void add_part(struct hmac *mac, struct slice part)
{
    const unsigned char len[4] = {(unsigned char)(part.len >> 24), (unsigned char)(part.len >> 16),
        (unsigned char)(part.len >> 8), (unsigned char)part.len};
    hmac_add(mac, slice_of(len, sizeof len));
    hmac_add(mac, part);
}

void receipt_make(struct hmac *mac, bool duplicate, const struct event_parts *parts,
    const struct event_id *id, char ret_text[RECEIPT_TEXT_BYTES])
{
    unsigned char body_hash[SHA256_BYTES], digest[SHA256_BYTES];
    crypto_sha256(parts->body, body_hash);
    hmac_begin(mac);
    add_part(mac, duplicate ? SLICE_LITERAL("duplicate") : SLICE_LITERAL("accepted"));
    add_part(mac, parts->partner);
    add_part(mac, parts->account);
    add_part(mac, parts->type);
    add_part(mac, parts->key);
    add_part(mac, slice_of(body_hash, sizeof body_hash));
    add_part(mac, slice_of(id->bytes, sizeof id->bytes));
    hmac_end(mac, digest);
    memcpy(ret_text, duplicate ? "r1.d." : "r1.a.", 5);
    base64_encode(slice_of(digest, sizeof digest), true, ret_text + 5);
}
