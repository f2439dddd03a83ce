/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signature.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void sign(const struct secret *secret, const char *id, int64_t timestamp_s,
    struct slice body, char ret_text[SIGNATURE_TEXT_BYTES])
{
    struct hmac *mac = NULL;
    cr_assert_eq(hmac_new(slice_of(secret->bytes, secret->len), &mac), OK);
    signature_make(mac, slice_from_string(id), timestamp_s, body, ret_text);
    hmac_free(mac);
}

Test(signature, matches_the_vector_of_the_reference_libraries)
{
    struct secret secret;
    cr_assert(secret_parse(SLICE_LITERAL("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &secret));
    cr_assert_eq(secret.len, 24);
    char text[SIGNATURE_TEXT_BYTES];
    sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        SLICE_LITERAL("{\"test\": 2432232314}"), text);
    cr_assert_str_eq(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

Test(signature, depends_on_id_time_and_body)
{
    struct secret secret;
    secret_make(&secret);
    char first[SIGNATURE_TEXT_BYTES], again[SIGNATURE_TEXT_BYTES];
    sign(&secret, "evt_1", 1000, SLICE_LITERAL("{}"), first);
    sign(&secret, "evt_1", 1000, SLICE_LITERAL("{}"), again);
    cr_assert_str_eq(first, again);
    sign(&secret, "evt_2", 1000, SLICE_LITERAL("{}"), again);
    cr_expect_str_neq(first, again);
    sign(&secret, "evt_1", 1001, SLICE_LITERAL("{}"), again);
    cr_expect_str_neq(first, again);
    sign(&secret, "evt_1", 1000, SLICE_LITERAL("{} "), again);
    cr_expect_str_neq(first, again);
}

Test(secret, parse_reads_what_format_writes)
{
    for (unsigned len = 24; len <= 64; len++) {
        struct secret secret = {.len = len}, parsed;
        crypto_random(secret.bytes, len);
        char text[SECRET_TEXT_BYTES];
        secret_format(&secret, text);
        cr_assert(secret_parse(slice_from_string(text), &parsed), "%s", text);
        cr_assert_eq(parsed.len, len);
        cr_assert_eq(memcmp(parsed.bytes, secret.bytes, len), 0);
    }
}

Test(secret, new_secrets_have_32_bytes_and_differ)
{
    struct secret one, other;
    secret_make(&one);
    secret_make(&other);
    cr_assert_eq(one.len, 32);
    cr_assert_neq(memcmp(one.bytes, other.bytes, 32), 0);
}

Test(secret, rejects_what_the_standard_does_not_allow)
{
    static const char *const bad[] = {"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", /* 23 bytes and less */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_!fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        /* 65 bytes and more */
        "whsec_"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "whsec_"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AA"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct secret secret = {.len = 7};
        cr_expect_not(secret_parse(slice_from_string(bad[i]), &secret), "%s", bad[i]);
        cr_expect_eq(secret.len, 7);
    }
}

static struct slice mac_of(
    const char *id, const char *timestamp, const char *body, unsigned char ret_mac[SHA256_BYTES])
{
    struct hmac *hmac;
    cr_assert_eq(hmac_new(SLICE_LITERAL("0123456789abcdef0123456789abcdef"), &hmac), OK);
    signature_mac(hmac, slice_from_string(id), slice_from_string(timestamp),
        slice_from_string(body), ret_mac);
    hmac_free(hmac);
    return slice_of(ret_mac, SHA256_BYTES);
}

Test(signature, is_found_in_a_list_of_several)
{
    unsigned char mac[SHA256_BYTES], other[SHA256_BYTES];
    char text[SIGNATURE_TEXT_BYTES], list[1000];
    struct hmac *hmac;
    cr_assert_eq(hmac_new(SLICE_LITERAL("0123456789abcdef0123456789abcdef"), &hmac), OK);
    signature_make(hmac, SLICE_LITERAL("msg_1"), 1700000000, SLICE_LITERAL("{}"), text);
    hmac_free(hmac);
    mac_of("msg_1", "1700000000", "{}", mac);
    mac_of("msg_2", "1700000000", "{}", other);
    static const char *const forms[] = {"%s", "v1,AAAA %s", "%s v1a,%s", "  %s  ",
        "v2,x v1,=== x %s", "v1, %s", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= %s"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct signature_list found;
        snprintf(list, sizeof list, forms[i], text, text);
        signature_list_parse(slice_from_string(list), &found);
        cr_expect(signature_list_has(&found, mac), "%s", list);
        cr_expect_not(signature_list_has(&found, other), "%s", list);
    }
    static const char *const wrong[] = {
        "", " ", "x", "v1", "v1,", "v1,%sx", "v1%s", "V1,%s", "v1,%s,", "v2,%s", "v1a,%s"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct signature_list found;
        snprintf(list, sizeof list, wrong[i], text + 3);
        signature_list_parse(slice_from_string(list), &found);
        cr_expect_not(signature_list_has(&found, mac), "%s", list);
    }
}

Test(signature, only_the_first_sixteen_of_a_list_count)
{
    unsigned char mac[SHA256_BYTES];
    char text[SIGNATURE_TEXT_BYTES] = "v1,", list[2000] = "";
    base64_encode(mac_of("msg_1", "1700000000", "{}", mac), false, text + 3);
    for (int others = 0; others <= WEBHOOK_SIGNATURES_MAX; others++) {
        struct signature_list found;
        size_t len = strlen(list);
        strcat(list, text);
        signature_list_parse(slice_from_string(list), &found);
        cr_expect_eq(
            signature_list_has(&found, mac), others < WEBHOOK_SIGNATURES_MAX, "%d", others);
        strcpy(list + len, "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ");
    }
}

Test(signature, timestamp_has_digits_only)
{
    int64_t timestamp_s = -7;
    cr_assert(signature_parse_timestamp(SLICE_LITERAL("1700000000"), &timestamp_s));
    cr_assert_eq(timestamp_s, 1700000000);
    cr_assert(signature_parse_timestamp(SLICE_LITERAL("999999999999"), &timestamp_s));
    static const char *const bad[] = {
        "", "-1", "+1", "1.5", "1e9", " 1", "1 ", "0x10", "1700000000Z", "1234567890123"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(
            signature_parse_timestamp(slice_from_string(bad[i]), &timestamp_s), "%s", bad[i]);
    cr_assert_eq(timestamp_s, 999999999999);
}
