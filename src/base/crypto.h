/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, HMAC and randomness from OpenSSL's libcrypto, and base64 and hexadecimal. */
#ifndef PENSTOCK_BASE_CRYPTO_H
#define PENSTOCK_BASE_CRYPTO_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

#define SHA256_BYTES 32
#define HMAC_KEY_BYTES_MAX 128

void crypto_random(void *ret_bytes, size_t len); /* aborts when the system has no randomness */
void crypto_sha256(struct slice input, unsigned char ret_digest[SHA256_BYTES]);
bool crypto_equal(const void *a, const void *b, size_t len); /* in constant time */

/*
 * An HMAC-SHA256 that is keyed once and used many times: setting a key costs three times the hash.
 * For one thread at a time.
 */
struct hmac;
enum err hmac_new(struct slice key, struct hmac **ret_hmac) MUST_CHECK;
void hmac_free(struct hmac *hmac);
void hmac_begin(struct hmac *hmac);
void hmac_add(struct hmac *hmac, struct slice input);
void hmac_end(struct hmac *hmac, unsigned char ret_mac[SHA256_BYTES]);

/* Encodes base64 (RFC 4648 section 4, padded). With `url`: section 5, without padding. `ret_text`
 * holds BASE64_BYTES(len), NUL included. Returns the length. */
#define BASE64_BYTES(len) (((len) + 2) / 3 * 4 + 1)
size_t base64_encode(struct slice input, bool url, char *ret_text);
/* Decodes strictly: correct padding, no white space. Returns the number of bytes, or -1.
 * `ret_bytes` holds text.len / 4 * 3. */
int base64_decode(struct slice text, unsigned char *ret_bytes);

/* Encodes lower-case hexadecimal. `ret_text` holds 2 * input.len + 1. */
void hex_encode(struct slice input, char *ret_text);
bool hex_decode(struct slice text,
    unsigned char *ret_bytes); /* text.len must be even; upper case is taken as well */

#endif
