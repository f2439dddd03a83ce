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
    unsigned
        looks_left; /* of a search that continues: for an unguarded one, or past what is held */
    int64_t held_after_id; /* the search that passes over what a switch holds continues behind it */
};

/* Sends the event that tests whether the endpoint is back, if that is still unknown. */
void probe_send(struct endpoint_queue *queue);

#endif
