/* SPDX-License-Identifier: Apache-2.0 */
#include "model/signature.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

static void sign(const struct secret *secret, const char *id, int64_t timestamp_s, struct slice body,
    char ret_text[SIGNATURE_TEXT_BYTES])
{
    struct hmac *mac = NULL;
    cr_assert_eq(hmac_new(slice_of(secret->bytes, secret->len), &mac), OK);
    signature_make(mac, slice_from_string(id), timestamp_s, body, ret_text);
    hmac_free(mac);
}

Test(signature, gives_the_vector_of_the_standards_reference_libraries)
{
    struct secret secret;
    cr_assert(secret_parse(SLICE_LITERAL("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &secret));
    cr_assert_eq(secret.len, 24);
    char text[SIGNATURE_TEXT_BYTES];
    sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SLICE_LITERAL("{\"test\": 2432232314}"), text);
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

Test(secret, goes_to_text_and_back)
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

Test(secret, made_ones_have_32_bytes_and_differ)
{
    struct secret one, other;
    secret_make(&one);
    secret_make(&other);
    cr_assert_eq(one.len, 32);
    cr_assert_neq(memcmp(one.bytes, other.bytes, 32), 0);
}

Test(secret, refuses_what_the_standard_does_not_allow)
{
    static const char *const bad[] = {"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", /* 23 bytes and less */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_!fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        /* 65 bytes and more */
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct secret secret = {.len = 7};
        cr_expect_not(secret_parse(slice_from_string(bad[i]), &secret), "%s", bad[i]);
        cr_expect_eq(secret.len, 7);
    }
}
