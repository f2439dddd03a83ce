/* SPDX-License-Identifier: Apache-2.0 */
/* A leader's changes, page by page, make a follower's directory equal to the leader's. */
#include "accounts/replication.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "model/refusal.h"
#include "runtime/rcu.h"
#include "support/at_end.h"
#include "unit/accounts/fixture.h"

#include <stdio.h>

#define URL "https://client.example/hook"

static struct accounts *follower;
static char follower_directory[64];

static void open_follower(void)
{
    static const struct hash_seed seed = {{7}};
    char detail[256];
    cr_assert_eq(accounts_open(follower_directory, &seed, &follower, detail), OK, "%s", detail);
}

static enum err replicate(struct accounts *whose, enum accounts_replication_kind action)
{
    struct accounts_replication request = {.base.kind = action};
    enum err result = accounts_replicate_call(whose, &request);
    cr_expect(result == OK ? !*request.detail : *request.detail);
    return result;
}

static void begin(void)
{
    begin_with_accounts();
    strcpy(follower_directory, "/tmp/penstock-test-XXXXXX");
    cr_assert(mkdtemp(follower_directory));
    open_follower();
    cr_assert_eq(replicate(follower, REPLICATION_FOLLOW), OK);
}

static void end(void)
{
    accounts_stop(follower);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", follower_directory);
    assert_at_end(system(command) == 0);
    fixture_end();
}

TestSuite(replication, .init = begin, .fini = end);

/* The leader's next page to the follower; true when there are more. */
static bool carry_page(size_t *ret_objects)
{
    struct accounts_replication request = {
        .base.kind = REPLICATION_READ, .after = accounts_version(follower)};
    cr_assert_eq(accounts_replicate_call(accounts, &request), OK, "%s", request.detail);
    *ret_objects = request.page.count;
    bool more = request.page.more;
    request.base.kind = REPLICATION_APPLY;
    cr_assert_eq(accounts_replicate_call(follower, &request), OK, "%s", request.detail);
    cr_expect_eq(accounts_version(follower), request.page.version);
    accounts_page_done(&request.page);
    return more;
}

/* How many objects were copied. */
static size_t follow(void)
{
    size_t all = 0, objects = 0;
    for (bool more = true; more; all += objects)
        more = carry_page(&objects);
    cr_expect_eq(accounts_version(follower), accounts_version(accounts));
    return all;
}

/* The directory as sorted lines. */

static char *lines[8192];
static size_t lines_count;

static void add_line(char *line)
{
    cr_assert(lines_count < ARRAY_LENGTH(lines));
    lines[lines_count++] = line;
}

