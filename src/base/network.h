/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of IP addresses, as operators write them: "10.0.0.0/8", "fd00::/8", or one address.
 *
 * An address is 16 bytes, IPv4 as ::ffff:a.b.c.d. Only IPv4 networks contain IPv4 addresses: ::/0
 * does not.
 */
#ifndef PENSTOCK_BASE_NETWORK_H
#define PENSTOCK_BASE_NETWORK_H

#include "base/slice.h"

#define NETWORK_ADDRESS_BYTES 16
#define NETWORK_IPV4_PREFIX_BITS 96 /* the bits before an IPv4 address */

struct network {
    unsigned char address[NETWORK_ADDRESS_BYTES];
    unsigned prefix_bits; /* 0 to 128 */
};

/* Returns false for other text, and if host bits are not 0. */
bool network_parse(struct slice text, struct network *ret_network);
#define NETWORK_RULE \
    "must be a network such as 203.0.113.0/24 or 2001:db8::/32, with host bits of 0"

/* Writes what network_parse reads: one address without its length, IPv4 in dotted form. */
#define NETWORK_TEXT_BYTES 50
void network_format(const struct network *network, char ret_text[NETWORK_TEXT_BYTES]);

bool network_contains(
    const struct network *network, const unsigned char address[NETWORK_ADDRESS_BYTES]);

/* Writes the 4 bytes of an IPv4 address as ::ffff:a.b.c.d. */
void network_map_ipv4(const void *ipv4, unsigned char ret_address[NETWORK_ADDRESS_BYTES]);
bool network_is_ipv4(const unsigned char address[NETWORK_ADDRESS_BYTES]);

#endif
