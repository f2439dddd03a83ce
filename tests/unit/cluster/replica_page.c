/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/replica_page.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define PARTNER                                                                     \
    "{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"/data/order\",\"rules\":{" \
    "\"events_per_second\":9,\"allow_networks\":[\"::1\"]},\"secrets\":[{\"id\":"   \
    "\"sec_0000000000000007\",\"secret\":\"" SECRET                                 \
    "\",\"created_us\":5}],\"kind\":\"partner\",\"version\":3,\"created_us\":4,\"removed\":false}"
#define ACCOUNT                                                                               \
    "{\"id\":\"acc_1\",\"enabled\":true,\"kind\":\"account\",\"version\":6,\"created_us\":7," \
    "\"removed\":false}"
#define ENDPOINT                                                                                \
    "{\"id\":\"ep_0000000000000009\",\"account\":\"acc_1\",\"name\":\"main\",\"url\":"          \
    "\"https://client.example/hook\",\"enabled\":true,\"idempotent\":true,\"final_4xx\":false," \
    "\"types\":[\"purchase\",\"lead.*\"],\"kind\":\"endpoint\",\"version\":8,\"created_us\":9," \
    "\"removed\":false}"
#define CREDENTIAL                                                                             \
    "{\"sha256\":\"" SHA256                                                                    \
    "\",\"partner\":\"shop\",\"label\":\"till 7\",\"expires_us\":77,\"accounts\":[\"acc_1\"]," \
    "\"types\":[\"order.*\"],\"kind\":\"credential\",\"version\":10,\"created_us\":11,"        \
    "\"removed\":false}"
#define GRANT                                                                                  \
    "{\"partner\":\"shop\",\"account\":\"acc_1\",\"kind\":\"grant\",\"version\":12,\"created_" \
    "us\":"                                                                                    \
    "13,\"removed\":true}"
#define PAGE(changes)                                                                      \
    "{\"installation\":\"0123456789abcdef0123456789abcdef\",\"version\":12,\"more\":true," \
    "\"restart\":false,\"changes\":[" changes "]}"
#define ALL PAGE(PARTNER "," ACCOUNT "," ENDPOINT "," CREDENTIAL "," GRANT)

static struct replica_answer answer;
static char detail[REPLICA_PAGE_DETAIL_BYTES];

static bool parse(const char *text)
{
    *detail = '\0';
    return replica_page_parse(slice_from_string(text), &answer, detail);
}

Test(replica_page, objects_of_each_kind_are_read)
{
    cr_assert(parse(ALL), "%s", detail);
    cr_expect_str_eq(answer.installation, "0123456789abcdef0123456789abcdef");
    cr_expect_eq(answer.page.version, 12);
    cr_expect(answer.page.more && !answer.restart);
    cr_assert_eq(answer.page.count, 5);
    const struct accounts_object *objects = answer.page.objects;

    const struct partner *partner = objects[0].partner;
    cr_expect_eq(objects[0].kind, ACCOUNTS_KIND_PARTNER);
    cr_expect_str_eq(partner->id, "shop");
    cr_expect(partner->enabled && partner->version == 3 && objects[0].created_us == 4);
    cr_expect_str_eq(partner->key_pointer, "/data/order");
    cr_expect(partner->rules.events_per_s == 9 && partner->rules.allow_count == 1);
    cr_assert_eq(partner->secrets_count, 1);
    cr_expect(partner->secrets[0].id == 7 && partner->secrets[0].created_us == 5);
    cr_expect_eq(partner->secrets[0].secret.len, 32);

    cr_expect_eq(objects[1].kind, ACCOUNTS_KIND_ACCOUNT);
    cr_expect_str_eq(objects[1].account.id, "acc_1");
    cr_expect(objects[1].account.enabled && objects[1].account.version == 6);

    const struct endpoint *endpoint = objects[2].endpoint;
    cr_expect_eq(objects[2].kind, ACCOUNTS_KIND_ENDPOINT);
    cr_expect(endpoint->id == 9 && endpoint->version == 8 && endpoint->secrets_count == 0);
    cr_expect_str_eq(endpoint->account, "acc_1");
    cr_expect_str_eq(endpoint->name, "main");
    cr_expect_str_eq(endpoint->url, "https://client.example/hook");
    cr_expect(endpoint->enabled && endpoint->idempotent && !endpoint->final_4xx);
    cr_assert_eq(endpoint->types.count, 2);
    cr_expect_str_eq(endpoint->types.patterns[1], "lead.*");

    cr_expect_eq(objects[3].kind, ACCOUNTS_KIND_CREDENTIAL);
    cr_expect_str_eq(objects[3].credential->partner, "shop");
    cr_expect_eq(objects[3].credential->sha256[0], 0xe3);
    cr_expect_eq(objects[3].credential->created_us, 11);
    cr_expect_str_eq(objects[3].credential->label, "till 7");
    cr_expect_eq(objects[3].credential->expires_us, 77);
    cr_expect_str_eq(objects[3].credential->scope.accounts[0], "acc_1");
    cr_expect_str_eq(objects[3].credential->scope.types.patterns[0], "order.*");

    cr_expect_eq(objects[4].kind, ACCOUNTS_KIND_GRANT);
    cr_expect_str_eq(objects[4].grant.partner, "shop");
    cr_expect_str_eq(objects[4].grant.account, "acc_1");
    cr_expect(objects[4].removed && !objects[3].removed);
    accounts_page_done(&answer.page);
}

