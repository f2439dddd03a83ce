/* SPDX-License-Identifier: Apache-2.0 */
/* Switches: their scope, their lasting, their history, and what is refused. */
#include "accounts/switches.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "unit/accounts/fixture.h"

#include <stdio.h>

static uint64_t endpoint;
static struct switch_change told[16];
static unsigned told_count;

static void on_switch_changed(void *context, const struct switch_change *change)
{
    (void)context;
    cr_assert_lt(told_count, ARRAY_LENGTH(told));
    told[told_count++] = *change;
}

static void begin(void)
{
    begin_with_accounts();
    accounts_listen(accounts, &(struct accounts_listener){.on_switch_changed = on_switch_changed});
    cr_assert_eq(add_account("acc_1"), OK);
    cr_assert_eq(add_account("acc_2"), OK);
    cr_assert_eq(add_endpoint("acc_1", "main", "https://client.example/hook"), OK);
    endpoint = last.ret_endpoint;
}

TestSuite(switches, .init = begin, .fini = fixture_end);

static enum err set(enum switch_kind kind, bool off, const char *account, uint64_t of_endpoint)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_SET_SWITCH,
        .endpoint_id = of_endpoint,
        .switch_wanted = {
            .kind = kind, .is_off = off, .reason = "incident 7", .actor = "operator"}};
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

static bool is_off(enum switch_kind kind, const char *account, uint64_t of_endpoint)
{
    rcu_go_online();
    bool off = directory_switch_off(
        accounts_directory(accounts), kind, slice_from_string(account), of_endpoint);
    rcu_go_offline();
    return off;
}

Test(switches, all_are_on_at_first)
{
    for (unsigned kind = 0; kind < SWITCHES; kind++)
        cr_expect_not(is_off((enum switch_kind)kind, "acc_1", endpoint));
    cr_expect_eq(directory_switch_changes(accounts_directory(accounts)), 0);
}

Test(switches, a_wider_one_holds_for_all_that_is_in_it)
{
    cr_assert_eq(set(SWITCH_RETRIES, true, "", 0), OK, "%s", last.detail);
    cr_expect(is_off(SWITCH_RETRIES, "", 0));
    cr_expect(is_off(SWITCH_RETRIES, "acc_2", 7));
    cr_expect_not(is_off(SWITCH_DELIVERIES, "acc_1", endpoint));
    cr_assert_eq(set(SWITCH_RETRIES, false, "", 0), OK);
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", 0), OK);
    cr_expect(is_off(SWITCH_RETRIES, "acc_1", endpoint));
    cr_expect_not(is_off(SWITCH_RETRIES, "acc_2", 0));
    cr_expect_not(is_off(SWITCH_RETRIES, "", 0));
    cr_assert_eq(set(SWITCH_RETRIES, false, "acc_1", 0), OK);
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", endpoint), OK);
    cr_expect(is_off(SWITCH_RETRIES, "acc_1", endpoint));
    cr_expect_not(is_off(SWITCH_RETRIES, "acc_1", 0));
    cr_expect_eq(metrics_read(METRIC_SWITCHES_RETRIES), 1);
}

Test(switches, each_scope_is_a_switch_of_its_own)
{
    cr_assert_eq(set(SWITCH_DELIVERIES, true, "", 0), OK);
    cr_assert_eq(set(SWITCH_DELIVERIES, true, "acc_1", 0), OK);
    cr_assert_eq(set(SWITCH_DELIVERIES, false, "", 0), OK);
    cr_expect(is_off(SWITCH_DELIVERIES, "acc_1", endpoint), "that of the account is still off");
}

