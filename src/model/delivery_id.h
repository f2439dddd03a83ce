/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Public ids of deliveries: dlv_<uuid of the event>-<index among its deliveries>. So the id names
 * its event, gives the shard, and is not stored in a row of its own.
 */
#ifndef PENSTOCK_MODEL_DELIVERY_ID_H
#define PENSTOCK_MODEL_DELIVERY_ID_H

#include "model/event_id.h"

/* A hyphen and an index of at most two digits. */
#define DELIVERY_ID_TEXT_BYTES (EVENT_ID_TEXT_BYTES + 3)

/* `index` is below ACCOUNT_ENDPOINTS_MAX. */
void delivery_id_format(
    const struct event_id *event, unsigned index, char ret_text[DELIVERY_ID_TEXT_BYTES]);
/* Accepts only what delivery_id_format writes. Otherwise both outputs are unchanged. */
bool delivery_id_parse(struct slice text, struct event_id *ret_event, unsigned *ret_index);

#endif
