/* SPDX-License-Identifier: Apache-2.0 */
/* Routing: gives unrouted deliveries an endpoint. */
#ifndef PENSTOCK_DELIVERY_UNROUTED_H
#define PENSTOCK_DELIVERY_UNROUTED_H

#include <stdbool.h>

struct delivery_shard;
struct event;

void unrouted_init(struct delivery_shard *shard);
/* Looks through all unrouted deliveries for those that an endpoint wants now. */
void unrouted_walk(struct delivery_shard *shard);
/* The event was committed as unrouted. Starts a walk, and returns true, if an endpoint takes it
 * now. */
bool unrouted_look_again(struct delivery_shard *shard, const struct event *event);

#endif
