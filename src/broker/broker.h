/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RabbitMQ, as the rest of Penstock sees it: where it is, what stands in it, and what its parts are
 * called. This folder is the only one that includes librabbitmq.
 *
 *   connector   one thread: opens connections and logs in (that blocks), declares what must be there
 *   link        one connection on somebody's loop: frames in and out, never a call that waits
 *   publisher   a link with confirms: events into the partitions' queues
 *   subscriber    a link that reads the partitions' queues, one channel each
 *   tap         a link without confirms: copies for whoever listens
 *   message     an event as an AMQP message, and back
 *
 *   default exchange --penstock.deliver.16.3--> [queue of partition 3] --> the delivering gateway
 *        what it would drop of them --penstock.dropped.16.3--> [another queue] --> the same gateway
 *   penstock.confirmed (a stream): ids of confirmed events --> the delivering gateway, which misses what did not come
 *   penstock.events (topic) --<type>.<account>--> queues of whoever taps
 *   [penstock.intake] --> an ingress thread --(refused)--> [penstock.intake.errors]
 *   penstock.owner: an exchange that names the journal that owns delivery (ownership.h)
 */
#ifndef PENSTOCK_BROKER_BROKER_H
#define PENSTOCK_BROKER_BROKER_H

#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define BROKER_TAPS_EXCHANGE "penstock.events"
#define BROKER_INTAKE_QUEUE "penstock.intake"
#define BROKER_INTAKE_ERRORS_QUEUE "penstock.intake.errors"
#define BROKER_CONFIRMED_STREAM "penstock.confirmed"
#define BROKER_OWNER_EXCHANGE "penstock.owner"
#define BROKER_QUEUE_NAME_BYTES 48 /* penstock.deliver.<count>.<p>, .dropped., NUL included */
#define BROKER_ADDRESSES_MAX 16
#define BROKER_DETAIL_BYTES 512 /* what went wrong, in words for an operator, and what shows more */

struct broker_address {
    char host[254];
    uint16_t port;
};

/* Immutable once the connector has it. */
struct broker_options {
    unsigned addresses_count;
    struct broker_address
        addresses[BROKER_ADDRESSES_MAX]; /* tried in order, from the last one that worked */
    char vhost[256];
    char credentials_file
        [4001]; /* one line, user:password, read at each login; empty: guest:guest */
    bool tls;
    char ca_file[4001], certificate_file[4001],
        key_file[4001]; /* empty: the system's CAs; no client certificate */
    unsigned heartbeat_s;
    unsigned partitions;
    bool taps;   /* declare the exchange of the taps */
    bool intake; /* declare the intake's queues */
};

void broker_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES]);
/* Where the broker puts what it would drop from the partition's queue. */
void broker_dropped_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES]);

#endif
