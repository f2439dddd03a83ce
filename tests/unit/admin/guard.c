/* SPDX-License-Identifier: Apache-2.0 */
/* Who may use the listener: names, origins, and the two tokens. */
#include "base/cleanup.h"
#include "unit/admin/fixture.h"

#define READONLY "rt_0123456789abcdef"

static void begin(void)
{
    fixture_options = (struct admin_options){.readonly_token = SLICE_LITERAL(READONLY),
        .hosts_count = 2,
        .hosts = {"gateway.example", "with-port.example:9640"}};
    fixture_begin();
}

TestSuite(guard, .init = begin, .fini = fixture_end);

Test(guard, only_names_of_the_listener_are_answered)
{
    static const struct {
        const char *host;
        int status;
    } cases[] = {{"127.0.0.1", 200}, {"127.0.0.1:9640", 200}, {"[::1]:9640", 200},
        {"10.1.2.3", 200}, {"LOCALHOST:1", 200}, {"gateway.example", 200},
        {"Gateway.Example:80", 200}, {"with-port.example", 200}, {"with-port.example:1", 200},
        {"attacker.example", 403}, {"gateway.example.attacker.example", 403},
        {"localhost.attacker.example", 403}, {"127.0.0.1.attacker.example", 403}, {"127.0.0", 403},
        {"[localhost]", 403}, {"::1", 403}, {"gateway", 403}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture_host = cases[i].host;
        cr_expect_eq(operate("GET", "/api/v1/accounts", ""), cases[i].status, "%s", fixture_host);
        cr_expect_eq(ask("GET", "/metrics", NULL, ""), cases[i].status, "%s", fixture_host);
        cr_expect_eq(ask("GET", "/livez", NULL, ""), 200, "%s", fixture_host);
    }
}

Test(guard, requests_of_pages_of_other_sites_are_rejected)
{
    static const struct {
        const char *origin;
        int status;
    } cases[] = {{"http://localhost:9640", 200}, {"https://LocalHost:9640", 200},
        {"http://localhost", 403}, {"http://localhost:9641", 403}, {"null", 403},
        {"http://attacker.example", 403}, {"localhost:9640", 403}};
    fixture_host = "localhost:9640";
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture_origin = cases[i].origin;
        cr_expect_eq(operate("GET", "/api/v1/accounts", ""), cases[i].status, "%s", fixture_origin);
    }
}

Test(guard, readonly_token_may_only_read)
{
    static const char account[] = "{\"id\":\"acc_1\"}";
    cr_expect_eq(ask("GET", "/api/v1/accounts", READONLY, ""), 200);
    cr_expect_eq(ask("POST", "/api/v1/accounts", READONLY, account), 403);
    cr_expect(strstr(member("detail"), "only read"), "%s", answer_body);
    cr_expect_eq(ask("DELETE", "/api/v1/partners/p/keys/k", READONLY, ""), 403);
    cr_expect_eq(ask("POST", "/api/v1/accounts", TOKEN, account), 201);
    cr_expect_eq(ask("GET", "/api/v1/accounts", "rt_", ""), 401);
    cr_expect_eq(ask("GET", "/api/v1/accounts", NULL, ""), 401);
}

Test(guard, new_tokens_replace_the_old_ones)
{
    admin_set_tokens(
        admin, SLICE_LITERAL("at_another_token_1"), SLICE_LITERAL("rt_another_token_1"));
    cr_expect_eq(ask("GET", "/api/v1/accounts", "at_another_token_1", ""), 200);
    cr_expect_eq(ask("GET", "/api/v1/accounts", "rt_another_token_1", ""), 200);
    cr_expect_eq(ask("GET", "/api/v1/accounts", TOKEN, ""), 401);
    cr_expect_eq(ask("GET", "/api/v1/accounts", READONLY, ""), 401);
}
