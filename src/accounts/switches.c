/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/switches.h"

#include "base/cleanup.h"

const struct operator_switch *switches_of_endpoint(
    const struct directory *directory, struct slice account, uint64_t endpoint)
{
    static const enum switch_kind kinds[] = {SWITCH_DELIVERIES, SWITCH_RETRIES, SWITCH_OPTIONAL};
    const struct operator_switch *off = NULL;
    for (size_t i = 0; !off && i < ARRAY_LENGTH(kinds); i++)
        off = directory_switch_off(directory, kinds[i], account, endpoint);
    return off;
}

const struct operator_switch *switches_holding(const struct directory *directory,
    struct slice account, uint64_t endpoint, enum event_class class, enum delivery_state state)
{
    const struct operator_switch *off = NULL;
    if (state != DELIVERY_PENDING && state != DELIVERY_WAITING)
        return NULL;
    off = directory_switch_off(directory, SWITCH_DELIVERIES, account, endpoint);
    if (!off && state == DELIVERY_WAITING)
        off = directory_switch_off(directory, SWITCH_RETRIES, account, endpoint);
    if (!off && class == CLASS_OPTIONAL)
        off = directory_switch_off(directory, SWITCH_OPTIONAL, account, endpoint);
    return off;
}
