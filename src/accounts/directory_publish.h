/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing side of the directory, for the accounts thread alone (and for tests in its place).
 *
 * An entry is made before the change is committed and published after it: publishing takes no
 * memory of ours, so a change that is on disk can't fail to be seen. What a publication replaces is
 * retired, and freed once no reader can hold it any more.
 */
#ifndef PENSTOCK_ACCOUNTS_DIRECTORY_PUBLISH_H
#define PENSTOCK_ACCOUNTS_DIRECTORY_PUBLISH_H

#include "accounts/directory.h"

struct directory_entry;

enum err directory_new(const struct hash_seed *seed, struct directory **ret_directory) MUST_CHECK;

/* With everything that is published. When no reader is left; by a thread that is known to RCU and
 * offline. Takes NULL. / */
void directory_free(struct directory *directory);

/* Each makes an entry with a copy of what is given; NULL when there is no memory. */
struct directory_entry *directory_entry_of_partner(const struct partner *partner);
struct directory_entry *directory_entry_of_account(const struct account *account);
struct directory_entry *directory_entry_of_endpoint(const struct endpoint *endpoint);
struct directory_entry *directory_entry_of_credential(const struct credential *credential);
struct directory_entry *directory_entry_of_grant(const char *partner, const char *account);
void directory_entry_free(
    struct directory_entry *entry); /* of one that was not published. Takes NULL */

/* Hands the entry over; what stood under the same key is retired. By a thread that is known to RCU
 * and offline. */
void directory_publish(struct directory *directory, struct directory_entry *entry);

/* Takes out and retires; false when there is none. By a thread that is known to RCU and offline. */
bool directory_withdraw_partner(struct directory *directory, const char *id);
bool directory_withdraw_account(struct directory *directory, const char *id);
bool directory_withdraw_endpoint(struct directory *directory, uint64_t id);
bool directory_withdraw_credential(
    struct directory *directory, const unsigned char credential_sha256[SHA256_BYTES]);
bool directory_withdraw_grant(
    struct directory *directory, const char *partner, const char *account);

/* Waits for the readers once and frees everything retired; returns at once when nothing is. */
void directory_free_retired(struct directory *directory);

#endif
