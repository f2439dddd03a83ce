/* SPDX-License-Identifier: Apache-2.0 */
/* What is changed about partners: flag, dedupe rule, secrets, keys, grants. */
#include "base/cleanup.h"
#include "runtime/rcu.h"
#include "unit/accounts/fixture.h"

#include <stdio.h>

static void begin(void)
{
    begin_with_accounts();
    cr_assert_eq(add_partner("pa_1"), OK);
    cr_assert_eq(add_partner("pa_2"), OK);
    cr_assert_eq(add_account("acc_1"), OK);
}

TestSuite(partners, .init = begin, .fini = fixture_end);

#define PARTNER(name) shown_partner(SLICE_LITERAL(name))

/* A copy of what the directory shows. */
static struct partner shown_partner(struct slice id)
{
    rcu_go_online();
    const struct partner *partner = directory_partner(accounts_directory(accounts), id);
    struct partner copy = partner ? *partner : (struct partner){0};
    rcu_go_offline();
    return copy;
}

static void reopen(void)
{
    close_accounts();
    cr_assert_eq(open_accounts(), OK, "%s", open_detail);
}

static bool is_known(const char *key)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    bool known = directory_partner_of_credential(accounts_directory(accounts), sha256) != NULL;
    rcu_go_offline();
    return known;
}

static bool may_post(void)
{
    rcu_go_online();
    bool may = directory_may_post(
        accounts_directory(accounts), SLICE_LITERAL("pa_1"), SLICE_LITERAL("acc_1"));
    rcu_go_offline();
    return may;
}

Test(partners, a_change_touches_what_it_names_and_survives)
{
    cr_expect_eq(change_partner("pa_1", PARTNER_CHANGE_KEY_POINTER, false, "/data/order"), OK, "%s",
        last.detail);
    cr_expect(last.partner_wanted.enabled, "it comes back as it was published");
    cr_expect_str_eq(last.partner_wanted.id, "pa_1");
    cr_expect_eq(
        change_partner("pa_1", PARTNER_CHANGE_ENABLED, false, "/other"), OK, "%s", last.detail);
    for (int i = 0; i < 2; i++) {
        struct partner partner = PARTNER("pa_1");
        cr_expect_not(partner.enabled);
        cr_expect_str_eq(partner.key_pointer, "/data/order");
        cr_expect_eq(partner.version, 5);
        cr_expect(PARTNER("pa_2").enabled);
        cr_expect_str_eq(PARTNER("pa_2").key_pointer, "");
        reopen();
    }
    cr_expect_eq(
        change_partner("pa_1", PARTNER_CHANGE_ENABLED | PARTNER_CHANGE_KEY_POINTER, true, ""), OK,
        "%s", last.detail);
    cr_expect(PARTNER("pa_1").enabled);
    cr_expect_str_eq(PARTNER("pa_1").key_pointer, "");
}

Test(partners, wrong_changes_are_refused)
{
    cr_expect_eq(change_partner("pa_9", PARTNER_CHANGE_ENABLED, false, ""), ERR_NOT_FOUND);
    cr_expect_str_eq(
        last.detail, "partner \"pa_9\" does not exist: add it with \"penstock partner add\"");
    cr_expect_eq(change_partner("pa_1", 0, false, ""), ERR_INVALID);
    cr_expect_eq(change_partner("pa_1", 4, false, ""), ERR_INVALID);
    static const char *const wrong[] = {"data", "/a~2", "/a b\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        cr_expect_eq(change_partner("pa_1", PARTNER_CHANGE_KEY_POINTER, false, wrong[i]),
            ERR_INVALID, "%s", wrong[i]);
        cr_expect(slice_starts_with(
            slice_from_string(last.detail), "key_pointer: must be a JSON pointer"));
    }
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_PARTNER,
        .partner = "pa_1",
        .changes = PARTNER_CHANGE_KEY_POINTER};
    memset(request.partner_wanted.key_pointer, '/', sizeof request.partner_wanted.key_pointer);
    cr_expect_eq(call_accounts(&request), ERR_INVALID, "an array without a NUL");
    cr_expect(PARTNER("pa_1").enabled);
    cr_expect_eq(PARTNER("pa_1").version, 1);
}

