/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forwarded.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

#define FIELDS_MAX 4

/* 10.0.0.0/8 and 2001:db8:1::/48 are those of proxies. */
static bool is_proxy(const struct in6_addr *address, void *context)
{
    const unsigned char *bytes = address->s6_addr;
    ++*(unsigned *)context;
    return (IN6_IS_ADDR_V4MAPPED(address) && bytes[12] == 10) ||
           memcmp(bytes, "\x20\1\x0d\xb8\0\1", 6) == 0;
}

static enum forwarded read_fields(
    const char *const *fields, struct in6_addr *ret_address, uint16_t *ret_port)
{
    struct slice values[FIELDS_MAX];
    size_t count = 0;
    unsigned asked = 0;
    while (count < FIELDS_MAX && fields[count]) {
        values[count] = slice_from_string(fields[count]);
        count++;
    }
    return forwarded_read(values, count, is_proxy, &asked, ret_address, ret_port);
}

static void expect_address(
    const char *const *fields, const char *address, unsigned port, const char *title)
{
    struct in6_addr got, expected;
    uint16_t got_port = 1;
    cr_assert(inet_pton(AF_INET6, address, &expected) == 1);
    enum forwarded result = read_fields(fields, &got, &got_port);
    cr_expect_eq(result, FORWARDED_ADDRESS, "%s: %d", title, result);
    if (result != FORWARDED_ADDRESS)
        return;
    cr_expect(memcmp(&got, &expected, sizeof got) == 0, "%s", title);
    cr_expect_eq(got_port, port, "%s: port %u", title, got_port);
}

static void expect_none(const char *const *fields, enum forwarded expected, const char *title)
{
    struct in6_addr address = {.s6_addr = {7}};
    uint16_t port = 7;
    enum forwarded result = read_fields(fields, &address, &port);
    cr_expect_eq(result, expected, "%s: %d", title, result);
    cr_expect(address.s6_addr[0] == 7 && port == 7, "%s: the outputs are changed", title);
}

