/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue: where an event is durable between the partner's 200 and its delivery. One interface, so that the embedded
 * queue and a broker look alike to ingress. An entry belongs to the queue from enqueue until on_durable, which runs on
 * the ingress thread.
 */
#ifndef PENSTOCK_INGRESS_QUEUE_H
#define PENSTOCK_INGRESS_QUEUE_H

#include "journal/journal.h"

struct queue_entry {
    struct journal_append append; /* filled by the enqueuer but for `request`; its results are the entry's */
    /* result: OK, ERR_EXISTS, ERR_CONFLICT (see journal_append), or why the event is not known to be durable */
    void (*on_durable)(struct queue_entry *entry, enum err result);
};

struct queue;

struct queue_ops {
    void (*enqueue)(struct queue *queue, struct queue_entry *entry, unsigned shard);
    void (*free)(struct queue *queue);
};

struct queue {
    const struct queue_ops *ops;
};

static inline void queue_enqueue(struct queue *queue, struct queue_entry *entry, unsigned shard)
{
    queue->ops->enqueue(queue, entry, shard);
}

static inline void queue_free(struct queue *queue)
{
    if (queue)
        queue->ops->free(queue);
}

/* The embedded queue: straight to the shard's journal. `journals` must outlive it; answers come through `reply_to`. */
enum err queue_direct_new(
    struct journal *const *journals, struct mailbox *reply_to, struct queue **ret_queue) MUST_CHECK;

#endif
