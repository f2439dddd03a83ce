/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the connector for a connection until there is one. It waits after a failure, and after a
 * connection that was short-lived: 0.2 s, then twice as long each time, up to 5 s, +-20 % so that
 * many threads do not connect at once.
 *
 * At most one request is open. Its answer arrives in the mailbox of the thread that asks, also
 * after reconnect_stop. So the connector is stopped before that mailbox is handled for the last
 * time.
 */
#ifndef PENSTOCK_BROKER_RECONNECT_H
#define PENSTOCK_BROKER_RECONNECT_H

#include "broker/connector.h"

struct reconnect_listener {
    void (*on_link)(void *context, struct broker_link *link); /* owns the link */
    void (*on_failed)(void *context, enum err error, const char *detail);
    void *context;
};

struct reconnect {
    /* immutable after init */
    struct broker_connector *connector;
    enum connector_task task;
    struct mailbox *reply_to;
    struct reconnect_listener listener;

    struct connector_request request; /* owned by the connector while `asking` */
    bool asking, wanted, stopped;
    int64_t now_us; /* the time of the last tick */
    int64_t not_before_us, gap_us, opened_us;
};

void reconnect_init(struct reconnect *reconnect, struct broker_connector *connector,
    enum connector_task task, struct mailbox *reply_to, const struct reconnect_listener *listener);
/* A connection is wanted: asks for one now, or after the wait. */
void reconnect_want(struct reconnect *reconnect, int64_t now_mono_us);
void reconnect_tick(struct reconnect *reconnect, int64_t now_mono_us);
void reconnect_stop(struct reconnect *reconnect); /* asks for no more connections */

#endif
