/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of accounts.db, without decisions. One thread at a time owns a store. Only the
 * files of accounts/ include this.
 *
 * A change is accounts_store_begin, one or more of the changing calls, accounts_store_commit; after
 * any failure accounts_store_rollback. Failures: ERR_EXISTS (the key is taken) and those of
 * sqlite/sql.h; accounts_store_detail has SQLite's words. When the file is in doubt (a sync
 * failed), every further accounts_store_begin fails.
 */
#ifndef PENSTOCK_ACCOUNTS_STORE_H
#define PENSTOCK_ACCOUNTS_STORE_H

#include "accounts/replication.h"

#define STORE_DETAIL_BYTES 256

struct accounts_store;

/* As accounts_open says; `ret_detail` holds STORE_DETAIL_BYTES. */
enum err accounts_store_open(
    const char *directory, struct accounts_store **ret_store, char *ret_detail) MUST_CHECK;
void accounts_store_close(struct accounts_store *store); /* takes NULL */

/* What SQLite said about the last failure. */
const char *accounts_store_detail(const struct accounts_store *store);

/* Takes the write lock and the next version, which every row of the change carries. */
enum err accounts_store_begin(struct accounts_store *store, int64_t *ret_version) MUST_CHECK;
enum err accounts_store_commit(struct accounts_store *store) MUST_CHECK;
void accounts_store_rollback(struct accounts_store *store);
/* Commits a write that changes no object, to find out whether the disk takes it. */
enum err accounts_store_try(struct accounts_store *store, int64_t now_us) MUST_CHECK;

/*
 * What is added carries `version`, from its object or beside it. What is changed, revoked,
 * withdrawn or removed must be there: ERR_DAMAGED when its row is not, since the directory has
 * shown it.
 */
enum err accounts_store_add_partner(
    struct accounts_store *store, const struct partner *partner, int64_t now_us) MUST_CHECK;
/* Its flag, key pointer, rules and version; not its secrets. */
enum err accounts_store_change_partner(
    struct accounts_store *store, const struct partner *partner) MUST_CHECK;
enum err accounts_store_add_partner_secret(struct accounts_store *store, const char *partner,
    const struct partner_secret *secret, int64_t version) MUST_CHECK;
enum err accounts_store_remove_partner_secret(
    struct accounts_store *store, uint64_t id, int64_t version) MUST_CHECK;
/* A revoked credential stays revoked: ERR_EXISTS. */
enum err accounts_store_add_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version) MUST_CHECK;
/* Its label, its expiry, and the version. */
enum err accounts_store_change_credential(
    struct accounts_store *store, const struct credential *credential, int64_t version) MUST_CHECK;
/* Its last use, which has no version. */
enum err accounts_store_note_use(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], int64_t used_us) MUST_CHECK;
enum err accounts_store_revoke_credential(struct accounts_store *store,
    const unsigned char credential_sha256[SHA256_BYTES], int64_t version,
    int64_t now_us) MUST_CHECK;
enum err accounts_store_add_grant(struct accounts_store *store, const char *partner,
    const char *account, int64_t version, int64_t now_us) MUST_CHECK;
enum err accounts_store_withdraw_grant(struct accounts_store *store, const char *partner,
    const char *account, int64_t version) MUST_CHECK;

enum err accounts_store_add_account(
    struct accounts_store *store, const struct account *account, int64_t now_us) MUST_CHECK;
/* Who uses the name of the operators' account. `is_reserved`: this gateway has made the account. */
struct accounts_name_use {
    bool is_reserved;
    int64_t grants, endpoints; /* of the account of this name */
    int64_t partners;          /* of this name that are enabled */
};
enum err accounts_store_look_at_name(
    struct accounts_store *store, const char *name, struct accounts_name_use *ret_use) MUST_CHECK;
enum err accounts_store_reserve_name(struct accounts_store *store) MUST_CHECK;

/* Without its secrets, which are added one by one. */
enum err accounts_store_add_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint, int64_t now_us) MUST_CHECK;
/* All but its name and its secrets. */
enum err accounts_store_change_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint) MUST_CHECK;
/* With its secrets. Its name is free again. */
enum err accounts_store_remove_endpoint(
    struct accounts_store *store, const struct endpoint *endpoint, int64_t version) MUST_CHECK;
