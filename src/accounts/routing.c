/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/routing.h"

unsigned routing_choose(const struct directory *directory, const struct account *account,
    struct slice type, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; account && i < account->endpoints_count; i++) {
        if (account->filtered & 1u << i) {
            const struct endpoint *endpoint = directory_endpoint(directory, account->endpoints[i]);
            if (!endpoint || !endpoint_takes(endpoint, type))
                continue;
        }
        ret_endpoints[count++] = account->endpoints[i];
    }
    return count;
}
