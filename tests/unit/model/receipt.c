/* SPDX-License-Identifier: Apache-2.0 */
#include "model/receipt.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

static const struct event_id id = {{0x01, 0x90, 0xb5, 0xf2, 0xa1, 0xc8, 0x70, 0x03, 0x80, 0x00,
    0x00, 0xa1, 0xb2, 0xc3, 0xd4, 0xe5}};

static struct event_parts some_parts(void)
{
    return (struct event_parts){
        .partner = SLICE_LITERAL("partner"),
        .account = SLICE_LITERAL("acc_42"),
        .type = SLICE_LITERAL("purchase"),
        .key = SLICE_LITERAL("order-1"),
        .body = SLICE_LITERAL("{\"a\":1}"),
    };
}

static void make(const char *key, bool duplicate, const struct event_parts *parts,
    const struct event_id *of, char ret_text[RECEIPT_TEXT_BYTES])
{
    struct hmac *mac = NULL;
    cr_assert_eq(hmac_new(slice_from_string(key), &mac), OK);
    receipt_make(mac, duplicate, parts, of, ret_text);
    hmac_free(mac);
}

Test(receipt, matches_an_independent_computation)
{
    /* HMAC-SHA256 over the parts with their lengths before them (32 bits, big endian), computed
     * with Python's hmac. */
    struct event_parts parts = some_parts();
    char text[RECEIPT_TEXT_BYTES];
    make("installation key", false, &parts, &id, text);
    cr_assert_str_eq(text, "r1.a.1D75XHSDMG0UYqblJ3A01DASlXx1eAQpglgGdSwNHS0");
    make("installation key", true, &parts, &id, text);
    cr_assert_str_eq(text, "r1.d.nkMwEZ3EsjrO8rNscwX7ptiU2NPvjE-nDQrSv2-xMYE");
}

Test(receipt, changes_with_each_of_its_parts)
{
    struct event_parts parts = some_parts();
    char original[RECEIPT_TEXT_BYTES], other[RECEIPT_TEXT_BYTES];
    make("installation key", false, &parts, &id, original);
    struct slice *const slices[] = {
        &parts.partner, &parts.account, &parts.type, &parts.key, &parts.body};
    for (size_t i = 0; i < ARRAY_LENGTH(slices); i++) {
        struct slice before = *slices[i];
        *slices[i] = SLICE_LITERAL("another");
        make("installation key", false, &parts, &id, other);
        cr_expect_str_neq(original, other, "part %zu", i);
        *slices[i] = before;
    }
    struct event_id other_id = id;
    other_id.bytes[15] ^= 1;
    make("installation key", false, &parts, &other_id, other);
    cr_expect_str_neq(original, other);
    make("another key", false, &parts, &id, other);
    cr_expect_str_neq(original, other);
    make("installation key", true, &parts, &id, other);
    cr_expect_str_neq(
        original + 5, other + 5, "the status is inside the signature, not only in front of it");
}