Test(replica_page, an_empty_page_and_a_restart_are_pages)
{
    cr_assert(parse(PAGE("")), "%s", detail);
    cr_expect_eq(answer.page.count, 0);
    accounts_page_done(&answer.page);
    cr_assert(parse(
        "{\"installation\":\"\",\"version\":0,\"more\":false,\"restart\":true,\"changes\":[]}"));
    cr_expect(answer.restart && !answer.page.more && answer.page.version == 0);
    accounts_page_done(&answer.page);
}

Test(replica_page, objects_keep_their_order_and_versions)
{
    cr_assert(parse(PAGE(GRANT "," ACCOUNT "," GRANT "," PARTNER)), "%s", detail);
    static const int64_t versions[] = {12, 6, 12, 3};
    cr_assert_eq(answer.page.count, 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(answer.page.objects[i].version, versions[i], "object %zu", i);
    accounts_page_done(&answer.page);
}

/* The page with the first `old` replaced. */
static char *changed(const char *old, const char *new)
{
    const char *at = strstr(ALL, old);
    cr_assert_not_null(at, "%s", old);
    char *text = malloc(sizeof ALL + strlen(new));
    sprintf(text, "%.*s%s%s", (int)(at - ALL), ALL, new, at + strlen(old));
    return text;
}

Test(replica_page, unknown_members_are_ignored)
{
    static const char *const places[] = {
        "{\"installation\"", "{\"id\":\"shop\"", "{\"id\":\"sec_", "{\"sha256\"", "{\"partner\""};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char with[128];
        snprintf(with, sizeof with, "{\"new\":{\"a\":[1]},%s", places[i] + 1);
        char *text = changed(places[i], with);
        cr_expect(parse(text), "%s: %s", places[i], detail);
        cr_expect_eq(answer.page.count, 5);
        accounts_page_done(&answer.page);
        free(text);
    }
}

Test(replica_page, members_of_later_versions_may_be_missing)
{
    char *text = changed("\"rules\":{", "\"unknown\":{");
    cr_assert(parse(text), "%s", detail);
    cr_expect_eq(answer.page.objects[0].partner->rules.allow_count, 0);
    accounts_page_done(&answer.page);
    free(text);
    text = changed("\"expires_us\":77,", "");
    cr_assert(parse(text), "%s", detail);
    cr_expect_eq(answer.page.objects[3].credential->scope.accounts_count, 0);
    accounts_page_done(&answer.page);
    free(text);
}