static void add_partner_line(const struct partner *partner, void *context)
{
    char *line, secrets[512] = "";
    for (unsigned i = 0; i < partner->secrets_count; i++) {
        const struct partner_secret *secret = &partner->secrets[i];
        char text[SECRET_TEXT_BYTES];
        secret_format(&secret->secret, text);
        snprintf(secrets + strlen(secrets), sizeof secrets - strlen(secrets), " %llx=%s@%lld",
            (unsigned long long)secret->id, text, (long long)secret->created_us);
    }
    struct buffer rules = BUFFER_EMPTY;
    partner_rules_print(&partner->rules, &rules);
    cr_assert(asprintf(&line, "partner %s %d %lld [%s]%s %s", partner->id, partner->enabled,
                  (long long)partner->version, partner->key_pointer, secrets, rules.data) > 0);
    buffer_done(&rules);
    add_line(line);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void add_account_line(const struct account *account, void *context)
{
    char *line, endpoints[512] = "";
    struct account sorted = *account;
    unsigned filtered = 0;
    qsort(sorted.endpoints, sorted.endpoints_count, sizeof sorted.endpoints[0], compare_ids);
    for (unsigned i = 0; i < account->endpoints_count; i++) {
        filtered += account->filtered >> i & 1;
        snprintf(endpoints + strlen(endpoints), sizeof endpoints - strlen(endpoints), " %llx",
            (unsigned long long)sorted.endpoints[i]);
    }
    cr_assert(asprintf(&line, "account %s %d %lld%s filtered %u", account->id, account->enabled,
                  (long long)account->version, endpoints, filtered) > 0);
    add_line(line);
}

static void add_endpoint_line(const struct endpoint *endpoint)
{
    char *line, types[512] = "";
    for (unsigned i = 0; i < endpoint->types.count; i++)
        snprintf(types + strlen(types), sizeof types - strlen(types), " %s",
            endpoint->types.patterns[i]);
    cr_assert(
        asprintf(&line, "endpoint %llx %s %s %s %d%d%d %lld%s", (unsigned long long)endpoint->id,
            endpoint->account, endpoint->name, endpoint->url, endpoint->enabled,
            endpoint->idempotent, endpoint->final_4xx, (long long)endpoint->version, types) > 0);
    add_line(line);
}

/* The endpoints that an account names are those that get its events. */
static void add_endpoint_lines(const struct account *account, void *context)
{
    const struct directory *directory = context;
    for (unsigned i = 0; i < account->endpoints_count; i++)
        add_endpoint_line(directory_endpoint(directory, account->endpoints[i]));
}

static void add_credential_line(const struct credential *credential, void *context)
{
    char *line, sha256[2 * SHA256_BYTES + 1];
    hex_encode(slice_of(credential->sha256, SHA256_BYTES), sha256);
    cr_assert(
        asprintf(&line, "credential %s %s %lld %lld [%s] %u %s %u %s", sha256, credential->partner,
            (long long)credential->created_us, (long long)credential->expires_us, credential->label,
            credential->scope.accounts_count, credential->scope.accounts[0],
            credential->scope.types.count, credential->scope.types.patterns[0]) > 0);
    add_line(line);
}

static void add_grant_line(struct slice partner, struct slice account, void *context)
{
    char *line;
    cr_assert(asprintf(&line, "grant %.*s %.*s", SLICE_ARGS(partner), SLICE_ARGS(account)) > 0);
    add_line(line);
}

static void add_switch_line(const struct operator_switch *off, void *context)
{
    char *line;
    cr_assert(asprintf(&line, "switch %s %s %llx %lld %s %lld", switch_name(off->kind),
                  off->account, (unsigned long long)off->endpoint, (long long)off->since_us,
                  off->reason, (long long)off->version) > 0);
    add_line(line);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct buffer shown_directory(const struct accounts *whose)
{
    const struct directory *directory = accounts_directory(whose);
    struct buffer text = BUFFER_EMPTY;
    lines_count = 0;
    rcu_go_online();
    directory_each_partner(directory, add_partner_line, NULL);
    directory_each_account(directory, add_account_line, NULL);
    directory_each_account(directory, add_endpoint_lines, (void *)(uintptr_t)directory);
    directory_each_credential(directory, add_credential_line, NULL);
    directory_each_grant(directory, add_grant_line, NULL);
    directory_each_switch(directory, add_switch_line, NULL);
    rcu_go_offline();
    qsort(lines, lines_count, sizeof lines[0], compare_lines);
    buffer_add_string(&text, "");
    for (size_t i = 0; i < lines_count; i++) {
        buffer_add_format(&text, "%s\n", lines[i]);
        free(lines[i]);
    }
    return text;
}

static void assert_equal_directories(void)
{
    struct buffer wanted = shown_directory(accounts), got = shown_directory(follower);
    cr_assert_str_eq(got.data, wanted.data, "follower:\n%s\nleader:\n%s", got.data, wanted.data);
    buffer_done(&wanted);
    buffer_done(&got);
}

static void reopen_follower(void)
{
    accounts_stop(follower);
    open_follower();
}

static uint64_t endpoint_of_last(void)
{
    return last.ret_endpoint;
}

static enum err action(enum accounts_change which, const char *partner, const char *account,
    uint64_t endpoint, uint64_t id)
{
    struct accounts_request request = {
        .base.kind = which, .endpoint_id = endpoint, .credential_id = id, .secret_id = id};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

/* One of everything, on the leader. */
static uint64_t make_accounts(void)
{
    cr_assert_eq(add_partner("pa_1"), OK);
    cr_assert_eq(add_partner("pa_2"), OK);
    cr_assert_eq(add_account("acc_1"), OK);
    cr_assert_eq(add_account("acc_2"), OK);
    cr_assert_eq(grant("pa_1", "acc_1"), OK);
    cr_assert_eq(grant("pa_1", "acc_2"), OK);
    cr_assert_eq(add_credential("pa_1", "pk_one"), OK);
    cr_assert_eq(add_credential("pa_2", "pk_two"), OK);
    cr_assert_eq(add_endpoint("acc_1", "second", URL), OK);
    cr_assert_eq(add_endpoint("acc_1", "main", URL), OK);
    return endpoint_of_last();
}

static void set_rules(const char *partner, const char *json)
{
    struct refusal refusal;
    struct accounts_request request = {
        .base.kind = ACCOUNTS_CHANGE_PARTNER, .changes = PARTNER_CHANGE_RULES};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    cr_assert_eq(
        partner_rules_change(&request.partner_wanted.rules, slice_from_string(json), &refusal), OK);
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
}

static void add_limited_credential(const char *partner, const char *key)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_CREDENTIAL,
        .credential_wanted = {.label = "till 7", .expires_us = INT64_MAX}};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    crypto_sha256(slice_from_string(key), request.credential_sha256);
    cr_assert(key_scope_add_account(&request.credential_wanted.scope, SLICE_LITERAL("acc_1")));
    cr_assert(type_list_add(&request.credential_wanted.scope.types, SLICE_LITERAL("lead.*")));
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
}

/* The last use of the credential that both have. */
static int64_t last_use(const struct accounts *whose, const char *key)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    int64_t used_us = directory_last_use(directory_credential(accounts_directory(whose), sha256));
    rcu_go_offline();
    return used_us;
}

