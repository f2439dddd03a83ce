/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches: the controls of an operator in an incident. All are on normally.
 *
 *   deliveries   off: nothing is sent. Events are accepted and wait
 *   retries      off: a delivery that has failed waits. What was never sent is sent, and so is what
 *                an operator sends again
 *   ingress      off: posts of events are answered 503
 *   optional     off: posts of optional events are answered 503, and those that wait are not sent
 *
 * A switch is off for the whole installation, for an account, or for one endpoint. `ingress` has no
 * endpoints, because a post is for an account.
 */
#ifndef PENSTOCK_MODEL_SWITCH_H
#define PENSTOCK_MODEL_SWITCH_H

#include "base/limits.h"
#include "base/slice.h"

enum switch_kind { SWITCH_DELIVERIES, SWITCH_RETRIES, SWITCH_INGRESS, SWITCH_OPTIONAL, SWITCHES };

/* "deliveries". Also the name in the database and in the API. */
const char *switch_name(enum switch_kind kind);
bool switch_find(struct slice name, enum switch_kind *ret_kind);
#define SWITCH_RULE "must be deliveries, retries, ingress or optional"

bool switch_has_endpoints(enum switch_kind kind);

/* Why a switch was changed: one line of UTF-8 without control characters, and not empty. */
bool switch_reason_is_valid(struct slice text);
#define SWITCH_REASON_RULE "must say why, in one line of 1 to 200 bytes without control characters"

#endif
