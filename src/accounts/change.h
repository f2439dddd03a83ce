/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request while it is worked off. A change checks the request against the directory, which
 * shows what is committed, writes to the store, and makes the entries to publish. accounts.c
 * commits and publishes them, or frees them. An object that a change removes is taken out of the
 * directory after the commit, by the second function of its row in accounts.c.
 */
#ifndef PENSTOCK_ACCOUNTS_CHANGE_H
#define PENSTOCK_ACCOUNTS_CHANGE_H

#include "accounts/accounts.h"
#include "accounts/directory_publish.h"
#include "accounts/store.h"

#define CHANGE_ENTRIES_MAX 2

struct change {
    struct directory *directory;
    struct accounts_store *store;
    struct accounts_request *request;
    int64_t version, now_us;
    /* Published in this order. Readers depend on it: see struct account. */
    struct directory_entry *entries[CHANGE_ENTRIES_MAX];
    unsigned entries_count;
    bool changes_endpoint; /* the listener is notified of it */
    bool changes_partner;
    bool changes_credential;
    struct endpoint endpoint;                /* as it will be, or as it was when it is removed */
    struct partner partner;                  /* as it will be */
    struct credential credential;            /* as it will be, or as it was when it is revoked */
    struct switch_change switches[SWITCHES]; /* one, or those that an endpoint takes with it */
    unsigned switches_count;
};

/* Refuses with `error`, which is returned; the text is for the operator: what, and why. */
enum err change_refuse(struct change *change, enum err error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum err change_refuse_for_disk(struct change *change, enum err error);
/* What the store said when it was asked to add `what`; OK stays OK. */
enum err change_judge_addition(
    struct change *change, enum err error, const char *what, const char *name) MUST_CHECK;
/* Of a change of what is there: `error` as it is, with the detail of the store. */
enum err change_judge(struct change *change, enum err error) MUST_CHECK;

/* Takes the entry over: it is published after the commit. */
void change_add_entry(struct change *change, struct directory_entry *entry);

enum err change_check_name(struct change *change, const char *field, struct slice name) MUST_CHECK;
enum err change_check_secret(struct change *change, const struct secret *secret) MUST_CHECK;

/* NULL, and refused with ERR_NOT_FOUND, when there is none. */
const struct partner *change_find_partner(struct change *change);
const struct account *change_find_account(struct change *change);

/* A random id of SQLite's positive integers that `is_taken` denies. */
uint64_t change_make_id(
    const struct change *change, bool (*is_taken)(const struct change *change, uint64_t id));

/* The text of an array that may be full to its last byte, without a NUL. */
static inline struct slice text_in(const char *text, size_t size)
{
    return slice_of(text, strnlen(text, size));
}

#define TEXT_IN(array) text_in(array, sizeof(array))

/* The kinds: partner_changes.c */
enum err change_add_partner(struct change *change) MUST_CHECK;
enum err change_change_partner(struct change *change) MUST_CHECK;
enum err change_add_partner_secret(struct change *change) MUST_CHECK;
enum err change_remove_partner_secret(struct change *change) MUST_CHECK;
enum err change_add_credential(struct change *change) MUST_CHECK;
enum err change_change_credential(struct change *change) MUST_CHECK;
enum err change_revoke_credential(struct change *change) MUST_CHECK;
void change_take_out_credential(struct change *change);
enum err change_grant(struct change *change) MUST_CHECK;
enum err change_withdraw_grant(struct change *change) MUST_CHECK;
void change_take_out_grant(struct change *change);

/* switch_changes.c */
enum err change_set_switch(struct change *change) MUST_CHECK;
/* An endpoint takes its switches with it. */
enum err change_remove_switches_of(
    struct change *change, const struct endpoint *endpoint) MUST_CHECK;
void change_take_out_switches(struct change *change);

/* account_changes.c */
enum err change_add_account(struct change *change) MUST_CHECK;
enum err change_reserve_operators(struct change *change) MUST_CHECK;
enum err change_add_endpoint(struct change *change) MUST_CHECK;
enum err change_change_endpoint(struct change *change) MUST_CHECK;
enum err change_remove_endpoint(struct change *change) MUST_CHECK;
void change_take_out_endpoint(struct change *change);
enum err change_add_endpoint_secret(struct change *change) MUST_CHECK;
enum err change_remove_endpoint_secret(struct change *change) MUST_CHECK;

#endif