Test(switches, they_survive_a_restart)
{
    cr_assert_eq(set(SWITCH_INGRESS, true, "acc_1", 0), OK);
    cr_assert_eq(set(SWITCH_OPTIONAL, true, "", 0), OK);
    cr_assert_eq(set(SWITCH_DELIVERIES, true, "", 0), OK);
    cr_assert_eq(set(SWITCH_DELIVERIES, false, "", 0), OK);
    close_accounts();
    cr_assert_eq(metrics_read(METRIC_SWITCHES_OPTIONAL), 0);
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    cr_expect(is_off(SWITCH_INGRESS, "acc_1", 0));
    cr_expect(is_off(SWITCH_OPTIONAL, "acc_2", 0));
    cr_expect_not(is_off(SWITCH_DELIVERIES, "acc_1", 0));
    rcu_go_online();
    const struct operator_switch *off = directory_switch_at(
        accounts_directory(accounts), SWITCH_INGRESS, SLICE_LITERAL("acc_1"), 0);
    cr_assert(off);
    cr_expect_str_eq(off->reason, "incident 7");
    cr_expect_gt(off->since_us, 0);
    rcu_go_offline();
}

Test(switches, one_that_is_so_already_keeps_its_time_and_reason)
{
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", 0), OK);
    cr_expect(last.ret_is_changed);
    int64_t since_us = last.switch_wanted.at_us;
    struct accounts_request again = last;
    strcpy(again.switch_wanted.reason, "another one");
    cr_assert_eq(call_accounts(&again), OK);
    cr_expect_not(last.ret_is_changed);
    cr_expect_eq(last.switch_wanted.at_us, since_us);
    cr_expect_str_eq(last.switch_wanted.reason, "incident 7");
    cr_assert_eq(set(SWITCH_DELIVERIES, false, "", 0), OK);
    cr_expect_not(last.ret_is_changed);
    cr_expect_eq(told_count, 1, "nobody is told of no change");
}

Test(switches, an_endpoint_takes_its_switches_with_it)
{
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", endpoint), OK);
    cr_assert_eq(set(SWITCH_DELIVERIES, true, "acc_1", endpoint), OK);
    struct accounts_request request = {
        .base.kind = ACCOUNTS_REMOVE_ENDPOINT, .account = "acc_1", .endpoint_id = endpoint};
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
    cr_expect_not(is_off(SWITCH_RETRIES, "acc_1", endpoint));
    cr_expect_eq(metrics_read(METRIC_SWITCHES_RETRIES), 0);
    cr_expect_eq(query_number("SELECT count(*) FROM switches WHERE deleted = 0"), 0);
    cr_assert_eq(told_count, 4);
    cr_expect(!told[3].is_off && told[3].kind == SWITCH_RETRIES);
    cr_expect_str_eq(told[3].reason, "the endpoint was removed");
}

Test(switches, what_is_wrong_is_refused)
{
    cr_expect_eq(set(SWITCH_RETRIES, true, "acc_9", 0), ERR_NOT_FOUND);
    cr_expect_eq(set(SWITCH_RETRIES, true, "acc_2", endpoint), ERR_NOT_FOUND);
    cr_expect_eq(set(SWITCH_RETRIES, true, "", endpoint), ERR_INVALID);
    cr_expect_eq(set(SWITCH_INGRESS, true, "acc_1", endpoint), ERR_INVALID);
    cr_expect(strstr(last.detail, "ingress"));
    cr_expect_eq(set(SWITCHES, true, "", 0), ERR_INVALID);
    static const char *const reasons[] = {"", "   ", "two\nlines", "bell\x07", "c1 \xc2\x85"};
    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++) {
        struct accounts_request request = {
            .base.kind = ACCOUNTS_SET_SWITCH, .switch_wanted.is_off = true};
        strcpy(request.switch_wanted.reason, reasons[i]);
        cr_expect_eq(call_accounts(&request), ERR_INVALID, "reason %zu", i);
    }
    cr_expect_eq(told_count, 0);
    cr_expect_eq(query_number("SELECT count(*) FROM switch_changes"), 0);
}

