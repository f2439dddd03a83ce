/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something waits that would be sent otherwise: the switch that is off. For views and logs;
 * delivery has its own copies (delivery/switches.h). By threads that are online.
 */
#ifndef PENSTOCK_ACCOUNTS_SWITCHES_H
#define PENSTOCK_ACCOUNTS_SWITCHES_H

#include "accounts/directory.h"
#include "model/class.h"
#include "model/delivery_state.h"

/* The first of deliveries, retries and optional that is off for the endpoint; NULL: none is. */
const struct operator_switch *switches_of_endpoint(
    const struct directory *directory, struct slice account, uint64_t endpoint);

/* The switch that holds a delivery of this class in this state; NULL: none does. Only what is
 * pending or waiting is held. `account` is that of the event. */
const struct operator_switch *switches_holding(const struct directory *directory,
    struct slice account, uint64_t endpoint, enum event_class class, enum delivery_state state);

#endif
