/* SPDX-License-Identifier: Apache-2.0 */
#include "model/status_set.h"

void status_set_add(struct status_set *set, int first, int last)
{
    for (int status = first; status <= last; status++) {
        unsigned at = (unsigned)(status - STATUS_MIN);
        set->bits[at / 64] |= UINT64_C(1) << at % 64;
    }
}

void status_set_remove(struct status_set *set, int status)
{
    unsigned at = (unsigned)(status - STATUS_MIN);
    if (status_set_has(set, status))
        set->bits[at / 64] &= ~(UINT64_C(1) << at % 64);
}

static bool parse_status(struct slice text, int *ret_status)
{
    int status = 0;
    if (text.len != 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        status = status * 10 + (text.data[i] - '0');
    }
    *ret_status = status;
    return status >= STATUS_MIN && status <= STATUS_MAX;
}

bool status_range_parse(struct slice text, int *ret_first, int *ret_last)
{
    int first, last;
    if (text.len == 3) {
        if (!parse_status(text, &first))
            return false;
        last = first;
    } else if (text.len != 7 || text.data[3] != '-' ||
               !parse_status(slice_of(text.data, 3), &first) ||
               !parse_status(slice_of(text.data + 4, 3), &last) || first > last) {
        return false;
    }
    *ret_first = first;
    *ret_last = last;
    return true;
}

bool status_is_temporary(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}