Test(switches, their_number_is_bounded)
{
    execute_sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                " INSERT INTO switches(name, account, endpoint, reason, version, created_us)"
                " SELECT 'retries', 'acc_x' || i, 0, 'r', 1, 1 FROM n");
    cr_expect_eq(set(SWITCH_RETRIES, true, "acc_1", 0), ERR_INVALID);
    cr_expect(strstr(last.detail, "1000"), "%s", last.detail);
    execute_sql("UPDATE switches SET deleted = 1 WHERE account = 'acc_x1'");
    cr_expect_eq(set(SWITCH_RETRIES, true, "acc_1", 0), OK, "%s", last.detail);
}

/* The history. */

static struct accounts_switch_history history;
static bool has_answer;

static void on_history(struct request *request, void *receiver)
{
    (void)receiver;
    cr_assert_eq(request->result, OK);
    has_answer = true;
}

static void read_history(unsigned count_max)
{
    struct mailbox mailbox;
    cr_assert_eq(mailbox_init(&mailbox, NULL), OK);
    history = (struct accounts_switch_history){
        .count_max = count_max, .base = {.reply_to = &mailbox, .on_done = on_history}};
    has_answer = false;
    accounts_list_switch_changes(accounts, &history);
    while (!has_answer) {
        mailbox_wait(&mailbox, 1000);
        mailbox_work(&mailbox);
    }
    mailbox_done(&mailbox);
}

Test(switches, the_history_says_who_when_and_why_the_newest_first)
{
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", endpoint), OK);
    cr_assert_eq(set(SWITCH_RETRIES, false, "acc_1", endpoint), OK);
    read_history(10);
    cr_assert_eq(history.ret_count, 2);
    const struct switch_change *newest = &history.ret_changes[0];
    cr_expect(!newest->is_off && newest->kind == SWITCH_RETRIES && newest->endpoint == endpoint);
    cr_expect_str_eq(newest->account, "acc_1");
    cr_expect_str_eq(newest->actor, "operator");
    cr_expect_str_eq(newest->reason, "incident 7");
    cr_expect(history.ret_changes[1].is_off);
    cr_expect_leq(history.ret_changes[1].at_us, newest->at_us);
    read_history(1);
    cr_expect_eq(history.ret_count, 1);
}

Test(switches, the_history_keeps_the_last_thousand)
{
    execute_sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
                " INSERT INTO switch_changes(at_us, name, account, endpoint, is_off, reason, actor)"
                " SELECT i, 'retries', '', 0, 1, 'r', 'a' FROM n");
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", 0), OK);
    cr_expect_eq(query_number("SELECT count(*) FROM switch_changes"), 1000);
    cr_expect_eq(
        query_number("SELECT count(*) FROM switch_changes WHERE reason = 'incident 7'"), 1);
}

/* Which switch holds a delivery. */

static const char *holder(enum event_class class, enum delivery_state state)
{
    static char text[64];
    rcu_go_online();
    const struct operator_switch *off = switches_holding(
        accounts_directory(accounts), SLICE_LITERAL("acc_1"), endpoint, class, state);
    snprintf(text, sizeof text, "%s", off ? switch_name(off->kind) : "none");
    rcu_go_offline();
    return text;
}

Test(switches, the_one_that_holds_a_delivery_is_named)
{
    cr_expect_str_eq(holder(CLASS_OPTIONAL, DELIVERY_WAITING), "none");
    cr_assert_eq(set(SWITCH_OPTIONAL, true, "acc_1", 0), OK);
    cr_expect_str_eq(holder(CLASS_OPTIONAL, DELIVERY_PENDING), "optional");
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_PENDING), "none");
    cr_assert_eq(set(SWITCH_RETRIES, true, "acc_1", endpoint), OK);
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_WAITING), "retries");
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_PENDING), "none");
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_DEAD), "none");
    cr_assert_eq(set(SWITCH_DELIVERIES, true, "", 0), OK);
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_PENDING), "deliveries");
    cr_expect_str_eq(holder(CLASS_CRITICAL, DELIVERY_SENDING), "none");
}
