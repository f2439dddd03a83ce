/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides to which addresses Penstock may connect (protection from SSRF). Only public unicast
 * addresses are allowed. An operator's allow list adds networks. IPv4 inside IPv6 (mapped, NAT64)
 * is unwrapped and checked as IPv4.
 */
#ifndef PENSTOCK_CLIENT_ADDRESS_GUARD_H
#define PENSTOCK_CLIENT_ADDRESS_GUARD_H

#include "base/err.h"
#include "base/slice.h"

#include <sys/socket.h>

#define ADDRESS_GUARD_NETWORKS_MAX 64

struct network {
    unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned prefix_bits;      /* 0 to 128 */
};

struct address_guard {
    struct network allowed[ADDRESS_GUARD_NETWORKS_MAX];
    unsigned allowed_count;
};

/* Reads "10.0.0.0/8", "fd00::/8", or one address. Returns false for other text, and if host bits
 * are not 0. */
bool network_parse(struct slice text, struct network *ret_network);

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address);

#endif
