/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signature.h"

#include <assert.h>
#include <stdio.h>

#define PREFIX "whsec_"
#define VERSION "v1,"
#define TIMESTAMP_BYTES_MAX 24

void secret_make(struct secret *ret_secret)
{
    ret_secret->len = ENDPOINT_SECRET_BYTES;
    crypto_random(ret_secret->bytes, ret_secret->len);
}

bool secret_parse(struct slice text, struct secret *ret_secret)
{
    size_t prefix = sizeof PREFIX - 1;
    if (!slice_starts_with(text, PREFIX) ||
        text.len - prefix > sizeof ret_secret->bytes / 3 * 4 + 4)
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

void signature_mac(struct hmac *mac, struct slice id, struct slice timestamp, struct slice body,
    unsigned char ret_mac[SHA256_BYTES])
{
    char middle[1 + TIMESTAMP_BYTES_MAX + 1];
    assert(timestamp.len <= TIMESTAMP_BYTES_MAX);
    middle[0] = '.';
    memcpy(middle + 1, timestamp.data, timestamp.len);
    middle[1 + timestamp.len] = '.';
    hmac_begin(mac);
    hmac_add(mac, id);
    hmac_add(mac, slice_of(middle, timestamp.len + 2));
    hmac_add(mac, body);
    hmac_end(mac, ret_mac);
}

void signature_make(struct hmac *mac, struct slice id, int64_t timestamp_s, struct slice body,
    char ret_text[SIGNATURE_TEXT_BYTES])
{
    char timestamp[TIMESTAMP_BYTES_MAX];
    int len = snprintf(timestamp, sizeof timestamp, "%lld", (long long)timestamp_s);
    unsigned char digest[SHA256_BYTES];
    signature_mac(mac, id, slice_of(timestamp, (size_t)len), body, digest);
    memcpy(ret_text, VERSION, sizeof VERSION - 1);
    base64_encode(slice_of(digest, sizeof digest), false, ret_text + sizeof VERSION - 1);
}

bool signature_parse_timestamp(struct slice text, int64_t *ret_timestamp_s)
{
    int64_t value = 0;
    if (text.len < 1 || text.len > 12)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret_timestamp_s = value;
    return true;
}

static void take_signature(struct slice text, struct signature_list *list)
{
    const size_t base64_len = BASE64_BYTES(SHA256_BYTES) - 1, version_len = sizeof VERSION - 1;
    unsigned char bytes[BASE64_BYTES(SHA256_BYTES)];
    if (list->count == WEBHOOK_SIGNATURES_MAX || text.len != version_len + base64_len ||
        !slice_starts_with(text, VERSION) ||
        base64_decode(slice_of(text.data + version_len, base64_len), bytes) != SHA256_BYTES)
        return;
    memcpy(list->macs[list->count++], bytes, SHA256_BYTES);
}

void signature_list_parse(struct slice header, struct signature_list *ret_list)
{
    ret_list->count = 0;
    for (size_t at = 0; at < header.len;) {
        const char *begin = header.data + at;
        const char *space = memchr(begin, ' ', header.len - at);
        size_t len = space ? (size_t)(space - begin) : header.len - at;
        take_signature(slice_of(begin, len), ret_list);
        at += len + 1;
    }
}

bool signature_list_has(const struct signature_list *list, const unsigned char mac[SHA256_BYTES])
{
    bool found = false;
    for (unsigned i = 0; i < list->count; i++)
        found |= crypto_equal(list->macs[i], mac, SHA256_BYTES);
    return found;
}
