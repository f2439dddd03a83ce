/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue: where an event is durable between the partner's 200 and its delivery. One interface,
 * so that the embedded queue and a broker look alike to ingress. An entry belongs to the queue from
 * enqueue until on_durable, which runs on the ingress thread, within queue_enqueue as well.
 */
#ifndef PENSTOCK_QUEUE_QUEUE_H
#define PENSTOCK_QUEUE_QUEUE_H

#include "base/list.h"
#include "broker/publisher.h"
#include "journal/journal.h"

struct queue;
struct recent_event;

struct queue_entry {
    struct journal_append
        append; /* filled by the enqueuer but for `request`; its results are the entry's */
    /* result: OK, ERR_EXISTS, ERR_CONFLICT (see journal_append), or why the event is not known to
     * be durable */
    void (*on_durable)(struct queue_entry *entry, enum err result);

    /* the queue's own (publish.c) */
    struct queue *queue;
    struct publication publication;
    struct list
        /* published and unconfirmed, in order; or waiting for the first one of its key, or to be
         * told */
        in_list;
    struct recent_event *recent;
    int64_t published_mono_us;
};

/* What an ingress thread remembers of an event that it has taken lately. Valid in the call that
 * gave it. */
struct queue_found {
    struct event_id id;
    struct slice partner, account, type, key; /* a long key is left out */
    bool has_key;
    int64_t accepted_us;
};

struct queue_ops {
    void (*enqueue)(struct queue *queue, struct queue_entry *entry, unsigned shard);
    void (*tick)(
        struct queue *queue, int64_t now_mono_us); /* about every 100 ms; NULL: not needed */
    /* False when it is not remembered to be durable; NULL: nothing is remembered, the journal knows
     * all. */
    bool (*find)(struct queue *queue, const struct event_id *id, struct queue_found *ret_found);
    /* The thread is about to end: what has no answer and is not the journal's gets
     * ERR_SHUTTING_DOWN, and nothing is handed on any more. Harmless when repeated; NULL: not
     * needed. */
    void (*stop)(struct queue *queue);
    void (*free)(struct queue *queue);
};

struct queue {
    const struct queue_ops *ops;
};

static inline void queue_enqueue(struct queue *queue, struct queue_entry *entry, unsigned shard)
{
    queue->ops->enqueue(queue, entry, shard);
}

static inline void queue_tick(struct queue *queue, int64_t now_mono_us)
{
    if (queue->ops->tick)
        queue->ops->tick(queue, now_mono_us);
}

static inline bool queue_find(
    struct queue *queue, const struct event_id *id, struct queue_found *ret_found)
{
    return queue->ops->find && queue->ops->find(queue, id, ret_found);
}

static inline void queue_stop(struct queue *queue)
{
    if (queue && queue->ops->stop)
        queue->ops->stop(queue);
}

static inline void queue_free(struct queue *queue)
{
    if (queue)
        queue->ops->free(queue);
}

/* The embedded queue: straight to the shard's journal. `journals` must outlive it; answers come
 * through `reply_to`. */
enum err queue_direct_new(
    struct journal *const *journals, struct mailbox *reply_to, struct queue **ret_queue) MUST_CHECK;

#endif
