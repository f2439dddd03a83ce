/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a secret, a timestamp, a list of signatures and a body, one a line; the body has the
 * rest. A secret that is accepted is printed as a text that is read back as the same one. The
 * signature that we make is found in a list, and a list never has a MAC that no text of it encodes.
 */
#include "model/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct slice take_line(struct slice *rest)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct slice line = slice_of(rest->data, end ? (size_t)(end - rest->data) : rest->len);
    size_t taken = line.len + (end != NULL);
    *rest = slice_of(rest->data + taken, rest->len - taken);
    return line;
}

static void check_secret(struct slice text, struct secret *secret)
{
    char printed[SECRET_TEXT_BYTES];
    struct secret same;
    if (!secret_parse(text, secret)) {
        *secret = (struct secret){.bytes = "0123456789abcdef01234567", .len = 24};
        return;
    }
    require(secret->len >= 24 && secret->len <= sizeof secret->bytes);
    secret_format(secret, printed);
    require(secret_parse(slice_from_string(printed), &same));
    require(same.len == secret->len && memcmp(same.bytes, secret->bytes, same.len) == 0);
}

/* Returns whether a text of the header encodes the MAC. Two bits of the last character but one are
 * not part of it. */
static bool encodes(struct slice header, const unsigned char mac[SHA256_BYTES])
{
    char text[3 + BASE64_BYTES(SHA256_BYTES)] = "v1,";
    base64_encode(slice_of(mac, SHA256_BYTES), false, text + 3);
    return memmem(header.data, header.len, text, strlen(text) - 2) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct slice text = take_line(&rest), timestamp = take_line(&rest), header = take_line(&rest);
    struct secret secret;
    struct signature_list list;
    int64_t seconds = -1;
    check_secret(text, &secret);
    require(signature_parse_timestamp(timestamp, &seconds) == (seconds >= 0));
    signature_list_parse(header, &list);
    require(list.count <= WEBHOOK_SIGNATURES_MAX);
    for (unsigned i = 0; i < list.count; i++)
        require(encodes(header, list.macs[i]) && signature_list_has(&list, list.macs[i]));
    if (seconds < 0)
        seconds = 1700000000;

    struct hmac *mac;
    unsigned char digest[SHA256_BYTES];
    char signature[SIGNATURE_TEXT_BYTES], seconds_text[24], both[2 * SIGNATURE_TEXT_BYTES + 8];
    require(hmac_new(slice_of(secret.bytes, secret.len), &mac) == OK);
    signature_make(mac, SLICE_LITERAL("evt_1"), seconds, rest, signature);
    snprintf(seconds_text, sizeof seconds_text, "%lld", (long long)seconds);
    signature_mac(mac, SLICE_LITERAL("evt_1"), slice_from_string(seconds_text), rest, digest);
    snprintf(both, sizeof both, "v0,x  v1a %s", signature);
    signature_list_parse(slice_from_string(both), &list);
    require(list.count == 1 && signature_list_has(&list, digest));
    digest[seconds % SHA256_BYTES] ^= 1;
    require(!signature_list_has(&list, digest));
    hmac_free(mac);
    return 0;
}
