/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/accounts.h"

#include "runtime/metrics.h"
#include "unit/accounts/fixture.h"

#include <poll.h>
#include <stdio.h>

TestSuite(accounts, .init = begin_with_accounts, .fini = fixture_end);

#define URL "https://client.example/hook"

static const struct directory *shown(void)
{
    return accounts_directory(accounts);
}

Test(accounts, partners_with_a_credential_are_found_by_it)
{
    unsigned char sha256[SHA256_BYTES];
    cr_expect_eq(add_partner("pa_1"), OK, "%s", last.detail);
    cr_expect_eq(add_credential("pa_1", "pk_one"), OK, "%s", last.detail);
    cr_expect_eq(add_credential("pa_1", "pk_two"), OK, "%s", last.detail);
    crypto_sha256(SLICE_LITERAL("pk_two"), sha256);
    rcu_go_online();
    const struct partner *partner = directory_partner_of_credential(shown(), sha256);
    cr_assert(partner);
    cr_expect_str_eq(partner->id, "pa_1");
    cr_expect(partner->enabled);
    crypto_sha256(SLICE_LITERAL("pk_three"), sha256);
    cr_expect_null(directory_partner_of_credential(shown(), sha256));
    rcu_go_offline();
}

Test(accounts, a_grant_lets_one_partner_post_for_one_account)
{
    add_partner("pa_1");
    add_partner("pa_2");
    add_account("acc_1");
    cr_expect_eq(grant("pa_1", "acc_1"), OK, "%s", last.detail);
    rcu_go_online();
    cr_expect(directory_may_post(shown(), SLICE_LITERAL("pa_1"), SLICE_LITERAL("acc_1")));
    cr_expect_not(directory_may_post(shown(), SLICE_LITERAL("pa_2"), SLICE_LITERAL("acc_1")));
    rcu_go_offline();
}

Test(accounts, an_endpoint_gets_an_id_and_a_secret_and_is_in_its_account)
{
    add_account("acc_1");
    cr_expect_eq(add_endpoint("acc_1", "main", URL), OK, "%s", last.detail);
    cr_expect(last.ret_endpoint != 0 && last.ret_endpoint <= INT64_MAX);
    cr_expect_eq(last.endpoint.secrets_count, 1);
    cr_expect_eq(last.endpoint.secrets[0].len, ENDPOINT_SECRET_BYTES);
    rcu_go_online();
    const struct account *account = directory_account(shown(), SLICE_LITERAL("acc_1"));
    cr_assert_eq(account->endpoints_count, 1);
    cr_expect_eq(account->endpoints[0], last.ret_endpoint);
    const struct endpoint *endpoint = directory_endpoint(shown(), last.ret_endpoint);
    cr_assert(endpoint);
    cr_expect_str_eq(endpoint->account, "acc_1");
    cr_expect_str_eq(endpoint->name, "main");
    cr_expect_str_eq(endpoint->url, URL);
    cr_expect(endpoint->enabled && !endpoint->idempotent && !endpoint->final_4xx);
    cr_expect_eq(endpoint->secrets_count, 1);
    cr_expect_arr_eq(
        endpoint->secrets[0].bytes, last.endpoint.secrets[0].bytes, ENDPOINT_SECRET_BYTES);
    rcu_go_offline();
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 2);
}

Test(accounts, given_secrets_are_kept)
{
    add_account("acc_1");
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_ENDPOINT, .account = "acc_1"};
    strcpy(request.endpoint.name, "main");
    strcpy(request.endpoint.url, URL);
    request.endpoint.secrets_count = 2;
    request.endpoint.secrets[0] = (struct secret){.bytes = "first secret, long enough", .len = 24};
    request.endpoint.secrets[1] = (struct secret){.bytes = {0, 1, 2}, .len = 64};
    cr_expect_eq(accounts_call(accounts, &request), OK, "%s", request.detail);
    close_accounts();
    cr_assert_eq(open_accounts(), OK);
    rcu_go_online();
    const struct endpoint *endpoint = directory_endpoint(shown(), request.ret_endpoint);
    cr_assert_eq(endpoint->secrets_count, 2);
    cr_expect_eq(endpoint->secrets[0].len, 24);
    cr_expect_arr_eq(endpoint->secrets[0].bytes, "first secret, long enough", 24);
    cr_expect_eq(endpoint->secrets[1].len, 64);
    cr_expect_eq(endpoint->secrets[1].bytes[2], 2);
    cr_expect_not(endpoint->enabled);
    rcu_go_offline();

    request.endpoint.secrets_count = ENDPOINT_SECRETS_MAX + 1;
    cr_expect_eq(accounts_call(accounts, &request), ERR_INVALID);
    cr_expect_str_eq(request.detail, "secrets: must have at most 4 items");
    request.endpoint.secrets_count = 1;
    request.endpoint.secrets[0].len = 65;
    cr_expect_eq(accounts_call(accounts, &request), ERR_INVALID);
    cr_expect_str_eq(request.detail, "secret: must have 1 to 64 bytes");
}

