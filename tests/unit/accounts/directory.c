/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/directory.h"

#include "accounts/directory_publish.h"
#include "base/cleanup.h"
#include "runtime/metrics.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"
#include "support/at_end.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct directory *directory;

static void begin(void)
{
    static const struct hash_seed seed = {"0123456789abcde"};
    thread_adopt_main();
    cr_assert_eq(directory_new(&seed, &directory), OK);
}

static void end(void)
{
    directory_free(directory);
    assert_at_end(metrics_read(METRIC_DIRECTORY_OBJECTS) == 0);
    thread_leave_main();
}

TestSuite(directory, .init = begin, .fini = end);

static struct account account_called(const char *id, int64_t version)
{
    struct account account = {.enabled = true, .version = version};
    snprintf(account.id, sizeof account.id, "%s", id);
    return account;
}

static struct credential credential_of(const char *partner, unsigned char first)
{
    struct credential credential = {.sha256 = {first, 2, 3}, .created_us = 7};
    snprintf(credential.partner, sizeof credential.partner, "%s", partner);
    return credential;
}

static struct endpoint endpoint_at(uint64_t id, const char *url)
{
    struct endpoint endpoint = {.id = id, .enabled = true};
    snprintf(endpoint.url, sizeof endpoint.url, "%s", url);
    return endpoint;
}

Test(directory, kinds_with_the_same_id_are_apart)
{
    struct partner partner = {.id = "same", .version = 1};
    struct account account = account_called("same", 2);
    cr_expect_null(directory_partner(directory, SLICE_LITERAL("same")));
    directory_publish(directory, directory_entry_of_partner(&partner));
    cr_expect_null(directory_account(directory, SLICE_LITERAL("same")));
    directory_publish(directory, directory_entry_of_account(&account));
    cr_expect_eq(directory_partner(directory, SLICE_LITERAL("same"))->version, 1);
    cr_expect_eq(directory_account(directory, SLICE_LITERAL("same"))->version, 2);
    cr_expect_null(directory_account(directory, SLICE_LITERAL("sam")));
    cr_expect_null(directory_account(directory, SLICE_LITERAL("samee")));
    cr_expect_null(directory_account(directory, SLICE_LITERAL("")));
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 2);
}

Test(directory, ids_that_are_too_long_are_not_found)
{
    char id[1000];
    memset(id, 'x', sizeof id);
    cr_expect_null(directory_partner(directory, slice_of(id, sizeof id)));
    cr_expect_null(directory_account(directory, slice_of(id, NAME_BYTES_MAX + 1)));
    cr_expect_not(directory_may_post(directory, slice_of(id, sizeof id), slice_of(id, 1)));
    cr_expect_not(
        directory_may_post(directory, slice_of(id, NAME_BYTES_MAX), slice_of(id, sizeof id)));
}

Test(directory, a_replaced_object_stays_whole_until_it_is_freed)
{
    struct endpoint endpoint = endpoint_at(7, "http://old");
    directory_publish(directory, directory_entry_of_endpoint(&endpoint));
    const struct endpoint *before = directory_endpoint(directory, 7);
    endpoint = endpoint_at(7, "http://new");
    directory_publish(directory, directory_entry_of_endpoint(&endpoint));
    cr_expect_str_eq(before->url, "http://old");
    cr_expect_str_eq(directory_endpoint(directory, 7)->url, "http://new");
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 1);
    directory_free_retired(directory);
    directory_free_retired(directory);
    cr_expect_str_eq(directory_endpoint(directory, 7)->url, "http://new");
}

Test(directory, a_withdrawn_object_is_not_found_any_more)
{
    struct credential credential = credential_of("pa", 1);
    const unsigned char *sha256 = credential.sha256;
    struct partner partner = {.id = "pa"};
    struct endpoint endpoint = endpoint_at(7, "http://x");
    directory_publish(directory, directory_entry_of_partner(&partner));
    directory_publish(directory, directory_entry_of_credential(&credential));
    directory_publish(directory, directory_entry_of_grant("pa", "acc"));
    directory_publish(directory, directory_entry_of_endpoint(&endpoint));
    cr_expect_str_eq(directory_partner_of_credential(directory, sha256)->id, "pa");
    cr_expect(directory_withdraw_credential(directory, sha256));
    cr_expect_not(directory_withdraw_credential(directory, sha256));
    cr_expect_null(directory_partner_of_credential(directory, sha256));
    cr_expect(directory_withdraw_grant(directory, "pa", "acc"));
    cr_expect_not(directory_withdraw_grant(directory, "pa", "acc"));
    cr_expect_not(directory_may_post(directory, SLICE_LITERAL("pa"), SLICE_LITERAL("acc")));
    cr_expect(directory_withdraw_endpoint(directory, 7));
    cr_expect_not(directory_withdraw_endpoint(directory, 7));
    cr_expect_null(directory_endpoint(directory, 7));
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), 1);
    directory_free_retired(directory);
}

