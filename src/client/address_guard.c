/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of networks is from IANA's special-purpose registries (RFC 6890 and its updates, up to
 * RFC 9780) and RFC 1112 (224/4, 240/4). It also has the networks that the registries call globally
 * reachable and that have no clients: AS112 and multicast relays.
 *
 * Every address is converted to 16 bytes, IPv4 as ::ffff:a.b.c.d. NAT64's well-known prefix (RFC
 * 6052) is removed as well. So an allowed IPv6 network, ::/0 included, never allows an IPv4 address
 * inside IPv6: only IPv4 networks decide about IPv4.
 */
#include "client/address_guard.h"

#include "base/cleanup.h"

#include <netinet/in.h>

#define V4(a, b, c, d, bits)                                                                      \
    {                                                                                             \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, NETWORK_IPV4_PREFIX_BITS + (bits) \
    }
#define V6(a, b, c, d, bits) \
    {                        \
        {a, b, c, d}, bits   \
    }

static const struct network nat64 = V6(0x00, 0x64, 0xff, 0x9b, 96);
/* The only IPv6 range assigned for global unicast. */
static const struct network ipv6_unicast = V6(0x20, 0, 0, 0, 3);

static const struct network refused[] = {
    V4(0, 0, 0, 0, 8),              /* this network */
    V4(10, 0, 0, 0, 8),             /* private */
    V4(100, 64, 0, 0, 10),          /* carriers' NAT */
    V4(127, 0, 0, 0, 8),            /* loopback */
    V4(169, 254, 0, 0, 16),         /* link-local; clouds' metadata services */
    V4(172, 16, 0, 0, 12),          /* private */
    V4(192, 0, 0, 0, 24),           /* IETF protocol assignments */
    V4(192, 0, 2, 0, 24),           /* documentation */
    V4(192, 31, 196, 0, 24),        /* AS112: answers reverse look-ups */
    V4(192, 52, 193, 0, 24),        /* multicast relays */
    V4(192, 88, 99, 0, 24),         /* 6to4 relays */
    V4(192, 168, 0, 0, 16),         /* private */
    V4(192, 175, 48, 0, 24),        /* AS112 */
    V4(198, 18, 0, 0, 15),          /* benchmarks */
    V4(198, 51, 100, 0, 24),        /* documentation */
    V4(203, 0, 113, 0, 24),         /* documentation */
    V4(224, 0, 0, 0, 4),            /* multicast */
    V4(240, 0, 0, 0, 4),            /* reserved; broadcast */
    V6(0x20, 0x01, 0, 0, 23),       /* IETF protocol assignments, Teredo among them */
    V6(0x20, 0x01, 0x0d, 0xb8, 32), /* documentation */
    V6(0x20, 0x02, 0, 0, 16),       /* 6to4: contains any IPv4 address */
    V6(0x3f, 0xff, 0, 0, 20),       /* documentation (RFC 9637) */
    /* AS112 */
    {{0x26, 0x20, 0, 0x4f, 0x80}, 48},
};

static bool read_address(const struct sockaddr *address, unsigned char ret_address[16])
{
    if (address->sa_family == AF_INET) {
        network_map_ipv4(&((const struct sockaddr_in *)address)->sin_addr, ret_address);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(ret_address, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    if (network_contains(&nat64, ret_address))
        network_map_ipv4(
            (unsigned char[4]){ret_address[12], ret_address[13], ret_address[14], ret_address[15]},
            ret_address);
    return true;
}

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address)
{
    unsigned char ip[16];
    if (!read_address(address, ip))
        return false;
    for (unsigned i = 0; i < guard->allowed_count; i++)
        if (network_contains(&guard->allowed[i], ip))
            return true;
    if (!network_is_ipv4(ip) && !network_contains(&ipv6_unicast, ip))
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        if (network_contains(&refused[i], ip))
            return false;
    return true;
}
