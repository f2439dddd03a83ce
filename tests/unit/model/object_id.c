/* SPDX-License-Identifier: Apache-2.0 */
#include "model/object_id.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

Test(object_id, endpoint_ids_have_one_text)
{
    static const struct {
        uint64_t id;
        const char *text;
    } right[] = {{1, "ep_0000000000000001"}, {0xabcdef, "ep_0000000000abcdef"},
        {INT64_MAX, "ep_7fffffffffffffff"}};
    for (size_t i = 0; i < ARRAY_LENGTH(right); i++) {
        char text[ENDPOINT_ID_TEXT_BYTES];
        uint64_t id = 0;
        endpoint_id_format(right[i].id, text);
        cr_expect_str_eq(text, right[i].text);
        cr_expect(endpoint_id_parse(slice_from_string(text), &id));
        cr_expect_eq(id, right[i].id);
    }
    static const char *const wrong[] = {"", "ep_", "ep_0000000000000000", "ep_8000000000000000",
        "ep_000000000000001", "ep_00000000000000001", "ep_0000000000ABCDEF", "ep_000000000000000g",
        "ex_0000000000000001", "0000000000000000001", "EP_0000000000000001",
        "sec_0000000000000001"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        uint64_t id = 42;
        cr_expect_not(endpoint_id_parse(slice_from_string(wrong[i]), &id), "%s", wrong[i]);
        cr_expect_eq(id, 42);
    }
}

Test(object_id, secrets_of_partners_are_named_as_endpoints_are)
{
    char text[PARTNER_SECRET_ID_TEXT_BYTES];
    uint64_t id = 42;
    partner_secret_id_format(0xabcdef, text);
    cr_expect_str_eq(text, "sec_0000000000abcdef");
    cr_expect_not(partner_secret_id_parse(SLICE_LITERAL("sec_0000000000000000"), &id));
    cr_expect_not(partner_secret_id_parse(SLICE_LITERAL("sec_ffffffffffffffff"), &id));
    cr_expect_not(partner_secret_id_parse(SLICE_LITERAL("ep_0000000000000001"), &id));
    cr_expect_eq(id, 42);
    cr_expect(partner_secret_id_parse(slice_from_string(text), &id));
    cr_expect_eq(id, 0xabcdef);
}

Test(object_id, a_keys_id_is_the_beginning_of_its_hash)
{
    unsigned char sha256[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1], text[CREDENTIAL_ID_TEXT_BYTES];
    crypto_sha256(SLICE_LITERAL("pk_one"), sha256);
    hex_encode(slice_of(sha256, sizeof sha256), hex);
    credential_id_format(credential_id(sha256), text);
    cr_expect(slice_starts_with(slice_from_string(text), "key_"));
    cr_expect_arr_eq(text + 4, hex, 16);
    uint64_t id = 0;
    cr_expect(credential_id_parse(slice_from_string(text), &id));
    cr_expect_eq(id, credential_id(sha256));
    cr_expect(
        credential_id_parse(SLICE_LITERAL("key_ffffffffffffffff"), &id), "all 64 bits are used");
    cr_expect_eq(id, UINT64_MAX);
    cr_expect_not(credential_id_parse(SLICE_LITERAL("key_fffffffffffffff"), &id));
}

Test(object_id, secrets_of_an_endpoint_are_counted)
{
    static const struct {
        uint32_t number;
        const char *text;
    } right[] = {{0, "sec_0"}, {1, "sec_1"}, {10, "sec_10"}, {999999999, "sec_999999999"}};
    for (size_t i = 0; i < ARRAY_LENGTH(right); i++) {
        char text[ENDPOINT_SECRET_ID_TEXT_BYTES];
        uint32_t number = 42;
        endpoint_secret_id_format(right[i].number, text);
        cr_expect_str_eq(text, right[i].text);
        cr_expect(endpoint_secret_id_parse(slice_from_string(text), &number));
        cr_expect_eq(number, right[i].number);
    }
    static const char *const wrong[] = {
        "", "sec_", "sec_00", "sec_01", "sec_1a", "sec_-1", "sec_1000000000", "se_1"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        uint32_t number = 42;
        cr_expect_not(
            endpoint_secret_id_parse(slice_from_string(wrong[i]), &number), "%s", wrong[i]);
        cr_expect_eq(number, 42);
    }
}
