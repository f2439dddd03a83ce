/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of endpoints and the bits that accounts keep of them, removing, and the rotation of
 * secrets. */
#include "base/cleanup.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "unit/accounts/fixture.h"

#include <stdio.h>

#define URL "https://client.example/hook"

static void begin(void)
{
    begin_with_accounts();
    cr_assert_eq(add_account("acc_1"), OK);
}

TestSuite(endpoints, .init = begin, .fini = fixture_end);

static void reopen(void)
{
    close_accounts();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
}

static uint64_t add(const char *name)
{
    cr_assert_eq(add_endpoint("acc_1", name, URL), OK, "%s", last.detail);
    return last.ret_endpoint;
}

static struct account shown_account(void)
{
    rcu_go_online();
    struct account account =
        *directory_account(accounts_directory(accounts), SLICE_LITERAL("acc_1"));
    rcu_go_offline();
    return account;
}

static bool find_endpoint(uint64_t id, struct endpoint *ret_endpoint)
{
    rcu_go_online();
    const struct endpoint *endpoint = directory_endpoint(accounts_directory(accounts), id);
    if (endpoint)
        *ret_endpoint = *endpoint;
    rcu_go_offline();
    return endpoint != NULL;
}

/* Patterns separated by spaces. */
static struct type_list types_of(const char *text)
{
    struct type_list types = {0};
    char copy[256], *rest = copy, *pattern;
    snprintf(copy, sizeof copy, "%s", text);
    while (*text && (pattern = strsep(&rest, " ")))
        cr_assert(type_list_add(&types, slice_from_string(pattern)));
    return types;
}

static enum err set_types(uint64_t id, const char *text)
{
    struct endpoint wanted = {.types = types_of(text)};
    return change_endpoint("acc_1", id, ENDPOINT_CHANGE_TYPES, &wanted);
}

Test(endpoints, a_filter_is_kept_and_shown_in_its_account)
{
    uint64_t first = add("first"), second = add("second");
    cr_expect_eq(shown_account().filtered, 0);
    int64_t version = shown_account().version;
    cr_expect_eq(set_types(second, "purchase lead.* *"), OK, "%s", last.detail);
    cr_expect_eq(last.endpoint.types.count, 3, "it comes back as it was published");
    for (int i = 0; i < 2; i++) {
        struct endpoint endpoint;
        cr_assert(find_endpoint(second, &endpoint));
        cr_assert_eq(endpoint.types.count, 3);
        cr_expect_str_eq(endpoint.types.patterns[0], "purchase");
        cr_expect_str_eq(endpoint.types.patterns[1], "lead.*");
        cr_expect_str_eq(endpoint.types.patterns[2], "*");
        cr_expect_str_eq(endpoint.url, URL);
        cr_assert(find_endpoint(first, &endpoint));
        cr_expect_eq(endpoint.types.count, 0);
        struct account account = shown_account();
        cr_assert_eq(account.endpoints_count, 2);
        cr_expect_eq(account.filtered, account.endpoints[0] == second ? 1 : 2);
        cr_expect_eq(account.version, version, "the account itself has not changed");
        reopen();
    }
    cr_expect_eq(set_types(second, ""), OK, "%s", last.detail);
    cr_expect_eq(shown_account().filtered, 0);
    reopen();
    cr_expect_eq(shown_account().filtered, 0);
}

Test(endpoints, an_endpoint_may_be_added_with_its_filter)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_ADD_ENDPOINT, .account = "acc_1", .endpoint.name = "main"};
    strcpy(request.endpoint.url, URL);
    request.endpoint.types = types_of("payout");
    cr_expect_eq(call_accounts(&request), OK, "%s", last.detail);
    cr_expect_eq(shown_account().filtered, 1);
}