static void note_use(const struct accounts *whose, const char *key, int64_t now_us)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    directory_note_use(directory_credential(accounts_directory(whose), sha256), now_us);
    rcu_go_offline();
}

Test(replication, each_gateway_keeps_the_last_use_of_a_key_that_it_has_seen)
{
    make_accounts();
    follow();
    note_use(accounts, "pk_one", 5000000);
    note_use(follower, "pk_one", 9000000);
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_CREDENTIAL,
        .partner = "pa_1",
        .changes = CREDENTIAL_CHANGE_LABEL,
        .credential_wanted.label = "new"};
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(SLICE_LITERAL("pk_one"), sha256);
    request.credential_id = credential_id(sha256);
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
    cr_expect_eq(follow(), 1);
    assert_equal_directories();
    cr_expect_eq(last_use(accounts, "pk_one"), 5000000);
    cr_expect_eq(last_use(follower, "pk_one"), 9000000);
    reopen_follower();
    cr_expect_eq(last_use(follower, "pk_one"), 9000000);
}

static void set_switch(enum switch_kind kind, bool off, const char *account, uint64_t endpoint)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_SET_SWITCH,
        .endpoint_id = endpoint,
        .switch_wanted = {.kind = kind, .is_off = off, .reason = "incident"}};
    snprintf(request.account, sizeof request.account, "%s", account);
    cr_assert_eq(call_accounts(&request), OK, "%s", last.detail);
}

static unsigned switches_reported;

static void on_switch_changed(void *context, const struct switch_change *change)
{
    (void)context;
    switches_reported++;
    cr_expect(change->at_us > 0 && !*change->actor);
}