Test(accounts, what_exists_is_not_added_again)
{
    add_partner("pa_1");
    add_account("acc_1");
    add_account("acc_2");
    add_credential("pa_1", "pk_one");
    grant("pa_1", "acc_1");
    add_endpoint("acc_1", "main", URL);
    cr_expect_eq(add_partner("pa_1"), ERR_EXISTS);
    cr_expect_str_eq(last.detail, "partner pa_1 already exists");
    cr_expect_eq(add_account("acc_1"), ERR_EXISTS);
    cr_expect_str_eq(last.detail, "account acc_1 already exists");
    cr_expect_eq(add_credential("pa_1", "pk_one"), ERR_EXISTS);
    cr_expect_str_eq(last.detail, "the credential already exists");
    cr_expect_eq(grant("pa_1", "acc_1"), ERR_EXISTS);
    cr_expect_str_eq(last.detail, "a grant for acc_1 already exists");
    cr_expect_eq(add_endpoint("acc_1", "main", URL "/2"), ERR_EXISTS);
    cr_expect_str_eq(last.detail, "endpoint main already exists");
    cr_expect_eq(last.ret_endpoint, 0);
    cr_expect_eq(add_endpoint("acc_2", "main", URL), OK);
    rcu_go_online();
    cr_expect_eq(directory_account(shown(), SLICE_LITERAL("acc_1"))->endpoints_count, 1);
    rcu_go_offline();
    cr_expect_eq(query_number("SELECT count(*) FROM endpoints"), 2);
    cr_expect_eq(query_number("SELECT count(*) FROM secrets"), 2);
}

Test(accounts, what_is_missing_is_named)
{
    add_partner("pa_1");
    add_account("acc_1");
    cr_expect_eq(add_credential("pa_9", "pk"), ERR_NOT_FOUND);
    cr_expect_str_eq(
        last.detail, "partner \"pa_9\" does not exist: add it with \"penstock partner add\"");
    cr_expect_eq(grant("pa_9", "acc_1"), ERR_NOT_FOUND);
    cr_expect_str_eq(
        last.detail, "partner \"pa_9\" does not exist: add it with \"penstock partner add\"");
    cr_expect_eq(grant("pa_1", "acc_9"), ERR_NOT_FOUND);
    cr_expect_str_eq(
        last.detail, "account \"acc_9\" does not exist: add it with \"penstock account add\"");
    cr_expect_eq(add_endpoint("acc_9", "main", URL), ERR_NOT_FOUND);
    cr_expect_str_eq(
        last.detail, "account \"acc_9\" does not exist: add it with \"penstock account add\"");
    struct endpoint wanted = {.url = URL};
    cr_expect_eq(change_endpoint("acc_1", 0xab, ENDPOINT_CHANGE_URL, &wanted), ERR_NOT_FOUND);
    cr_expect_str_eq(last.detail, "account acc_1 has no endpoint ep_00000000000000ab");
    cr_expect_eq(change_endpoint("acc_9", 0xab, ENDPOINT_CHANGE_URL, &wanted), ERR_NOT_FOUND);
}

