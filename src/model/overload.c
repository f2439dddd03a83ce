/* SPDX-License-Identifier: Apache-2.0 */
#include "model/overload.h"

#include "base/clock.h"

#define TURN_PART 0.2 /* of a new value in the average: about 1 s of ticks */
#define ANSWER_PART (1.0 / 64)
#define QUIET_US (US_PER_SECOND / 10) /* without an answer, before the average decreases */
#define QUIET_FACTOR 0.933            /* for each tick: a half in a second */
#define NEVER INT64_MAX

static const int64_t thresholds[OVERLOAD_SIGNS][OVERLOAD_CRITICAL + 1] = {
    [OVERLOAD_MEMORY] = {0, 80, 90, 100}, /* percent; as ingress/accept.c takes it */
    [OVERLOAD_TURNS] = {0, 500 * US_PER_MS, 1500 * US_PER_MS, NEVER},
    [OVERLOAD_ANSWERS] = {0, 1000 * US_PER_MS, 2000 * US_PER_MS, NEVER},
};

const char *overload_sign_name(enum overload_sign sign)
{
    static const char *const names[] = {
        [OVERLOAD_MEMORY] = "memory", [OVERLOAD_TURNS] = "turns", [OVERLOAD_ANSWERS] = "answers"};
    return names[sign];
}

void overload_note_answer(struct overload *overload, int64_t took_us, int64_t now_us)
{
    overload->answer_us += ((double)took_us - overload->answer_us) * ANSWER_PART;
    overload->answered_us = now_us;
}

static void set_level(
    struct overload *overload, enum overload_sign sign, int64_t value, int64_t now_us)
{
    enum overload_level level = OVERLOAD_NONE;
    while (level < OVERLOAD_CRITICAL && value >= thresholds[sign][level + 1])
        level++;
    if (level >= overload->levels[sign]) {
        overload->levels[sign] = level;
        overload->above_us[sign] = now_us;
    } else if (now_us - overload->above_us[sign] >= US_PER_SECOND) {
        overload->levels[sign]--;
        overload->above_us[sign] = now_us;
    }
}

void overload_tick(
    struct overload *overload, int64_t late_us, unsigned memory_percent, int64_t now_us)
{
    double late = late_us > 0 ? (double)late_us : 0;
    overload->turn_us += (late - overload->turn_us) * TURN_PART;
    if (now_us - overload->answered_us >= QUIET_US)
        overload->answer_us *= QUIET_FACTOR;
    set_level(overload, OVERLOAD_MEMORY, memory_percent, now_us);
    set_level(overload, OVERLOAD_TURNS, (int64_t)overload->turn_us, now_us);
    set_level(overload, OVERLOAD_ANSWERS, (int64_t)overload->answer_us, now_us);
}

bool overload_refuses(
    const struct overload *overload, enum event_class class, enum overload_sign *ret_sign)
{
    enum overload_level needed = overload_level_of(class);
    for (unsigned sign = OVERLOAD_TURNS; sign < OVERLOAD_SIGNS; sign++)
        if (overload->levels[sign] >= needed) {
            *ret_sign = (enum overload_sign)sign;
            return true;
        }
    return false;
}
