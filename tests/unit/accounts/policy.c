/* SPDX-License-Identifier: Apache-2.0 */
/* Policies of endpoints, and the record of why one is disabled. */
#include "base/clock.h"
#include "model/refusal.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "unit/accounts/fixture.h"

#include <stdio.h>

#define URL "https://client.example/hook"
#define POLICY "{\"horizon\":\"2d\",\"authorization\":{\"bearer\":\"t-4711\"}}"

static uint64_t id;

static void begin(void)
{
    begin_with_accounts();
    cr_assert_eq(add_account("acc_1"), OK);
    cr_assert_eq(add_endpoint("acc_1", "main", URL), OK);
    id = last.ret_endpoint;
}

TestSuite(policy, .init = begin, .fini = fixture_end);

static void reopen(void)
{
    close_accounts();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
}

static enum err set_policy(const char *json)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_ENDPOINT,
        .account = "acc_1",
        .endpoint_id = id,
        .changes = ENDPOINT_CHANGE_POLICY};
    struct refusal refusal;
    if (json)
        cr_assert_eq(
            endpoint_policy_parse(slice_from_string(json), NULL, &request.policy, &refusal), OK);
    enum err err = call_accounts(&request);
    endpoint_policy_unref(request.policy);
    cr_expect_null(last.endpoint.policy, "a later change may free it");
    return err;
}

/* The text of the policy that is published; empty without one. */
static const char *shown_policy(void)
{
    static char text[256];
    rcu_go_online();
    const struct endpoint *endpoint = directory_endpoint(accounts_directory(accounts), id);
    snprintf(text, sizeof text, "%s",
        endpoint && endpoint->policy ? endpoint_policy_text(endpoint->policy).data : "");
    rcu_go_offline();
    return text;
}

static struct endpoint shown(void)
{
    rcu_go_online();
    struct endpoint endpoint = *directory_endpoint(accounts_directory(accounts), id);
    rcu_go_offline();
    return endpoint;
}

static enum err set_enabled(bool enabled, const char *reason)
{
    struct endpoint wanted = {.enabled = enabled};
    snprintf(wanted.disabled_reason, sizeof wanted.disabled_reason, "%s", reason);
    return change_endpoint("acc_1", id, ENDPOINT_CHANGE_ENABLED, &wanted);
}

Test(policy, is_kept_with_its_secrets_and_survives_other_changes)
{
    cr_expect_str_eq(shown_policy(), "");
    cr_expect_eq(set_policy(POLICY), OK, "%s", last.detail);
    for (int i = 0; i < 2; i++) {
        cr_expect_str_eq(shown_policy(), POLICY);
        reopen();
    }
    struct endpoint wanted = {.idempotent = true};
    cr_expect_eq(change_endpoint("acc_1", id, ENDPOINT_CHANGE_IDEMPOTENT, &wanted), OK);
    cr_expect_str_eq(shown_policy(), POLICY);
    struct accounts_request secret = {
        .base.kind = ACCOUNTS_ADD_ENDPOINT_SECRET, .account = "acc_1", .endpoint_id = id};
    cr_expect_eq(call_accounts(&secret), OK);
    reopen();
    cr_expect_str_eq(shown_policy(), POLICY);
    cr_expect(shown().idempotent);
    cr_expect_eq(set_policy("{}"), OK);
    cr_expect_str_eq(shown_policy(), "{}");
    cr_expect_eq(set_policy(NULL), OK);
    cr_expect_str_eq(shown_policy(), "");
    reopen();
    cr_expect_str_eq(shown_policy(), "");
}

Test(policy, may_come_with_a_new_endpoint_and_is_gone_with_it)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ENDPOINT,
        .account = "acc_1",
        .endpoint.name = "second",
        .endpoint.url = URL,
        .endpoint.enabled = true};
    struct refusal refusal;
    cr_assert_eq(endpoint_policy_parse(SLICE_LITERAL(POLICY), NULL, &request.policy, &refusal), OK);
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
    endpoint_policy_unref(request.policy);
    id = last.ret_endpoint;
    cr_expect_str_eq(shown_policy(), POLICY);
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints WHERE policy LIKE '%4711%'"), 1);
    struct accounts_request removal = {
        .base.kind = ACCOUNTS_REMOVE_ENDPOINT, .account = "acc_1", .endpoint_id = id};
    cr_assert_eq(call_accounts(&removal), OK, "%s", last.detail);
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints WHERE policy <> ''"), 0,
        "a removed endpoint leaves no secret");
}

Test(policy, that_is_kept_beyond_a_callback_is_valid_until_it_is_given_back)
{
    cr_assert_eq(set_policy(POLICY), OK);
    rcu_go_online();
    const struct endpoint_policy *kept =
        endpoint_policy_ref(directory_endpoint(accounts_directory(accounts), id)->policy);
    rcu_go_offline();
    cr_assert_eq(set_policy("{}"), OK);
    close_accounts();
    cr_expect_str_eq(endpoint_policy_text(kept).data, POLICY);
    endpoint_policy_unref(kept);
}

Test(policy, damaged_one_stops_the_opening)
{
    close_accounts();
    execute_sql("UPDATE endpoints SET policy = '{\"horizon\":7}'");
    cr_expect_eq(open_accounts(), ERR_DAMAGED);
    cr_expect(strstr(open_detail, "policy"), "%s", open_detail);
}

Test(policy, disabling_is_recorded_until_the_endpoint_is_enabled)
{
    cr_expect_eq(metrics_read(METRIC_ENDPOINTS_DISABLED), 0);
    int64_t before_us = clock_wall_us();
    cr_expect_eq(set_enabled(false, "answered 410 to evt_1"), OK);
    cr_expect_str_eq(last.endpoint.disabled_reason, "answered 410 to evt_1");
    struct endpoint first = shown();
    cr_expect(first.disabled_us >= before_us && first.disabled_us <= clock_wall_us());
    cr_expect_eq(metrics_read(METRIC_ENDPOINTS_DISABLED), 1);
    cr_expect_eq(set_enabled(false, ""), OK, "again");
    for (int i = 0; i < 2; i++) {
        struct endpoint endpoint = shown();
        cr_expect_not(endpoint.enabled);
        cr_expect_eq(endpoint.disabled_us, first.disabled_us);
        cr_expect_str_eq(endpoint.disabled_reason, "answered 410 to evt_1", "the first one counts");
        cr_expect_eq(metrics_read(METRIC_ENDPOINTS_DISABLED), 1);
        reopen();
    }
    cr_expect_eq(set_enabled(true, ""), OK);
    cr_expect_eq(shown().disabled_us, 0);
    cr_expect_str_eq(shown().disabled_reason, "");
    cr_expect_eq(metrics_read(METRIC_ENDPOINTS_DISABLED), 0);
    cr_expect_eq(set_enabled(false, ""), OK);
    cr_expect_str_eq(shown().disabled_reason, "", "nothing is invented");
    cr_expect_neq(shown().disabled_us, 0);
    struct accounts_request removal = {
        .base.kind = ACCOUNTS_REMOVE_ENDPOINT, .account = "acc_1", .endpoint_id = id};
    cr_expect_eq(call_accounts(&removal), OK);
    cr_expect_eq(metrics_read(METRIC_ENDPOINTS_DISABLED), 0);
}

Test(policy, reason_of_disabling_is_one_line)
{
    cr_expect_eq(set_enabled(false, "a\nb"), ERR_INVALID);
    cr_expect(strstr(last.detail, "note: "), "%s", last.detail);
    cr_expect(shown().enabled);
}
