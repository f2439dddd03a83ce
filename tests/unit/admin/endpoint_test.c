/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/accounts/{a}/endpoints/{e}/test. */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"

#include <stdio.h>

static char path[256];

static void begin(void)
{
    fixture_begin();
    make_account("acc_1");
    cr_assert_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints",
                     "{\"url\":\"https://a.example/in\",\"name\":\"main\"}"),
        201, "%s", answer_body);
    snprintf(path, sizeof path, "/api/v1/accounts/acc_1/endpoints/%s/test", member("id"));
    tested = (struct endpoint_test){.ret_enabled = true,
        .ret_url = "https://a.example/in",
        .ret_headers = "webhook-id: evt_1\nX-Api-Key: (not shown)\n",
        .ret_body = "{\"test\":true}",
        .ret_attempt = {.number = 1,
            .started_us = 1,
            .duration_us = 1500,
            .end = {.http_status = 200, .request_begun = true},
            .evidence = {.request_bytes = 100,
                .request_complete = true,
                .dns_us = 1000,
                .peer = "192.0.2.7:443",
                .tls = "TLSv1.3",
                .http = "1.1"},
            .excerpt_len = 2,
            .excerpt = "ok"}};
}

TestSuite(endpoint_test, .init = begin, .fini = fixture_end);

static void expect(const char *text)
{
    cr_expect(strstr(answer_body, text), "%s: %s", text, answer_body);
}

Test(endpoint_test, a_success_shows_what_was_sent_and_how)
{
    cr_assert_eq(operate("POST", path, ""), 200, "%s", answer_body);
    cr_expect_str_eq(member("account"), "acc_1");
    cr_expect_str_eq(member("verdict"), "delivered");
    expect("\"success\":true");
    expect("\"why\":null");
    expect("\"enabled\":true");
    expect("\"breaker_open\":false");
    expect("\"name\":\"main\"");
    expect("\"headers\":[\"webhook-id: evt_1\",\"X-Api-Key: (not shown)\"]");
    expect("\"dns_ms\":1.0");
    expect("\"tls\":\"TLSv1.3\"");
    expect("\"answer\":\"ok\"");
    cr_expect_eq(operate("POST", path, "{}"), 200, "an empty object is a body as well");
}

Test(endpoint_test, a_failure_says_why_and_what_would_become_of_a_real_event)
{
    static const struct {
        struct attempt_end end;
        const char *rule, *shortage;
        enum verdict verdict;
        const char *name, *why;
    } cases[] = {
        {{.http_status = 503}, "the status 503 is not a success", NULL, VERDICT_RETRY, "retry",
            "the client is not available: 503. A real event would be sent again later."},
        {{.http_status = 404}, "", NULL, VERDICT_DEAD, "dead",
            "the path was not found: 404. A real event would be dead: this"},
        {{.http_status = 410}, "", NULL, VERDICT_DISABLE_ENDPOINT, "disabled",
            "A real event would be parked, and the endpoint disabled."},
        {{.error = ERR_CONNECT}, "", NULL, VERDICT_RETRY, "retry", "no connection"},
        {{.error = ERR_SHORTAGE}, "", "network: there is no route", VERDICT_RETRY, "retry",
            "this machine lacks a resource (network: there is no route)."},
        {{.http_status = 200}, "it has no \"ok\"", NULL, VERDICT_RETRY, "retry",
            "the answer is no success: it has no "},
        {{.http_status = 200}, "\x01\xff", NULL, VERDICT_RETRY, "retry",
            "the answer is no success: ... A real event"},
        {{.http_status = 200, .error = ERR_ANSWER_LOST}, "", NULL, VERDICT_RETRY, "retry",
            "the connection was closed before the answer."},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        tested.ret_attempt.end = cases[i].end;
        tested.ret_verdict = cases[i].verdict;
        tested.ret_shortage = cases[i].shortage;
        snprintf(tested.ret_attempt.rule, sizeof tested.ret_attempt.rule, "%s", cases[i].rule);
        cr_expect_eq(operate("POST", path, "{}"), 200, "%s", answer_body);
        expect("\"success\":false");
        cr_expect_str_eq(member("verdict"), cases[i].name);
        cr_expect(strstr(member("why"), cases[i].why), "%s: %s", cases[i].why, answer_body);
    }
}

Test(endpoint_test, a_test_that_is_not_made_says_why)
{
    tested.ask.result = ERR_OVERLOADED;
    cr_expect_eq(operate("POST", path, "{}"), 503);
    expect("Other tests are running");
    tested.ask.result = ERR_NOT_FOUND;
    cr_expect_eq(operate("POST", path, "{}"), 404);
    tested.ask.result = ERR_SHUTTING_DOWN;
    cr_expect_eq(operate("POST", path, "{}"), 503);
}

Test(endpoint_test, who_may_not_and_what_does_not_exist_is_refused)
{
    cr_expect_eq(ask("POST", path, NULL, ""), 401);
    cr_expect_eq(operate("POST", path, "{\"type\":\"purchase\"}"), 422);
    cr_expect(names_fields("/type"), "%s", answer_body);
    cr_expect_eq(operate("POST", path, "["), 400);
    cr_expect_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints/ep_1/test", ""), 404);
    cr_expect_eq(operate("GET", path, ""), 405);
}