Test(accounts, fields_are_checked)
{
    static const char *const wrong[] = {"", ".x", "-x", "a b", "a/b", "ä"};
    add_account("acc_1");
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        cr_expect_eq(add_partner(wrong[i]), ERR_INVALID, "%s", wrong[i]);
        cr_expect(slice_starts_with(slice_from_string(last.detail), "partner: must have 1 to 64"),
            "%s", last.detail);
        cr_expect_eq(add_account(wrong[i]), ERR_INVALID);
        cr_expect(slice_starts_with(slice_from_string(last.detail), "account: must have 1 to 64"),
            "%s", last.detail);
        cr_expect_eq(add_endpoint("acc_1", wrong[i], URL), ERR_INVALID);
        cr_expect(slice_starts_with(slice_from_string(last.detail), "name: must have 1 to 64"),
            "%s", last.detail);
    }
    cr_expect_eq(add_endpoint("acc_1", "main", ""), ERR_INVALID);
    cr_expect_str_eq(last.detail, "url: must have 1 to 2048 bytes");

    /* Arrays that are full to the last byte, without a NUL. */
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_PARTNER};
    memset(request.partner, 'x', sizeof request.partner);
    cr_expect_eq(accounts_call(accounts, &request), ERR_INVALID);
    request = (struct accounts_request){
        .base.kind = ACCOUNTS_ADD_ENDPOINT, .account = "acc_1", .endpoint.name = "main"};
    memset(request.endpoint.url, 'x', sizeof request.endpoint.url);
    cr_expect_eq(accounts_call(accounts, &request), ERR_INVALID);
    request = (struct accounts_request){.base.kind = (enum accounts_change)99};
    cr_expect_eq(accounts_call(accounts, &request), ERR_BUG);

    add_endpoint("acc_1", "main", URL);
    uint64_t endpoint = last.ret_endpoint;
    struct endpoint wanted = {.url = ""};
    cr_expect_eq(change_endpoint("acc_1", endpoint, ENDPOINT_CHANGE_URL, &wanted), ERR_INVALID);
    cr_expect_eq(change_endpoint("acc_1", endpoint, 0, &wanted), ERR_INVALID);
    cr_expect_eq(change_endpoint("acc_1", endpoint, 64, &wanted), ERR_INVALID);
}

Test(accounts, an_account_has_a_bounded_number_of_endpoints)
{
    char name[16];
    add_account("acc_1");
    for (int i = 0; i < ACCOUNT_ENDPOINTS_MAX; i++) {
        snprintf(name, sizeof name, "e%d", i);
        cr_assert_eq(add_endpoint("acc_1", name, URL), OK, "%s", last.detail);
    }
    cr_expect_eq(add_endpoint("acc_1", "one-too-many", URL), ERR_INVALID);
    cr_expect_str_eq(last.detail,
        "account acc_1 already has 16 endpoints, and more are not allowed: remove one first");
    close_accounts();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
    rcu_go_online();
    const struct account *account = directory_account(shown(), SLICE_LITERAL("acc_1"));
    cr_assert_eq(account->endpoints_count, ACCOUNT_ENDPOINTS_MAX);
    for (int i = 0; i < ACCOUNT_ENDPOINTS_MAX; i++)
        cr_expect(directory_endpoint(shown(), account->endpoints[i]));
    rcu_go_offline();
}

Test(accounts, a_change_touches_what_it_names_and_nothing_else)
{
    static const struct {
        unsigned changes;
        const char *url;
        bool enabled, idempotent, final_4xx;
    } cases[] = {
        {ENDPOINT_CHANGE_URL, "https://other", true, false, false},
        {ENDPOINT_CHANGE_ENABLED, "https://other", false, false, false},
        {ENDPOINT_CHANGE_IDEMPOTENT, "https://other", false, true, false},
        {ENDPOINT_CHANGE_FINAL_4XX, "https://other", false, true, true},
    };
    struct endpoint wanted = {
        .url = "https://other", .enabled = false, .idempotent = true, .final_4xx = true};
    add_account("acc_1");
    add_account("acc_2");
    add_endpoint("acc_1", "main", URL);
    struct endpoint made = last.endpoint;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(
            change_endpoint("acc_1", made.id, cases[i].changes, &wanted), OK, "%s", last.detail);
        for (int reopened = 0; reopened < 2; reopened++) {
            rcu_go_online();
            const struct endpoint *endpoint = directory_endpoint(shown(), made.id);
            cr_expect_str_eq(endpoint->url, cases[i].url);
            cr_expect_eq(endpoint->enabled, cases[i].enabled);
            cr_expect_eq(endpoint->idempotent, cases[i].idempotent);
            cr_expect_eq(endpoint->final_4xx, cases[i].final_4xx);
            cr_expect_str_eq(endpoint->name, "main");
            cr_expect_eq(endpoint->version, made.version + 1 + (int64_t)i);
            cr_expect_eq(endpoint->secrets_count, 1);
            cr_expect_arr_eq(
                endpoint->secrets[0].bytes, made.secrets[0].bytes, ENDPOINT_SECRET_BYTES);
            rcu_go_offline();
            close_accounts();
            cr_assert_eq(open_accounts(), OK, "%s", open_detail);
        }
    }
    cr_expect_eq(change_endpoint("acc_2", made.id, ENDPOINT_CHANGE_URL, &wanted), ERR_NOT_FOUND);
}

