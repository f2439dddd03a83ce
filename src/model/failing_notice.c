/* SPDX-License-Identifier: Apache-2.0 */
#include "model/failing_notice.h"

static unsigned level_of(unsigned percent)
{
    return percent >= 100 ? 100 : percent >= 90 ? 90 : percent >= 50 ? 50 : 0;
}

unsigned failing_notice_on_failure(struct failing_notice *notice, unsigned percent, int64_t now_us)
{
    unsigned level = level_of(percent);
    if (level <= notice->told)
        return 0;
    if (notice->told == 0) {
        if (notice->was_told && now_us - notice->began_us < FAILING_NOTICE_GAP_US)
            return 0;
        notice->was_told = true;
        notice->began_us = now_us;
    }
    notice->told = level;
    return level;
}

bool failing_notice_on_success(struct failing_notice *notice, unsigned percent)
{
    if (notice->told == 0 || percent >= FAILING_NOTICE_WELL_PERCENT)
        return false;
    notice->told = 0;
    return true;
}

void failing_notice_on_reset(struct failing_notice *notice)
{
    if (notice->told > 90)
        notice->told = 90;
}
