/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is among many flows (the endpoints of a shard that may send now): deficit round
 * robin.
 *
 * The flows that are ready form a ring. When the turn of a flow comes, it gets its quantum. What it
 * sends is taken from this deficit. When nothing is left, the flow moves to the end of the ring. A
 * flow may overdraw with the last item of its turn; it owes the rest, and its next turn is shorter.
 * So flows share by cost, not by count: an endpoint with events of 64 KiB does not get sixteen
 * times the bytes of one with small events. A flow with twice the quantum gets twice the share.
 *
 *            add                    next: its turn comes         charge
 *   absent ------->  end of ring  ---------------------->  head ------.
 *      ^                  ^         deficit += quantum      |  ^      | something is left
 *      |                  |                                 |  '------'
 *      |                  '---------------------------------'
 *      |  remove                    deficit <= 0
 *      '---- from everywhere; a deficit above 0 is lost, a debt is kept
 *
 * A flow that leaves saves nothing for later. A debt is kept, so that a flow does not gain by
 * leaving and coming back. Since a flow joins at the end and gets nothing for joining, leaving and
 * coming back between two turns is neither gain nor loss beyond its place in the ring.
 *
 * Bound, for two flows with the same quantum that are ready all the time: what they have sent
 * differs by at most quantum + 2 x the largest cost. A flow waits for at most one turn of each
 * other flow for each turn that it owes. Constant time for each unit of cost: a debt of several
 * quanta is paid by as many passes over the flow.
 *
 * Sources: Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin" (SIGCOMM
 * 1995); the overdraft is surplus round robin (Adiseshu, Parulkar and Varghese, SIGCOMM 1996): the
 * cost of the next item need not be known before it is sent.
 *
 * Intrusive: no allocation, no clock. The owner of a flow removes it before it frees it.
 */
#ifndef PENSTOCK_MODEL_FAIR_QUEUE_H
#define PENSTOCK_MODEL_FAIR_QUEUE_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The cost of an attempt: a request itself, and its bytes. */
#define FAIR_COST_BYTES 4096
static inline int64_t fair_cost(size_t bytes)
{
    return 1 + (int64_t)(bytes / FAIR_COST_BYTES);
}

/* What a flow can owe for what it sent out of turn: four of the largest events. */
#define FAIR_DEBT_MAX 68

struct fair_queue {
    struct list ready;
};

struct fair_flow {
    struct list link;
    int64_t deficit; /* above 0: left of its turn, at the head only; below 0: owed */
    int64_t quantum; /* what its next turn brings; the owner may change it at any time */
};

void fair_queue_init(struct fair_queue *queue);
void fair_flow_init(struct fair_flow *flow);

static inline bool fair_flow_is_listed(const struct fair_flow *flow)
{
    return !list_is_empty(&flow->link);
}

/* Adds a flow that is not listed. `quantum`: above 0, in units of cost. */
void fair_queue_add(struct fair_queue *queue, struct fair_flow *flow, int64_t quantum);

/* Harmless for a flow that is not listed. */
void fair_queue_remove(struct fair_queue *queue, struct fair_flow *flow);

/* Returns the flow whose turn it is, or NULL if none is listed. It keeps its turn until it has used
 * up its deficit or is removed. The caller either charges it or removes it before it asks again. */
struct fair_flow *fair_queue_next(struct fair_queue *queue);

/* The flow has sent something of this cost (above 0). `quantum` is that of its next turn, as for
 * fair_queue_add: for example a base times the weight of the class of its next item. Charge a flow
 * before you remove it. A flow that is not listed or not at the head owes the cost: so the probe of
 * a breaker, which is sent out of turn, is paid for later, up to FAIR_DEBT_MAX. */
void fair_queue_charge(
    struct fair_queue *queue, struct fair_flow *flow, int64_t cost, int64_t quantum);

#endif
