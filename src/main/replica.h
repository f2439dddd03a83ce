/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica: a thread of a gateway that follows another one. It asks the leader for what has
 * changed in the accounts (/api/v1/changes, a long poll), page by page, and has it applied
 * (accounts/replication.h).
 *
 *   ask after the version that we have --page--> apply --more--> ask at once
 *     ^            |        |                                      |
 *     |            |        '--the leader was set back: begin again at 0
 *     |            '--no answer: wait 1 s, 2 s, ... 30 s
 *     '---- nothing new: the answer came after 25 s --------------'
 *
 * Without the leader the accounts stay as they are; METRIC_DIRECTORY_AGE says for how long (seconds
 * since the last answer that left nothing to ask for). Said once in the log when the leader is
 * lost, and once when it is back.
 *
 * What it can't see: a leader that was set back to a backup, and has made as many changes again
 * before it is asked the next time. Restart the replica's gateway with an empty accounts.db then.
 */
#ifndef PENSTOCK_MAIN_REPLICA_H
#define PENSTOCK_MAIN_REPLICA_H

#include "accounts/accounts.h"
#include "base/buffer.h"

struct replica;

struct replica_options {
    const char *leader_url, *token_file; /* both must outlive the replica */
    const char *installation;            /* the leader's must be the same; must outlive it */
    struct accounts *accounts;
};

/* ERR_NO_MEMORY, ERR_SYSTEM. */
enum err replica_new(
    const struct replica_options *options, struct replica **ret_replica) MUST_CHECK;

/*
 * Starts the thread; then waits until everything is here: for `wait_ms` at most, and not at all for
 * a leader that doesn't answer when everything has been here once. ERR_UNAVAILABLE: it has not come
 * in time and was never here: partners would be taken for strangers; or the error is the database's
 * or the system's. `complaints` says which. On failure the thread has ended.
 *
 * With the leader's first answer the database becomes a follower's, for good: what speaks against
 * that is to be asked before.
 */
enum err replica_start(struct replica *replica, int wait_ms, struct buffer *complaints) MUST_CHECK;
void replica_stop(
    struct replica *replica); /* within a second or two; before the accounts stop. Takes NULL */
void replica_free(struct replica *replica); /* takes NULL */

#endif
