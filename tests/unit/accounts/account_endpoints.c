/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/account_endpoints.h"
#include "accounts/directory_publish.h"

#include <criterion/criterion.h>

static struct endpoint endpoint_of(uint64_t id, bool has_filter)
{
    struct endpoint endpoint = {.id = id};
    if (has_filter)
        cr_assert(type_list_add(&endpoint.types, SLICE_LITERAL("payout")));
    return endpoint;
}

static bool put(struct account *account, uint64_t id, bool has_filter)
{
    struct endpoint endpoint = endpoint_of(id, has_filter);
    return account_endpoints_put(account, &endpoint);
}

/* One letter an endpoint: a dot without a filter, an f with one. */
static const char *bits_of(const struct account *account)
{
    static char text[33];
    for (unsigned i = 0; i < 32; i++)
        text[i] = account->filtered >> i & 1 ? 'f' : i < account->endpoints_count ? '.' : '\0';
    return text;
}

Test(account_endpoints, the_bits_follow_the_filters)
{
    struct account account = {0};
    cr_expect(put(&account, 1, false));
    cr_expect(put(&account, 2, true));
    cr_expect(put(&account, 3, false));
    cr_expect_str_eq(bits_of(&account), ".f.");
    cr_expect_not(put(&account, 2, true), "nothing had to change");
    cr_expect_not(put(&account, 3, false));
    cr_expect(put(&account, 3, true));
    cr_expect(put(&account, 2, false));
    cr_expect_str_eq(bits_of(&account), "..f");
    cr_expect_eq(account.endpoints_count, 3);
}

Test(account_endpoints, those_behind_a_removed_one_keep_their_bits)
{
    struct account account = {0};
    for (uint64_t id = 1; id <= ACCOUNT_ENDPOINTS_MAX; id++)
        put(&account, id, id % 3 == 0);
    cr_expect_str_eq(bits_of(&account), "..f..f..f..f..f.");
    account_endpoints_remove(&account, 3);
    cr_expect_str_eq(bits_of(&account), "....f..f..f..f.");
    account_endpoints_remove(&account, 1);
    account_endpoints_remove(&account, ACCOUNT_ENDPOINTS_MAX);
    cr_expect_str_eq(bits_of(&account), "...f..f..f..f");
    account_endpoints_remove(&account, 99);
    cr_expect_eq(account.endpoints_count, ACCOUNT_ENDPOINTS_MAX - 3);
    cr_expect_eq(account.endpoints[0], 2);
    cr_expect_eq(account.endpoints[1], 4);
    cr_expect_eq(account.endpoints[account.endpoints_count - 1], ACCOUNT_ENDPOINTS_MAX - 1);
    while (account.endpoints_count)
        account_endpoints_remove(&account, account.endpoints[0]);
    cr_expect_eq(account.filtered, 0);
}
