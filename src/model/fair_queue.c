/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fair_queue.h"

#include <assert.h>

void fair_queue_init(struct fair_queue *queue)
{
    list_init(&queue->ready);
}

void fair_flow_init(struct fair_flow *flow)
{
    *flow = (struct fair_flow){.quantum = 1};
    list_init(&flow->link);
}

static void move_to_end(struct fair_queue *queue, struct fair_flow *flow)
{
    list_remove(&flow->link);
    list_add_tail(&queue->ready, &flow->link);
}

void fair_queue_add(struct fair_queue *queue, struct fair_flow *flow, int64_t quantum)
{
    assert(!fair_flow_is_listed(flow) && flow->deficit <= 0 && quantum > 0);
    flow->quantum = quantum;
    list_add_tail(&queue->ready, &flow->link);
}

void fair_queue_remove(struct fair_queue *queue, struct fair_flow *flow)
{
    (void)queue;
    list_remove(&flow->link);
    if (flow->deficit > 0)
        flow->deficit = 0;
}

struct fair_flow *fair_queue_next(struct fair_queue *queue)
{
    while (!list_is_empty(&queue->ready)) {
        struct fair_flow *flow = CONTAINER_OF(queue->ready.next, struct fair_flow, link);
        if (flow->deficit <= 0) { /* its turn begins */
            assert(flow->quantum > 0);
            flow->deficit += flow->quantum;
        }
        if (flow->deficit > 0)
            return flow;
        move_to_end(queue, flow);
    }
    return NULL;
}

void fair_queue_charge(
    struct fair_queue *queue, struct fair_flow *flow, int64_t cost, int64_t quantum)
{
    assert(cost > 0 && quantum > 0);
    bool is_its_turn = flow->deficit > 0;
    flow->deficit -= cost;
    flow->quantum = quantum;
    if (is_its_turn && flow->deficit <= 0)
        move_to_end(queue, flow);
    else if (!is_its_turn && flow->deficit < -FAIR_DEBT_MAX)
        flow->deficit = -FAIR_DEBT_MAX;
}