Test(endpoints, the_longest_list_fits)
{
    struct endpoint wanted = {0};
    char pattern[EVENT_TYPE_BYTES_MAX + 1];
    uint64_t id = add("main");
    for (int i = 0; i < TYPE_LIST_MAX; i++) {
        snprintf(pattern, sizeof pattern, "%0*d", EVENT_TYPE_BYTES_MAX, i);
        cr_assert(type_list_add(&wanted.types, slice_from_string(pattern)));
    }
    cr_expect_eq(
        change_endpoint("acc_1", id, ENDPOINT_CHANGE_TYPES, &wanted), OK, "%s", last.detail);
    reopen();
    struct endpoint endpoint;
    cr_assert(find_endpoint(id, &endpoint));
    cr_assert_eq(endpoint.types.count, TYPE_LIST_MAX);
    cr_expect_str_eq(endpoint.types.patterns[TYPE_LIST_MAX - 1], pattern);
}

Test(endpoints, wrong_lists_are_refused)
{
    static const char *const wrong[] = {"", "a b", "*lead", "le*ad", "a,b"};
    uint64_t id = add("main");
    struct endpoint wanted = {.types.count = 1};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        snprintf(wanted.types.patterns[0], sizeof wanted.types.patterns[0], "%s", wrong[i]);
        cr_expect_eq(change_endpoint("acc_1", id, ENDPOINT_CHANGE_TYPES, &wanted), ERR_INVALID,
            "%s", wrong[i]);
        cr_expect(
            slice_starts_with(slice_from_string(last.detail), "types: must be an event type"));
    }
    wanted.types.count = TYPE_LIST_MAX + 1;
    cr_expect_eq(change_endpoint("acc_1", id, ENDPOINT_CHANGE_TYPES, &wanted), ERR_INVALID);
    cr_expect_str_eq(last.detail, "types: must have at most 32 items");
    cr_expect_eq(shown_account().filtered, 0);
}

/* Removing. */

static enum err remove_endpoint(const char *account, uint64_t id)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_REMOVE_ENDPOINT, .endpoint_id = id};
    snprintf(request.account, sizeof request.account, "%s", account);
    return call_accounts(&request);
}

Test(endpoints, a_removed_endpoint_is_not_found_and_the_others_keep_their_bits)
{
    uint64_t ids[] = {add("a"), add("b"), add("c")};
    set_types(ids[0], "payout");
    set_types(ids[2], "lead");
    add_account("acc_2");
    cr_expect_eq(remove_endpoint("acc_2", ids[1]), ERR_NOT_FOUND, "it is another account's");
    cr_expect_eq(remove_endpoint("acc_1", 42), ERR_NOT_FOUND);
    cr_expect_eq(remove_endpoint("acc_1", ids[1]), OK, "%s", last.detail);
    cr_expect_str_eq(last.endpoint.name, "b", "it comes back as it was");
    cr_expect_eq(remove_endpoint("acc_1", ids[1]), ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        struct endpoint endpoint;
        struct account account = shown_account();
        cr_assert_eq(account.endpoints_count, 2);
        cr_expect(account.endpoints[0] != ids[1] && account.endpoints[1] != ids[1]);
        cr_expect_eq(account.filtered, 3);
        cr_expect_not(find_endpoint(ids[1], &endpoint));
        cr_expect(find_endpoint(ids[0], &endpoint) && find_endpoint(ids[2], &endpoint));
        cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 4);
        reopen();
    }
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints WHERE deleted = 1"), 1);
    cr_expect_eq(
        query_number("SELECT count(*) FROM secrets WHERE deleted = 1 AND secret = x''"), 1);
    cr_expect_eq(add_endpoint("acc_1", "b", URL), OK, "its name is free again: %s", last.detail);
    cr_expect_neq(last.ret_endpoint, ids[1]);
}

Test(endpoints, removing_makes_room)
{
    char name[16];
    uint64_t id = 0;
    for (int i = 0; i < ACCOUNT_ENDPOINTS_MAX; i++) {
        snprintf(name, sizeof name, "e%d", i);
        id = add(name);
    }
    cr_expect_eq(add_endpoint("acc_1", "more", URL), ERR_INVALID);
    cr_expect_eq(remove_endpoint("acc_1", id), OK);
    cr_expect_eq(add_endpoint("acc_1", "more", URL), OK, "%s", last.detail);
}

struct heard {
    uint64_t endpoint;
    bool was_there, was_named;
};

