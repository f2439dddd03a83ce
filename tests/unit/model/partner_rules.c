/* SPDX-License-Identifier: Apache-2.0 */
#include "model/partner_rules.h"

#include "base/cleanup.h"
#include "model/refusal.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA256_COLONS                                                                         \
    "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:" \
    "AB:CD:EF"

static struct refusal refusal;

static enum err change(struct partner_rules *rules, const char *json)
{
    refusal = (struct refusal){0};
    return partner_rules_change(rules, slice_from_string(json), &refusal);
}

static void expect_text(const struct partner_rules *rules, const char *wanted)
{
    struct buffer text = BUFFER_EMPTY;
    partner_rules_print(rules, &text);
    cr_assert_eq(buffer_status(&text), OK);
    cr_expect_str_eq(text.data, wanted);
    buffer_done(&text);
}

#define ALL                                                                              \
    "{\"events_per_second\":500,\"events_burst\":2000,\"bytes_per_second\":1048576,"     \
    "\"bytes_burst\":4194304,\"allow_networks\":[\"203.0.113.0/24\",\"2001:db8::/32\"]," \
    "\"certificates\":[\"sha256:" SHA256 "\",\"dns:post.shop.example\"],"                \
    "\"certificate_required\":true}"

Test(partner_rules, are_written_as_they_are_read)
{
    struct partner_rules rules = {0}, again = {0};
    expect_text(&rules, "{}");
    cr_assert_eq(change(&rules, ALL), OK, "%s", refusal.problems.list[0].detail);
    cr_expect(rules.events_per_s == 500 && rules.events_burst == 2000);
    cr_expect(rules.bytes_per_s == 1048576 && rules.bytes_burst == 4194304);
    cr_expect(rules.allow_count == 2 && rules.certificates_count == 2);
    cr_expect(rules.certificate_required);
    expect_text(&rules, ALL);
    cr_assert_eq(change(&again, ALL), OK);
    expect_text(&again, ALL);
}

Test(partner_rules, a_change_keeps_what_it_does_not_name_and_null_resets)
{
    struct partner_rules rules = {0};
    cr_assert_eq(change(&rules, "{\"events_per_second\":5,\"allow_networks\":[\"10.0.0.1\"]}"), OK);
    cr_assert_eq(change(&rules, "{\"bytes_per_second\":\"64KiB\"}"), OK);
    expect_text(&rules,
        "{\"events_per_second\":5,\"bytes_per_second\":65536,\"allow_networks\":[\"10.0.0.1\"]}");
    cr_assert_eq(change(&rules, "{\"allow_networks\":[\"::1\"],\"events_per_second\":null}"), OK);
    expect_text(&rules, "{\"bytes_per_second\":65536,\"allow_networks\":[\"::1\"]}");
    cr_assert_eq(change(&rules, "{\"allow_networks\":null,\"bytes_per_second\":0}"), OK);
    expect_text(&rules, "{}");
    cr_assert_eq(change(&rules, "{\"certificates\":[\"DNS:x\"]}"), ERR_INVALID);
    cr_assert_eq(change(&rules, "{\"certificates\":[\"dns:A.example\"]}"), OK);
    cr_assert_eq(change(&rules, "{\"certificate_required\":true}"), OK);
    cr_assert_eq(change(&rules, "{\"certificates\":[]}"), ERR_INVALID, "one is required");
    expect_text(&rules, "{\"certificates\":[\"dns:a.example\"],\"certificate_required\":true}");
    cr_assert_eq(change(&rules, "{\"certificates\":[],\"certificate_required\":false}"), OK);
    expect_text(&rules, "{}");
}

