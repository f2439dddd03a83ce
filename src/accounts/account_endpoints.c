/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/account_endpoints.h"

#include <assert.h>

/* endpoints_count: it is not there. */
static unsigned find_endpoint(const struct account *account, uint64_t endpoint)
{
    unsigned at = 0;
    while (at < account->endpoints_count && account->endpoints[at] != endpoint)
        at++;
    return at;
}

bool account_endpoints_put(struct account *account, const struct endpoint *endpoint)
{
    unsigned at = find_endpoint(account, endpoint->id);
    uint32_t bit = UINT32_C(1) << at, filtered = endpoint->types.count > 0 ? bit : 0;
    bool is_new = at == account->endpoints_count;
    if (!is_new && (account->filtered & bit) == filtered)
        return false;
    if (is_new) {
        assert(at < ACCOUNT_ENDPOINTS_MAX);
        account->endpoints[account->endpoints_count++] = endpoint->id;
    }
    account->filtered = (account->filtered & ~bit) | filtered;
    return true;
}

void account_endpoints_remove(struct account *account, uint64_t endpoint)
{
    unsigned at = find_endpoint(account, endpoint);
    if (at == account->endpoints_count)
        return;
    uint32_t before = (UINT32_C(1) << at) - 1;
    account->filtered = (account->filtered & before) | (account->filtered >> 1 & ~before);
    for (account->endpoints_count--; at < account->endpoints_count; at++)
        account->endpoints[at] = account->endpoints[at + 1];
}
