/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels of the consuming connection: which partition each one serves, and whether the
 * connection is read. The lowest part of the consumer.
 */
#include "queue/consumer_internal.h"

#include "base/clock.h"
#include "model/placement.h"
#include "runtime/log.h"

#define GIVE_UP_US US_PER_SECOND

unsigned consumer_channel_of_partition(const struct consumer *consumer, unsigned partition)
{
    unsigned channel = partition / consumer->options.shards;
    return channel < consumer->partitions_count ? channel : 0;
}

bool consumer_is_of_dropped(const struct consumer *consumer, unsigned channel)
{
    return channel >= consumer->partitions_count && channel < consumer->queues_count;
}

unsigned consumer_partition_of_channel(const struct consumer *consumer, unsigned channel)
{
    return placement_partition_of_shard(
        consumer->taker->shard, channel % consumer->partitions_count, consumer->options.shards);
}

void consumer_update_reading(struct consumer *consumer)
{
    int64_t max = consumer->options.prefetch_bytes;
    bool reading = consumer->bytes_in_memory < (consumer->reading ? max : max / 4 * 3);
    if (reading == consumer->reading || !consumer->subscriber)
        return;
    consumer->reading = reading;
    subscriber_set_reading(consumer->subscriber, reading);
}

void consumer_give_up(struct consumer *consumer)
{
    log_error("no memory for a message from the broker: the connection is closed, "
              "and the message is delivered again shard=%u",
        consumer->taker->shard);
    consumer->subscriber_not_before_us = consumer->taker->loop->now_mono_us + GIVE_UP_US;
    subscriber_close(consumer->subscriber);
}
