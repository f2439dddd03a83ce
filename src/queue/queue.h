/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue, as ingress sees it: it makes an event durable, and says so. There are two: the
 * embedded one (direct_queue.c), and one that publishes to the broker (broker_queue.h).
 *
 * An entry belongs to the queue from queue_enqueue until on_durable. That runs on the ingress
 * thread, possibly within queue_enqueue.
 */
#ifndef PENSTOCK_QUEUE_QUEUE_H
#define PENSTOCK_QUEUE_QUEUE_H

#include "base/list.h"
#include "broker/publisher.h"
#include "journal/journal.h"

struct queue;
struct recent_event;

struct queue_entry {
    /* The caller fills it in, except `request`. Its results are the results of the entry. */
    struct journal_append append;
    /* OK, ERR_EXISTS, ERR_CONFLICT (see journal_append), or the reason why it is not known to be
     * durable */
    void (*on_durable)(struct queue_entry *entry, enum err result);

    /* used by publish.c */
    struct queue *queue;
    struct publication publication;
    struct list in_list; /* one of those of publish.c */
    struct recent_event *recent;
    int64_t published_mono_us;
};

/* A recent event of an ingress thread. Valid during the call. */
struct queue_found {
    struct event_id id;
    struct slice partner, account, type, key; /* a long key is not remembered */
    bool has_key;
    int64_t accepted_us;
};

struct queue_ops {
    void (*enqueue)(struct queue *queue, struct queue_entry *entry, unsigned shard);
    /* Called about every 100 ms. NULL: not needed. */
    void (*tick)(struct queue *queue, int64_t now_mono_us);
    /* False if the event is not remembered as durable. NULL: nothing is remembered, ask the
     * journal. */
    bool (*find)(struct queue *queue, const struct event_id *id, struct queue_found *ret_found);
    /*
     * The thread is about to end. Entries without an answer that the journal does not have get
     * ERR_SHUTTING_DOWN, and nothing is sent any more. May be repeated. NULL: not needed.
     */
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

/* The embedded queue: sends each event to its journal. `journals`, by shard, must outlive it. */
struct queue *direct_queue_new(struct journal *const *journals, struct mailbox *reply_to);

#endif
