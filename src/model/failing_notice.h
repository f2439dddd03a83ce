/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When it is reported to operators that an endpoint fails: at 50, 90 and 100 % of the threshold of
 * its breaker, each once, and once when it works again.
 *
 *   well --50 %--> told 50 --90 %--> told 90 --100 %--> told 100     a level may be passed over
 *     ^               |                 |                  |
 *     '---------------+-----------------+------------------'         a success, and below 25 %, at
 *                                                                    once or when the window of
 *                                                                    the breaker has passed
 *
 * Some endpoints fail and recover all the time. So two runs begin at least FAILING_NOTICE_GAP_US
 * apart. A run that begins earlier is reported when the time has passed, if the endpoint still
 * fails then. A run that was not told has no recovery either.
 *
 * No clock, no allocation. Times are monotonic. The caller asks after each result.
 */
#ifndef PENSTOCK_MODEL_FAILING_NOTICE_H
#define PENSTOCK_MODEL_FAILING_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#define FAILING_NOTICE_GAP_US INT64_C(60000000)
#define FAILING_NOTICE_WELL_PERCENT 25

struct failing_notice {
    unsigned told;    /* percent: 0, 50, 90, 100 */
    bool was_told;    /* ever: began_us holds */
    int64_t began_us; /* when the first level of the last run was reported */
};

/* The endpoint has failed, and its breaker is at `percent`. Returns the level to be reported now,
 * or 0. */
unsigned failing_notice_on_failure(struct failing_notice *notice, unsigned percent, int64_t now_us);

/* The endpoint has succeeded. Returns whether its recovery is to be reported now. */
bool failing_notice_on_success(struct failing_notice *notice, unsigned percent);

/* An operator has changed the endpoint, and its breaker was closed: if it opens again, that is
 * reported again. */
void failing_notice_on_reset(struct failing_notice *notice);

#endif
