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

#include <arpa/inet.h>
#include <netinet/in.h>

#define IPV4_PREFIX_BITS 96
#define V4(a, b, c, d, bits)                                                              \
    {                                                                                     \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, IPV4_PREFIX_BITS + (bits) \
    }
#define V6(a, b, c, d, bits) \
    {                        \
        {a, b, c, d}, bits   \
    }

static const struct network ipv4_mapped = V4(0, 0, 0, 0, 0);
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

static bool network_contains(const struct network *network, const unsigned char address[16])
{
    unsigned whole_bytes = network->prefix_bits / 8, more_bits = network->prefix_bits % 8;
    if (memcmp(network->address, address, whole_bytes) != 0)
        return false;
    if (more_bits == 0)
        return true;
    unsigned char mask = (unsigned char)(0xff00 >> more_bits);
    return (network->address[whole_bytes] & mask) == (address[whole_bytes] & mask);
}

static bool is_ipv4(const unsigned char address[16])
{
    return network_contains(&ipv4_mapped, address);
}

static void put_ipv4(const void *ipv4, unsigned char ret_address[16])
{
    memcpy(ret_address, ipv4_mapped.address, 12);
    memcpy(ret_address + 12, ipv4, 4);
}

static bool read_address(const struct sockaddr *address, unsigned char ret_address[16])
{
    if (address->sa_family == AF_INET) {
        put_ipv4(&((const struct sockaddr_in *)address)->sin_addr, ret_address);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(ret_address, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    if (network_contains(&nat64, ret_address))
        put_ipv4(
            (unsigned char[4]){ret_address[12], ret_address[13], ret_address[14], ret_address[15]},
            ret_address);
    return true;
}

bool address_guard_allows(const struct address_guard *guard, const struct sockaddr *address)
{
    unsigned char ip[16];
    if (!read_address(address, ip))
        return false;
    bool ipv4 = is_ipv4(ip);
    for (unsigned i = 0; i < guard->allowed_count; i++) {
        const struct network *allowed = &guard->allowed[i];
        bool ipv4_network = allowed->prefix_bits >= IPV4_PREFIX_BITS && is_ipv4(allowed->address);
        if (ipv4_network == ipv4 && network_contains(allowed, ip))
            return true;
    }
    if (!ipv4 && !network_contains(&ipv6_unicast, ip))
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        if (network_contains(&refused[i], ip))
            return false;
    return true;
}

/* Reads one to three digits without a leading zero. */
static bool parse_prefix_bits(struct slice text, unsigned bits_max, unsigned *ret_bits)
{
    if (text.len < 1 || text.len > 3 || (text.len > 1 && text.data[0] == '0'))
        return false;
    unsigned bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        bits = bits * 10 + (unsigned)(text.data[i] - '0');
    }
    if (bits > bits_max)
        return false;
    *ret_bits = bits;
    return true;
}

static bool host_bits_are_zero(const struct network *network)
{
    for (unsigned bit = network->prefix_bits; bit < 128; bit++)
        if (network->address[bit / 8] & (0x80 >> bit % 8))
            return false;
    return true;
}

bool network_parse(struct slice text, struct network *ret_network)
{
    char address_text[INET6_ADDRSTRLEN];
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    size_t address_len = slash ? (size_t)(slash - text.data) : text.len;
    if (address_len == 0 || address_len >= sizeof address_text || memchr(text.data, '\0', text.len))
        return false;
    memcpy(address_text, text.data, address_len);
    address_text[address_len] = '\0';

    struct network network;
    unsigned char ipv4[4];
    unsigned bits_before = 0;
    if (inet_pton(AF_INET, address_text, ipv4) == 1) {
        put_ipv4(ipv4, network.address);
        bits_before = IPV4_PREFIX_BITS;
    } else if (inet_pton(AF_INET6, address_text, network.address) != 1) {
        return false;
    }
    unsigned bits = 128 - bits_before;
    if (slash && !parse_prefix_bits(slice_of(slash + 1, text.len - address_len - 1), bits, &bits))
        return false;
    network.prefix_bits = bits_before + bits;
    if (!host_bits_are_zero(&network))
        return false;
    *ret_network = network;
    return true;
}
