/* SPDX-License-Identifier: Apache-2.0 */
/* Clients' deployments: how a request ends. */
#include "base/clock.h"
#include "driver_internal.h"
#include "fake_client.h"
#include "sim.h"

#include <stddef.h>

/* What it answers, or doesn't; weights for a good mood and a bad one. */
static const struct {
    unsigned good, bad;
    struct attempt_end end;
    unsigned retry_after_s_max;
} ends[] = {
    {800, 100, {200, OK, true}, 0},
    {100, 30, {204, OK, true}, 0},
    {10, 150, {500, OK, true}, 0},
    {5, 50, {503, OK, true}, 100},
    {5, 40, {429, OK, true}, 3600},
    {5, 40, {404, OK, true}, 0},
    {2, 20, {302, OK, true}, 0},
    {2, 15, {410, OK, true}, 0},
    {10, 60, {502, OK, true}, 0},
    {5, 30, {504, OK, true}, 0},
    {10, 100, {0, ERR_CONNECT, false}, 0},
    {5, 40, {0, ERR_CONNECT_TIMEOUT, false}, 0},
    {2, 20, {0, ERR_NAME_LOOKUP, false}, 0},
    {2, 20, {0, ERR_TLS, false}, 0},
    {10, 60, {0, ERR_ANSWER_LOST, true}, 0},
    {10, 60, {0, ERR_ANSWER_TIMEOUT, true}, 0},
    {2, 20, {0, ERR_ANSWER_MALFORMED, true}, 0},
    {2, 20, {0, ERR_SEND, true}, 0},
};
#define ENDS (sizeof ends / sizeof ends[0])

static bool bad_mood;

void deployment_begin(void)
{
    deployment_change_mood();
}

void deployment_change_mood(void)
{
    bad_mood = sim_chance(STREAM_DRIVER, 400);
}

bool deployment_can_answer(void)
{
    return fake_client_waiting() > 0;
}

static unsigned weight_of(unsigned end)
{
    return bad_mood ? ends[end].bad : ends[end].good;
}

void deployment_answer(void)
{
    unsigned total = 0, chosen = 0;
    for (unsigned i = 0; i < ENDS; i++)
        total += weight_of(i);
    unsigned drawn = sim_below(STREAM_DRIVER, total);
    for (; drawn >= weight_of(chosen); chosen++)
        drawn -= weight_of(chosen);
    int64_t retry_after_s = ends[chosen].retry_after_s_max
                                ? sim_below(STREAM_DRIVER, ends[chosen].retry_after_s_max)
                                : 0;
    fake_client_answer(sim_below(STREAM_DRIVER, fake_client_waiting()), &ends[chosen].end,
        retry_after_s * US_PER_SECOND);
}

void deployment_answer_all_well(void)
{
    while (fake_client_waiting() > 0)
        fake_client_answer(0, &ends[0].end, 0);
}
