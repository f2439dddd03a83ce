/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pace of commits: how long the journal's thread rests before the next one, so that one commit
 * serves several requests at ordinary rates as well.
 *
 * A commit costs about the same, however much it carries. At 500 events/s, each would find the disk
 * idle and get a commit of its own. So two commits begin at least COMMIT_PACE_US apart. A request
 * after a quiet time is committed at once. Under load (COMMIT_PACE_LARGE) the batches are large
 * anyway, and COMMIT_PACE_LARGE_US is enough.
 *
 * What is about a guarded delivery ends the rest (mailbox_hurry): it must not be in doubt for
 * longer than necessary.
 *
 * Clients that post the next event when they have the answer to the one before would only be slowed
 * down. They show in the rate: without a rest, more requests arrive. So both are tried in turn:
 *
 *   with rest  500 ms -----> without 50 ms ---.
 *      ^                                      |  clearly more requests without a rest
 *      '---- no: the rest costs nothing ------+---- yes ---> without 500 ms ---> with rest 50 ms
 *                                             ^                                      |
 *                                             '--------------------------------------'
 *
 * A trial that changes nothing doubles the period before the next one, up to
 * COMMIT_PACE_PERIOD_MAX_US. So trials cost little. A change of the clients is noticed within two
 * periods, because the period in which they change counts requests from before and after.
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

#define COMMIT_PACE_US (10 * US_PER_MS)
#define COMMIT_PACE_LARGE 128 /* requests in that time: then this distance is enough: */
#define COMMIT_PACE_LARGE_US (2 * US_PER_MS)
#define COMMIT_PACE_PERIOD_US (500 * US_PER_MS)
#define COMMIT_PACE_PERIOD_MAX_US (2 * US_PER_SECOND)
#define COMMIT_PACE_TRIAL_US (50 * US_PER_MS)
#define COMMIT_PACE_QUIET_US (100 * US_PER_MS) /* without a commit: what was counted says nothing */

struct commit_pace {
    int64_t began_us;  /* the last commit */
    int64_t lately_us; /* the first commit of the last COMMIT_PACE_US */
    unsigned lately;   /* requests since then */
    bool is_large;     /* there were many */
    bool without_rest; /* in the present period */
    bool is_trial;     /* the present period is the short one */
    int64_t period_us; /* when it began */
    int64_t length_us; /* of a period that is not a trial; 0: COMMIT_PACE_PERIOD_US */
    unsigned requests; /* since then */
    double rate;       /* requests per us of the long period before a trial */
};

/* Returns how long to rest before the next commit; 0: not at all. */
int64_t commit_pace_rest_us(const struct commit_pace *pace, int64_t now_us);

/* A commit begins. It carries `requests`, of which `urgent` ask for a commit of their own. */
void commit_pace_begin(
    struct commit_pace *pace, unsigned requests, unsigned urgent, int64_t now_us);

#endif
