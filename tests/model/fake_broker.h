/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces broker/: a broker in memory, which survives every crash of the gateway. The gateway's
 * ends of its connections are in fake_subscriber.c and fake_connector.c. Queues are durable.
 *
 *   [queue] --deliver--> unacked, on a channel --wire--> subscriber --on_message--> consumer
 *      ^                     |    ^------------ acks, up to the acked prefix -----'
 *      '---------------------'
 *         channel or connection lost: redelivered, at the front or at the back
 *
 * What may fail:
 *   ghost           a connection whose gateway is gone, but the broker has not detected it yet. It
 *                   keeps its messages, receives more, and counts as a consumer.
 *   deleted queue   loses its messages, also the unacked ones
 *   drop            a policy removes ready messages from the queue of a partition, and moves them
 *                   to that partition's queue of dropped messages
 *
 * The driver makes each step: fake_broker_work does one of the possible ones.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_BROKER_H
#define PENSTOCK_TESTS_MODEL_FAKE_BROKER_H

#include "broker/subscriber.h"
#include "model.h"

#define FAKE_PARTITIONS_MAX 4
#define FAKE_QUEUES_MAX \
    (2 * FAKE_PARTITIONS_MAX) /* first the partitions' queues, then those of dropped messages */

/* Called at the start of a seed. `partitions` 0: without a broker. */
void fake_broker_init(unsigned partitions);
unsigned fake_broker_partitions(void);
unsigned fake_broker_queues(void);

/* Publishes a post. Returns false when the broker is down or the queue is missing. `parts` must
 * outlive the message. */
bool fake_broker_publish(
    struct model_post *post, const struct event_parts *parts, unsigned partition);
void fake_broker_publish_poison(void);
bool fake_broker_is_up(void);

/* Called by the gateway. */
struct broker_connector *fake_connector_new(void);
/* As broker_connector_stop; takes NULL. */
void fake_connector_stop(struct broker_connector *connector);
void fake_broker_gateway_crashed(void);
unsigned fake_broker_links(void); /* links that were not freed; those in use count as well */

/* Actions of the driver. */
bool fake_broker_has_work(void);
void fake_broker_work(void);
bool fake_broker_has_consumer(void);
void fake_broker_lose_channel(void);
void fake_broker_lose_connection(void);
bool fake_broker_has_ghost(void);
void fake_broker_notice_ghost(void);
void fake_broker_go_down(void);
void fake_broker_come_up(void);
void fake_broker_delete_queue(void);
void fake_broker_drop(void); /* drops messages at the head of a queue, like a policy */
bool fake_broker_lacks_queue(void);
void fake_broker_declare_queues(void);    /* by another program */
void fake_broker_refuse(void);            /* refuses the next connections */
bool fake_broker_is_owned_by_other(void); /* delivery is owned by another journal */
void fake_broker_ownership(bool by_other);
void fake_broker_mend(void);

/* Called by the model. */
unsigned fake_broker_messages(void);   /* messages that a consumer still has to ack */
unsigned fake_broker_unconsumed(void); /* partitions whose queue the gateway does not consume */
bool fake_broker_holds(const struct model_post *post); /* has a message of it */
/* The gateway has an unacked message on an open channel. */
bool fake_broker_has_given(const struct model_post *post);
/* Messages to deliver (again), without the acked ones. */
unsigned fake_broker_copies(const struct model_post *post);

#endif
