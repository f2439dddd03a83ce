/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay of the outbox: events that this gateway's journal keeps until the broker has them, on
 * their way there. Each ingress thread relays the shards whose number leaves its own when divided
 * by the count of threads.
 *
 *             the breaker is closed, and there is something        some were confirmed
 *   RESTING ---------------------------------------> LOADING --> SENDING --> CLEARING --.
 *      ^  ^                                             |           | none           |
 *      |  '-----------------nothing more----------------'           |                |
 *      '-------------------------------------------------------------+----------------'  (then the next ones)
 *
 * What was not confirmed stays in the outbox, and its turn comes again when the others have had
 * theirs. While the breaker is open, one event at a time serves as its probe (publish_breaker.h),
 * so that a gateway that nobody posts to finds back as well.
 *
 * Limits: 64 events or 1 MiB at a time for each shard, published only while half of the window is
 * free: fresh events go first. An event that the broker has not confirmed after 10 s counts as not
 * confirmed.
 */
#ifndef PENSTOCK_QUEUE_OUTBOX_H
#define PENSTOCK_QUEUE_OUTBOX_H

#include "journal/journal.h"
#include "queue/publish_breaker.h"

struct outbox;

struct outbox_options {
    struct journal *const *journals; /* by shard; must outlive it, as the budgets */
    struct byte_budget *budgets;
    struct mailbox *reply_to; /* the thread's */
    unsigned shards, number, threads;
};

/* Counts what the journals found in METRIC_OUTBOX. */
enum err outbox_new(const struct outbox_options *options, struct outbox **ret_outbox) MUST_CHECK;
void outbox_begin(struct outbox *outbox,
    struct publish_breaker
        *breaker); /* before the first tick; the breaker ends before outbox_free */
void outbox_tick(struct outbox *outbox, int64_t now_mono_us);
void outbox_stop(struct outbox *outbox); /* nothing more goes to the journals */
void outbox_free(struct outbox *outbox); /* when their answers are in. Takes NULL */

#endif
