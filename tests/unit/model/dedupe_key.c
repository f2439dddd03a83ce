/* SPDX-License-Identifier: Apache-2.0 */
#include "model/dedupe_key.h"

#include "base/cleanup.h"
#include "base/crypto.h"

#include <criterion/criterion.h>

static struct dedupe_key key_of(
    const char *partner, const char *account, const char *type, const char *key)
{
    struct dedupe_key dedupe_key;
    dedupe_key_of(slice_from_string(partner), slice_from_string(account), slice_from_string(type),
        slice_from_string(key), &dedupe_key);
    return dedupe_key;
}

Test(dedupe, key_on_disk_never_changes)
{
    struct dedupe_key key = key_of("partner", "acc_42", "purchase", "order-1");
    char text[2 * DEDUPE_KEY_BYTES + 1];
    hex_encode(slice_of(key.bytes, sizeof key.bytes), text);
    /* SHA-256 over each part with its length before it (16 bits, big endian), computed with
     * Python's hashlib. */
    cr_assert_str_eq(text, "3a3aab2c180e08945bef793e1f8063a5");
}

Test(dedupe, different_scopes_have_different_keys)
{
    static const char *const scopes[][4] = {
        {"p", "a", "t", "k"},
        {"q", "a", "t", "k"},
        {"p", "b", "t", "k"},
        {"p", "a", "u", "k"},
        {"p", "a", "t", "l"},
        {"pa", "", "t", "k"}, /* the same letters, split differently */
        {"", "pa", "t", "k"},
        {"p", "at", "", "k"},
        {"p", "a", "", "tk"},
        {"p", "a", "tk", ""},
        {"patk", "", "", ""},
        {"a", "p", "t", "k"},
        {"p", "a", "k", "t"},
        {"p", "a", "t", "K"},
        {"p", "a", "t", "k "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(scopes); i++) {
        struct dedupe_key one = key_of(scopes[i][0], scopes[i][1], scopes[i][2], scopes[i][3]);
        for (size_t k = 0; k < i; k++) {
            struct dedupe_key other =
                key_of(scopes[k][0], scopes[k][1], scopes[k][2], scopes[k][3]);
            cr_expect_neq(memcmp(one.bytes, other.bytes, sizeof one.bytes), 0, "%zu and %zu", i, k);
        }
    }
}

Test(dedupe, parts_may_be_empty_or_of_the_longest_size)
{
    char text[256];
    memset(text, 'x', sizeof text);
    struct dedupe_key longest, absent;
    dedupe_key_of(
        slice_of(text, 64), slice_of(text, 64), slice_of(text, 64), slice_of(text, 256), &longest);
    dedupe_key_of(
        (struct slice){0}, (struct slice){0}, (struct slice){0}, (struct slice){0}, &absent);
    cr_assert_neq(memcmp(longest.bytes, absent.bytes, sizeof longest.bytes), 0);
}
