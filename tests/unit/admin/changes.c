/* SPDX-License-Identifier: Apache-2.0 */
/* The answers that followers get, and the status of the broker and the leader. */
#include "admin/admin_internal.h"
#include "base/clock.h"
#include "broker/status.h"
#include "runtime/metrics.h"
#include "unit/admin/fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(changes, .init = fixture_begin, .fini = fixture_end);

/* A member of the i-th change of the last answer, as JSON. */
static json_t *change_member(size_t i, const char *name)
{
    static json_t *root;
    json_decref(root);
    root = json_loads(answer_body, 0, NULL);
    return json_object_get(json_array_get(json_object_get(root, "changes"), i), name);
}

static const char *change_text(size_t i, const char *name)
{
    const char *text = json_string_value(change_member(i, name));
    return text ? text : "";
}

static long long number(const char *name)
{
    json_t *root = json_loads(answer_body, 0, NULL);
    long long value = json_integer_value(json_object_get(root, name));
    json_decref(root);
    return value;
}

Test(changes, objects_of_all_kinds_have_what_a_follower_needs)
{
    make_account("acc_1");
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"pa_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/pa_1/keys", ""), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/pa_1/secrets", ""), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/pa_1/accounts", "{\"account\":\"acc_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/accounts/acc_1/endpoints",
                     "{\"name\":\"main\",\"url\":\"https://a/hook/"
                     "secret?key=secret\",\"types\":[\"lead\"]}"),
        201, "%s", answer_body);
    cr_assert_eq(operate("GET", "/api/v1/changes", ""), 200);
    static const char *const kinds[] = {
        "partner", "account", "endpoint", "credential", "grant", ""};
    for (size_t i = 0; i < 6; i++)
        cr_expect_str_eq(change_text(i, "kind"), kinds[i], "%s", answer_body);
    cr_expect_eq(number("version"), 6);
    cr_expect_str_eq(member("installation"), INSTALLATION);
    cr_expect_eq(json_array_size(change_member(0, "secrets")), 1);
    cr_expect_eq(strlen(change_text(3, "sha256")), 64);
    cr_expect(json_is_object(change_member(0, "rules")));
    cr_expect(json_is_array(change_member(3, "accounts")) &&
              json_is_array(change_member(3, "types")) &&
              json_is_integer(change_member(3, "expires_us")));
    cr_expect_null(change_member(3, "used_us"), "each gateway keeps its own");
    cr_expect_str_eq(change_text(2, "url"), "https://a/");
    cr_expect_null(change_member(2, "secrets"), "what signs stays here");

    cr_assert_eq(operate("GET", "/api/v1/changes?after=5", ""), 200);
    cr_expect_str_eq(change_text(0, "kind"), "endpoint");
    cr_expect_str_eq(change_text(1, "kind"), "");
}

Test(changes, a_removed_object_is_marked)
{
    make_account("acc_1");
    cr_assert_eq(operate("POST", "/api/v1/partners", "{\"id\":\"pa_1\"}"), 201);
    cr_assert_eq(operate("POST", "/api/v1/partners/pa_1/accounts", "{\"account\":\"acc_1\"}"), 201);
    cr_assert_eq(operate("DELETE", "/api/v1/partners/pa_1/accounts/acc_1", ""), 200);
    cr_assert_eq(operate("GET", "/api/v1/changes?after=2", ""), 200);
    cr_expect_str_eq(change_text(0, "kind"), "grant");
    cr_expect(json_is_true(change_member(0, "removed")));
    cr_expect_eq(number("version"), 4);
}

Test(changes, a_request_waits_for_the_next_change)
{
    make_account("acc_1");
    int64_t before_us = clock_mono_us();
    cr_assert_eq(operate("GET", "/api/v1/changes?after=1&wait=1", ""), 200);
    cr_expect_geq(clock_mono_us() - before_us, 900 * US_PER_MS);
    cr_expect_str_eq(change_text(0, "kind"), "");
    cr_expect_eq(number("version"), 1);
    before_us = clock_mono_us();
    cr_assert_eq(operate("GET", "/api/v1/changes?after=0&wait=30", ""), 200);
    cr_expect_lt(clock_mono_us() - before_us, US_PER_SECOND);
    cr_expect_str_eq(change_text(0, "kind"), "account");
}

Test(changes, a_version_beyond_the_last_change_is_answered_with_restart)
{
    make_account("acc_1");
    cr_assert_eq(operate("GET", "/api/v1/changes?after=2&wait=30", ""), 200);
    cr_expect(strstr(answer_body, "\"restart\":true"), "%s", answer_body);
    cr_expect_str_eq(change_text(0, "kind"), "");
}

