/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RabbitMQ for the rest of Penstock: its address, its objects, and the parts of this folder. Only
 * this folder includes librabbitmq.
 *
 *   connector    one thread: opens connections and logs in (this blocks), declares objects
 *   link         one connection on its owner's loop: frames in and out, never blocks
 *   publisher    a link with confirms: sends events to the partitions' queues
 *   subscriber   a link that reads queues, one channel each
 *   tap          a link without confirms: copies for other programs
 *   message      an event as an AMQP message, and back
 *
 *   default exchange -- penstock.deliver.16.3 --> [queue of partition 3] --> delivering gateway
 *        messages it drops -- penstock.dropped.16.3 --> [another queue] --> the same gateway
 *   penstock.confirmed (a stream): ids of confirmed events --> the delivering gateway, which finds
 *        lost events by them
 *   penstock.events (topic) -- <type>.<account> --> queues of other programs
 *   [penstock.intake] --> an ingress thread -- rejected --> [penstock.intake.errors]
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
#define BROKER_DETAIL_BYTES 512 /* an error in words for an operator, with the command to look */

struct broker_address {
    char host[254];
    uint16_t port;
};

/* Immutable while the connector uses it. */
struct broker_options {
    unsigned addresses_count;
    /* Tried in order, beginning with the last one that worked. */
    struct broker_address addresses[BROKER_ADDRESSES_MAX];
    char vhost[256];
    /* One line, user:password, read at each login. Empty: guest:guest. */
    char credentials_file[4001];
    bool tls;
    /* Empty: the system's CAs, and no client certificate. */
    char ca_file[4001], certificate_file[4001], key_file[4001];
    unsigned heartbeat_s;
    unsigned partitions;
    bool taps;   /* declare the exchange of the taps */
    bool intake; /* declare the intake's queues */
};

void broker_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES]);
/* The queue for messages that the broker drops from the partition's queue. */
void broker_dropped_queue_name(
    unsigned partitions, unsigned partition, char ret_name[BROKER_QUEUE_NAME_BYTES]);

#endif
