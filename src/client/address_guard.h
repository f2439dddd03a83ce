/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses a delivery may go to (SSRF). Everything that is not plainly public unicast is
 * refused; an operator's allow list opens networks. IPv4 hidden in IPv6 (mapped, NAT64) is
 * unwrapped and judged again.
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

/* "10.0.0.0/8", "fd00::/8", or one address; false unless it is exactly that (host bits must be 0).
 * */
bool network_parse(struct slice text, struct network *ret_network);

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address);

#endif
