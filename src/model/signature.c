/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signature.h"

#include <stdio.h>

#define PREFIX "whsec_"

void secret_make(struct secret *ret_secret)
{
    ret_secret->len = ENDPOINT_SECRET_BYTES;
    crypto_random(ret_secret->bytes, ret_secret->len);
}

bool secret_parse(struct slice text, struct secret *ret_secret)
{
    size_t prefix = sizeof PREFIX - 1;
    if (!slice_starts_with(text, PREFIX) || text.len - prefix > sizeof ret_secret->bytes / 3 * 4 + 4)
        return false;
    unsigned char bytes[sizeof ret_secret->bytes + 8];
    int len = base64_decode(slice_of(text.data + prefix, text.len - prefix), bytes);
    if (len < 24 || len > (int)sizeof ret_secret->bytes)
        return false;
    memcpy(ret_secret->bytes, bytes, (size_t)len);
    ret_secret->len = (unsigned)len;
    return true;
}

void secret_format(const struct secret *secret, char ret_text[SECRET_TEXT_BYTES])
{
    memcpy(ret_text, PREFIX, sizeof PREFIX - 1);
    base64_encode(slice_of(secret->bytes, secret->len), false, ret_text + sizeof PREFIX - 1);
}

void signature_make(
    struct hmac *mac, struct slice id, int64_t timestamp_s, struct slice body, char ret_text[SIGNATURE_TEXT_BYTES])
{
    char timestamp[24];
    int len = snprintf(timestamp, sizeof timestamp, ".%lld.", (long long)timestamp_s);
    unsigned char digest[SHA256_BYTES];
    hmac_begin(mac);
    hmac_add(mac, id);
    hmac_add(mac, slice_of(timestamp, (size_t)len));
    hmac_add(mac, body);
    hmac_end(mac, digest);
    memcpy(ret_text, "v1,", 3);
    base64_encode(slice_of(digest, sizeof digest), false, ret_text + 3);
}