Test(accounts, every_change_has_its_version)
{
    add_partner("pa_1");
    add_partner("pa_1"); /* refused: takes no version */
    add_account("acc_1");
    add_credential("pa_1", "pk");
    grant("pa_1", "acc_1");
    add_endpoint("acc_1", "main", URL);
    cr_expect_eq(query_number("SELECT version FROM partners"), 1);
    cr_expect_eq(query_number("SELECT version FROM accounts"), 2);
    cr_expect_eq(query_number("SELECT version FROM credentials"), 3);
    cr_expect_eq(query_number("SELECT version FROM grants"), 4);
    cr_expect_eq(query_number("SELECT version FROM endpoints"), 5);
    cr_expect_eq(query_number("SELECT version FROM secrets"), 5);
    cr_expect_eq(query_number("SELECT value FROM meta WHERE name = 'version'"), 5);
}

/* The listener. */

struct heard {
    int count;
    uint64_t endpoint;
    char account[NAME_BYTES_MAX + 1];
    char url[URL_BYTES_MAX + 1];
};

static void on_heard(void *context, uint64_t endpoint, struct slice account, int64_t version)
{
    struct heard *heard = context;
    heard->count++;
    heard->endpoint = endpoint;
    snprintf(heard->account, sizeof heard->account, "%.*s", SLICE_ARGS(account));
    /* It is published already. */
    snprintf(heard->url, sizeof heard->url, "%s", directory_endpoint(shown(), endpoint)->url);
}

Test(accounts, the_listener_is_called_after_an_endpoint_is_published)
{
    struct heard heard = {0};
    struct endpoint wanted = {.url = "https://other"};
    accounts_listen(
        accounts, &(struct accounts_listener){.on_endpoint_changed = on_heard, .context = &heard});
    add_partner("pa_1");
    add_account("acc_1");
    cr_expect_eq(heard.count, 0);
    add_endpoint("acc_1", "main", URL);
    uint64_t endpoint = last.ret_endpoint;
    cr_expect_eq(heard.count, 1);
    cr_expect_eq(heard.endpoint, endpoint);
    cr_expect_str_eq(heard.account, "acc_1");
    cr_expect_str_eq(heard.url, URL);
    add_endpoint("acc_1", "main", URL);
    cr_expect_eq(heard.count, 1, "a refused change was announced");
    change_endpoint("acc_1", endpoint, ENDPOINT_CHANGE_URL, &wanted);
    cr_expect_eq(heard.count, 2);
    cr_expect_str_eq(heard.url, "https://other");
}

/* Many at once. */

#define SUBMITTED 200

static void on_submitted_done(struct request *base, void *receiver)
{
    struct accounts_request *request = CONTAINER_OF(base, struct accounts_request, base);
    int *answered = receiver;
    /* In the order of submission. */
    cr_expect_eq(atoi(request->account + 1), *answered);
    cr_expect_eq(request->base.result, OK, "%s", request->detail);
    ++*answered;
}

