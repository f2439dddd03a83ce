/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/partners, with keys, secrets and grants. */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"

#include <stdio.h>

static void begin(void)
{
    fixture_begin();
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"shop\"}"), 201, "%s", answer_body);
}

TestSuite(partners, .init = begin, .fini = fixture_end);

Test(partners, partners_are_added_once_listed_and_shown)
{
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"shop\"}"), 409);
    cr_assert_eq(operate("GET", "/api/v1/partners", ""), 200);
    cr_assert(answer_is("{\"partners\":[{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\","
                        "\"rules\":{}}]}"),
        "%s", answer_body);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop", ""), 200);
    cr_assert(answer_is("{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\",\"rules\":{},"
                        "\"keys\":[],\"secrets\":[]}"),
        "%s", answer_body);
    static const char *const parts[] = {"", "/keys", "/secrets", "/accounts"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        char path[128];
        snprintf(path, sizeof path, "/api/v1/partners/nobody%s", parts[i]);
        cr_assert_eq(operate("GET", path, ""), 404, "%s", path);
        cr_assert_eq(ask("GET", path, NULL, ""), 401, "%s", path);
    }
}

Test(partners, partners_are_changed_member_by_member)
{
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop", "{\"key_pointer\":\"/data/order\"}"),
        200, "%s", answer_body);
    cr_assert(
        answer_is(
            "{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"/data/order\",\"rules\":{}}"),
        "%s", answer_body);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop", "{\"enabled\":false}"), 200);
    cr_assert(
        answer_is(
            "{\"id\":\"shop\",\"enabled\":false,\"key_pointer\":\"/data/order\",\"rules\":{}}"),
        "%s", answer_body);
    cr_assert_eq(
        operate("PATCH", "/api/v1/partners/shop", "{\"enabled\":true,\"key_pointer\":\"\"}"), 200);
    cr_assert_eq(operate("GET", "/api/v1/partners", ""), 200);
    cr_assert(answer_is("{\"partners\":[{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\","
                        "\"rules\":{}}]}"),
        "%s", answer_body);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/nobody", "{\"enabled\":true}"), 404);
}

Test(partners, wrong_changes_name_the_field)
{
    static const struct {
        const char *body, *pointers;
    } cases[] = {
        {"{}", ""},
        {"{\"enabled\":1}", "/enabled"},
        {"{\"key_pointer\":\"data\"}", "/key_pointer"},
        {"{\"key_pointer\":null}", "/key_pointer"},
        {"{\"enabled\":false,\"key_pointer\":\"/a~b\"}", "/key_pointer"},
        {"{\"id\":\"other\"}", "/id"},
        {"{\"rules\":7}", "/rules"},
        {"{\"rules\":{\"rate\":7}}", "/rules/rate"},
        {"{\"rules\":{\"events_per_second\":-1,\"allow_networks\":[\"::\",\"1.2.3.4/8\"]}}",
            "/rules/events_per_second /rules/allow_networks/1"},
        {"{\"rules\":{\"certificate_required\":true}}", "/rules/certificates"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_assert_eq(
            operate("PATCH", "/api/v1/partners/shop", cases[i].body), 422, "%s", cases[i].body);
        cr_assert(names_fields(cases[i].pointers), "%s: %s", cases[i].body, answer_body);
    }
    cr_assert_eq(operate("GET", "/api/v1/partners", ""), 200);
    cr_assert(strstr(answer_body, "\"enabled\":true"), "%s", answer_body);
}

Test(partners, keys_are_shown_once_listed_by_id_and_revoked)
{
    char path[128], id[64], wanted[256];
    cr_assert_eq(operate("POST", "/api/v1/partners/nobody/keys", "{}"), 404);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/keys", "{}"), 201);
    cr_assert(strncmp(member("api_key"), "pk_", 3) == 0);
    snprintf(id, sizeof id, "%s", member("id"));
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/keys", ""), 201, "a body is not needed");
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"other\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/other/keys", ""), 201);

    cr_assert_eq(operate("GET", "/api/v1/partners/shop/keys", ""), 200);
    cr_assert(strstr(answer_body, id) && strstr(answer_body, "created_at"), "%s", answer_body);
    cr_assert(!strstr(answer_body, "pk_"), "a key is shown once");
    snprintf(path, sizeof path, "/api/v1/partners/other/keys/%s", id);
    cr_assert_eq(operate("DELETE", path, ""), 404, "it is another partner's");
    snprintf(path, sizeof path, "/api/v1/partners/shop/keys/%s", id);
    cr_assert_eq(operate("DELETE", path, ""), 200, "%s", answer_body);
    snprintf(wanted, sizeof wanted, "{\"id\":\"%s\",\"partner\":\"shop\"}", id);
    cr_assert(answer_is(wanted), "%s", answer_body);
    cr_assert_eq(operate("DELETE", path, ""), 404);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/shop/keys/pk_something", ""), 404);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop", ""), 200);
    cr_assert(
        !strstr(answer_body, id) && strstr(answer_body, "key_"), "one is left: %s", answer_body);
}

