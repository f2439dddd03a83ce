/* SPDX-License-Identifier: Apache-2.0 */
#include "client/address_guard.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

static bool allows(const struct address_guard *guard, const char *text)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1)
        return address_guard_allows(guard, (struct sockaddr *)&ipv4);
    cr_assert(inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1, "%s", text);
    return address_guard_allows(guard, (struct sockaddr *)&ipv6);
}

/* The first and the last address of each network, and their neighbours outside. NULL: there is no
 * neighbour, or it is rejected as well. */
static const struct {
    const char *before, *first, *last, *after;
} refused[] = {
    {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
    {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
    {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
    {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
    {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
    {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
    {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
    {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
    {"192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"},
    {"192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"},
    {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
    {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
    {"192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"},
    {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
    {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
    {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
    {"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
    {NULL, "240.0.0.0", "255.255.255.255", NULL},
    {NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
    {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:200::"},
    {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
    {"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2003::"},
    {"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
        "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"},
    {"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::"},
    {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        NULL},
};

Test(address_guard, every_special_network_is_rejected_from_first_to_last_address)
{
    struct address_guard nothing_more = {.allowed_count = 0};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        cr_expect(!allows(&nothing_more, refused[i].first), "%s", refused[i].first);
        cr_expect(!allows(&nothing_more, refused[i].last), "%s", refused[i].last);
        if (refused[i].before)
            cr_expect(allows(&nothing_more, refused[i].before), "%s", refused[i].before);
        if (refused[i].after)
            cr_expect(allows(&nothing_more, refused[i].after), "%s", refused[i].after);
    }
}

Test(address_guard, ipv4_inside_ipv6_is_checked_as_ipv4)
{
    static const struct {
        const char *address;
        bool allowed;
    } cases[] = {
        {"::ffff:127.0.0.1", false},
        {"::ffff:10.1.2.3", false},
        {"::ffff:8.8.8.8", true},
        {"64:ff9b::169.254.169.254", false},
        {"64:ff9b::8.8.8.8", true},
        {"64:ff9b:0:0:0:1:808:808", false}, /* outside of the /96 */
        {"64:ff9b:1::8.8.8.8", false},      /* local NAT64 */
        {"::8.8.8.8", false},               /* IPv4-compatible, obsolete */
        {"2002:808:808::1", false},
        {"100::1", false},      /* discarded */
        {"100:0:0:1::", false}, /* dummy prefix */
        {"5f00::1", false},     /* segment routing */
        {"::1", false},
        {"fe80::1", false},
        {"fd00::1", false},
        {"ff02::1", false},
        {"2a00:1450:4001::1", true},
    };
    struct address_guard nothing_more = {.allowed_count = 0};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(
            allows(&nothing_more, cases[i].address), cases[i].allowed, "%s", cases[i].address);
}

Test(address_guard, only_the_allowed_networks_are_added)
{
    static const struct {
        const char *network, *address;
        bool allowed;
    } cases[] = {
        {"127.0.0.0/8", "127.0.0.1", true},
        {"127.0.0.0/8", "10.0.0.1", false},
        {"127.0.0.0/8", "::ffff:127.0.0.1", true},
        {"127.0.0.0/8", "64:ff9b::127.0.0.1", true},
        {"127.0.0.0/8", "::1", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"172.16.0.0/13", "172.23.255.255", true},
        {"172.16.0.0/13", "172.24.0.0", false},
        {"0.0.0.0/0", "192.168.1.1", true},
        {"0.0.0.0/0", "fd00::1", false},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"::1", "::1", true},
        {"::/0", "fe80::1", true},
        {"::/0", "127.0.0.1", false},
        {"::/0", "::ffff:127.0.0.1", false},
        {"64:ff9b::/96", "64:ff9b::127.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct address_guard guard = {.allowed_count = 1};
        cr_assert(network_parse(slice_from_string(cases[i].network), &guard.allowed[0]), "%s",
            cases[i].network);
        cr_expect_eq(allows(&guard, cases[i].address), cases[i].allowed, "%s %s", cases[i].network,
            cases[i].address);
    }
}

Test(address_guard, other_address_families_are_rejected)
{
    struct address_guard guard = {.allowed_count = 2};
    cr_assert(network_parse(SLICE_LITERAL("0.0.0.0/0"), &guard.allowed[0]));
    cr_assert(network_parse(SLICE_LITERAL("::/0"), &guard.allowed[1]));
    struct sockaddr_storage unix_socket = {.ss_family = AF_UNIX};
    cr_expect(!address_guard_allows(&guard, (struct sockaddr *)&unix_socket));
}

Test(network_parse, reads_addresses_and_networks)
{
    static const struct {
        const char *text, *address;
        unsigned prefix_bits;
    } cases[] = {
        {"10.0.0.0/8", "::ffff:10.0.0.0", 104},
        {"192.168.1.7", "::ffff:192.168.1.7", 128},
        {"192.168.1.7/32", "::ffff:192.168.1.7", 128},
        {"0.0.0.0/0", "::ffff:0.0.0.0", 96},
        {"fd00::/8", "fd00::", 8},
        {"2001:db8::1", "2001:db8::1", 128},
        {"::/0", "::", 0},
        {"::ffff:10.0.0.0/104", "::ffff:10.0.0.0", 104},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct network network;
        unsigned char expected[16];
        cr_assert(inet_pton(AF_INET6, cases[i].address, expected) == 1);
        cr_assert(network_parse(slice_from_string(cases[i].text), &network), "%s", cases[i].text);
        cr_expect(memcmp(network.address, expected, 16) == 0, "%s", cases[i].text);
        cr_expect_eq(network.prefix_bits, cases[i].prefix_bits, "%s", cases[i].text);
    }
}

Test(network_parse, rejects_other_text_and_leaves_the_output_unchanged)
{
    static const char *const cases[] = {"", "/", "/8", "10", "10.0.0/8", "10.0.0.0/", "10.0.0.0/33",
        "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/ 8", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0/8/8",
        "10.0.0.1/8", "10.0.0.0/-1", "10.0.0.0/0", "10.0.0.0/8x", "010.0.0.0/8", "0x0a.0.0.0/8",
        "256.0.0.0/8", "10.0.0.0/0008", "fd00::/129", "fd00::1/8", "fd00:/8", "fd00::/",
        "[fd00::]/8", "fe80::1%eth0", "localhost", "1111:2222:3333:4444:5555:6666:7777:8888:9999",
        "1111:2222:3333:4444:5555:6666:123.123.123.123444/128"};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct network network = {.prefix_bits = 77};
        cr_expect(!network_parse(slice_from_string(cases[i]), &network), "%s", cases[i]);
        cr_expect_eq(network.prefix_bits, 77, "%s", cases[i]);
    }
    struct network network;
    cr_expect(!network_parse(slice_of("10.0.0.1\0/32", 12), &network));
}
