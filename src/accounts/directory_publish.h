/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing side of the directory, for the accounts thread alone (and for tests in its place).
 *
 * An entry is made before the change is committed, and published after it. Publishing cannot fail,
 * so a change that is on disk is always seen. An entry that is replaced is retired, and freed once
 * no reader can hold it any more.
 */
#ifndef PENSTOCK_ACCOUNTS_DIRECTORY_PUBLISH_H
#define PENSTOCK_ACCOUNTS_DIRECTORY_PUBLISH_H

#include "accounts/directory.h"

struct directory_entry;

/* ERR_NO_MEMORY: of the table itself. */
enum err directory_new(const struct hash_seed *seed, struct directory **ret_directory) MUST_CHECK;

/* Frees the directory and everything that is published in it. Call it when no reader is left, from
 * a thread that is registered with RCU and is offline. Takes NULL. */
void directory_free(struct directory *directory);

/* Each makes an entry with a copy of its argument. The entry of an endpoint takes a reference of
 * its own to the policy. */
struct directory_entry *directory_entry_of_partner(const struct partner *partner);
struct directory_entry *directory_entry_of_account(const struct account *account);
struct directory_entry *directory_entry_of_endpoint(const struct endpoint *endpoint);
struct directory_entry *directory_entry_of_credential(const struct credential *credential);
struct directory_entry *directory_entry_of_grant(const char *partner, const char *account);
struct directory_entry *directory_entry_of_switch(const struct operator_switch *off);
/* Frees an entry that was not published. Takes NULL. */
void directory_entry_free(struct directory_entry *entry);

/* Takes the entry over; an entry of the same key is retired. A credential keeps its last use. By a
 * thread that is known to RCU and offline. */
void directory_publish(struct directory *directory, struct directory_entry *entry);

/* Takes out and retires; false when there is none. By a thread that is known to RCU and offline. */
bool directory_withdraw_partner(struct directory *directory, const char *id);
bool directory_withdraw_account(struct directory *directory, const char *id);
bool directory_withdraw_endpoint(struct directory *directory, uint64_t id);
bool directory_withdraw_credential(
    struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES]);
bool directory_withdraw_grant(
    struct directory *directory, const char *partner, const char *account);
bool directory_withdraw_switch(
    struct directory *directory, enum switch_kind kind, const char *account, uint64_t endpoint);

/* Calls `on_each` for each credential that was used since directory_keep_uses. Stops at the first
 * error and returns it. By the writer, which may be offline. */
enum err directory_each_new_use(struct directory *directory,
    enum err (*on_each)(const struct credential *credential, int64_t used_us, void *context),
    void *context) MUST_CHECK;
/* What the last directory_each_new_use has given is kept, and is not given again. */
void directory_keep_uses(struct directory *directory);

/* Waits for the readers once and frees everything retired; returns at once when nothing is. */
void directory_free_retired(struct directory *directory);

#endif
