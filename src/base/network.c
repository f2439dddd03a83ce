/* SPDX-License-Identifier: Apache-2.0 */
#include "base/network.h"

#include <arpa/inet.h>
#include <stdio.h>

#define ADDRESS_BITS (8 * NETWORK_ADDRESS_BYTES)

_Static_assert(NETWORK_TEXT_BYTES >= INET6_ADDRSTRLEN + sizeof "/128" - 1, "every network fits");

static const unsigned char ipv4_mapped[NETWORK_ADDRESS_BYTES] = {[10] = 0xff, [11] = 0xff};

bool network_is_ipv4(const unsigned char address[NETWORK_ADDRESS_BYTES])
{
    return memcmp(address, ipv4_mapped, NETWORK_IPV4_PREFIX_BITS / 8) == 0;
}

void network_map_ipv4(const void *ipv4, unsigned char ret_address[NETWORK_ADDRESS_BYTES])
{
    memcpy(ret_address, ipv4_mapped, NETWORK_IPV4_PREFIX_BITS / 8);
    memcpy(ret_address + NETWORK_IPV4_PREFIX_BITS / 8, ipv4, 4);
}

static bool is_of_ipv4(const struct network *network)
{
    return network->prefix_bits >= NETWORK_IPV4_PREFIX_BITS && network_is_ipv4(network->address);
}

bool network_contains(
    const struct network *network, const unsigned char address[NETWORK_ADDRESS_BYTES])
{
    unsigned whole_bytes = network->prefix_bits / 8, more_bits = network->prefix_bits % 8;
    if (is_of_ipv4(network) != network_is_ipv4(address) ||
        memcmp(network->address, address, whole_bytes) != 0)
        return false;
    if (more_bits == 0)
        return true;
    unsigned char mask = (unsigned char)(0xff00 >> more_bits);
    return (network->address[whole_bytes] & mask) == (address[whole_bytes] & mask);
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
    for (unsigned bit = network->prefix_bits; bit < ADDRESS_BITS; bit++)
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
        network_map_ipv4(ipv4, network.address);
        bits_before = NETWORK_IPV4_PREFIX_BITS;
    } else if (inet_pton(AF_INET6, address_text, network.address) != 1) {
        return false;
    }
    unsigned bits = ADDRESS_BITS - bits_before;
    if (slash && !parse_prefix_bits(slice_of(slash + 1, text.len - address_len - 1), bits, &bits))
        return false;
    network.prefix_bits = bits_before + bits;
    if (!host_bits_are_zero(&network))
        return false;
    *ret_network = network;
    return true;
}

void network_format(const struct network *network, char ret_text[NETWORK_TEXT_BYTES])
{
    bool ipv4 = is_of_ipv4(network);
    unsigned before = ipv4 ? NETWORK_IPV4_PREFIX_BITS : 0;
    inet_ntop(ipv4 ? AF_INET : AF_INET6, network->address + before / 8, ret_text, INET6_ADDRSTRLEN);
    size_t len = strlen(ret_text);
    if (network->prefix_bits < ADDRESS_BITS)
        snprintf(ret_text + len, NETWORK_TEXT_BYTES - len, "/%u", network->prefix_bits - before);
}
