/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

struct hmac {
    EVP_MAC_CTX *context;
};

static EVP_MAC *mac_algorithm;
static EVP_MD *sha256_algorithm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

/* Fetching an algorithm takes locks and searches the providers, so it is done once per process. */
static void fetch_algorithms(void)
{
    mac_algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    sha256_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!mac_algorithm || !sha256_algorithm)
        abort();
}

void crypto_random(void *ret_bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = getrandom((char *)ret_bytes + done, len - done, 0);
        if (got <= 0)
            abort();
        done += (size_t)got;
    }
}

void crypto_sha256(struct slice input, unsigned char ret_digest[SHA256_BYTES])
{
    pthread_once(&fetched, fetch_algorithms);
    if (!EVP_Digest(input.data, input.len, ret_digest, NULL, sha256_algorithm, NULL))
        abort();
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

enum err hmac_new(struct slice key, struct hmac **ret_hmac)
{
    pthread_once(&fetched, fetch_algorithms);
    struct hmac *hmac = malloc(sizeof *hmac);
    if (!hmac)
        return ERR_NO_MEMORY;
    hmac->context = EVP_MAC_CTX_new(mac_algorithm);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    if (!hmac->context ||
        !EVP_MAC_init(hmac->context, (const unsigned char *)key.data, key.len, params)) {
        hmac_free(hmac);
        return ERR_NO_MEMORY;
    }
    *ret_hmac = hmac;
    return OK;
}

void hmac_free(struct hmac *hmac)
{
    if (!hmac)
        return;
    EVP_MAC_CTX_free(hmac->context);
    free(hmac);
}

void hmac_begin(struct hmac *hmac)
{
    if (!EVP_MAC_init(hmac->context, NULL, 0, NULL))
        abort();
}

void hmac_add(struct hmac *hmac, struct slice input)
{
    if (!EVP_MAC_update(hmac->context, (const unsigned char *)input.data, input.len))
        abort();
}

void hmac_end(struct hmac *hmac, unsigned char ret_mac[SHA256_BYTES])
{
    size_t len = 0;
    if (!EVP_MAC_final(hmac->context, ret_mac, &len, SHA256_BYTES))
        abort();
    assert(len == SHA256_BYTES);
}

size_t base64_encode(struct slice input, bool url, char *ret_text)
{
    size_t len = (size_t)EVP_EncodeBlock(
        (unsigned char *)ret_text, (const unsigned char *)input.data, (int)input.len);
    if (!url)
        return len;
    while (len > 0 && ret_text[len - 1] == '=')
        ret_text[--len] = '\0';
    for (size_t i = 0; i < len; i++)
        ret_text[i] = (char)(ret_text[i] == '+' ? '-' : ret_text[i] == '/' ? '_' : ret_text[i]);
    return len;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(struct slice text, unsigned char *ret_bytes)
{
    if (text.len % 4 != 0)
        return -1;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    uint32_t bits = 0;
    size_t out = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = i >= text.len - padding ? 0 : base64_digit(text.data[i]);
        if (digit < 0)
            return -1;
        bits = (bits << 6) | (uint32_t)digit;
        if (i % 4 == 3) {
            ret_bytes[out++] = (unsigned char)(bits >> 16);
            ret_bytes[out++] = (unsigned char)(bits >> 8);
            ret_bytes[out++] = (unsigned char)bits;
            bits = 0;
        }
    }
    return (int)(out - padding);
}

void hex_encode(struct slice input, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < input.len; i++) {
        unsigned char byte = (unsigned char)input.data[i];
        ret_text[2 * i] = digits[byte >> 4];
        ret_text[2 * i + 1] = digits[byte & 15];
    }
    ret_text[2 * input.len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(struct slice text, unsigned char *ret_bytes)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_bytes[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}
