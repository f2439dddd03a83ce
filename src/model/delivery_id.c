/* SPDX-License-Identifier: Apache-2.0 */
#include "model/delivery_id.h"

#include "base/limits.h"

#include <assert.h>
#include <stdio.h>

#define PREFIX_BYTES 4 /* evt_, dlv_ */

void delivery_id_format(
    const struct event_id *event, unsigned index, char ret_text[DELIVERY_ID_TEXT_BYTES])
{
    assert(index < ACCOUNT_ENDPOINTS_MAX);
    event_id_format(event, ret_text);
    memcpy(ret_text, "dlv_", PREFIX_BYTES);
    snprintf(ret_text + EVENT_ID_TEXT_BYTES - 1, 4, "-%u", index % 100);
}

bool delivery_id_parse(struct slice text, struct event_id *ret_event, unsigned *ret_index)
{
    const size_t event_len = EVENT_ID_TEXT_BYTES - 1;
    char copy[EVENT_ID_TEXT_BYTES], canonical[DELIVERY_ID_TEXT_BYTES];
    struct event_id event;
    unsigned index = 0;
    if (text.len < event_len + 2 || text.len >= DELIVERY_ID_TEXT_BYTES)
        return false;
    memcpy(copy, text.data, event_len);
    memcpy(copy, "evt_", PREFIX_BYTES);
    if (!event_id_parse(slice_of(copy, event_len), &event))
        return false;
    for (size_t i = event_len + 1; i < text.len; i++)
        index = index * 10 + (unsigned)(text.data[i] - '0') % 10;
    if (index >= ACCOUNT_ENDPOINTS_MAX)
        return false;
    /* This compares the prefix, the hyphen and the digits as well. */
    delivery_id_format(&event, index, canonical);
    if (!slice_equals_string(text, canonical))
        return false;
    *ret_event = event;
    *ret_index = index;
    return true;
}
