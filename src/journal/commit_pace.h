/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pace of commits: how long the journal's thread rests before the next one, so that one commit
 * serves several requests at ordinary rates as well.
 *
 * A commit costs about the same, however much it carries. At 500 events/s, each would find the disk
 * idle and get a commit of its own. So two commits begin at least COMMIT_PACE_US apart. A request
 * after a quiet time is committed at once. Under load the batches are large anyway, and there is no
 * rest.
 *
 * A rest that brings nothing is a loss. A client that posts one event after the other, and waits
 * for each answer, would only be slowed down. So after COMMIT_PACE_VAIN rests without a second
 * request, the next COMMIT_PACE_OFF commits are made without one. Then it is tried again.
 *
 * Sources: PostgreSQL (commit_delay, and commit_siblings: no delay for a lone client); MySQL
 * (binlog_group_commit_sync_delay).
 *
 * No clock, no allocation. Times are monotonic.
 */
#ifndef PENSTOCK_JOURNAL_COMMIT_PACE_H
#define PENSTOCK_JOURNAL_COMMIT_PACE_H

#include "base/clock.h"

#include <stdbool.h>

#define COMMIT_PACE_US (5 * US_PER_MS)
#define COMMIT_PACE_LARGE 32 /* requests: a batch that is large enough without a rest */
#define COMMIT_PACE_VAIN 4
#define COMMIT_PACE_OFF 64

struct commit_pace {
    int64_t began_us; /* the last commit */
    bool has_rested;  /* for the next one */
    bool is_large;    /* the last one was */
    unsigned vain;    /* rests in a row that brought nothing */
    unsigned off;     /* commits without a rest that are left */
};

/* Returns how long to rest before the next commit; 0: not at all. Call it once for each commit,
 * when there is a request for it. */
int64_t commit_pace_rest_us(struct commit_pace *pace, int64_t now_us);

/* A commit begins. It carries `requests`, of which `urgent` ask for a commit of their own. */
void commit_pace_begin(
    struct commit_pace *pace, unsigned requests, unsigned urgent, int64_t now_us);

#endif
