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
    cr_assert(answer_is("{\"partners\":[{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\"}]}"),
        "%s", answer_body);
    cr_assert_eq(operate("GET", "/api/v1/partners/shop", ""), 200);
    cr_assert(
        answer_is(
            "{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\",\"keys\":[],\"secrets\":[]}"),
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
    cr_assert(answer_is("{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"/data/order\"}"), "%s",
        answer_body);
    cr_assert_eq(operate("PATCH", "/api/v1/partners/shop", "{\"enabled\":false}"), 200);
    cr_assert(answer_is("{\"id\":\"shop\",\"enabled\":false,\"key_pointer\":\"/data/order\"}"),
        "%s", answer_body);
    cr_assert_eq(
        operate("PATCH", "/api/v1/partners/shop", "{\"enabled\":true,\"key_pointer\":\"\"}"), 200);
    cr_assert_eq(operate("GET", "/api/v1/partners", ""), 200);
    cr_assert(answer_is("{\"partners\":[{\"id\":\"shop\",\"enabled\":true,\"key_pointer\":\"\"}]}"),
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
