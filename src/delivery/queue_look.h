/* SPDX-License-Identifier: Apache-2.0 */
/* What the queues of endpoints do at present, for operators. Nothing is changed by a look. */
#ifndef PENSTOCK_DELIVERY_QUEUE_LOOK_H
#define PENSTOCK_DELIVERY_QUEUE_LOOK_H

struct delivery_shard;
struct queue_look; /* journal/queue_look.h */

/* Asks the shard. Any thread. The look belongs to delivery until the answer to its `ask`. */
void delivery_shard_look(struct delivery_shard *shard, struct queue_look *look);

#endif
