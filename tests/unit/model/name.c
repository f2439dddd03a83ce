/* SPDX-License-Identifier: Apache-2.0 */
#include "model/name.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <criterion/criterion.h>

static char long_text[512];

static struct slice letters(size_t len)
{
    memset(long_text, 'x', sizeof long_text);
    return slice_of(long_text, len);
}

Test(name, ids_of_partners_and_accounts)
{
    static const char *const good[] = {
        "a", "acc_42", "A.B-c", "_x", "9", "a.", "a-", "shop.example-1"};
    static const char *const bad[] = {
        "", ".a", "-a", "a b", "a/b", "a\n", "\xc3\xa4", "a\"", "a:b", "a%b", "{a}", "a@b"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        cr_expect(name_is_valid(slice_from_string(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_expect_not(name_is_valid(slice_from_string(bad[i])), "%s", bad[i]);
    cr_expect(name_is_valid(letters(NAME_BYTES_MAX)));
    cr_expect_not(name_is_valid(letters(NAME_BYTES_MAX + 1)));
    cr_expect_not(name_is_valid(SLICE_LITERAL("a\0b")));
}

Test(name, types_of_events)
{
    static const char *const good[] = {"purchase", "status_update", "order.paid", ".x", "-", "v2"};
    static const char *const bad[] = {"", "a b", "a\t", "a/b", "caf\xc3\xa9", "a?"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        cr_expect(name_is_valid_type(slice_from_string(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_expect_not(name_is_valid_type(slice_from_string(bad[i])), "%s", bad[i]);
    cr_expect(name_is_valid_type(letters(EVENT_TYPE_BYTES_MAX)));
    cr_expect_not(name_is_valid_type(letters(EVENT_TYPE_BYTES_MAX + 1)));
}

Test(name, keys_are_printable_ascii_with_spaces_only_inside)
{
    static const char *const good[] = {
        "1", "order 17", "a/b?c=d&e", "\"quoted\"", "~!@#$%^&*()", "..", "evt-1\\2"};
    static const char *const bad[] = {
        "", " ", " a", "a ", "a\r\n", "a\tb", "\x7f", "caf\xc3\xa9", "a\x1f"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        cr_expect(name_is_valid_key(slice_from_string(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_expect_not(name_is_valid_key(slice_from_string(bad[i])), "%s", bad[i]);
    cr_expect(name_is_valid_key(letters(1)));
    cr_expect(name_is_valid_key(letters(EVENT_KEY_BYTES_MAX)));
    cr_expect_not(name_is_valid_key(letters(EVENT_KEY_BYTES_MAX + 1)));
    cr_expect_not(name_is_valid_key(SLICE_LITERAL("a\0b")));
}

Test(name, traceparent_with_a_line_end_is_rejected)
{
    cr_assert(name_is_valid_traceparent(
        SLICE_LITERAL("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")));
    cr_assert_not(name_is_valid_traceparent(
        SLICE_LITERAL("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\r\nx: 1")));
    cr_assert_not(name_is_valid_traceparent(SLICE_LITERAL("")));
}