Test(changes, wrong_parameters_are_refused)
{
    static const char *const wrong[] = {"after=-1", "after=x", "after=", "wait=31", "wait=-1",
        "before=1", "after=99999999999999999999", "after=1&after=2"};
    char path[128];
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        snprintf(path, sizeof path, "/api/v1/changes?%s", wrong[i]);
        cr_expect_eq(operate("GET", path, ""), 422, "%s: %s", wrong[i], answer_body);
    }
    cr_expect_eq(ask("GET", "/api/v1/changes", NULL, ""), 401);
    cr_expect_eq(ask("GET", "/api/v1/installation", NULL, ""), 401);
}

Test(changes, a_leader_shows_its_installation)
{
    cr_assert_eq(operate("GET", "/api/v1/installation", ""), 200);
    cr_expect(answer_is("{\"id\":\"" INSTALLATION
                        "\",\"seed\":\"09000000000000000000000000000000\",\"partitions\":16,"
                        "\"shards\":1,\"receipt_key\":"
                        "\"6b00000000000000000000000000000000000000000000000000000000000000\"}"),
        "%s", answer_body);
}

/* Puts the links of /api/v1/status into answer_body: the fixture has no journals for a whole
 * status. */
static void show_status(void)
{
    json_t *view = admin_view_links(admin);
    char *text = json_dumps(view, JSON_COMPACT);
    snprintf(answer_body, sizeof answer_body, "%s", text);
    free(text);
    json_decref(view);
}

Test(changes, a_leader_of_one_machine_has_a_plain_status)
{
    show_status();
    cr_expect(strstr(answer_body,
                  "\"queue\":\"direct\",\"roles\":[\"ingress\",\"delivery\"],\"broker\":[],"),
        "%s", answer_body);
    cr_expect(
        strstr(answer_body, "\"leader\":null,\"directory_age_seconds\":null"), "%s", answer_body);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 503);
    cr_expect_null(strstr(answer_body, "broker"), "%s", answer_body);
}

/* A gateway that follows. */

static struct broker_status *board;

static void begin_following(void)
{
    board = broker_status_new();
    fixture_options.ingress_only = true;
    fixture_options.leader_url = "https://leader:9640";
    fixture_options.queue = "rabbitmq";
    fixture_options.broker = board;
    fixture_begin();
}

static void end_following(void)
{
    fixture_end();
    broker_status_free(board);
}

TestSuite(following, .init = begin_following, .fini = end_following);

Test(following, changes_are_made_at_the_leader)
{
    static const struct {
        const char *method, *path, *body;
    } cases[] = {
        {"POST", "/api/v1/partners", "{\"id\":\"pa_1\"}"},
        {"POST", "/api/v1/accounts", "{\"id\":\"acc_1\"}"},
        {"GET", "/api/v1/changes?after=0", ""},
        {"GET", "/api/v1/installation", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(operate(cases[i].method, cases[i].path, cases[i].body), 403, "%s: %s",
            cases[i].path, answer_body);
        cr_expect(strstr(member("detail"), "can do this: send the request to https://leader:9640."),
            "%s", answer_body);
    }
    cr_expect_eq(operate("GET", "/api/v1/partners", ""), 200);
}

Test(following, status_shows_the_broker_and_the_leader_and_the_gateway_is_ready)
{
    broker_status_set(board, BROKER_ROLE_PUBLISH, 0, true, "10.0.0.1:5672", NULL);
    broker_status_set(board, BROKER_ROLE_PUBLISH, 1, false, NULL, "no confirm in 1 s");
    metrics_add(METRIC_OUTBOX, 7);
    metrics_add(METRIC_DIRECTORY_AGE, 61);
    admin_set_ready(admin, true);
    cr_assert_eq(ask("GET", "/readyz?verbose", NULL, ""), 200);
    cr_expect(
        strstr(answer_body, "[+] broker publish 0: 10.0.0.1:5672 since 20"), "%s", answer_body);
    cr_expect(strstr(answer_body, "[-] broker publish 1: direct path: no confirm in 1 s since 20"),
        "%s", answer_body);
    cr_expect(strstr(answer_body, "[-] accounts: 61 s old, from https://leader:9640\n"), "%s",
        answer_body);
    show_status();
    cr_expect(
        strstr(answer_body,
            "\"queue\":\"rabbitmq\",\"roles\":[\"ingress\"],\"broker\":[{\"role\":\"publish\","),
        "%s", answer_body);
    cr_expect(strstr(answer_body, "\"why\":\"no confirm in 1 s\""), "%s", answer_body);
    cr_expect_eq(number("outbox"), 7);
    cr_expect_eq(number("directory_age_seconds"), 61);
    cr_expect_str_eq(member("leader"), "https://leader:9640");
    metrics_add(METRIC_OUTBOX, -7);
    metrics_add(METRIC_DIRECTORY_AGE, -61);
}
