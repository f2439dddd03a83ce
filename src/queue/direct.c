/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/queue.h"

#include <stdlib.h>

struct queue_direct {
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
    struct queue_direct *direct = CONTAINER_OF(queue, struct queue_direct, queue);
    entry->append.request = (struct request){
        .kind = JOURNAL_APPEND, .reply_to = direct->reply_to, .on_done = on_appended};
    journal_submit(direct->journals[shard], &entry->append.request);
}

static void free_direct(struct queue *queue)
{
    free(CONTAINER_OF(queue, struct queue_direct, queue));
}

enum err queue_direct_new(
    struct journal *const *journals, struct mailbox *reply_to, struct queue **ret_queue)
{
    static const struct queue_ops ops = {.enqueue = enqueue, .free = free_direct};
    struct queue_direct *direct = malloc(sizeof *direct);
    if (!direct)
        return ERR_NO_MEMORY;
    *direct = (struct queue_direct){.queue.ops = &ops, .journals = journals, .reply_to = reply_to};
    *ret_queue = &direct->queue;
    return OK;
}