Test(replication, switches_are_copied_and_a_follower_reports_each_change_once)
{
    uint64_t endpoint = make_accounts();
    accounts_listen(follower, &(struct accounts_listener){.on_switch_changed = on_switch_changed});
    set_switch(SWITCH_INGRESS, true, "", 0);
    set_switch(SWITCH_OPTIONAL, true, "acc_1", 0);
    set_switch(SWITCH_DELIVERIES, true, "acc_1", endpoint);
    follow();
    assert_equal_directories();
    cr_expect_eq(switches_reported, 3);
    reopen_follower();
    assert_equal_directories();
    accounts_listen(follower, &(struct accounts_listener){.on_switch_changed = on_switch_changed});
    set_switch(SWITCH_INGRESS, false, "", 0);
    cr_assert_eq(action(ACCOUNTS_REMOVE_ENDPOINT, "", "acc_1", endpoint, 0), OK);
    follow();
    assert_equal_directories();
    cr_expect_eq(switches_reported, 5);
    cr_assert_eq(replicate(follower, REPLICATION_RESTART), OK);
    follow();
    assert_equal_directories();
    cr_expect_eq(switches_reported, 5, "nothing has changed");
}

Test(replication, a_follower_takes_what_no_page_brings_back_as_switched_on)
{
    make_accounts();
    set_switch(SWITCH_INGRESS, true, "", 0);
    follow();
    execute_sql("DELETE FROM switches");
    close_accounts();
    cr_assert_eq(open_accounts(), OK);
    cr_assert_eq(replicate(follower, REPLICATION_RESTART), OK);
    follow();
    assert_equal_directories();
}