Test(accounts, requests_are_answered_in_order_on_the_requesters_mailbox)
{
    int answered = 0;
    struct mailbox answers;
    cr_assert_eq(mailbox_init(&answers, &answered), OK);
    struct accounts_request *requests = calloc(SUBMITTED, sizeof *requests);
    for (int i = 0; i < SUBMITTED; i++) {
        requests[i].base.kind = ACCOUNTS_ADD_ACCOUNT;
        requests[i].base.reply_to = &answers;
        requests[i].base.on_done = on_submitted_done;
        snprintf(requests[i].account, sizeof requests[i].account, "a%d", i);
        accounts_submit(accounts, &requests[i]);
    }
    while (answered < SUBMITTED) {
        struct pollfd bell = {.fd = answers.event_fd, .events = POLLIN};
        cr_assert_eq(poll(&bell, 1, 60000), 1);
        mailbox_work(&answers);
    }
    mailbox_done(&answers);
    free(requests);
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), SUBMITTED);
}

Test(accounts, what_was_submitted_before_the_stop_is_worked_off)
{
    static struct accounts_request requests[3];
    int answered = 0;
    struct mailbox answers;
    cr_assert_eq(mailbox_init(&answers, &answered), OK);
    for (int i = 0; i < 3; i++) {
        requests[i] = (struct accounts_request){.base.kind = ACCOUNTS_ADD_ACCOUNT,
            .base.reply_to = &answers,
            .base.on_done = on_submitted_done};
        snprintf(requests[i].account, sizeof requests[i].account, "a%d", i);
        accounts_submit(accounts, &requests[i]);
    }
    close_accounts();
    mailbox_work(&answers);
    cr_expect_eq(answered, 3);
    mailbox_done(&answers);
    cr_expect_eq(query_number("SELECT count(*) FROM accounts"), 3);
}

/* The account of operator events. */

static enum err reserve(void)
{
    const struct accounts_request request = {.base.kind = ACCOUNTS_RESERVE_OPERATORS};
    return call_accounts(&request);
}

Test(accounts, account_of_operators_is_made_once_and_keeps_its_endpoints)
{
    cr_assert_eq(reserve(), OK, "%s", last.detail);
    cr_expect_eq(query_number("SELECT count(*) FROM accounts WHERE id = 'penstock'"), 1);
    cr_assert_eq(add_endpoint("penstock", "main", "https://ops.test"), OK, "%s", last.detail);
    cr_expect_eq(reserve(), ERR_EXISTS);
    close_accounts();
    cr_assert_eq(open_accounts(), OK);
    cr_expect_eq(reserve(), ERR_EXISTS, "%s", last.detail);
}

Test(accounts, account_of_operators_is_not_taken_over_from_somebody_else)
{
    cr_assert_eq(add_account("penstock"), OK);
    cr_assert_eq(add_endpoint("penstock", "main", "https://client.test"), OK);
    cr_expect_eq(reserve(), ERR_INVALID);
    cr_expect_str_eq(last.detail,
        "account \"penstock\" has 0 grants and 1 endpoints, and 0 enabled partners have this name");
    execute_sql("UPDATE endpoints SET deleted = 1");
    execute_sql("INSERT INTO grants(partner, account, version, created_us) "
                "VALUES('pa_1', 'penstock', 1, 1)");
    cr_expect_eq(reserve(), ERR_INVALID, "a partner may post for it");
    execute_sql("UPDATE grants SET deleted = 1");
    execute_sql(
        "INSERT INTO partners(id, enabled, version, created_us) VALUES('penstock', 1, 1, 1)");
    cr_expect_eq(reserve(), ERR_INVALID, "a partner has the name");
    execute_sql("UPDATE partners SET enabled = 0");
    cr_expect_eq(reserve(), OK, "nobody uses it any more: %s", last.detail);
}

Test(accounts, partner_with_the_name_of_the_gateway_is_not_enabled)
{
    close_accounts();
    execute_sql(
        "INSERT INTO partners(id, enabled, version, created_us) VALUES('penstock', 0, 1, 1)");
    cr_assert_eq(open_accounts(), OK);
    cr_expect_eq(change_partner("penstock", PARTNER_CHANGE_ENABLED, true, ""), ERR_INVALID);
    cr_expect_eq(change_partner("penstock", PARTNER_CHANGE_ENABLED, false, ""), OK);
}