Test(partners, rules_are_changed_member_by_member)
{
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop",
                     "{\"rules\":{\"events_per_second\":50,\"allow_networks\":[\"10.0.0.0/8\"]}}"),
        200, "%s", answer_body);
    cr_assert_eq(
        operate("PATCH", "/api/v1/partners/shop",
            "{\"rules\":{\"bytes_per_second\":\"64KiB\",\"certificates\":[\"dns:a.example\"],"
            "\"certificate_required\":true,\"events_per_second\":null}}"),
        200, "%s", answer_body);
    cr_assert(answer_is("{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\",\"rules\":{"
                        "\"bytes_per_second\":65536,\"allow_networks\":[\"10.0.0.0/8\"],"
                        "\"certificates\":[\"dns:a.example\"],\"certificate_required\":true}}"),
        "%s", answer_body);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop", "{\"rules\":{}}"), 200);
    cr_assert(strstr(answer_body, "a.example"), "%s", answer_body);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop", "{\"rules\":null}"), 200);
    cr_assert(strstr(answer_body, "\"rules\":{}"), "%s", answer_body);
}

Test(partners, keys_have_a_label_an_end_and_a_scope)
{
    char path[128], id[64];
    make_account("acc_1");
    make_account("acc_2");
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/keys",
                     "{\"label\":\"till 7\",\"expires_at\":\"2999-01-01T00:00:00+01:00\","
                     "\"accounts\":[\"acc_1\"],\"types\":[\"lead.*\"]}"),
        201, "%s", answer_body);
    cr_assert(strncmp(member("api_key"), "pk_", 3) == 0);
    snprintf(id, sizeof id, "%s", member("id"));
    cr_assert_eq(operate("GET", "/api/v1/partners/shop/keys", ""), 200);
    static const char *const parts[] = {"\"label\":\"till 7\"",
        "\"expires_at\":\"2998-12-31T23:00:00", "\"expired\":false", "\"last_used_at\":null",
        "\"accounts\":[\"acc_1\"]", "\"types\":[\"lead.*\"]"};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        cr_expect(strstr(answer_body, parts[i]), "%s: %s", parts[i], answer_body);

    snprintf(path, sizeof path, "/api/v1/partners/shop/keys/%s", id);
    cr_assert_eq(operate("PATCH", path, "{\"expires_at\":null}"), 200, "%s", answer_body);
    cr_expect(strstr(answer_body, "\"expires_at\":null"), "%s", answer_body);
    cr_assert_eq(
        operate("PATCH", path, "{\"label\":\"old\",\"expires_at\":\"2999-01-01T00:00:00Z\"}"), 200);
    cr_expect_str_eq(member("label"), "old");
    cr_expect_str_eq(member("id"), id);
    cr_expect_str_eq(member("partner"), "shop");
    cr_assert_eq(
        operate("PATCH", "/api/v1/partners/shop/keys/key_0000000000000000", "{\"label\":\"x\"}"),
        404);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop/keys/x", "{\"label\":\"x\"}"), 404);
    cr_assert_eq(ask("PATCH", path, NULL, "{\"label\":\"x\"}"), 401);
}

