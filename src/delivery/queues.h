/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of a shard, one for each endpoint. */
#ifndef PENSTOCK_DELIVERY_QUEUES_H
#define PENSTOCK_DELIVERY_QUEUES_H

#include <stdint.h>

struct delivery_shard;
struct endpoint_queue;

/* Creates the queue if there is none. */
struct endpoint_queue *queues_get(struct delivery_shard *shard, uint64_t endpoint);
struct endpoint_queue *queues_find(struct delivery_shard *shard, uint64_t endpoint);
void queues_free(struct delivery_shard *shard); /* all of them */

#endif
