/* SPDX-License-Identifier: Apache-2.0 */
/* What is changed about partners: flag, dedupe rule, secrets, keys, grants. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "model/refusal.h"
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
    cr_expect_eq(change_partner("pa_1", 8, false, ""), ERR_INVALID);
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

static enum err set_rules(const char *json)
{
    struct refusal refusal;
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_PARTNER,
        .partner = "pa_1",
        .changes = PARTNER_CHANGE_RULES,
        .partner_wanted.rules = PARTNER("pa_1").rules};
    cr_assert_eq(
        partner_rules_change(&request.partner_wanted.rules, slice_from_string(json), &refusal), OK);
    return call_accounts(&request);
}

Test(partners, rules_are_published_and_survive)
{
    cr_expect_eq(PARTNER("pa_1").rules.events_per_s, 0);
    cr_expect_eq(set_rules("{\"events_per_second\":50,\"allow_networks\":[\"10.0.0.0/8\",\"::1\"],"
                           "\"certificates\":[\"dns:a.example\"],\"certificate_required\":true}"),
        OK, "%s", last.detail);
    cr_expect_eq(last.partner_wanted.rules.events_per_s, 50, "they come back as published");
    cr_expect_eq(change_partner("pa_1", PARTNER_CHANGE_KEY_POINTER, false, "/data/order"), OK);
    for (int i = 0; i < 2; i++) {
        struct partner_rules rules = PARTNER("pa_1").rules;
        cr_expect(rules.events_per_s == 50 && rules.allow_count == 2);
        cr_expect(rules.certificate_required && rules.certificates_count == 1);
        cr_expect_eq(PARTNER("pa_2").rules.allow_count, 0);
        reopen();
    }
    cr_expect_eq(set_rules("{\"allow_networks\":null,\"certificate_required\":null}"), OK);
    reopen();
    cr_expect(PARTNER("pa_1").rules.allow_count == 0 && PARTNER("pa_1").rules.events_per_s == 50);
}

/* A copy of a credential of the directory, with its last use. */
static struct credential shown_credential(const char *key)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    const struct credential *credential =
        directory_credential(accounts_directory(accounts), sha256);
    struct credential copy = credential ? *credential : (struct credential){0};
    copy.used_us = credential ? directory_last_use(credential) : 0;
    rcu_go_offline();
    return copy;
}

static enum err add_limited(
    const char *key, const char *label, int64_t expires_us, const char *account, const char *type)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_ADD_CREDENTIAL,
        .partner = "pa_1",
        .credential_wanted.expires_us = expires_us};
    crypto_sha256(slice_from_string(key), request.credential_sha256);
    snprintf(request.credential_wanted.label, sizeof request.credential_wanted.label, "%s", label);
    if (*account)
        cr_assert(
            key_scope_add_account(&request.credential_wanted.scope, slice_from_string(account)));
    if (*type)
        cr_assert(type_list_add(&request.credential_wanted.scope.types, slice_from_string(type)));
    return call_accounts(&request);
}

Test(partners, a_key_has_a_label_an_end_and_a_scope)
{
    int64_t later_us = clock_wall_us() + US_PER_DAY;
    cr_assert_eq(grant("pa_1", "acc_1"), OK);
    cr_assert_eq(
        add_limited("pk_one", "till 7", later_us, "acc_1", "lead.*"), OK, "%s", last.detail);
    cr_expect_str_eq(last.credential_wanted.label, "till 7", "it comes back as published");
    cr_expect_str_eq(last.credential_wanted.partner, "pa_1");
    for (int i = 0; i < 2; i++) {
        struct credential credential = shown_credential("pk_one");
        cr_expect_str_eq(credential.label, "till 7");
        cr_expect_eq(credential.expires_us, later_us);
        cr_expect_not(credential_has_expired(&credential, later_us - 1));
        cr_expect(credential_has_expired(&credential, later_us));
        cr_assert_eq(credential.scope.accounts_count, 1);
        cr_expect_str_eq(credential.scope.accounts[0], "acc_1");
        cr_assert_eq(credential.scope.types.count, 1);
        cr_expect_str_eq(credential.scope.types.patterns[0], "lead.*");
        reopen();
    }
    cr_expect_eq(add_limited("pk_two", "a\nb", 0, "", ""), ERR_INVALID);
    cr_expect_eq(add_limited("pk_two", "a\xc2\x85", 0, "", ""), ERR_INVALID);
    cr_expect_eq(add_limited("pk_two", "", clock_wall_us(), "", ""), ERR_INVALID);
    cr_expect_str_eq(
        last.detail, "expires_at: must be in the future. To end the key now, revoke it");
    cr_expect_eq(add_limited("pk_two", "", 0, "acc_9", ""), ERR_INVALID);
    cr_expect_str_eq(last.detail, "accounts: partner pa_1 may not post for account acc_9: run "
                                  "\"penstock partner grant\" first");
    cr_expect_not(is_known("pk_two"));
    cr_expect_eq(add_limited("pk_two", "f\xc3\xbcr Kasse 2", 0, "", ""), OK, "%s", last.detail);
}

