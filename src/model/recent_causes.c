/* SPDX-License-Identifier: Apache-2.0 */
#include "model/recent_causes.h"

#include <stdbool.h>
#include <string.h>

static unsigned sum(const struct cause_count *count)
{
    return count->present + count->before;
}

static void begin_interval(struct recent_causes *recent, int64_t now_us)
{
    int64_t interval = now_us / RECENT_CAUSES_US;
    if (interval == recent->interval)
        return;
    bool is_next = interval == recent->interval + 1;
    recent->interval = interval;
    for (unsigned i = 0; i < RECENT_CAUSES; i++) {
        recent->of[i].before = is_next ? recent->of[i].present : 0;
        recent->of[i].present = 0;
    }
}

void recent_causes_add(struct recent_causes *recent, enum attempt_cause cause, int64_t now_us)
{
    struct cause_count *place = &recent->of[0];
    begin_interval(recent, now_us);
    for (unsigned i = 0; i < RECENT_CAUSES; i++) {
        struct cause_count *it = &recent->of[i];
        if (it->cause == cause && sum(it) > 0) {
            it->present++;
            return;
        }
        if (sum(it) < sum(place))
            place = it;
    }
    *place = (struct cause_count){.cause = cause, .present = 1};
}

void recent_causes_read(
    struct recent_causes *recent, int64_t now_us, struct cause_count ret_of[RECENT_CAUSES])
{
    begin_interval(recent, now_us);
    memcpy(ret_of, recent->of, sizeof recent->of);
    for (unsigned i = 1; i < RECENT_CAUSES; i++) {
        struct cause_count moved = ret_of[i];
        unsigned at = i;
        for (; at > 0 && sum(&ret_of[at - 1]) < sum(&moved); at--)
            ret_of[at] = ret_of[at - 1];
        ret_of[at] = moved;
    }
}
