/* SPDX-License-Identifier: Apache-2.0 */
/* Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The key is
 * the bytes behind `whsec_`. */
#ifndef PENSTOCK_MODEL_SIGNATURE_H
#define PENSTOCK_MODEL_SIGNATURE_H

#include "base/crypto.h"
#include "base/limits.h"

#define SECRET_TEXT_BYTES (6 + BASE64_BYTES(64))
#define SIGNATURE_TEXT_BYTES (3 + BASE64_BYTES(SHA256_BYTES))

struct secret {
    unsigned char bytes[64];
    unsigned len;
};

void secret_make(struct secret *ret_secret); /* ENDPOINT_SECRET_BYTES random bytes */
/* Reads whsec_ and the base64 of 24 to 64 bytes, as the standard requires. */
bool secret_parse(struct slice text, struct secret *ret_secret);
void secret_format(const struct secret *secret, char ret_text[SECRET_TEXT_BYTES]);

/* `mac` is keyed with the secret's bytes. `timestamp_s` is Unix seconds. */
void signature_make(struct hmac *mac, struct slice id, int64_t timestamp_s, struct slice body,
    char ret_text[SIGNATURE_TEXT_BYTES]);

/* For requests that a partner signed: returns the MAC. `timestamp` is the header's text,
 * unchanged. */
void signature_mac(struct hmac *mac, struct slice id, struct slice timestamp, struct slice body,
    unsigned char ret_mac[SHA256_BYTES]);

/* Reads Unix seconds: 1 to 12 digits and nothing else. */
bool signature_parse_timestamp(struct slice text, int64_t *ret_timestamp_s);

/* The first WEBHOOK_SIGNATURES_MAX v1 signatures of a webhook-signature header, which separates
 * them by spaces. */
struct signature_list {
    unsigned count;
    unsigned char macs[WEBHOOK_SIGNATURES_MAX][SHA256_BYTES];
};

/* Skips signatures of other versions and malformed ones. */
void signature_list_parse(struct slice header, struct signature_list *ret_list);

/* Returns whether one of them is this MAC. Compares with all of them in constant time. */
bool signature_list_has(const struct signature_list *list, const unsigned char mac[SHA256_BYTES]);

#endif
