/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the attempts to one endpoint ended lately, by cause: what `penstock status` names as the
 * reason why an endpoint fails.
 *
 * Two intervals of five minutes are counted, the present one and the one before. So an answer is
 * about the last five to ten minutes. An interval in which nothing ended is empty.
 *
 * Bounds: RECENT_CAUSES different causes. When another one comes, it takes the place of the one
 * that was counted least. No clock and no allocation; times are monotonic.
 */
#ifndef PENSTOCK_MODEL_RECENT_CAUSES_H
#define PENSTOCK_MODEL_RECENT_CAUSES_H

#include "base/clock.h"
#include "model/attempt_cause.h"

#define RECENT_CAUSES 6
#define RECENT_CAUSES_US (300 * US_PER_SECOND)

struct cause_count {
    enum attempt_cause cause;
    unsigned present, before;
};

/* All zeros: nothing has ended yet. */
struct recent_causes {
    int64_t interval; /* the number of the present one */
    struct cause_count of[RECENT_CAUSES];
};

/* An attempt ended so. CAUSE_NONE: it delivered, which is counted as well. */
void recent_causes_add(struct recent_causes *recent, enum attempt_cause cause, int64_t now_us);
/* Copies the counts as they are now, the most frequent first. Those with no count are at the end.
 */
void recent_causes_read(
    struct recent_causes *recent, int64_t now_us, struct cause_count ret_of[RECENT_CAUSES]);

#endif
