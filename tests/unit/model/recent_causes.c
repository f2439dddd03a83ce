/* SPDX-License-Identifier: Apache-2.0 */
#include "model/recent_causes.h"

#include <criterion/criterion.h>

static unsigned count_of(struct recent_causes *recent, enum attempt_cause cause, int64_t now_us)
{
    struct cause_count of[RECENT_CAUSES];
    recent_causes_read(recent, now_us, of);
    for (unsigned i = 0; i < RECENT_CAUSES; i++)
        if (of[i].cause == cause && of[i].present + of[i].before > 0)
            return of[i].present + of[i].before;
    return 0;
}

Test(recent_causes, the_most_frequent_is_first)
{
    struct recent_causes recent = {0};
    struct cause_count of[RECENT_CAUSES];
    int64_t now_us = 7 * RECENT_CAUSES_US;
    recent_causes_add(&recent, CAUSE_BUSY, now_us);
    for (int i = 0; i < 3; i++)
        recent_causes_add(&recent, CAUSE_CONNECT_REFUSED, now_us);
    for (int i = 0; i < 2; i++)
        recent_causes_add(&recent, CAUSE_NONE, now_us);
    recent_causes_read(&recent, now_us, of);
    cr_expect(of[0].cause == CAUSE_CONNECT_REFUSED && of[0].present == 3);
    cr_expect(of[1].cause == CAUSE_NONE && of[1].present == 2);
    cr_expect(of[2].cause == CAUSE_BUSY && of[2].present == 1);
    cr_expect(of[3].present + of[3].before == 0);
}

Test(recent_causes, are_forgotten_after_two_intervals)
{
    struct recent_causes recent = {0};
    int64_t now_us = 7 * RECENT_CAUSES_US;
    recent_causes_add(&recent, CAUSE_BUSY, now_us);
    cr_expect(count_of(&recent, CAUSE_BUSY, now_us + RECENT_CAUSES_US) == 1);
    recent_causes_add(&recent, CAUSE_BUSY, now_us + RECENT_CAUSES_US);
    cr_expect(count_of(&recent, CAUSE_BUSY, now_us + RECENT_CAUSES_US) == 2);
    cr_expect(count_of(&recent, CAUSE_BUSY, now_us + 2 * RECENT_CAUSES_US) == 1);
    cr_expect(count_of(&recent, CAUSE_BUSY, now_us + 3 * RECENT_CAUSES_US) == 0);
}

Test(recent_causes, a_rest_of_several_intervals_forgets_all)
{
    struct recent_causes recent = {0};
    recent_causes_add(&recent, CAUSE_BUSY, 7 * RECENT_CAUSES_US);
    cr_expect(count_of(&recent, CAUSE_BUSY, 9 * RECENT_CAUSES_US) == 0);
}

Test(recent_causes, another_one_takes_the_place_of_the_rarest)
{
    struct recent_causes recent = {0};
    int64_t now_us = RECENT_CAUSES_US;
    for (unsigned i = 0; i < RECENT_CAUSES; i++)
        for (unsigned k = 0; k <= i; k++)
            recent_causes_add(&recent, (enum attempt_cause)(CAUSE_URL + i), now_us);
    recent_causes_add(&recent, CAUSE_OTHER, now_us);
    cr_expect(count_of(&recent, CAUSE_OTHER, now_us) == 1);
    cr_expect(count_of(&recent, CAUSE_URL, now_us) == 0);
    cr_expect(count_of(&recent, (enum attempt_cause)(CAUSE_URL + 1), now_us) == 2);
}