enum err accounts_store_add_secret(struct accounts_store *store, uint64_t endpoint,
    const struct secret *secret, int64_t version, int64_t now_us, uint32_t *ret_number) MUST_CHECK;
enum err accounts_store_remove_secret(
    struct accounts_store *store, uint64_t endpoint, uint32_t number, int64_t version) MUST_CHECK;

/* Switches. Those that are off have a row (store_switches.c). */

/* How many are off. */
enum err accounts_store_count_switches(struct accounts_store *store, int64_t *ret_count) MUST_CHECK;
enum err accounts_store_switch_off(
    struct accounts_store *store, const struct operator_switch *off) MUST_CHECK;
enum err accounts_store_switch_on(struct accounts_store *store, enum switch_kind kind,
    const char *account, uint64_t endpoint, int64_t version) MUST_CHECK;
/* Keeps the change, and the SWITCH_CHANGES_KEPT last ones of all. */
enum err accounts_store_note_switch(
    struct accounts_store *store, const struct switch_change *change) MUST_CHECK;
/* The last `count_max` changes, the newest first. */
enum err accounts_store_list_switch_changes(struct accounts_store *store, unsigned count_max,
    struct switch_change *ret_changes, unsigned *ret_count) MUST_CHECK;

/* Pages: what has changed behind a version, and a follower's copy of it. */

/* Whether it is a follower's copy, and whether all of it has been there once. */
enum store_following { STORE_LEADS, STORE_FOLLOWS, STORE_HAS_FOLLOWED };

/* Of the last change; of a follower, of the last page. */
enum err accounts_store_version(struct accounts_store *store, int64_t *ret_version) MUST_CHECK;
/* Reads objects of the page's kinds in the order of enum accounts_kind, each kind by version.
 * ERR_NOT_FOUND: `after` is beyond the last change. */
enum err accounts_store_read_page(
    struct accounts_store *store, int64_t after, struct accounts_page *page) MUST_CHECK;
enum err accounts_store_following(
    struct accounts_store *store, enum store_following *ret_following) MUST_CHECK;

/* As accounts_store_begin, for a copy: no version is taken. */
enum err accounts_store_begin_copy(struct accounts_store *store) MUST_CHECK;
/* Up to where the copy reaches now; with `complete` nothing is missing. */
enum err accounts_store_end_page(
    struct accounts_store *store, int64_t version, bool complete) MUST_CHECK;
/* *ret_namesake is an endpoint that had to give way, since it had the name; else 0. */
enum err accounts_store_put(struct accounts_store *store, const struct accounts_object *object,
    uint64_t *ret_namesake) MUST_CHECK;
enum err accounts_store_drop(
    struct accounts_store *store, const struct accounts_object *object) MUST_CHECK;
/* Marks all that there is, and begins at version 0: what no page brings again is what
 * accounts_store_read_marked finds (as removed). From now on it is a follower's; what a follower
 * had once stays good for use meanwhile. */
enum err accounts_store_mark_all(struct accounts_store *store) MUST_CHECK;
enum err accounts_store_read_marked(
    struct accounts_store *store, struct accounts_page *page) MUST_CHECK;

/* Gets everything that is not deleted or revoked: partners and endpoints with their secrets,
 * accounts before their endpoints and without them in their arrays. */
struct store_visitor {
    enum err (*on_partner)(const struct partner *partner, void *context);
    enum err (*on_account)(const struct account *account, void *context);
    enum err (*on_endpoint)(const struct endpoint *endpoint, void *context);
    enum err (*on_credential)(const struct credential *credential, void *context);
    enum err (*on_grant)(const char *partner, const char *account, void *context);
    enum err (*on_switch)(const struct operator_switch *off, void *context);
    void *context;
};

/* Stops at the visitor's first error and returns it. */
enum err accounts_store_load(
    struct accounts_store *store, const struct store_visitor *visitor) MUST_CHECK;

#endif