Test(replication, everything_is_copied_and_survives_a_restart)
{
    uint64_t endpoint = make_accounts();
    struct endpoint wanted = {.final_4xx = true};
    cr_assert(type_list_add(&wanted.types, SLICE_LITERAL("lead.*")));
    cr_assert_eq(change_endpoint(
                     "acc_1", endpoint, ENDPOINT_CHANGE_TYPES | ENDPOINT_CHANGE_FINAL_4XX, &wanted),
        OK);
    cr_assert_eq(change_partner("pa_2", PARTNER_CHANGE_KEY_POINTER | PARTNER_CHANGE_ENABLED, false,
                     "/data/id"),
        OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(action(ACCOUNTS_ADD_PARTNER_SECRET, "pa_1", "", 0, 0), OK);
    set_rules("pa_1", "{\"events_per_second\":7,\"allow_networks\":[\"10.0.0.0/8\"]}");
    add_limited_credential("pa_1", "pk_limited");
    cr_expect_eq(follow(), 11);
    assert_equal_directories();
    reopen_follower();
    assert_equal_directories();
    cr_expect_eq(accounts_version(follower), accounts_version(accounts));
    cr_expect_eq(follow(), 0, "nothing is new");
    rcu_go_online();
    const struct endpoint *copy = directory_endpoint(accounts_directory(follower), endpoint);
    cr_expect(copy && copy->secrets_count == 0, "what signs stays with the leader");
    rcu_go_offline();
}

Test(replication, changes_and_removals_are_copied)
{
    uint64_t endpoint = make_accounts(), credential, secret;
    cr_assert_eq(action(ACCOUNTS_ADD_PARTNER_SECRET, "pa_1", "", 0, 0), OK);
    secret = last.ret_secret_id;
    cr_assert_eq(action(ACCOUNTS_ADD_PARTNER_SECRET, "pa_1", "", 0, 0), OK);
    follow();
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(SLICE_LITERAL("pk_one"), sha256);
    credential = credential_id(sha256);
    cr_assert_eq(action(ACCOUNTS_REVOKE_CREDENTIAL, "pa_1", "", 0, credential), OK);
    cr_expect_eq(follow(), 1);
    assert_equal_directories();
    cr_assert_eq(withdraw_grant("pa_1", "acc_1"), OK);
    cr_assert_eq(
        action(ACCOUNTS_REMOVE_PARTNER_SECRET, "pa_1", "", 0, secret), OK, "%s", last.detail);
    cr_assert_eq(action(ACCOUNTS_REMOVE_ENDPOINT, "", "acc_1", endpoint, 0), OK);
    cr_assert_eq(add_endpoint("acc_1", "main", URL "/new"), OK, "the name is free");
    cr_assert_eq(change_partner("pa_2", PARTNER_CHANGE_ENABLED, false, ""), OK);
    cr_expect_eq(follow(), 5);
    assert_equal_directories();
    cr_assert_eq(grant("pa_1", "acc_1"), OK);
    cr_expect_eq(follow(), 1);
    assert_equal_directories();
    reopen_follower();
    assert_equal_directories();
}

Test(replication, many_come_in_pages)
{
    char name[32];
    make_accounts();
    for (unsigned i = 0; i < 2 * REPLICATION_PAGE_OBJECTS; i++) {
        snprintf(name, sizeof name, "acc_many_%u", i);
        cr_assert_eq(add_account(name), OK);
        if (i % 8 == 0)
            cr_assert_eq(add_endpoint(name, "main", URL), OK);
    }
    size_t objects;
    cr_expect(carry_page(&objects));
    cr_expect_eq(objects, REPLICATION_PAGE_OBJECTS);
    reopen_follower();
    cr_expect_eq(follow(),
        10 + 2 * REPLICATION_PAGE_OBJECTS + REPLICATION_PAGE_OBJECTS / 4 - REPLICATION_PAGE_OBJECTS,
        "what was in is not asked for again");
    assert_equal_directories();
}

Test(replication, nothing_new_is_an_empty_page_and_the_future_is_refused)
{
    make_accounts();
    struct accounts_replication request = {
        .base.kind = REPLICATION_READ, .after = accounts_version(accounts)};
    cr_expect_eq(accounts_replicate_call(accounts, &request), OK);
    cr_expect_eq(request.page.count, 0);
    cr_expect_not(request.page.more);
    cr_expect_eq(request.page.version, request.after);
    request.after++;
    cr_expect_eq(accounts_replicate_call(accounts, &request), ERR_NOT_FOUND);
}

Test(replication, a_leader_that_has_forgotten_is_followed_from_the_start)
{
    uint64_t endpoint = make_accounts();
    follow();
    /* As after a backup of before: another endpoint has the name, a partner, an account and a key
     * were never made. */
    close_accounts();
    char sql[512];
    snprintf(sql, sizeof sql,
        "DELETE FROM partners WHERE id = 'pa_2'; DELETE FROM credentials WHERE partner = 'pa_2';"
        "DELETE FROM accounts WHERE id = 'acc_2'; DELETE FROM grants WHERE account = 'acc_2';"
        "UPDATE endpoints SET id = 77, version = version - 1 WHERE id = %lld; UPDATE secrets SET "
        "endpoint = 77 WHERE "
        "endpoint = %lld;"
        "UPDATE meta SET value = value - 1",
        (long long)endpoint, (long long)endpoint);
    execute_sql(sql);
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    struct accounts_replication request = {
        .base.kind = REPLICATION_READ, .after = accounts_version(follower)};
    cr_assert_eq(accounts_replicate_call(accounts, &request), ERR_NOT_FOUND);
    struct buffer before = shown_directory(follower);
    cr_assert_eq(replicate(follower, REPLICATION_RESTART), OK);
    struct buffer meanwhile = shown_directory(follower);
    cr_expect_str_eq(meanwhile.data, before.data, "what it has is still there");
    follow();
    assert_equal_directories();
    reopen_follower();
    assert_equal_directories();
    buffer_done(&before);
    buffer_done(&meanwhile);
}

Test(replication, a_restart_that_was_interrupted_is_finished)
{
    char name[32];
    make_accounts();
    for (unsigned i = 0; i < REPLICATION_PAGE_OBJECTS; i++) {
        snprintf(name, sizeof name, "acc_many_%u", i);
        cr_assert_eq(add_account(name), OK);
    }
    follow();
    close_accounts();
    execute_sql(
        "DELETE FROM accounts WHERE id = 'acc_2'; DELETE FROM grants WHERE account = 'acc_2'");
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    cr_assert_eq(replicate(follower, REPLICATION_RESTART), OK);
    size_t objects;
    cr_expect(carry_page(&objects));
    reopen_follower();
    follow();
    assert_equal_directories();
}

Test(replication, a_follower_accepts_no_other_changes_and_is_no_leader)
{
    make_accounts();
    follow();
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_PARTNER, .partner = "pa_9"};
    cr_expect_eq(accounts_call(follower, &request), ERR_FORBIDDEN);
    cr_expect_eq(replicate(follower, REPLICATION_LEAD), ERR_CONFIG);
    cr_expect_eq(replicate(accounts, REPLICATION_LEAD), OK);
    reopen_follower();
    cr_expect_eq(accounts_call(follower, &request), ERR_FORBIDDEN);
    cr_expect_eq(replicate(follower, REPLICATION_LEAD), ERR_CONFIG);
    cr_expect_eq(replicate(follower, REPLICATION_FOLLOW), OK);
    assert_equal_directories();
}

