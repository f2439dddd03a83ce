/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer: takes the events of a shard's partitions from the broker to delivery, in rabbitmq
 * mode. An event source (event_source.h).
 *
 * It keeps the connections: one that consumes, one for the copies that taps get. Both are made
 * again (broker/reconnect.h), so that a lost one is replaced, a little later each time. Consuming
 * begins when the journal's backlog is known and what the last run left is listed. It ends when
 * the connector finds that another journal owns delivery; what is the journal's own is still
 * delivered. Ownership is checked every 5 s.
 *
 * Each partition has two queues: its own, and one for what the broker drops from it. A message from
 * either is an event; one that was dropped is adopted by the journal at once.
 *
 *   subscriber --message--> unacked event --JOURNAL_RECEIVE--> jobs --> ... --> committed --> acked
 *                             |  no room, unacked too long, or started on a lost channel:
 *                             |  JOURNAL_ADOPT --> acked
 *                             '- nothing of it has started and its channel is lost: suspended
 *
 * Modules, all owned by the shard's thread: consumer.c the connections and what a message is;
 * unacked.c events that were consumed and are not acked yet; suspended.c events that wait to be
 * delivered again; poison.c messages that are no events; drops.c what the broker dropped; losses.c
 * what it confirmed and lost.
 *
 * Limits: unacked messages by the prefetch (count, for each partition) and by prefetch_bytes (of
 * the shard), beyond which nothing is read. Events take from the shard's byte budget, and get no
 * job where it ends.
 */
#ifndef PENSTOCK_QUEUE_CONSUMER_H
#define PENSTOCK_QUEUE_CONSUMER_H

#include "base/hash.h"
#include "broker/connector.h"
#include "broker/status.h"
#include "queue/event_source.h"

struct broker_lag;

struct consumer_options {
    struct broker_connector *connector; /* must live until event_source_free */
    struct broker_status *status;
    struct broker_lag *lag; /* gets the time when a marked event arrives; NULL: nobody asks */
    /* By shard: an event in a wrong partition is kept in the journal where its id is looked for. */
    struct journal *const *journals;
    struct hash_seed seed; /* of the installation: an account's partition */
    unsigned partitions, shards;
    unsigned prefetch;      /* messages of a partition that are consumed and not acked */
    int64_t prefetch_bytes; /* of a shard */
    bool taps;
    bool checks; /* compare the events that arrive with those that the broker confirmed */
    /* A forced take-over of ownership: guarded events accepted before it are parked; 0: there was
     * none. */
    int64_t forced_since_us;
};

/* `options` is copied; the taker must outlive the source. */
struct event_source *consumer_new(
    struct event_taker *taker, const struct consumer_options *options);

#endif
