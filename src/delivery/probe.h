/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: events that test whether an endpoint is back. */
#ifndef PENSTOCK_DELIVERY_PROBE_H
#define PENSTOCK_DELIVERY_PROBE_H

#include "journal/journal.h"

struct endpoint_queue;

/* The search for an event to probe with. */
struct probe_search {
    bool loading;
    struct journal_load load;
    unsigned unguarded_looks_left; /* while it looks for an unguarded one */
};

/* Sends the event that tests whether the endpoint is back, if that is still unknown. */
void probe_send(struct endpoint_queue *queue);

#endif
