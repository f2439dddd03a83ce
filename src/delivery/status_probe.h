/* SPDX-License-Identifier: Apache-2.0 */
/* Status probes: ask a client whether it has processed an event whose delivery is in doubt. */
#ifndef PENSTOCK_DELIVERY_STATUS_PROBE_H
#define PENSTOCK_DELIVERY_STATUS_PROBE_H

#include "runtime/timer.h"

struct endpoint_queue;
struct status_walk;

/* Of one endpoint. */
struct status_probes {
    struct timer timer;
    struct status_walk *walk; /* NULL: none is running */
    int64_t after_id;         /* where the next walk begins */
    unsigned turn;            /* walks since the last doubt */
    bool again;               /* another doubt came up during the walk */
    bool left;                /* something before after_id is still in doubt */
};

void status_probe_init(struct endpoint_queue *queue);
/* Asks the client about deliveries in doubt, if the endpoint has a status probe. */
void status_probe_begin(struct endpoint_queue *queue);
void status_probe_done(struct endpoint_queue *queue);

#endif