static enum err add_secret(const char *partner, const char *text)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_PARTNER_SECRET};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    memcpy(request.secret.bytes, text, strlen(text));
    request.secret.len = (unsigned)strlen(text);
    return call_accounts(&request);
}

static enum err remove_secret(const char *partner, uint64_t id)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_REMOVE_PARTNER_SECRET, .secret_id = id};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    return call_accounts(&request);
}

Test(partners, secrets_are_given_or_made_and_kept_in_the_order_of_their_age)
{
    cr_expect_eq(add_secret("pa_1", "the first one, of 24 byte"), OK, "%s", last.detail);
    uint64_t first = last.ret_secret_id;
    cr_expect_eq(add_secret("pa_1", ""), OK, "%s", last.detail);
    uint64_t second = last.ret_secret_id;
    struct secret made = last.secret;
    cr_expect(first && second && first != second && first <= INT64_MAX);
    cr_expect_eq(made.len, ENDPOINT_SECRET_BYTES);
    for (int i = 0; i < 2; i++) {
        struct partner partner = PARTNER("pa_1");
        cr_assert_eq(partner.secrets_count, 2);
        cr_expect_eq(partner.secrets[0].id, first);
        cr_expect_eq(partner.secrets[0].secret.len, 25);
        cr_expect_arr_eq(partner.secrets[0].secret.bytes, "the first one, of 24 byte", 25);
        cr_expect_eq(partner.secrets[1].id, second);
        cr_expect_arr_eq(partner.secrets[1].secret.bytes, made.bytes, ENDPOINT_SECRET_BYTES);
        cr_expect(partner.secrets[1].created_us >= partner.secrets[0].created_us &&
                  partner.secrets[0].created_us > 0);
        cr_expect_eq(partner.version, 5, "it moves with the secrets");
        cr_expect_eq(PARTNER("pa_2").secrets_count, 0);
        reopen();
    }
}

Test(partners, only_so_many_secrets_are_active_and_the_oldest_stays)
{
    for (int i = 0; i < PARTNER_SECRETS_MAX; i++)
        cr_assert_eq(add_secret("pa_1", ""), OK, "%s", last.detail);
    uint64_t oldest = PARTNER("pa_1").secrets[0].id;
    cr_expect_eq(add_secret("pa_1", ""), ERR_INVALID);
    cr_expect_str_eq(last.detail,
        "partner pa_1 already has 4 secrets, and more are not allowed: remove one first");
    cr_expect_eq(PARTNER("pa_1").secrets[0].id, oldest);
    cr_expect_eq(add_secret("pa_2", ""), OK, "the bound is of one partner: %s", last.detail);
    cr_expect_eq(remove_secret("pa_1", PARTNER("pa_1").secrets[1].id), OK, "%s", last.detail);
    cr_expect_eq(add_secret("pa_1", ""), OK, "there is room again: %s", last.detail);
    reopen();
    cr_expect_eq(PARTNER("pa_1").secrets_count, PARTNER_SECRETS_MAX);
    cr_expect_eq(PARTNER("pa_1").secrets[0].id, oldest);
}

