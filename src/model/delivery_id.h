/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public ids of deliveries: dlv_<uuid of the event>-<index among its deliveries>. So an id says
 * whose it is, finds its shard, and needs no row of its own.
 */
#ifndef PENSTOCK_MODEL_DELIVERY_ID_H
#define PENSTOCK_MODEL_DELIVERY_ID_H

#include "model/event_id.h"

#define DELIVERY_ID_TEXT_BYTES \
    (EVENT_ID_TEXT_BYTES + 3) /* a hyphen, and an index of two digits at most */

/* `index` is below ACCOUNT_ENDPOINTS_MAX. */
void delivery_id_format(
    const struct event_id *event, unsigned index, char ret_text[DELIVERY_ID_TEXT_BYTES]);
/* Takes only what delivery_id_format writes; else both outputs stay. */
bool delivery_id_parse(struct slice text, struct event_id *ret_event, unsigned *ret_index);

#endif
