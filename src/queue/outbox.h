/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox relay: publishes the events that this gateway's journals keep for the broker. Ingress
 * thread N of T relays the shards N, N + T, N + 2T and so on.
 *
 *           the breaker is closed, and there is something        some were confirmed
 *   RESTING -------------------------------> LOADING --> SENDING --> CLEARING
 *      ^ ^                                      |           |           |
 *      | '------------ nothing more ------------'           |           |
 *      '------------------ none was confirmed -------------'           |
 *      '------------------ cleared: the next ones ---------------------'
 *
 * What is not confirmed stays in the outbox and is sent again after the others. While the breaker
 * is open, one event at a time is published as its probe (publish_breaker.h). So the breaker closes
 * again on a gateway that gets no posts.
 *
 * Limits: 64 events or 1 MiB at a time for each shard. They are published only while half of the
 * window is free, so fresh events come first. An event counts as not confirmed after 10 s.
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

/* Adds what the journals found at their start to METRIC_OUTBOX. */
struct outbox *outbox_new(const struct outbox_options *options);
/* Call it before the first tick. The breaker is freed before the outbox. */
void outbox_begin(struct outbox *outbox, struct publish_breaker *breaker);
void outbox_tick(struct outbox *outbox, int64_t now_mono_us);
void outbox_stop(struct outbox *outbox); /* sends nothing more to the journals */
void outbox_free(struct outbox *outbox); /* after their last answers; takes NULL */

#endif
