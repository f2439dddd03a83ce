/* SPDX-License-Identifier: Apache-2.0 */
#include "outage.h"

#include "base/clock.h"
#include "clients.h"
#include "driver_internal.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_client.h"
#include "fake_switches.h"
#include "model_flow.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#define STREAM STREAM_CLIENTS
#define AGAIN_PER_MILLE 200
#define CHECKS_APART_US (500 * US_PER_MS)
#define BURST_POSTS 3
#define POSTS_MAX 30        /* of one outage, each of a few events */
#define BROKER_STEPS_MAX 12 /* between two moments */
#define MOMENT_US_MAX (2 * US_PER_SECOND)

static unsigned posts;
static bool is_narrow; /* the shard has too few slots for all that hang */

static void draw_policy(void)
{
    struct delivery_policy policy = *world_policy();
    fake_switches_all_on(world_accounts());
    policy.rules.in_flight_max = 1 + sim_below(STREAM, 8);
    policy.in_flight_per_shard = is_narrow ? 2 + sim_below(STREAM, 6) : 12 + sim_below(STREAM, 24);
    policy.active_per_endpoint = 1 + sim_below(STREAM, 24);
    world_set_policy(&policy);
}

/* Lets clients fail, those that are chosen and, at most, this share. */
static void draw_moods(unsigned failing_per_mille)
{
    bool all_hang = sim_chance(STREAM, 300);
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        bool fails = sim_chance(STREAM, failing_per_mille);
        enum client_mood mood =
            (enum client_mood)(CLIENT_FAILS + sim_below(STREAM, CLIENT_MOODS - CLIENT_FAILS));
        clients_set(i, !fails ? CLIENT_WELL : all_hang ? CLIENT_HANGS : mood);
    }
}

static void disturb(void)
{
    if (fake_broker_has_ghost() && sim_chance(STREAM, 300))
        fake_broker_notice_ghost();
    if (!disk_is_mended() && sim_chance(STREAM, 200)) {
        disk_mend();
        disk_die_after(0);
    }
    if (world_state() == WORLD_UP && world_must_stop())
        world_stop(0);
    else if (world_state() == WORLD_DOWN && sim_chance(STREAM, 300))
        driver_bring_up();
    else if (sim_chance(STREAM, 60))
        actions_disturb();
}

static void pass(int64_t until_us)
{
    int64_t now_us = sim_mono_us(), next_us = driver_next_us();
    /* With a broker, the consumer has a short timer: take larger steps. */
    int64_t least_us = now_us + (fake_broker_partitions() > 0 ? US_PER_MS * 100 : 1);
    if (next_us < least_us)
        next_us = least_us;
    if (next_us > now_us + MOMENT_US_MAX)
        next_us = now_us + MOMENT_US_MAX;
    if (next_us > until_us && until_us > now_us)
        next_us = until_us;
    sim_pass(next_us - now_us);
}

static void live(int64_t for_us, unsigned posts_per_mille, bool disturbs)
{
    int64_t until_us = sim_mono_us() + for_us, check_us = 0;
    while (sim_mono_us() < until_us) {
        driver_run_dry();
        for (unsigned j = 0; j < BROKER_STEPS_MAX && driver_broker_moves(); j++)
            driver_run_dry();
        if (sim_mono_us() >= check_us) {
            model_flow_check();
            check_us = sim_mono_us() + CHECKS_APART_US;
        }
        if (disturbs)
            disturb();
        if (posts < POSTS_MAX && sim_chance(STREAM, posts_per_mille) && partner_can_post()) {
            partner_post();
            posts++;
        }
        driver_run_dry();
        pass(until_us);
        fake_client_work();
    }
    driver_run_dry();
    model_flow_check();
}

static int64_t draw_us(void)
{
    static const int64_t longest_us[] = {5 * US_PER_SECOND, 20 * US_PER_SECOND, 60 * US_PER_SECOND,
        200 * US_PER_SECOND, 1200 * US_PER_SECOND};
    int64_t us = longest_us[sim_below(STREAM, 5)];
    return US_PER_SECOND + (int64_t)(sim_random(STREAM) % (uint64_t)us);
}

static void calm_down(void)
{
    driver_bring_up();
    actions_mend();
    draw_policy();
    driver_run_dry();
    model_flow_calm(true);
}

/* An operator changes something: it no longer counts how these endpoints have failed. */
static void touch_endpoints(void)
{
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
        if (sim_chance(STREAM, 500))
            fake_accounts_change(world_accounts(), &fake_endpoints[i], FAKE_ENABLE);
    driver_run_dry();
}

static void post_burst(void)
{
    for (unsigned i = 0; i < BURST_POSTS && partner_can_post(); i++)
        partner_post();
    driver_run_dry();
}

/* The disk is full for a moment: outcomes are committed late. */
static void refuse_outcomes(void)
{
    model_flow_calm(false);
    disk_refuse_growth(1);
    live(US_PER_SECOND, 0, false);
    disk_mend();
    live(2 * US_PER_SECOND, 0, false);
    model_flow_calm(true);
}

/* Clients are well again, while some of their failures are still on their way. */
static void let_clients_return(void)
{
    trace("--- return");
    bool in_traffic = sim_chance(STREAM, 500);
    if (in_traffic) {
        post_burst();
        sim_pass(sim_below(STREAM, 40 * US_PER_MS));
        fake_client_work();
        driver_run_dry();
    }
    draw_moods(sim_chance(STREAM, 300) ? 200 : 0);
    if (sim_chance(STREAM, 300))
        clients_set(sim_below(STREAM, FAKE_ENDPOINTS), CLIENT_FLAKY);
    if (sim_chance(STREAM, 400))
        touch_endpoints();
    if (in_traffic) {
        post_burst();
        if (sim_chance(STREAM, 400))
            refuse_outcomes();
    }
    model_flow_clients_are_back();
}

static void run_outage(void)
{
    trace("--- outage");
    tally(TALLY_OUTAGES);
    posts = 0;
    bool disturbs = sim_chance(STREAM, 500);
    is_narrow = sim_chance(STREAM, 300);
    model_flow_narrow(is_narrow);
    partner_prefer_guarded(sim_chance(STREAM, 300));
    driver_bring_up();
    draw_policy();
    draw_moods(600);
    if (!disturbs)
        calm_down();
    int64_t for_us = draw_us();
    live(for_us < 20 * US_PER_SECOND ? for_us : 20 * US_PER_SECOND, 300, disturbs);
    if (for_us > 20 * US_PER_SECOND)
        live(for_us - 20 * US_PER_SECOND, 20, disturbs);
    calm_down();
    if (sim_chance(STREAM, 700))
        live(30 * US_PER_SECOND, 100, false);
    let_clients_return();
    live(100 * US_PER_SECOND, 30, false);
    model_flow_calm(false);
}

void outage_run(void)
{
    model_flow_time_is_exact(true);
    fake_client_forget_plans();
    deployment_answer_all_well();
    run_outage();
    if (sim_chance(STREAM, AGAIN_PER_MILLE))
        run_outage();
    clients_set_all(CLIENT_MOODY);
    partner_prefer_guarded(false);
    model_flow_narrow(false);
    model_flow_time_is_exact(false);
}
