/* SPDX-License-Identifier: Apache-2.0 */
/* A host (broker/host.h) on the h2o loop of an ingress thread, for its connection to the broker. */
#ifndef PENSTOCK_INGRESS_BROKER_HOST_H
#define PENSTOCK_INGRESS_BROKER_HOST_H

#include "broker/host.h"
#include "http/watch.h"

struct ingress_host {
    struct broker_host host;
    struct http_server *server;
    struct http_watch *http_watch; /* NULL: none */
    struct broker_watch *watch;
    struct http_turn_end *turn_end;
    void (*on_turn_end)(void *context); /* NULL: none */
    void *context;
};

/* The server must outlive it. */
void ingress_host_init(struct ingress_host *host, struct http_server *server);
void ingress_host_done(struct ingress_host *host); /* takes a zeroed one */

#endif