Test(partners, a_removed_secret_is_deleted_from_the_file_as_well)
{
    add_secret("pa_1", "a secret that nobody keeps");
    uint64_t first = last.ret_secret_id;
    add_secret("pa_1", "");
    uint64_t second = last.ret_secret_id;
    cr_expect_eq(remove_secret("pa_2", first), ERR_NOT_FOUND, "it is another partner's");
    cr_expect_eq(remove_secret("pa_1", 42), ERR_NOT_FOUND);
    cr_expect_str_eq(last.detail, "partner pa_1 has no secret sec_000000000000002a: \"penstock "
                                  "partner show PARTNER\" shows its secrets");
    cr_expect_eq(remove_secret("pa_1", first), OK, "%s", last.detail);
    cr_expect_eq(remove_secret("pa_1", first), ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        struct partner partner = PARTNER("pa_1");
        cr_assert_eq(partner.secrets_count, 1);
        cr_expect_eq(partner.secrets[0].id, second);
        reopen();
    }
    cr_expect_eq(
        query_number("SELECT count(*) FROM partner_secrets WHERE deleted = 1 AND secret = x''"), 1);
    cr_expect_eq(query_number("SELECT version FROM partner_secrets WHERE deleted = 1"),
        query_number("SELECT version FROM partners WHERE id = 'pa_1'"), "the row says when");
    cr_expect_eq(remove_secret("pa_1", second), OK, "the last may go too");
}

static enum err revoke_key(const char *partner, uint64_t id)
{
    struct accounts_request request = {
        .base.kind = ACCOUNTS_REVOKE_CREDENTIAL, .credential_id = id};
    snprintf(request.partner, sizeof request.partner, "%s", partner);
    return call_accounts(&request);
}

Test(partners, a_revoked_key_is_unknown_and_stays_so)
{
    add_credential("pa_1", "pk_one");
    uint64_t id = credential_id(last.credential_sha256);
    add_credential("pa_1", "pk_two");
    cr_expect_eq(revoke_key("pa_9", id), ERR_NOT_FOUND);
    cr_expect_eq(revoke_key("pa_2", id), ERR_NOT_FOUND, "it is another partner's");
    cr_expect_eq(revoke_key("pa_1", 42), ERR_NOT_FOUND);
    cr_expect_str_eq(last.detail, "partner pa_1 has no key key_000000000000002a: \"penstock "
                                  "partner show PARTNER\" shows its keys");
    cr_expect(is_known("pk_one"));
    cr_expect_eq(revoke_key("pa_1", id), OK, "%s", last.detail);
    cr_expect_eq(revoke_key("pa_1", id), ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        cr_expect_not(is_known("pk_one"));
        cr_expect(is_known("pk_two"));
        reopen();
    }
    cr_expect_eq(
        add_credential("pa_1", "pk_one"), ERR_EXISTS, "what was revoked does not come back");
    cr_expect_not(is_known("pk_one"));
    cr_expect_eq(
        query_number("SELECT count(*) FROM credentials WHERE revoked_us > 0 AND version = 6"), 1);
}

Test(partners, a_withdrawn_grant_ends_and_may_be_given_again)
{
    cr_expect_eq(withdraw_grant("pa_1", "acc_1"), ERR_NOT_FOUND);
    cr_expect_str_eq(last.detail, "partner pa_1 may not post for account acc_1");
    cr_expect_eq(withdraw_grant("pa_9", "acc_1"), ERR_NOT_FOUND);
    cr_expect_eq(withdraw_grant("pa_1", "acc_9"), ERR_NOT_FOUND);
    cr_assert_eq(grant("pa_1", "acc_1"), OK);
    cr_assert_eq(grant("pa_2", "acc_1"), OK);
    cr_expect_eq(withdraw_grant("pa_1", "acc_1"), OK, "%s", last.detail);
    for (int i = 0; i < 2; i++) {
        cr_expect_not(may_post());
        reopen();
    }
    cr_expect_eq(query_number("SELECT count(*) FROM grants WHERE deleted = 1"), 1);
    cr_expect_eq(grant("pa_1", "acc_1"), OK, "%s", last.detail);
    cr_expect_eq(grant("pa_1", "acc_1"), ERR_EXISTS);
    reopen();
    cr_expect(may_post());
    cr_expect_eq(query_number("SELECT count(*) FROM grants WHERE deleted = 0"), 2);
}
