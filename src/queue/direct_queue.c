/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded queue (queue.h). */
#include "queue/queue.h"

#include "base/memory.h"

#include <stdlib.h>

struct direct_queue {
    struct queue queue;
    struct journal *const *journals; /* by shard */
    struct mailbox *reply_to;
};

static void on_appended(struct request *request, void *receiver)
{
    struct queue_entry *entry = CONTAINER_OF(request, struct queue_entry, append.request);
    entry->on_durable(entry, request->result);
}

static void enqueue(struct queue *queue, struct queue_entry *entry, unsigned shard)
{
    struct direct_queue *direct = CONTAINER_OF(queue, struct direct_queue, queue);
    entry->append.request = (struct request){
        .kind = JOURNAL_APPEND, .reply_to = direct->reply_to, .on_done = on_appended};
    journal_submit(direct->journals[shard], &entry->append.request);
}

static void free_direct(struct queue *queue)
{
    free(CONTAINER_OF(queue, struct direct_queue, queue));
}

struct queue *direct_queue_new(struct journal *const *journals, struct mailbox *reply_to)
{
    static const struct queue_ops ops = {.enqueue = enqueue, .free = free_direct};
    struct direct_queue *direct;
    MEMORY_NEW(direct);
    *direct = (struct direct_queue){.queue.ops = &ops, .journals = journals, .reply_to = reply_to};
    return &direct->queue;
}