#define PARTNER_WRONG "an object of kind partner has a missing or wrong member"
#define ACCOUNT_WRONG "an object of kind account has a missing or wrong member"
#define ENDPOINT_WRONG "an object of kind endpoint has a missing or wrong member"
#define CREDENTIAL_WRONG "an object of kind credential has a missing or wrong member"
#define GRANT_WRONG "an object of kind grant has a missing or wrong member"
#define NO_PAGE "the answer is not a page of changes"
#define NO_KIND "an object has a kind that this version does not know: upgrade this gateway"
#define NAME_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *old, *new, *detail;
} mistakes[] = {
    /* of the page */
    {"\"installation\"", "\"other\"", NO_PAGE},
    {"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef0", NO_PAGE},
    {"\"0123456789abcdef0123456789abcdef\"", "7", NO_PAGE},
    {"\"version\":12,\"more\"", "\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":\"12\",\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":-1,\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":1.5,\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":9223372036854775808,\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":1e400,\"more\"", NO_PAGE},
    {"\"version\":12,\"more\"", "\"version\":null,\"more\"", NO_PAGE},
    {"\"more\":true", "\"more\":1", NO_PAGE},
    {"\"more\":true,", "", NO_PAGE},
    {"\"restart\":false", "\"restart\":\"false\"", NO_PAGE},
    {"\"restart\":false,", "", NO_PAGE},
    {"\"changes\":[", "\"other\":[", NO_PAGE},
    /* of any object */
    {"\"kind\":\"partner\"", "\"kind\":\"robot\"", NO_KIND},
    {"\"kind\":\"partner\"", "\"kind\":1", NO_KIND},
    {"\"kind\":\"partner\",", "", NO_KIND},
    {PARTNER, "7", NO_KIND},
    {PARTNER, "null", NO_KIND},
    {"\"version\":3,", "", PARTNER_WRONG},
    {"\"version\":3", "\"version\":-3", PARTNER_WRONG},
    {"\"version\":3", "\"version\":3.0", PARTNER_WRONG},
    {"\"version\":3", "\"version\":99999999999999999999", NO_PAGE},
    {"\"created_us\":4", "\"created_us\":\"4\"", PARTNER_WRONG},
    {"\"created_us\":4,\"removed\":false", "\"created_us\":4", PARTNER_WRONG},
    {"\"created_us\":4,\"removed\":false", "\"created_us\":4,\"removed\":0", PARTNER_WRONG},
    /* of a partner */
    {"\"id\":\"shop\"", "\"id\":\"\"", PARTNER_WRONG},
    {"\"id\":\"shop\"", "\"id\":\"a/b\"", PARTNER_WRONG},
    {"\"id\":\"shop\"", "\"id\":\"" NAME_64 "a\"", PARTNER_WRONG},
    {"\"id\":\"shop\"", "\"id\":\"sh\\u0000op\"", NO_PAGE},
    {"\"id\":\"shop\"", "\"id\":[\"shop\"]", PARTNER_WRONG},
    {"\"enabled\":true,\"key_pointer\"", "\"enabled\":\"true\",\"key_pointer\"", PARTNER_WRONG},
    {"/data/order", "data", PARTNER_WRONG},
    {"\"key_pointer\"", "\"pointer\"", PARTNER_WRONG},
    {"\"secrets\":[", "\"other\":[", PARTNER_WRONG},
    {"sec_0000000000000007", "sec_7", PARTNER_WRONG},
    {"\"secret\":\"whsec_", "\"secret\":\"", PARTNER_WRONG},
    {"\"created_us\":5", "\"created_us\":-5", PARTNER_WRONG},
    {"\"created_us\":5}", "\"created_us\":5},{},{},{},{}", PARTNER_WRONG},
    {"\"created_us\":5}", "\"created_us\":5},[]", PARTNER_WRONG},
    {"\"rules\":{", "\"rules\":7,\"other\":{", PARTNER_WRONG},
    {"\"events_per_second\":9", "\"events_per_second\":-9", PARTNER_WRONG},
    {"\"::1\"", "\"::1/64\"", PARTNER_WRONG},
    /* of an account */
    {"\"id\":\"acc_1\"", "\"id\":\"acc 1\"", ACCOUNT_WRONG},
    {"\"id\":\"acc_1\",", "", ACCOUNT_WRONG},
    {"\"id\":\"acc_1\",\"enabled\":true", "\"id\":\"acc_1\",\"enabled\":null", ACCOUNT_WRONG},
    /* of an endpoint */
    {"ep_0000000000000009", "ep_9", ENDPOINT_WRONG},
    {"ep_0000000000000009", "ep_ffffffffffffffffff", ENDPOINT_WRONG},
    {"\"account\":\"acc_1\",\"name\"", "\"name\"", ENDPOINT_WRONG},
    {"\"name\":\"main\"", "\"name\":\"-\"", ENDPOINT_WRONG},
    {"\"url\":", "\"uri\":", ENDPOINT_WRONG},
    {"\"idempotent\":true", "\"idempotent\":\"yes\"", ENDPOINT_WRONG},
    {"\"final_4xx\":false,", "", ENDPOINT_WRONG},
    {"\"types\":[", "\"types\":[7,", ENDPOINT_WRONG},
    {"\"lead.*\"", "\"*lead\"", ENDPOINT_WRONG},
    {"\"types\":[\"purchase\",\"lead.*\"]", "\"types\":\"purchase\"", ENDPOINT_WRONG},
    /* of a credential */
    {SHA256, "e3b0", CREDENTIAL_WRONG},
    {"\"sha256\":\"e3", "\"sha256\":\"xy", CREDENTIAL_WRONG},
    {SHA256, SHA256 "00", CREDENTIAL_WRONG},
    {"\"partner\":\"shop\",\"label\"", "\"label\"", CREDENTIAL_WRONG},
    {"\"label\":\"till 7\"", "\"label\":\"till\\n7\"", CREDENTIAL_WRONG},
    {"\"label\":\"till 7\",", "", CREDENTIAL_WRONG},
    {"\"expires_us\":77", "\"expires_us\":-77", CREDENTIAL_WRONG},
    {"\"accounts\":[\"acc_1\"]", "\"accounts\":[7]", CREDENTIAL_WRONG},
    {"\"accounts\":[\"acc_1\"],", "", CREDENTIAL_WRONG},
    {"order.*", "*order", CREDENTIAL_WRONG},
    /* of a grant */
    {"\"partner\":\"shop\",\"account\"", "\"account\"", GRANT_WRONG},
    {"\"account\":\"acc_1\",\"kind\":\"grant\"", "\"account\":7,\"kind\":\"grant\"", GRANT_WRONG},
};

