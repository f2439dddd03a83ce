/* SPDX-License-Identifier: Apache-2.0 */
/* The draws have a stream of their own, so that seeds without replays do not depend on them. */
#include "replays.h"

#include "fake_accounts.h"
#include "model.h"
#include "model_replays.h"
#include "sim.h"
#include "trace.h"
#include "world.h"

#include <stdio.h>

#define STREAM STREAM_REPLAYS
#define SEEDS_PER_MILLE 300
#define STEPS_PER_MILLE 15
#define STEPS_ALWAYS_PER_MILLE 40
#define ORDERS_MAX 40 /* of a seed */
#define OPEN_MAX 6    /* less than REPLAYS_OPEN_MAX: none is refused */

static unsigned per_mille, orders;
static struct event_id_generator ids;

void replays_begin(bool always)
{
    bool has_some = sim_chance(STREAM, SEEDS_PER_MILLE);
    per_mille = always ? STEPS_ALWAYS_PER_MILLE : has_some ? STEPS_PER_MILLE : 0;
    orders = 0;
    ids = (struct event_id_generator){0};
}

static void draw_filter(struct delivery_filter *filter)
{
    unsigned endpoint = sim_below(STREAM, FAKE_ENDPOINTS);
    bool has_endpoint = sim_chance(STREAM, 300);
    if (sim_chance(STREAM, 400) || (has_endpoint && sim_chance(STREAM, 500)))
        snprintf(filter->account, sizeof filter->account, "%s",
            fake_account_names[has_endpoint && sim_chance(STREAM, 900)
                                   ? fake_endpoints[endpoint].account
                                   : sim_below(STREAM, FAKE_ACCOUNTS)]);
    if (has_endpoint) {
        filter->has_endpoint = true;
        filter->endpoint = sim_chance(STREAM, 150) ? 0 : fake_endpoints[endpoint].id;
    }
    if (sim_chance(STREAM, 400))
        filter->states = 1 + sim_below(STREAM, (1u << DELIVERY_STATES) - 1);
    if (sim_chance(STREAM, 150)) {
        filter->states = 1u << DELIVERY_PARKED;
        filter->park_reason = sim_chance(STREAM, 500) ? PARK_AMBIGUOUS : PARK_DISABLED;
    }
    if (sim_chance(STREAM, 100)) {
        filter->has_class = true;
        filter->class = (enum event_class)sim_below(STREAM, EVENT_CLASSES);
    }
    if (sim_chance(STREAM, 200))
        filter->since_us = sim_wall_us() - sim_below(STREAM, 3600) * INT64_C(1000000);
    else if (sim_chance(STREAM, 100))
        filter->until_us = sim_wall_us() - sim_below(STREAM, 1800) * INT64_C(1000000);
}

static void order(void)
{
    static const unsigned rates[] = {1, 10, 1000};
    static const enum replay_action actions[] = {REPLAY_ACTION_RETRY, REPLAY_ACTION_RETRY,
        REPLAY_ACTION_RETRY, REPLAY_ACTION_DISCARD, REPLAY_ACTION_RESOLVE};
    struct replay_order order = {.action = actions[sim_below(STREAM, 5)],
        .force = sim_chance(STREAM, 300),
        .guarded = sim_chance(STREAM, 400),
        .rate = rates[sim_below(STREAM, 3)],
        .share_ppm = REPLAY_SHARE_ALL,
        .total = -1,
        .reason = "the model (a replay)"};
    unsigned char random[8];
    for (unsigned i = 0; i < sizeof random; i++)
        random[i] = (unsigned char)sim_random(STREAM);
    event_id_make(&ids, sim_wall_us(), 0, random, &order.id);
    draw_filter(&order.filter);
    /* The admin API demands it of orders that select delivered ones. */
    if (order.force && !order.filter.has_endpoint && !*order.filter.account)
        snprintf(order.filter.account, sizeof order.filter.account, "%s",
            fake_account_names[sim_below(STREAM, FAKE_ACCOUNTS)]);
    orders++;
    world_create_replay(&order, model_replay_ordered(&order));
}

static void change(struct model_replay *replay)
{
    static const enum replay_state states[] = {
        REPLAY_PAUSED, REPLAY_PAUSED, REPLAY_RUNNING, REPLAY_RUNNING, REPLAY_CANCELLED};
    struct journal_replay_change wanted = {.has_state = sim_chance(STREAM, 750)};
    wanted.has_rate = !wanted.has_state || sim_chance(STREAM, 200);
    wanted.state = states[sim_below(STREAM, 5)];
    wanted.rate = 1 + sim_below(STREAM, 300);
    trace("a replay is changed: state %s, rate %u",
        wanted.has_state ? replay_state_name(wanted.state) : "-",
        wanted.has_rate ? wanted.rate : 0);
    world_change_replay(replay, &wanted);
}

void replays_step(void)
{
    if (per_mille == 0 || world_state() != WORLD_UP || !sim_chance(STREAM, per_mille))
        return;
    struct model_replay *replay = model_any_open_replay(sim_random(STREAM));
    if (replay && sim_chance(STREAM, 500))
        change(replay);
    else if (orders < ORDERS_MAX && model_replays_open() + model_replay_orders() < OPEN_MAX)
        order();
}

void replays_resume_all(void)
{
    struct model_replay *replay;
    while ((replay = model_paused_replay())) {
        const struct journal_replay_change wanted = {.has_state = true, .state = REPLAY_RUNNING};
        world_change_replay(replay, &wanted);
    }
}
