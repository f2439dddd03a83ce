/* SPDX-License-Identifier: Apache-2.0 */
/* Which endpoints get an event: for ingress, and for delivery when an event is received from the
 * broker. */
#ifndef PENSTOCK_ACCOUNTS_ROUTING_H
#define PENSTOCK_ACCOUNTS_ROUTING_H

#include "accounts/directory.h"

/* The account's endpoints that want this type, and how many; none for a NULL account. One that was
 * removed since the account was published is left out. By a thread that is online. */
unsigned routing_choose(const struct directory *directory, const struct account *account,
    struct slice type, uint64_t ret_endpoints[ACCOUNT_ENDPOINTS_MAX]);

#endif
