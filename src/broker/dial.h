/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling: asks the connector for a connection until there is one. After a failure, or when the
 * last connection did not live long, it waits 0.2 s, then twice as long each time, up to 5 s, +-20
 * %, so that many threads don't come at once.
 *
 * One request at most is out. What it brings comes through the ingress thread's mailbox, also when
 * dialling has stopped meanwhile: the connector is stopped before that mailbox is worked off for
 * the last time.
 */
#ifndef PENSTOCK_BROKER_DIAL_H
#define PENSTOCK_BROKER_DIAL_H

#include "broker/connector.h"

struct dial_listener {
    void (*on_link)(void *context, struct broker_link *link); /* takes it */
    void (*on_failed)(void *context, enum err error, const char *detail);
    void *context;
};

struct dial {
    /* immutable after init */
    struct broker_connector *connector;
    enum connector_task task;
    struct mailbox *reply_to;
    struct dial_listener listener;

    struct connector_request request; /* the connector's while `asking` */
    bool asking, wanted, stopped;
    int64_t now_us; /* of the last tick */
    int64_t not_before_us, gap_us, opened_us;
};

void dial_init(struct dial *dial, struct broker_connector *connector, enum connector_task task,
    struct mailbox *reply_to, const struct dial_listener *listener);
/* From now on there is to be a connection. */
void dial_want(struct dial *dial, int64_t now_mono_us);
void dial_tick(struct dial *dial, int64_t now_mono_us);
void dial_stop(struct dial *dial); /* asks for no more */

#endif
