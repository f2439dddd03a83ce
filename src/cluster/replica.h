/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica: a thread of a gateway that follows another one, the leader. It asks the leader for
 * changes of the accounts (/api/v1/changes, a long poll), page by page, and applies them
 * (accounts/replication.h).
 *
 *   ask for changes after our version --page--> apply --more--> ask at once
 *     ^            |        |                                     |
 *     |            |        '--the leader was restored from a backup: begin again at 0
 *     |            '--no answer: wait 1 s, 2 s, ... 30 s
 *     '---- nothing new: the answer comes after 25 s -------------'
 *
 * Without the leader the accounts stay as they are. METRIC_DIRECTORY_AGE is their age: seconds
 * since the last answer that had all changes. The log has one line when the leader does not answer
 * any more, and one when it answers again.
 *
 * Limit: the replica does not notice a leader that was restored from a backup and has then made as
 * many changes again before the next request. Restart the gateway of the replica with an empty
 * accounts.db then.
 */
#ifndef PENSTOCK_CLUSTER_REPLICA_H
#define PENSTOCK_CLUSTER_REPLICA_H

#include "accounts/accounts.h"
#include "base/buffer.h"

struct replica;

struct replica_options {
    const char *leader_url, *token_file, *ca_file; /* as in struct leader; must outlive it */
    const char *installation; /* must be the leader's as well; must outlive the replica */
    struct accounts *accounts;
};

/* ERR_SYSTEM: no descriptor is left. */
enum err replica_new(
    const struct replica_options *options, struct replica **ret_replica) MUST_CHECK;

/*
 * Starts the thread, then waits until it has all accounts: at most `wait_ms`, and not at all when
 * the leader does not answer and an earlier run has had all accounts once. ERR_UNAVAILABLE: the
 * accounts have never been complete here and are not complete in time; the gateway must not start,
 * since it would reject partners that exist. Other errors are the database's or the system's.
 * `complaints` says which. On failure the thread has ended.
 *
 * With the first answer of the leader the database becomes a follower's, for good: check before
 * whether it may.
 */
enum err replica_start(struct replica *replica, int wait_ms, struct buffer *complaints) MUST_CHECK;
/* Takes a second or two. Call it before the accounts stop. Takes NULL. */
void replica_stop(struct replica *replica);
void replica_free(struct replica *replica); /* takes NULL */

#endif
