/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/accounts/{a}/endpoints, with secrets. */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"

#include <stdio.h>

TestSuite(endpoints, .init = fixture_begin, .fini = fixture_end);

#define ENDPOINTS "/api/v1/accounts/acc_1/endpoints"

/* Adds acc_1 and an endpoint of it; its path. */
static const char *make_endpoint(const char *body)
{
    static char path[256];
    make_account("acc_1");
    cr_assert_eq(operate("POST", ENDPOINTS, body), 201, "%s", answer_body);
    snprintf(path, sizeof path, ENDPOINTS "/%s", member("id"));
    return path;
}

Test(endpoints, endpoints_are_added_shown_and_changed)
{
    char path[256];
    make_account("acc_1");
    cr_assert_eq(
        operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"https://a.example/in\"}"),
        201, "%s", answer_body);
    cr_assert(strncmp(member("secret"), "whsec_", 6) == 0);
    snprintf(path, sizeof path, "/api/v1/accounts/acc_1/endpoints/%s", member("id"));
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert_str_eq(member("url"), "https://a.example/in");
    cr_assert_str_eq(member("secret"), "", "a secret is shown once");
    cr_assert_eq(operate("PATCH", path, "{\"url\":\"https://b.example/in\"}"), 200);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 200);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert_str_eq(member("url"), "https://b.example/in", "what is not named stays");
    cr_assert(strstr(answer_body, "\"enabled\":false"), "%s", answer_body);
    cr_assert_eq(operate("GET", "/api/v1/accounts/acc_1/endpoints", ""), 200);
    cr_assert(strstr(answer_body, "b.example"));
}

Test(endpoints, an_endpoint_is_found_only_under_its_account_and_only_with_a_url_that_is_allowed)
{
    char path[256];
    make_account("acc_1");
    make_account("acc_2");
    cr_assert_eq(
        operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"http://a.example/\"}"),
        422);
    cr_assert(
        strstr(answer_body, "\"/url\"") && strstr(answer_body, "must be https"), "%s", answer_body);
    cr_assert_eq(
        operate("POST", "/api/v1/accounts/nobody/endpoints", "{\"url\":\"https://a.example/\"}"),
        404);
    cr_assert_eq(
        operate("POST", "/api/v1/accounts/acc_1/endpoints", "{\"url\":\"https://a.example/\"}"),
        201);
    snprintf(path, sizeof path, "/api/v1/accounts/acc_2/endpoints/%s", member("id"));
    cr_assert_eq(operate("GET", path, ""), 404);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 404);
    cr_assert_eq(
        operate("PATCH", "/api/v1/accounts/acc_1/endpoints/ep_nonsense", "{\"enabled\":false}"),
        404);
}

Test(endpoints, a_filter_is_a_list_of_patterns)
{
    const char *path =
        make_endpoint("{\"url\":\"https://a.example/\",\"types\":[\"purchase\",\"lead.*\"]}");
    cr_assert(strstr(answer_body, "\"types\":[\"purchase\",\"lead.*\"]"), "%s", answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 200);
    cr_assert(strstr(answer_body, "\"types\":[\"purchase\",\"lead.*\"]"),
        "what is not named stays: %s", answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"types\":[\"payout\"]}"), 200);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert(strstr(answer_body, "\"types\":[\"payout\"]"), "%s", answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"types\":[]}"), 200);
    cr_assert_eq(operate("GET", ENDPOINTS, ""), 200);
    cr_assert(strstr(answer_body, "\"types\":[]"), "%s", answer_body);
}

Test(endpoints, wrong_members_are_named)
{
    static const struct {
        const char *body, *pointers;
    } cases[] = {
        {"{\"types\":\"payout\"}", "/types"},
        {"{\"types\":[\"a b\"]}", "/types/0"},
        {"{\"types\":[\"lead.*\",\"*lead\",\"payout\",7,\"\"]}", "/types/1 /types/3 /types/4"},
        {"{\"types\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
            "/types"},
        {"{\"final_4xx\":\"yes\"}", "/final_4xx"},
        {"{\"secret\":\"x\"}", "/secret"},
        {"{}", ""},
    };
    const char *path = make_endpoint("{\"url\":\"https://a.example/\"}");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_assert_eq(operate("PATCH", path, cases[i].body), 422, "%s", cases[i].body);
        cr_assert(names_fields(cases[i].pointers), "%s: %s", cases[i].body, answer_body);
    }
    cr_assert_eq(
        operate("POST", ENDPOINTS, "{\"url\":\"https://a.example/\",\"name\":\"a b\"}"), 422);
    cr_assert(names_fields("/name"), "%s", answer_body);
    cr_assert_eq(
        operate("POST", ENDPOINTS, "{\"url\":\"https://a.example/\",\"types\":[\"?\"]}"), 422);
    cr_assert(names_fields("/types/0"), "%s", answer_body);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert(strstr(answer_body, "\"types\":[]"), "%s", answer_body);
}

Test(endpoints, a_removed_endpoint_is_shown_in_the_answer)
{
    char path[256];
    snprintf(path, sizeof path, "%s", make_endpoint("{\"url\":\"https://a.example/\"}"));
    cr_assert_eq(ask("DELETE", path, NULL, ""), 401);
    cr_assert_eq(operate("DELETE", path, ""), 200, "%s", answer_body);
    cr_assert_str_eq(member("url"), "https://a.example/");
    cr_assert_str_eq(member("secret"), "");
    cr_assert_eq(operate("DELETE", path, ""), 404);
    cr_assert_eq(operate("GET", path, ""), 404);
    cr_assert_eq(operate("GET", ENDPOINTS, ""), 200);
    cr_assert(answer_is("{\"endpoints\":[]}"), "%s", answer_body);
}

