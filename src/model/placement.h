/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: the partition and shard of an account, and the numbers of deliveries. These formulas
 * are only here.
 *
 *   account -> partition -> shard
 *       partition = SipHash(account id, installation's seed) modulo partitions
 *       shard     = partition modulo shards
 *
 *   event number and index <-> delivery number
 *       delivery = event * ACCOUNT_ENDPOINTS_MAX + index
 *       Each shard numbers its events from 1. The index is the delivery's place among the
 *       deliveries of its event.
 *
 * An event's id contains its partition (event_id_partition). The numbers of partitions and shards
 * never change during the life of an installation.
 */
#ifndef PENSTOCK_MODEL_PLACEMENT_H
#define PENSTOCK_MODEL_PLACEMENT_H

#include "base/hash.h"
#include "base/limits.h"

static inline unsigned placement_partition(
    const struct hash_seed *seed, struct slice account, unsigned partitions)
{
    return (unsigned)(hash_siphash(seed, account) % partitions);
}

static inline unsigned placement_shard(unsigned partition, unsigned shards)
{
    return partition % shards;
}

/* Returns the i-th partition of a shard. */
static inline unsigned placement_partition_of_shard(unsigned shard, unsigned i, unsigned shards)
{
    return i * shards + shard;
}

/* The last event number whose deliveries can all be numbered. */
#define PLACEMENT_EVENT_MAX (INT64_MAX / ACCOUNT_ENDPOINTS_MAX - 1)

static inline int64_t placement_delivery(int64_t event, unsigned index)
{
    return event * ACCOUNT_ENDPOINTS_MAX + index;
}

static inline int64_t placement_first_delivery(int64_t event)
{
    return placement_delivery(event, 0);
}

/* Returns the highest number that a delivery of the event can have. */
static inline int64_t placement_last_delivery(int64_t event)
{
    return placement_delivery(event, ACCOUNT_ENDPOINTS_MAX - 1);
}

static inline int64_t placement_event(int64_t delivery)
{
    return delivery / ACCOUNT_ENDPOINTS_MAX;
}

static inline unsigned placement_index(int64_t delivery)
{
    return (unsigned)(delivery % ACCOUNT_ENDPOINTS_MAX);
}

#endif
