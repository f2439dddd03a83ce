/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/commit_pace.h"

int64_t commit_pace_rest_us(struct commit_pace *pace, int64_t now_us)
{
    int64_t rest_us = pace->began_us + COMMIT_PACE_US - now_us;
    if (pace->off > 0 || pace->is_large || rest_us <= 0 || rest_us > COMMIT_PACE_US)
        return 0;
    pace->has_rested = true;
    return rest_us;
}

void commit_pace_begin(struct commit_pace *pace, unsigned requests, unsigned urgent, int64_t now_us)
{
    if (pace->off > 0)
        pace->off--;
    if (pace->has_rested)
        pace->vain = urgent > 1 ? 0 : pace->vain + 1;
    if (pace->vain >= COMMIT_PACE_VAIN) {
        pace->vain = 0;
        pace->off = COMMIT_PACE_OFF;
    }
    pace->has_rested = false;
    pace->is_large = requests >= COMMIT_PACE_LARGE;
    pace->began_us = now_us;
}
