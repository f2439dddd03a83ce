/* SPDX-License-Identifier: Apache-2.0 */
#include "base/network.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>

static bool contains(const char *network_text, const char *address_text)
{
    struct network network;
    unsigned char address[NETWORK_ADDRESS_BYTES], ipv4[4];
    cr_assert(network_parse(slice_from_string(network_text), &network), "%s", network_text);
    if (inet_pton(AF_INET, address_text, ipv4) == 1)
        network_map_ipv4(ipv4, address);
    else
        cr_assert_eq(inet_pton(AF_INET6, address_text, address), 1, "%s", address_text);
    return network_contains(&network, address);
}

Test(network, contains_the_addresses_of_its_prefix_and_its_family)
{
    static const struct {
        const char *network, *address;
        bool inside;
    } cases[] = {
        {"203.0.113.0/24", "203.0.113.0", true},
        {"203.0.113.0/24", "203.0.113.255", true},
        {"203.0.113.0/24", "203.0.114.0", false},
        {"203.0.113.0/24", "203.0.112.255", false},
        {"203.0.113.0/24", "::ffff:203.0.113.7", true},
        {"::ffff:203.0.113.0/120", "203.0.113.7", true},
        {"203.0.113.128/25", "203.0.113.127", false},
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7", "203.0.113.6", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8:0:4::/62", "2001:db8:0:7::1", true},
        {"2001:db8:0:4::/62", "2001:db8:0:8::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(contains(cases[i].network, cases[i].address), cases[i].inside, "%s in %s",
            cases[i].address, cases[i].network);
}

Test(network, is_written_as_it_is_read)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"203.0.113.0/24", "203.0.113.0/24"},
        {"203.0.113.7", "203.0.113.7"},
        {"203.0.113.7/32", "203.0.113.7"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"2001:DB8:0::/32", "2001:db8::/32"},
        {"2001:db8::1/128", "2001:db8::1"},
        {"::ffff:203.0.113.0/120", "203.0.113.0/24"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct network network, again;
        char text[NETWORK_TEXT_BYTES];
        cr_assert(network_parse(slice_from_string(cases[i].text), &network));
        network_format(&network, text);
        cr_expect_str_eq(text, cases[i].written);
        cr_assert(network_parse(slice_from_string(text), &again));
        cr_expect(again.prefix_bits == network.prefix_bits &&
                  memcmp(again.address, network.address, sizeof again.address) == 0);
    }
}

Test(network, other_text_is_not_a_network)
{
    static const char *const texts[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
        "10.0.0.0/08", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/8 ", "::/129", "::1/64", "fe80::%eth0",
        "2001:db8::/32/32", "localhost", "[::1]", "::ffff:0:0/90"};
    struct network network = {.prefix_bits = 7};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        cr_expect_not(network_parse(slice_from_string(texts[i]), &network), "%s", texts[i]);
    cr_expect_not(network_parse(slice_of("10.0.0.0\0", 9), &network));
    cr_expect_eq(network.prefix_bits, 7, "a failure leaves the output");
}