static void on_heard(void *context, uint64_t endpoint, struct slice account, int64_t version)
{
    struct heard *heard = context;
    const struct directory *directory = accounts_directory(accounts);
    heard->endpoint = endpoint;
    heard->was_there = directory_endpoint(directory, endpoint) != NULL;
    heard->was_named = directory_account(directory, account)->endpoints_count > 0;
}

Test(endpoints, the_listener_is_called_after_a_removal)
{
    struct heard heard = {0};
    uint64_t id = add("main");
    accounts_listen(
        accounts, &(struct accounts_listener){.on_endpoint_changed = on_heard, .context = &heard});
    cr_expect_eq(remove_endpoint("acc_1", id), OK, "%s", last.detail);
    cr_expect_eq(heard.endpoint, id);
    cr_expect_not(heard.was_there);
    cr_expect_not(heard.was_named);
}

/* Secrets. */

static enum err action_on_secret(enum accounts_change action, uint64_t endpoint, uint64_t number)
{
    return call_accounts(&(struct accounts_request){
        .base.kind = action, .account = "acc_1", .endpoint_id = endpoint, .secret_id = number});
}

Test(endpoints, secrets_are_changed_one_after_the_other)
{
    uint64_t id = add("main");
    struct endpoint made = last.endpoint, endpoint;
    cr_expect_eq(made.secret_numbers[0], 0);
    cr_expect_eq(action_on_secret(ACCOUNTS_REMOVE_ENDPOINT_SECRET, id, 0), ERR_INVALID,
        "nothing would be signed");
    cr_expect_eq(action_on_secret(ACCOUNTS_ADD_ENDPOINT_SECRET, id, 0), OK, "%s", last.detail);
    cr_expect_eq(last.ret_secret_id, 1);
    struct secret second = last.secret;
    cr_expect_eq(second.len, ENDPOINT_SECRET_BYTES);
    cr_assert(find_endpoint(id, &endpoint));
    cr_assert_eq(endpoint.secrets_count, 2);
    cr_expect_arr_eq(endpoint.secrets[0].bytes, made.secrets[0].bytes, ENDPOINT_SECRET_BYTES);
    cr_expect(endpoint.version > made.version, "delivery keys its MACs anew by it");
    cr_expect_eq(action_on_secret(ACCOUNTS_REMOVE_ENDPOINT_SECRET, id, 7), ERR_NOT_FOUND);
    cr_expect_eq(action_on_secret(ACCOUNTS_REMOVE_ENDPOINT_SECRET, id, 0), OK, "%s", last.detail);
    for (int i = 0; i < 2; i++) {
        cr_assert(find_endpoint(id, &endpoint));
        cr_assert_eq(endpoint.secrets_count, 1);
        cr_expect_eq(endpoint.secret_numbers[0], 1);
        cr_expect_arr_eq(endpoint.secrets[0].bytes, second.bytes, ENDPOINT_SECRET_BYTES);
        reopen();
    }
    cr_expect_eq(action_on_secret(ACCOUNTS_ADD_ENDPOINT_SECRET, id, 0), OK);
    cr_expect_eq(action_on_secret(ACCOUNTS_REMOVE_ENDPOINT_SECRET, id, 2), OK);
    cr_expect_eq(action_on_secret(ACCOUNTS_ADD_ENDPOINT_SECRET, id, 0), OK);
    cr_expect_eq(last.ret_secret_id, 3, "a number is never given twice");
}

Test(endpoints, only_so_many_secrets_are_active)
{
    uint64_t id = add("main");
    for (int i = 1; i < ENDPOINT_SECRETS_MAX; i++)
        cr_assert_eq(action_on_secret(ACCOUNTS_ADD_ENDPOINT_SECRET, id, 0), OK, "%s", last.detail);
    cr_expect_eq(action_on_secret(ACCOUNTS_ADD_ENDPOINT_SECRET, id, 0), ERR_INVALID);
    cr_expect_str_eq(last.detail,
        "endpoint main already has 4 secrets, and more are not allowed: remove one first");
    cr_expect_eq(query_number("SELECT count(*) FROM secrets"), ENDPOINT_SECRETS_MAX);
}