Test(replica_page, a_missing_or_wrong_member_is_refused_and_named)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char *text = changed(mistakes[i].old, mistakes[i].new);
        cr_expect_not(parse(text), "%s -> %s", mistakes[i].old, mistakes[i].new);
        cr_expect_str_eq(
            detail, mistakes[i].detail, "%s -> %s: %s", mistakes[i].old, mistakes[i].new, detail);
        accounts_page_done(&answer.page);
        free(text);
    }
}

Test(replica_page, a_text_that_fits_exactly_is_taken)
{
    char *text = changed("\"id\":\"shop\"", "\"id\":\"" NAME_64 "\"");
    cr_assert(parse(text), "%s", detail);
    cr_expect_str_eq(answer.page.objects[0].partner->id, NAME_64);
    accounts_page_done(&answer.page);
    free(text);
    text = changed("\"version\":3", "\"version\":9223372036854775807");
    cr_assert(parse(text), "%s", detail);
    cr_expect_eq(answer.page.objects[0].version, INT64_MAX);
    accounts_page_done(&answer.page);
    free(text);
}

Test(replica_page, a_text_that_is_cut_anywhere_is_no_page)
{
    char *text = strdup(ALL);
    for (size_t len = strlen(text); len-- > 0;) {
        cr_expect_not(replica_page_parse(slice_of(text, len), &answer, detail), "%zu bytes", len);
        accounts_page_done(&answer.page);
    }
    free(text);
}

Test(replica_page, a_text_without_an_object_is_no_page)
{
    static const char *const texts[] = {"", "null", "[]", "7", "\"page\"", "<html></html>", "{}",
        "{\"changes\":{}}", ALL "x", "\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_not(parse(texts[i]), "%s", texts[i]);
        cr_expect_str_eq(detail, NO_PAGE);
        accounts_page_done(&answer.page);
    }
    cr_expect_not(replica_page_parse((struct slice){0}, &answer, detail));
    accounts_page_done(&answer.page);
}
