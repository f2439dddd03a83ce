/* SPDX-License-Identifier: Apache-2.0 */
/* Health, metrics, the token, bodies that are wrong. */
#include "base/cleanup.h"
#include "runtime/metrics.h"
#include "unit/admin/fixture.h"

TestSuite(admin, .init = fixture_begin, .fini = fixture_end);

Test(admin, health_needs_no_token_and_follows_readiness)
{
    cr_assert_eq(ask("GET", "/livez", NULL, ""), 200);
    cr_assert_eq(ask("GET", "/readyz", NULL, ""), 503);
    admin_set_ready(admin, true);
    cr_assert_eq(ask("GET", "/readyz", NULL, ""), 200);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 200);
    cr_assert(strstr(answer_body, "[+] started"), "%s", answer_body);
}

Test(admin, a_failed_journal_is_not_ready)
{
    admin_set_ready(admin, true);
    metrics_add(METRIC_JOURNAL_FAILED, 1);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 503);
    cr_assert(strstr(answer_body, "[-] journals"), "%s", answer_body);
    metrics_add(METRIC_JOURNAL_FAILED, -1);
}

Test(admin, metrics_name_every_row_of_the_table)
{
    static const char *const names[] = {
#define X(symbol, type, name, labels, help) "\n" name,
        METRIC_TABLE(X)
#undef X
#define X(symbol, name, help) "\n" name "_bucket{le=\"+Inf\"}",
            HISTOGRAM_TABLE(X)
#undef X
    };
    cr_assert_eq(ask("GET", "/metrics", NULL, ""), 200);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        cr_assert(strstr(answer_body, names[i]), "%s is missing", names[i] + 1);
}

Test(admin, the_api_needs_the_token)
{
    static const char *const paths[] = {"/api/v1/status", "/api/v1/partners", "/api/v1/accounts",
        "/api/v1/accounts/a/endpoints", "/api/v1/events/evt_01890a5d-ac96-774b-bcce-b302099a8057"};
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        cr_assert_eq(ask("GET", paths[i], NULL, ""), 401, "%s", paths[i]);
        cr_assert_eq(ask("GET", paths[i], "at_wrong", ""), 401, "%s", paths[i]);
        cr_assert_eq(ask("GET", paths[i], TOKEN "x", ""), 401, "%s", paths[i]);
    }
}

Test(admin, wrong_bodies_name_the_field)
{
    static const struct {
        const char *body, *pointer;
        int status;
    } cases[] = {
        {"", "", 400},
        {"[]", "", 400},
        {"{\"id\":1}", "/id", 422},
        {"{}", "/id", 422},
        {"{\"id\":\"a b\"}", "/id", 422},
        {"{\"id\":\"a\",\"colour\":\"red\"}", "/colour", 422},
        {"{\"id\":\"a\",\"id\":\"b\"}", "", 400},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_assert_eq(operate("POST", "/api/v1/accounts", cases[i].body), cases[i].status, "%s: %s",
            cases[i].body, answer_body);
        cr_assert(strstr(answer_body, cases[i].pointer), "%s: %s", cases[i].body, answer_body);
    }
}

Test(admin, an_invalid_event_id_is_not_found)
{
    cr_assert_eq(operate("GET", "/api/v1/events/1", ""), 404);
    cr_assert_eq(operate("DELETE", "/api/v1/events/1", ""), 405);
    cr_assert_eq(operate("GET", "/api/v1/nothing", ""), 404);
}
