/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of broker/: a broker in memory, which outlives every crash of the gateway, and the
 * gateway's ends of its connections (fake_subscriber.c). Queues are durable; what may go wrong is
 * what rabbitmq mode is about.
 *
 *   [queue] --deliver--> unacked, on a channel --wire--> subscriber --on_message--> consumer
 *      ^                     |   ^------------- acks, up to the acked prefix ------'
 *      '--(channel or connection lost: redelivered, front or back; of a lost connection only when the broker notices)
 *
 * A connection whose gateway is gone, and the broker has not noticed, is a ghost: it still holds
 * its messages, takes others, and counts as a consumer. A queue that is deleted loses its messages,
 * the unacked ones among them. A policy may drop what lies ready in a partition's queue: it goes to
 * that queue's queue of dropped messages.
 *
 * Each step is the driver's: fake_broker_work does one of those that are possible.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_BROKER_H
#define PENSTOCK_TESTS_MODEL_FAKE_BROKER_H

#include "broker/subscriber.h"
#include "model.h"

#define FAKE_PARTITIONS_MAX 4
#define FAKE_QUEUES_MAX \
    (2 * FAKE_PARTITIONS_MAX) /* behind the partitions': those of what is dropped from them */

/* For a new seed. `partitions` 0: there is no broker in it. */
void fake_broker_init(unsigned partitions);
unsigned fake_broker_partitions(void);
unsigned fake_broker_queues(void);

/* Partners' side. False when it is down, or there is no such queue. The post's message: `parts`
 * must live on. */
bool fake_broker_publish(
    struct model_post *post, const struct event_parts *parts, unsigned partition);
void fake_broker_publish_poison(void);
bool fake_broker_is_up(void);

/* The gateway's life. */
struct broker_connector *fake_connector_new(void);
void fake_connector_stop(
    struct broker_connector *connector); /* as broker_connector_stop; takes NULL */
void fake_broker_gateway_crashed(void);
unsigned fake_broker_links(void); /* that nobody has freed; what holds them counts as well */

/* The driver's actions. */
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
void fake_broker_drop(void); /* the head of a queue, as a policy would */
bool fake_broker_lacks_queue(void);
void fake_broker_declare_queues(void);    /* by somebody else */
void fake_broker_refuse(void);            /* the next connections */
bool fake_broker_is_owned_by_other(void); /* by another journal */
void fake_broker_ownership(bool by_other);
void fake_broker_mend(void);

/* What the model asks. */
unsigned fake_broker_messages(void);   /* that somebody still has to take */
unsigned fake_broker_unconsumed(void); /* partitions whose queue the gateway does not consume */
bool fake_broker_holds(const struct model_post *post); /* a message of it */
bool fake_broker_has_given(
    const struct model_post *post); /* one came to the gateway, on a channel that it has */
unsigned fake_broker_copies(
    const struct model_post *post); /* that will come (again), the acked ones left out */

#endif
