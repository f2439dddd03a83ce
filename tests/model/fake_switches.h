/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator of the simulation has switched off (accounts/directory.h). It survives every
 * crash, like the endpoints of fake_accounts.h. The accounts coroutine publishes a change in the
 * step in which it becomes true here, so from that step on nothing may be sent that is off.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_SWITCHES_H
#define PENSTOCK_TESTS_MODEL_FAKE_SWITCHES_H

#include "fake_accounts.h"
#include "model/switch.h"

/* Called at the start of a seed: all are on. */
void fake_switches_init(void);
/* Whether the switch is off for this endpoint: for all, its account, or itself. */
bool fake_switches_are_off(enum switch_kind kind, const struct fake_endpoint *endpoint);
/* Whether any of them has changed at or after this time. */
bool fake_switches_have_changed_since(int64_t mono_us);

/* By an operator. `accounts` is NULL while no gateway runs. */
void fake_switches_set_all(struct accounts *accounts, enum switch_kind kind, bool off);
/* One at random is switched off or on. */
void fake_switches_change(struct accounts *accounts);
void fake_switches_all_on(struct accounts *accounts);

/* For fake_accounts.c: publishes what is off, at a start of the gateway. */
void fake_switches_publish(struct directory *directory);

#endif
