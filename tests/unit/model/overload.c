/* SPDX-License-Identifier: Apache-2.0 */
#include "model/overload.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <criterion/criterion.h>

#define S US_PER_SECOND
#define TICK (S / 10)

static int64_t now_us;

static void tick_for(
    struct overload *overload, int64_t duration_us, int64_t late_us, unsigned memory_percent)
{
    for (int64_t end_us = now_us + duration_us; now_us < end_us; now_us += TICK)
        overload_tick(overload, late_us, memory_percent, now_us);
}

static bool refuses(const struct overload *overload, enum event_class class)
{
    enum overload_sign sign;
    return overload_refuses(overload, class, &sign);
}

Test(overload, late_loop_refuses_optional_then_important_and_never_critical)
{
    struct overload overload = {0};
    enum overload_sign sign;
    tick_for(&overload, 10 * S, 300 * US_PER_MS, 0);
    cr_expect_not(refuses(&overload, CLASS_OPTIONAL));
    tick_for(&overload, 3 * S, 600 * US_PER_MS, 0);
    cr_assert(overload_refuses(&overload, CLASS_OPTIONAL, &sign));
    cr_expect_eq(sign, OVERLOAD_TURNS);
    cr_expect_not(refuses(&overload, CLASS_IMPORTANT));
    tick_for(&overload, 3 * S, 3 * S, 0);
    cr_expect(refuses(&overload, CLASS_IMPORTANT) && refuses(&overload, CLASS_OPTIONAL));
    cr_expect_not(refuses(&overload, CLASS_CRITICAL));
}

Test(overload, single_late_turn_is_no_overload)
{
    struct overload overload = {0};
    tick_for(&overload, S, 0, 0);
    overload_tick(&overload, 2 * S, 0, now_us);
    cr_expect_not(refuses(&overload, CLASS_OPTIONAL));
}

Test(overload, level_falls_one_step_each_second)
{
    struct overload overload = {0};
    tick_for(&overload, 5 * S, 3 * S, 0);
    cr_assert(refuses(&overload, CLASS_IMPORTANT));
    int64_t began_us = now_us;
    while (refuses(&overload, CLASS_IMPORTANT))
        tick_for(&overload, TICK, 0, 0);
    cr_expect(now_us - began_us >= S && now_us - began_us <= 2 * S);
    cr_expect(refuses(&overload, CLASS_OPTIONAL));
    while (refuses(&overload, CLASS_OPTIONAL))
        tick_for(&overload, TICK, 0, 0);
    cr_expect(now_us - began_us >= 2 * S && now_us - began_us <= 4 * S);
}

Test(overload, slow_answers_refuse_and_without_answers_the_level_ends)
{
    struct overload overload = {0};
    enum overload_sign sign;
    for (unsigned i = 0; i < 300; i++) {
        overload_note_answer(&overload, 1500 * US_PER_MS, now_us);
        tick_for(&overload, TICK, 0, 0);
    }
    cr_assert(overload_refuses(&overload, CLASS_OPTIONAL, &sign));
    cr_expect_eq(sign, OVERLOAD_ANSWERS);
    cr_expect_not(refuses(&overload, CLASS_IMPORTANT));
    tick_for(&overload, 5 * S, 0, 0);
    cr_expect_not(refuses(&overload, CLASS_OPTIONAL));
}

Test(overload, memory_has_a_level_and_refuses_nothing_here)
{
    static const struct {
        unsigned percent;
        enum overload_level level;
    } cases[] = {{0, OVERLOAD_NONE}, {79, OVERLOAD_NONE}, {80, OVERLOAD_OPTIONAL},
        {90, OVERLOAD_IMPORTANT}, {99, OVERLOAD_IMPORTANT}, {100, OVERLOAD_CRITICAL}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct overload overload = {0};
        tick_for(&overload, S, 0, cases[i].percent);
        cr_expect_eq(overload.levels[OVERLOAD_MEMORY], cases[i].level, "%u", cases[i].percent);
        cr_expect_not(refuses(&overload, CLASS_OPTIONAL));
    }
}
