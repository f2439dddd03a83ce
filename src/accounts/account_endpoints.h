/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account's array of endpoints, with the bits that say which of them have a filter. In a copy:
 * what is published is never changed.
 */
#ifndef PENSTOCK_ACCOUNTS_ACCOUNT_ENDPOINTS_H
#define PENSTOCK_ACCOUNTS_ACCOUNT_ENDPOINTS_H

#include "accounts/directory.h"

/* Adds the endpoint, for which there must be room, or brings its bit up to date. False when nothing
 * had to change. */
bool account_endpoints_put(struct account *account, const struct endpoint *endpoint);

/* Takes it out; those behind it move up, and their bits with them. Nothing happens when it is not
 * there. */
void account_endpoints_remove(struct account *account, uint64_t endpoint);

#endif