static enum err change_key(uint64_t id, unsigned changes, const char *label, int64_t expires_us)
{
    struct accounts_request request = {.base.kind = ACCOUNTS_CHANGE_CREDENTIAL,
        .partner = "pa_1",
        .credential_id = id,
        .changes = changes,
        .credential_wanted.expires_us = expires_us};
    snprintf(request.credential_wanted.label, sizeof request.credential_wanted.label, "%s", label);
    return call_accounts(&request);
}

Test(partners, a_key_can_be_given_an_end_and_another_label)
{
    int64_t later_us = clock_wall_us() + US_PER_DAY;
    add_credential("pa_1", "pk_one");
    uint64_t id = credential_id(last.credential_sha256);
    cr_expect_eq(change_key(id, 0, "", 0), ERR_INVALID);
    cr_expect_eq(change_key(id, 4, "", 0), ERR_INVALID);
    cr_expect_eq(change_key(42, CREDENTIAL_CHANGE_LABEL, "x", 0), ERR_NOT_FOUND);
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_EXPIRY, "", 1), ERR_INVALID, "in the past");
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_EXPIRY, "x", later_us), OK, "%s", last.detail);
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_LABEL, "old", 7), OK, "%s", last.detail);
    cr_expect_eq(last.credential_wanted.expires_us, later_us, "it comes back as published");
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(shown_credential("pk_one").expires_us, later_us);
        cr_expect_str_eq(shown_credential("pk_one").label, "old");
        reopen();
    }
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_EXPIRY, "", 0), OK, "never again");
    cr_expect_eq(shown_credential("pk_one").expires_us, 0);
    cr_expect_eq(revoke_key("pa_1", id), OK);
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_LABEL, "x", 0), ERR_NOT_FOUND);
}

static void note_use(const char *key, int64_t now_us)
{
    unsigned char sha256[SHA256_BYTES];
    crypto_sha256(slice_from_string(key), sha256);
    rcu_go_online();
    directory_note_use(directory_credential(accounts_directory(accounts), sha256), now_us);
    rcu_go_offline();
}

Test(partners, the_last_use_of_a_key_survives_changes_and_a_restart)
{
    add_credential("pa_1", "pk_one");
    uint64_t id = credential_id(last.credential_sha256);
    add_credential("pa_1", "pk_two");
    cr_expect_eq(shown_credential("pk_one").used_us, 0);
    note_use("pk_one", 100 * US_PER_SECOND);
    cr_expect_eq(shown_credential("pk_one").used_us, 100 * US_PER_SECOND);
    note_use("pk_one", 100 * US_PER_SECOND + 999999);
    cr_expect_eq(shown_credential("pk_one").used_us, 100 * US_PER_SECOND, "by the second");
    note_use("pk_one", 101 * US_PER_SECOND);
    cr_expect_eq(change_key(id, CREDENTIAL_CHANGE_LABEL, "x", 0), OK);
    int64_t version = query_number("SELECT value FROM meta WHERE name = 'version'");
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(shown_credential("pk_one").used_us, 101 * US_PER_SECOND);
        cr_expect_eq(shown_credential("pk_two").used_us, 0);
        reopen();
    }
    cr_expect_eq(query_number("SELECT value FROM meta WHERE name = 'version'"), version,
        "a use is no change");
    note_use("pk_one", 50 * US_PER_SECOND);
    cr_expect_eq(shown_credential("pk_one").used_us, 50 * US_PER_SECOND, "the clock was set back");
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

Test(partners, nobody_may_post_for_the_account_of_operator_events)
{
    cr_assert_eq(add_account("penstock"), OK);
    cr_assert_eq(grant("pa_1", "penstock"), ERR_INVALID);
    cr_expect_str_eq(
        last.detail, "account: penstock is for operator events, and no partner may post for it");
    cr_assert_eq(add_partner("penstock"), ERR_INVALID);
    cr_expect_str_eq(last.detail, "partner: penstock is the name of the gateway");
}