Test(directory, a_credential_of_an_unknown_partner_has_no_partner)
{
    struct credential credential = credential_of("gone", 1);
    directory_publish(directory, directory_entry_of_credential(&credential));
    cr_expect_null(directory_partner_of_credential(directory, credential.sha256));
}

Test(directory, grants_are_of_one_pair)
{
    directory_publish(directory, directory_entry_of_grant("pa", "acc"));
    cr_expect(directory_may_post(directory, SLICE_LITERAL("pa"), SLICE_LITERAL("acc")));
    cr_expect_not(directory_may_post(directory, SLICE_LITERAL("acc"), SLICE_LITERAL("pa")));
    cr_expect_not(directory_may_post(directory, SLICE_LITERAL("paa"), SLICE_LITERAL("cc")));
    cr_expect_not(directory_may_post(directory, SLICE_LITERAL("p"), SLICE_LITERAL("aacc")));
    cr_expect_not(directory_may_post(directory, SLICE_LITERAL("pa"), SLICE_LITERAL("")));
    char longest[NAME_BYTES_MAX + 1] = {0};
    memset(longest, 'x', NAME_BYTES_MAX);
    directory_publish(directory, directory_entry_of_grant(longest, longest));
    cr_expect(
        directory_may_post(directory, slice_from_string(longest), slice_from_string(longest)));
}

static void sum_credentials(const struct credential *credential, void *context)
{
    cr_expect_str_eq(credential->partner, "pa");
    cr_expect_eq(credential->created_us, 7);
    *(int *)context += credential->sha256[0];
}

static void count_grant(struct slice partner, struct slice account, void *context)
{
    bool shortest = slice_equals_string(partner, "p") && slice_equals_string(account, "a");
    cr_expect(shortest || (partner.len == NAME_BYTES_MAX && account.len == NAME_BYTES_MAX &&
                              account.data[0] == 'y'),
        "%.*s %.*s", SLICE_ARGS(partner), SLICE_ARGS(account));
    ++*(int *)context;
}

Test(directory, credentials_and_grants_are_shown_each_once)
{
    char partner[NAME_BYTES_MAX + 1] = {0}, account[NAME_BYTES_MAX + 1] = {0};
    memset(partner, 'x', NAME_BYTES_MAX);
    memset(account, 'y', NAME_BYTES_MAX);
    for (unsigned char i = 1; i <= 4; i *= 2) {
        struct credential credential = credential_of("pa", i);
        directory_publish(directory, directory_entry_of_credential(&credential));
    }
    directory_publish(directory, directory_entry_of_grant("p", "a"));
    directory_publish(directory, directory_entry_of_grant(partner, account));
    int sum = 0, grants = 0;
    rcu_go_online();
    directory_each_credential(directory, sum_credentials, &sum);
    directory_each_grant(directory, count_grant, &grants);
    rcu_go_offline();
    cr_expect_eq(sum, 7);
    cr_expect_eq(grants, 2);
}

#define MANY 20000 /* liburcu grows large tables with threads of its own */

static void count_account(const struct account *account, void *context)
{
    bool *seen = context;
    int number = atoi(account->id + 1);
    cr_assert(number >= 0 && number < MANY);
    cr_assert_not(seen[number], "%s was shown twice", account->id);
    seen[number] = true;
}

static void refuse_partner(const struct partner *partner, void *context)
{
    cr_assert_fail("there is no partner %s", partner->id);
}

Test(directory, it_grows_and_shows_everything_of_one_kind_once)
{
    char id[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "a%d", i);
        struct account account = account_called(id, i);
        directory_publish(directory, directory_entry_of_account(&account));
    }
    struct endpoint endpoint = endpoint_at(7, "http://x");
    directory_publish(directory, directory_entry_of_endpoint(&endpoint));
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "a%d", i);
        const struct account *account = directory_account(directory, slice_from_string(id));
        cr_assert(account && account->version == i, "%s", id);
    }
    bool seen[MANY] = {false};
    rcu_go_online();
    directory_each_account(directory, count_account, seen);
    directory_each_partner(directory, refuse_partner, NULL);
    rcu_go_offline();
    for (int i = 0; i < MANY; i++)
        cr_assert(seen[i], "a%d was not shown", i);
    cr_expect_eq(metrics_read(METRIC_DIRECTORY_OBJECTS), MANY + 1);
}