Test(forwarded, node_has_an_address_and_perhaps_a_port)
{
    static const struct {
        const char *value, *address;
        unsigned port;
    } cases[] = {
        {"for=192.0.2.60", "::ffff:192.0.2.60", 0},
        {"For=192.0.2.60", "::ffff:192.0.2.60", 0},
        {"for=\"192.0.2.60\"", "::ffff:192.0.2.60", 0},
        {"for=\"192.0.2.60:4711\"", "::ffff:192.0.2.60", 4711},
        {"for=\"192.0.2.60:65535\"", "::ffff:192.0.2.60", 65535},
        {"for=\"192.0.2.60:_hidden\"", "::ffff:192.0.2.60", 0},
        {"for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17", 0},
        {"FOR=\"[2001:DB8:cafe::17]:80\"", "2001:db8:cafe::17", 80},
        {"for=\"[2001:db8:cafe::17]:_p\"", "2001:db8:cafe::17", 0},
        {"for=\"[::ffff:192.0.2.60]\"", "::ffff:192.0.2.60", 0},
        {"for=\"\\1\\92.0.2.60\"", "::ffff:192.0.2.60", 0},
        {"proto=http;by=203.0.113.43;for=192.0.2.60", "::ffff:192.0.2.60", 0},
        {"for=192.0.2.60;proto=http;by=203.0.113.43", "::ffff:192.0.2.60", 0},
        {"for=192.0.2.60; proto=http ;\tby=203.0.113.43 ", "::ffff:192.0.2.60", 0},
        {"for=192.0.2.60;other=\"a,b;c=\\\"d\"", "::ffff:192.0.2.60", 0},
        {"for=192.0.2.60;", "::ffff:192.0.2.60", 0},
        {";for=192.0.2.60", "::ffff:192.0.2.60", 0},
        {",for=192.0.2.60, ,", "::ffff:192.0.2.60", 0},
        {"for=192.0.2.60;other=a;other=b", "::ffff:192.0.2.60", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        expect_address((const char *const[]){cases[i].value, NULL}, cases[i].address, cases[i].port,
            cases[i].value);
}

Test(forwarded, last_element_that_is_not_a_proxy_counts)
{
    static const struct {
        const char *title, *fields[FIELDS_MAX + 1], *address;
    } cases[] = {
        {"the last of a field", {"for=198.51.100.1, for=192.0.2.60"}, "::ffff:192.0.2.60"},
        {"the last field", {"for=198.51.100.1", "for=192.0.2.60"}, "::ffff:192.0.2.60"},
        {"a proxy behind a proxy", {"for=192.0.2.60, for=10.1.2.3"}, "::ffff:192.0.2.60"},
        {"the same in two fields", {"for=192.0.2.60", "for=\"[2001:db8:1::5]:1\""},
            "::ffff:192.0.2.60"},
        {"a client names a proxy", {"for=10.9.9.9, for=192.0.2.60, for=10.1.2.3"},
            "::ffff:192.0.2.60"},
        {"an empty last field", {"for=192.0.2.60", ""}, "::ffff:192.0.2.60"},
        {"what a client sent is malformed", {"for=\"", "for=192.0.2.60"}, "::ffff:192.0.2.60"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        expect_address(cases[i].fields, cases[i].address, 0, cases[i].title);
}

Test(forwarded, without_an_address_the_peer_counts)
{
    static const struct {
        const char *fields[FIELDS_MAX + 1];
        enum forwarded result;
    } cases[] = {
        {{NULL}, FORWARDED_NONE},
        {{""}, FORWARDED_NONE},
        {{" , ,;"}, FORWARDED_NONE},
        {{"for=10.1.2.3"}, FORWARDED_NONE},
        {{"for=10.1.2.3", "for=10.1.2.4"}, FORWARDED_NONE},
        {{"for=unknown"}, FORWARDED_HIDDEN},
        {{"for=UnKnown"}, FORWARDED_HIDDEN},
        {{"for=\"unknown:80\""}, FORWARDED_HIDDEN},
        {{"for=_gazonk"}, FORWARDED_HIDDEN},
        {{"for=\"_SEVKISEK.a-b_c:_x\""}, FORWARDED_HIDDEN},
        {{"proto=https;by=10.0.0.1"}, FORWARDED_HIDDEN},
        {{"for=192.0.2.60, for=unknown"}, FORWARDED_HIDDEN},
        {{"for=192.0.2.60, proto=https"}, FORWARDED_HIDDEN},
        {{"for=192.0.2.60, for=unknown, for=10.1.2.3"}, FORWARDED_HIDDEN},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        expect_none(
            cases[i].fields, cases[i].result, cases[i].fields[0] ? cases[i].fields[0] : "-");
}

Test(forwarded, malformed_fields_do_not_count)
{
    static const char *const cases[] = {"for", "for=", "=x", "for=;proto=http", "for =192.0.2.60",
        "for= 192.0.2.60", "for=192.0.2.60:80", "for=[2001:db8::1]", "for=2001:db8::1",
        "for=\"2001:db8::1\"", "for=\"[2001:db8::1\"", "for=\"[2001:db8::1]x\"", "for=\"[]\"",
        "for=\"[192.0.2.60]\"", "for=\"\"", "for=\":80\"", "for=\"192.0.2.60:\"",
        "for=\"192.0.2.60:65536\"", "for=\"192.0.2.60:123456\"", "for=\"192.0.2.60:-1\"",
        "for=\"192.0.2.60:0x1\"", "for=\"192.0.2.60", "for=\"192.0.2.60\\", "for=\"192.0.2.60\"x",
        "for=192.0.2.060", "for=192.0.2", "for=192.0.2.256", "for=example.com", "for=_", "for=_a@b",
        "for=\"_a b\"", "for=\"[fe80::1%eth0]\"", "for=192.0.2.60 proto=http", "for=\"a\x01\"",
        "for=192.0.2.60;for=192.0.2.60", "for=192.0.2.60;For=10.0.0.1", "proto=a;proto=b",
        "for=192.0.2.60, for=\"", "\"for\"=192.0.2.60",
        "for=192.0.2.60, for=10.0.0.1;"
        "for=10.0.0.1"};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        expect_none((const char *const[]){cases[i], NULL}, FORWARDED_MALFORMED, cases[i]);
    struct in6_addr address;
    uint16_t port;
    unsigned asked = 0;
    struct slice nul = SLICE_LITERAL("for=\"192.0.2.60\0\"");
    cr_expect_eq(forwarded_read(&nul, 1, is_proxy, &asked, &address, &port), FORWARDED_MALFORMED);
}

/* The open string of a client hides the element of the proxy. */
Test(forwarded, quoted_string_that_a_client_leaves_open_is_malformed)
{
    expect_none((const char *const[]){"for=\"_a, for=192.0.2.60", NULL}, FORWARDED_MALFORMED,
        "an open string");
    expect_none((const char *const[]){"for=\"_a, for=\"192.0.2.60\"", NULL}, FORWARDED_MALFORMED,
        "a string that the proxy closes");
}

Test(forwarded, more_proxies_than_hops_are_malformed)
{
    char value[64 * (FORWARDED_HOPS_MAX + 2)] = "for=192.0.2.60";
    for (unsigned i = 1; i < FORWARDED_HOPS_MAX; i++)
        strcat(value, ",for=10.0.0.1");
    expect_address((const char *const[]){value, NULL}, "::ffff:192.0.2.60", 0, "as many");
    strcat(value, ",for=10.0.0.1");
    expect_none((const char *const[]){value, NULL}, FORWARDED_MALFORMED, "one more");
}