static bool state(struct accounts *whose, bool *ret_is_complete)
{
    struct accounts_replication request = {.base.kind = REPLICATION_STATE};
    cr_assert_eq(accounts_replicate_call(whose, &request), OK);
    *ret_is_complete = request.ret_is_complete;
    return request.ret_follows;
}

Test(replication, a_follower_records_whether_its_copy_was_complete)
{
    bool complete;
    cr_expect_not(state(accounts, &complete));
    cr_expect_not(complete);
    cr_expect(state(follower, &complete));
    cr_expect_not(complete);
    make_accounts();
    follow();
    for (int i = 0; i < 2; i++) {
        cr_expect(state(follower, &complete));
        cr_expect(complete);
        reopen_follower();
    }
    cr_expect_eq(replicate(follower, REPLICATION_RESTART), OK);
    cr_expect(state(follower, &complete));
    cr_expect(complete, "what it had is good for use meanwhile");
}

Test(replication, a_database_with_a_history_of_its_own_becomes_the_leaders)
{
    make_accounts();
    static const struct hash_seed seed = {{7}};
    char detail[256];
    accounts_stop(follower);
    char command[128];
    snprintf(command, sizeof command, "rm -f %s/*", follower_directory);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(accounts_open(follower_directory, &seed, &follower, detail), OK);
    for (int i = 0; i < 20; i++) {
        struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ACCOUNT};
        snprintf(request.account, sizeof request.account, "acc_%d", i);
        cr_assert_eq(accounts_call(follower, &request), OK);
    }
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ENDPOINT, .account = "acc_1"};
    strcpy(request.endpoint.name, "main");
    strcpy(request.endpoint.url, URL);
    cr_assert_eq(accounts_call(follower, &request), OK, "%s", request.detail);
    cr_assert_eq(replicate(follower, REPLICATION_FOLLOW), OK);
    follow();
    assert_equal_directories();
    reopen_follower();
    assert_equal_directories();
}

Test(replication, a_page_that_can_not_be_changes_nothing)
{
    make_accounts();
    follow();
    struct buffer before = shown_directory(follower);
    struct accounts_replication request = {.base.kind = REPLICATION_APPLY, .page.version = 1000};
    struct accounts_object *partner = accounts_page_add(&request.page, ACCOUNTS_KIND_PARTNER);
    strcpy(partner->partner->id, "pa_9");
    struct accounts_object *object = accounts_page_add(&request.page, ACCOUNTS_KIND_ENDPOINT);
    object->version = object->endpoint->version = 1000;
    object->endpoint->id = 5;
    strcpy(object->endpoint->account, "acc_9");
    strcpy(object->endpoint->name, "main");
    strcpy(object->endpoint->url, URL);
    cr_expect_eq(accounts_replicate_call(follower, &request), ERR_DAMAGED);
    cr_expect_str_eq(request.detail, "an endpoint is sent before its account");
    accounts_page_done(&request.page);
    struct buffer after = shown_directory(follower);
    cr_expect_str_eq(after.data, before.data);
    cr_expect_eq(accounts_version(follower), accounts_version(accounts));
    buffer_done(&before);
    buffer_done(&after);
}
