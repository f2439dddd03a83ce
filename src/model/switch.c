/* SPDX-License-Identifier: Apache-2.0 */
#include "model/switch.h"

static const char *const names[SWITCHES] = {[SWITCH_DELIVERIES] = "deliveries",
    [SWITCH_RETRIES] = "retries",
    [SWITCH_INGRESS] = "ingress",
    [SWITCH_OPTIONAL] = "optional"};

const char *switch_name(enum switch_kind kind)
{
    return (unsigned)kind < SWITCHES ? names[kind] : "unknown";
}

bool switch_find(struct slice name, enum switch_kind *ret_kind)
{
    for (unsigned kind = 0; kind < SWITCHES; kind++) {
        if (slice_equals_string(name, names[kind])) {
            *ret_kind = (enum switch_kind)kind;
            return true;
        }
    }
    return false;
}

bool switch_has_endpoints(enum switch_kind kind)
{
    return kind != SWITCH_INGRESS;
}

bool switch_reason_is_valid(struct slice text)
{
    bool is_blank = true;
    if (text.len > ACTION_NOTE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        unsigned char next = i + 1 < text.len ? (unsigned char)text.data[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0)) /* C0, C1 */
            return false;
        is_blank &= c == ' ';
    }
    return !is_blank;
}