Test(partners, wrong_members_of_keys_are_named)
{
    static const struct {
        const char *method, *body, *pointers;
    } cases[] = {
        {"POST", "{\"expires_at\":\"tomorrow\"}", "/expires_at"},
        {"POST", "{\"expires_at\":7}", "/expires_at"},
        {"POST", "{\"expires_at\":\"2020-01-01T00:00:00Z\"}", "/expires_at"},
        {"POST", "{\"label\":\"a\\nb\"}", "/label"},
        {"POST", "{\"label\":null}", "/label"},
        {"POST", "{\"accounts\":\"acc_1\"}", "/accounts"},
        {"POST", "{\"accounts\":[\"a b\",\"acc_9\"]}", "/accounts/0 /accounts/1"},
        {"POST", "{\"types\":[\"*a\"]}", "/types/0"},
        {"POST", "{\"name\":\"x\"}", "/name"},
        {"PATCH", "{\"expires_at\":\"2020-01-01T00:00:00Z\"}", "/expires_at"},
        {"PATCH", "{\"accounts\":[]}", "/accounts"},
        {"PATCH", "{}", ""},
    };
    char path[128];
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/keys", ""), 201);
    snprintf(path, sizeof path, "/api/v1/partners/shop/keys/%s", member("id"));
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *to = strcmp(cases[i].method, "POST") ? path : "/api/v1/partners/shop/keys";
        cr_assert_eq(
            operate(cases[i].method, to, cases[i].body), 422, "%s: %s", cases[i].body, answer_body);
        cr_expect(names_fields(cases[i].pointers), "%s: %s", cases[i].body, answer_body);
    }
}

#define GIVEN "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" /* the example of the standard: 24 bytes */

Test(partners, secrets_are_made_or_given_shown_once_and_removed)
{
    char path[128], id[64];
    cr_assert_eq(operate("POST", "/api/v1/partners/nobody/secrets", ""), 404);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", "{\"secret\":\"" GIVEN "\"}"),
        201, "%s", answer_body);
    cr_assert_str_eq(member("secret"), GIVEN);
    cr_assert_str_eq(member("partner"), "shop");
    snprintf(id, sizeof id, "%s", member("id"));
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", ""), 201);
    cr_assert(strncmp(member("secret"), "whsec_", 6) == 0 && strlen(member("secret")) == 50, "%s",
        answer_body);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", "{}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", "{}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", "{}"), 422, "four are enough");

    cr_assert_eq(operate("GET", "/api/v1/partners/shop/secrets", ""), 200);
    const char *at = strstr(answer_body, id);
    cr_assert(at && at < strstr(answer_body, "},"), "the oldest comes first: %s", answer_body);
    cr_assert(!strstr(answer_body, "whsec_"), "a secret is shown once");
    snprintf(path, sizeof path, "/api/v1/partners/shop/secrets/%s", id);
    cr_assert_eq(operate("DELETE", path, ""), 200, "%s", answer_body);
    cr_assert_str_eq(member("id"), id);
    cr_assert_eq(operate("DELETE", path, ""), 404);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/shop/secrets/sec_1", ""), 404);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop", ""), 200);
    cr_assert(
        !strstr(answer_body, id) && strstr(answer_body, "sec_") && !strstr(answer_body, "whsec_"),
        "%s", answer_body);
}

Test(partners, invalid_secrets_are_refused)
{
    static const char *const wrong[] = {"{\"secret\":\"\"}", "{\"secret\":\"whsec_\"}",
        "{\"secret\":1}", "{\"secret\":\"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"}",
        "{\"secret\":\"whsec_MfKQ\"}"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        cr_assert_eq(
            operate("POST", "/api/v1/partners/shop/secrets", wrong[i]), 422, "%s", wrong[i]);
        cr_assert(names_fields("/secret"), "%s: %s", wrong[i], answer_body);
    }
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/secrets", "[]"), 400);
}

Test(partners, grants_are_given_listed_and_withdrawn)
{
    make_account("acc_1");
    make_account("acc_2");
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_1\"}"), 409);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_9\"}"), 404);
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"other\"}"), 201);
    cr_assert_eq(
        operate("POST", "/api/v1/partners/other/accounts", "{\"account\":\"acc_2\"}"), 201);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop/accounts", ""), 200);
    cr_assert(answer_is("{\"accounts\":[{\"account\":\"acc_1\"}]}"), "%s", answer_body);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/shop/accounts/acc_2", ""), 404);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/shop/accounts/acc_1", ""), 200);
    cr_assert(answer_is("{\"partner\":\"shop\",\"account\":\"acc_1\"}"), "%s", answer_body);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/shop/accounts/acc_1", ""), 404);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop/accounts", ""), 200);
    cr_assert(answer_is("{\"accounts\":[]}"), "%s", answer_body);
    cr_assert_eq(operate("POST", "/api/v1/partners/shop/accounts", "{\"account\":\"acc_1\"}"), 201,
        "it may be given again");
}
