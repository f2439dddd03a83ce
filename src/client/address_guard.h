/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides to which addresses Penstock may connect (protection from SSRF). Only public unicast
 * addresses are allowed. An operator's allow list adds networks. IPv4 inside IPv6 (mapped, NAT64)
 * is unwrapped and checked as IPv4.
 */
#ifndef PENSTOCK_CLIENT_ADDRESS_GUARD_H
#define PENSTOCK_CLIENT_ADDRESS_GUARD_H

#include "base/err.h"
#include "base/network.h"

#include <sys/socket.h>

#define ADDRESS_GUARD_NETWORKS_MAX 64

struct address_guard {
    struct network allowed[ADDRESS_GUARD_NETWORKS_MAX];
    unsigned allowed_count;
};

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address);

#endif