Test(endpoints, secrets_are_changed_one_after_the_other)
{
    char path[256], secrets[300], one[320];
    snprintf(path, sizeof path, "%s", make_endpoint("{\"url\":\"https://a.example/\"}"));
    snprintf(secrets, sizeof secrets, "%s/secrets", path);
    cr_assert_eq(operate("GET", secrets, ""), 200);
    cr_assert(answer_is("{\"secrets\":[{\"id\":\"sec_0\"}]}"), "%s", answer_body);
    snprintf(one, sizeof one, "%s/sec_0", secrets);
    cr_assert_eq(operate("DELETE", one, ""), 422, "the last one stays");
    cr_assert_eq(
        operate("POST", secrets, "{\"secret\":\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"}"), 201,
        "%s", answer_body);
    cr_assert_str_eq(member("id"), "sec_1");
    cr_assert_str_eq(member("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    cr_assert_eq(operate("DELETE", one, ""), 200, "%s", answer_body);
    cr_assert_str_eq(member("id"), "sec_0");
    cr_assert_eq(operate("DELETE", one, ""), 404);
    cr_assert_eq(operate("POST", secrets, "{\"secret\":\"x\"}"), 422);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert(strstr(answer_body, "\"secrets\":[{\"id\":\"sec_1\"}]"), "%s", answer_body);
}

/* Policies. */

Test(endpoints, a_policy_is_shown_without_its_secrets_and_keeps_them)
{
    char path[256];
    snprintf(path, sizeof path, "%s",
        make_endpoint("{\"url\":\"https://a.example/\",\"policy\":{\"rate_max\":0.1,"
                      "\"authorization\":{\"bearer\":\"t-4711\"}}}"));
    static const char masked[] =
        "\"policy\":{\"rate_max\":0.1,\"authorization\":{\"bearer\":\"***\"}}";
    cr_assert(strstr(answer_body, masked), "%s", answer_body);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert(strstr(answer_body, masked), "%s", answer_body);
    cr_assert_eq(operate("GET", ENDPOINTS, ""), 200);
    cr_assert(strstr(answer_body, masked), "%s", answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"idempotent\":true}"), 200);
    cr_assert(strstr(answer_body, masked), "what is not named stays: %s", answer_body);
    cr_assert_eq(operate("PATCH", path,
                     "{\"policy\":{\"authorization\":{\"bearer\":\"***\"},\"horizon\":\"2d\"}}"),
        200, "%s", answer_body);
    cr_assert(strstr(answer_body, "\"horizon\":\"2d\"") && !strstr(answer_body, "rate_max"), "%s",
        answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"policy\":null}"), 200);
    cr_assert(strstr(answer_body, "\"policy\":null"), "%s", answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"policy\":{\"authorization\":{\"bearer\":\"***\"}}}"),
        422, "the secret is gone");
    cr_assert(names_fields("/policy/authorization/bearer"), "%s", answer_body);
}

Test(endpoints, wrong_members_of_a_policy_are_named)
{
    static const struct {
        const char *policy, *pointers;
    } cases[] = {
        {"7", "/policy"},
        {"[]", "/policy"},
        {"{\"x\":1}", "/policy/x"},
        {"{\"horizon\":1,\"classes\":{\"critical\":{\"rate_max\":1}}}",
            "/policy/horizon /policy/classes/critical/rate_max"},
        {"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":1}}}}}}}}}", "/policy"},
        {"{\"status_probe\":{\"url\":\"http://a.example/{id}\",\"yes\":{}}}",
            "/policy/status_probe/url"},
    };
    const char *path = make_endpoint("{\"url\":\"https://a.example/\"}");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"policy\":%s}", cases[i].policy);
        cr_assert_eq(operate("PATCH", path, body), 422, "%s: %s", body, answer_body);
        cr_assert(names_fields(cases[i].pointers), "%s: %s", body, answer_body);
    }
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert(strstr(answer_body, "\"policy\":null"), "%s", answer_body);
}

Test(endpoints, a_disabled_endpoint_says_since_when_and_why)
{
    const char *path = make_endpoint("{\"url\":\"https://a.example/\"}");
    cr_assert(strstr(answer_body, "\"disabled_since\":null,\"disabled_because\":null"), "%s",
        answer_body);
    cr_assert_eq(
        operate("PATCH", path, "{\"enabled\":false,\"reason\":\"the client asked\"}"), 200);
    cr_assert_str_eq(member("disabled_because"), "the client asked");
    cr_assert_eq(strlen(member("disabled_since")), 27);
    cr_assert_eq(operate("GET", path, ""), 200);
    cr_assert_str_eq(member("disabled_because"), "the client asked");
    static const char *const wrong[] = {"{\"reason\":\"x\"}", "{\"enabled\":true,\"reason\":\"x\"}",
        "{\"enabled\":false,\"reason\":\"a\\nb\"}", "{\"enabled\":false,\"reason\":7}"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        cr_assert_eq(operate("PATCH", path, wrong[i]), 422, "%s", answer_body);
        cr_assert(names_fields("/reason"), "%s", answer_body);
    }
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":true}"), 200);
    cr_assert(strstr(answer_body, "\"disabled_since\":null,\"disabled_because\":null"), "%s",
        answer_body);
    cr_assert_eq(operate("PATCH", path, "{\"enabled\":false}"), 200);
    cr_assert_str_eq(member("disabled_because"), "an operator disabled it");
}