Test(partner_rules, each_wrong_member_is_named_and_nothing_is_changed)
{
    static const struct {
        const char *json, *pointer;
    } cases[] = {
        {"{\"events_per_second\":-1}", "/events_per_second"},
        {"{\"events_per_second\":1000001}", "/events_per_second"},
        {"{\"events_per_second\":1.5}", "/events_per_second"},
        {"{\"events_per_second\":\"5\"}", "/events_per_second"},
        {"{\"events_burst\":10000001}", "/events_burst"},
        {"{\"bytes_per_second\":1023}", "/bytes_per_second"},
        {"{\"bytes_per_second\":\"1MB\"}", "/bytes_per_second"},
        {"{\"bytes_per_second\":true}", "/bytes_per_second"},
        {"{\"bytes_burst\":1048575}", "/bytes_burst"},
        {"{\"bytes_burst\":\"101GiB\"}", "/bytes_burst"},
        {"{\"allow_networks\":\"10.0.0.0/8\"}", "/allow_networks"},
        {"{\"allow_networks\":[\"10.0.0.0/8\",\"10.0.0.1/8\"]}", "/allow_networks/1"},
        {"{\"allow_networks\":[7]}", "/allow_networks/0"},
        {"{\"allow_networks\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "/allow_networks"},
        {"{\"certificates\":[\"shop.example\"]}", "/certificates/0"},
        {"{\"certificates\":[\"sha256:0123\"]}", "/certificates/0"},
        {"{\"certificates\":[\"dns:\"]}", "/certificates/0"},
        {"{\"certificates\":[\"email:a b@example\"]}", "/certificates/0"},
        {"{\"certificates\":[1,1,1,1,1,1,1,1,1]}", "/certificates"},
        {"{\"certificate_required\":1}", "/certificate_required"},
        {"{\"certificate_required\":true}", "/certificates"},
        {"{\"rate\":1}", "/rate"},
        {"{\"events_burst\":1,\"events_burst\":2}", "/events_burst"},
        {"[]", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct partner_rules rules = {0};
        cr_assert_eq(change(&rules, cases[i].json), ERR_INVALID, "%s", cases[i].json);
        cr_assert_geq(refusal.problems.count, 1, "%s", cases[i].json);
        cr_expect_str_eq(refusal.problems.list[0].pointer, cases[i].pointer, "%s", cases[i].json);
        expect_text(&rules, "{}");
    }
    struct partner_rules rules = {0};
    cr_expect_eq(change(&rules, "{"), ERR_MALFORMED_JSON);
    cr_expect_eq(change(&rules, ""), ERR_MALFORMED_JSON);
}

static bool allows(const struct partner_rules *rules, const char *text)
{
    struct in6_addr address;
    cr_assert_eq(inet_pton(AF_INET6, text, &address), 1, "%s", text);
    return partner_rules_allow(rules, &address);
}

Test(partner_rules, addresses_are_held_against_the_networks)
{
    struct partner_rules rules = {0};
    cr_expect(allows(&rules, "::ffff:198.51.100.1") && allows(&rules, "2001:db8::1"));
    cr_assert_eq(change(&rules, "{\"allow_networks\":[\"203.0.113.0/24\",\"2001:db8::/48\"]}"), OK);
    cr_expect(allows(&rules, "::ffff:203.0.113.9") && allows(&rules, "2001:db8::9"));
    cr_expect_not(allows(&rules, "::ffff:203.0.112.9"));
    cr_expect_not(allows(&rules, "2001:db8:1::9"));
    cr_expect_not(allows(&rules, "::203.0.113.9"), "an address that is not mapped is IPv6");
    cr_assert_eq(change(&rules, "{\"allow_networks\":[\"::/0\"]}"), OK);
    cr_expect_not(allows(&rules, "::ffff:203.0.113.9"));
}

static struct tls_identity identity_of(const char *name)
{
    struct tls_identity identity = {
        .sha256 = {0xff}, .names_count = 2, .names = {"DNS:other.example"}};
    snprintf(identity.names[1], sizeof identity.names[1], "%s", name);
    return identity;
}

Test(partner_rules, a_required_certificate_is_one_of_the_partner)
{
    struct partner_rules rules = {0};
    struct tls_identity shop = identity_of("DNS:Post.Shop.example");
    cr_expect(partner_rules_fit_certificate(&rules, NULL));
    cr_assert_eq(change(&rules, "{\"certificates\":[\"uri:spiffe://a/b\",\"dns:post.shop."
                                "EXAMPLE\",\"sha256:" SHA256_COLONS "\"]}"),
        OK, "%s", refusal.problems.list[0].detail);
    cr_expect(partner_rules_fit_certificate(&rules, NULL), "none is required");
    cr_assert_eq(change(&rules, "{\"certificate_required\":true}"), OK);
    cr_expect_not(partner_rules_fit_certificate(&rules, NULL));
    cr_expect(partner_rules_fit_certificate(&rules, &shop));
    shop = identity_of("DNS:post.shop.example.evil");
    cr_expect_not(partner_rules_fit_certificate(&rules, &shop));
    shop = identity_of("post.shop.example");
    cr_expect_not(partner_rules_fit_certificate(&rules, &shop));

    struct tls_identity other = identity_of("DNS:*.shop.example");
    cr_expect_not(partner_rules_fit_certificate(&rules, &other), "a wildcard means itself");
    other = identity_of("email:post.shop.example");
    cr_expect_not(partner_rules_fit_certificate(&rules, &other), "the kind counts");
    other = identity_of("URI:spiffe://A/b");
    cr_expect_not(partner_rules_fit_certificate(&rules, &other), "the case of a URI counts");
    other = identity_of("URI:spiffe://a/b");
    cr_expect(partner_rules_fit_certificate(&rules, &other));

    other = (struct tls_identity){0};
    cr_assert(hex_decode(SLICE_LITERAL(SHA256), other.sha256));
    cr_expect(partner_rules_fit_certificate(&rules, &other));
    other.sha256[31] ^= 1;
    cr_expect_not(partner_rules_fit_certificate(&rules, &other));
}
