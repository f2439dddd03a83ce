/* SPDX-License-Identifier: Apache-2.0 */
#include "driver_internal.h"

#include "base/clock.h"
#include "clients.h"
#include "doubt.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_client.h"
#include "fake_disk_reserve.h"
#include "model_flow.h"
#include "model_replays.h"
#include "outage.h"
#include "publication.h"
#include "replays.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

#define RESUME_WEIGHT 1500 /* of all the gateway's coroutines together; see the actions' weights */
#define TURN_US_MAX 200    /* how long one turn of a coroutine takes */
#define TURNS_WITHOUT_REST_MAX 20000 /* without new input: more turns than this count as a spin */
#define WAITS_MAX 20000
#define OUTAGES_PER_MILLE 100 /* of the seeds */
#define DOUBTS_PER_MILLE 80
#define STEPS 5                             /* of the longest schedule */
#define STEPS_WITH_BROKER 3                 /* factor: with a broker an event needs more steps */
#define STUCK_US (2 * 3600 * US_PER_SECOND) /* longer than the longest step of a schedule */

static unsigned weights[ACTIONS_MAX];
static bool has_outage;

static bool history_expires;

static void draw_world(bool with_broker)
{
    static const int64_t longest_asked_us[] = {0, 10 * US_PER_SECOND, 7200 * US_PER_SECOND};
    static const int64_t steps_us[STEPS] = {US_PER_SECOND, 5 * US_PER_SECOND, 30 * US_PER_SECOND,
        300 * US_PER_SECOND, 3600 * US_PER_SECOND};
    struct delivery_policy policy = {
        .rules.connect_timeout_us = 5 * US_PER_SECOND,
        .rules.answer_timeout_us = 30 * US_PER_SECOND,
        .rules.guarded_answer_timeout_us = 90 * US_PER_SECOND,
        .rules.in_flight_max = 1 + sim_below(STREAM_DRIVER, 4),
        .in_flight_per_shard = 2 + sim_below(STREAM_DRIVER, 8),
        .active_per_endpoint = 1 + sim_below(STREAM_DRIVER, 8),
        .rules.schedule.steps = 1 + sim_below(STREAM_DRIVER, STEPS),
        .rules.retry_after_us_max = longest_asked_us[sim_below(STREAM_DRIVER, 3)],
    };
    /* During an outage only long waits show whether a recovery ends them. */
    unsigned first_step = has_outage ? sim_below(STREAM_CLIENTS, STEPS) : 0;
    if (policy.rules.schedule.steps > STEPS - first_step)
        policy.rules.schedule.steps = STEPS - first_step;
    for (unsigned i = 0; i < policy.rules.schedule.steps; i++)
        policy.rules.schedule.steps_us[i] = steps_us[first_step + i];
    /* How long bodies and history are kept, in minutes. */
    static const int64_t kept_m[][2] = {{0, 0}, {30, 60}, {1440, 2880}, {30, 0}, {0, 120}};
    const int64_t *kept = kept_m[sim_below(STREAM_DRIVER, 5)];
    struct world_options options = {
        .policy = policy,
        .budget_bytes = sim_chance(STREAM_DRIVER, 500) ? 64 << 20 : 1 << 20,
        .reserve_bytes = sim_chance(STREAM_DRIVER, 500) ? FAKE_RESERVE_BYTES : 0,
        .bodies_us = kept[0] * 60 * US_PER_SECOND,
        .history_us = kept[1] * 60 * US_PER_SECOND,
    };
    if (has_outage) /* what hangs holds memory */
        options.budget_bytes = 64 << 20;
    if (with_broker) {
        options.partitions = 1 + sim_below(STREAM_DRIVER, FAKE_PARTITIONS_MAX);
        options.prefetch = 1 + sim_below(STREAM_DRIVER, 8);
        options.prefetch_bytes = sim_chance(STREAM_DRIVER, 700) ? 1 << 20 : 1000;
        options.taps = sim_chance(STREAM_DRIVER, 500);
    }
    history_expires = options.history_us != 0;
    clients_begin();
    model_flow_begin();
    fake_broker_init(options.partitions);
    fake_accounts_init();
    model_init(&(struct model_rules){.retry_steps = policy.rules.schedule.steps,
        .steps_us = steps_us + first_step,
        .retry_after_us_max = policy.rules.retry_after_us_max,
        .bodies_us = options.bodies_us,
        .history_us = options.history_us});
    world_init(&options);
    trace("steps %u, active %u, in flight %u and %u, budget %lld, reserve %lld, kept %lld and %lld "
          "minutes",
        policy.rules.schedule.steps, policy.active_per_endpoint, policy.rules.in_flight_max,
        policy.in_flight_per_shard, (long long)options.budget_bytes,
        (long long)options.reserve_bytes, (long long)kept[0], (long long)kept[1]);
}

static void draw_weights(void)
{
    static const unsigned factors[] = {0, 0, 1, 1, 1, 3};
    assert(actions_count <= ACTIONS_MAX);
    for (unsigned i = 0; i < actions_count; i++)
        weights[i] =
            actions[i].weight * (actions[i].always ? 1 : factors[sim_below(STREAM_DRIVER, 6)]);
}

/* At the end of a seed: does one step of the broker's side. Returns false when none is left. */
bool driver_broker_moves(void)
{
    if (publications_count() > 0) {
        publication_step();
        return true;
    }
    if (!fake_broker_has_work())
        return false;
    fake_broker_work();
    return true;
}

void driver_resume(struct sim_coroutine *const coroutines[], unsigned count)
{
    sim_resume(coroutines[sim_below(STREAM_SCHEDULE, count)]);
    sim_pass(1 + sim_below(STREAM_SCHEDULE, TURN_US_MAX));
}

int64_t driver_next_us(void)
{
    int64_t gateway_us = sim_next_wake_us(), client_us = fake_client_next_us();
    return gateway_us < client_us ? gateway_us : client_us;
}

static void bury(void)
{
    if (sim_is_crashed())
        world_crash(sim_chance(STREAM_DRIVER, 500) ? DISK_KILL : DISK_POWER_LOSS);
}

static void all_is_received(void)
{
    model_flow_all_is_received();
    fake_accounts_all_is_received();
}

static void step(void)
{
    struct sim_coroutine *runnable[SIM_COROUTINES_MAX];
    unsigned runnable_count = sim_runnable(runnable),
             total = runnable_count > 0 ? RESUME_WEIGHT : 0;
    bool possible[ACTIONS_MAX];
    for (unsigned i = 0; i < actions_count; i++) {
        possible[i] = weights[i] > 0 && actions[i].is_possible();
        total += possible[i] ? weights[i] : 0;
    }
    unsigned drawn = sim_below(STREAM_DRIVER, total);
    if (runnable_count > 0 && drawn < RESUME_WEIGHT) {
        driver_resume(runnable, runnable_count);
    } else {
        drawn -= runnable_count > 0 ? RESUME_WEIGHT : 0;
        unsigned chosen = 0;
        for (; !possible[chosen] || drawn >= weights[chosen]; chosen++)
            drawn -= possible[chosen] ? weights[chosen] : 0;
        actions[chosen].run();
    }
    replays_step();
    bury();
    fake_client_work();
    world_check();
    if (runnable_count == 0 && sim_runnable(runnable) == 0)
        all_is_received();
    tally(TALLY_STEPS);
}

/* The end of a seed: all faults are removed, and everything must arrive. */

/* Runs coroutines until all of them wait for time to pass or for the driver. */
void driver_run_dry(void)
{
    struct sim_coroutine *runnable[SIM_COROUTINES_MAX];
    unsigned count, turns = 0;
    while ((count = sim_runnable(runnable)) > 0) {
        fail_unless(turns++ < TURNS_WITHOUT_REST_MAX, BROKEN_SPIN,
            "\"%s\" and %u other coroutines run without end", sim_name(runnable[0]), count - 1);
        driver_resume(runnable, count);
        bury();
        world_check();
    }
    all_is_received();
}

static void wait_for_stop(void)
{
    driver_run_dry();
    for (unsigned i = 0; world_state() == WORLD_STOPPING; i++) {
        fail_unless(i < WAITS_MAX, BROKEN_LIVENESS, "the gateway does not stop");
        driver_run_dry();
        if (world_state() == WORLD_STOPPING && sim_next_wake_us() != INT64_MAX)
            sim_pass(sim_next_wake_us() - sim_mono_us());
    }
}

void driver_bring_up(void)
{
    disk_mend();
    disk_die_after(0);
    driver_run_dry();
    if (world_state() == WORLD_UP && world_must_stop())
        world_stop(0);
    wait_for_stop();
    if (world_state() == WORLD_DOWN) {
        partner_meet_new_gateway();
        world_start();
        driver_run_dry();
    }
    fail_unless(world_state() == WORLD_UP, BROKEN_LIVENESS, "the gateway does not start");
}

static void wait_for_all(void)
{
    char unfinished[400];
    unsigned count, count_before = UINT_MAX;
    int64_t progress_us = sim_mono_us();
    for (unsigned waits = 0;; waits++) {
        fail_unless(waits < WAITS_MAX, BROKEN_SPIN, "the coroutines wake up too often");
        driver_run_dry();
        if (fake_client_waiting() > 0) {
            deployment_answer_all_well();
            continue;
        }
        if (driver_broker_moves()) {
            world_check();
            continue;
        }
        replays_resume_all();
        unsigned of_broker =
            fake_broker_messages() + model_broker_owned() + fake_broker_unconsumed();
        count = model_unfinished(unfinished, sizeof unfinished) + model_in_flight() +
                model_replays_open() + of_broker;
        if (count == 0)
            return;
        if (count != count_before)
            progress_us = sim_mono_us();
        count_before = count;
        int64_t wake_us = sim_next_wake_us();
        /* There was no progress for longer than any delivery has to wait. */
        fail_unless(wake_us != INT64_MAX && wake_us <= progress_us + STUCK_US, BROKEN_LIVENESS,
            "%u deliveries never end:%s (unanswered posts and actions: %u, messages in the broker: "
            "%u, broker-owned events: %u, partitions without a consumer: %u)",
            count, unfinished, model_in_flight(), fake_broker_messages(), model_broker_owned(),
            fake_broker_unconsumed());
        if (wake_us > sim_mono_us())
            sim_pass(wake_us - sim_mono_us());
        if (fake_broker_partitions() > 0) /* the consumer has a short timer: take larger steps */
            sim_pass((sim_mono_us() - progress_us) / 4);
    }
}

static void drain(void)
{
    trace("--- draining");
    clients_set_all(CLIENT_MOODY);
    fake_client_forget_plans();
    driver_bring_up();
    actions_mend();
    wait_for_all();
    fail_unless(world_deciding() == 0, BROKEN_CREDIT,
        "%u deliveries are kept out of memory, but nothing is decided about them",
        world_deciding());
    model_check_promises();
    world_stop(US_PER_SECOND);
    wait_for_stop();
    fail_unless(world_state() == WORLD_DOWN, BROKEN_LIVENESS, "the gateway does not stop");
}

void driver_run(
    uint64_t seed, unsigned steps, bool with_broker, bool outage, bool doubt, bool has_replays)
{
    sim_init(seed);
    has_outage = sim_chance(STREAM_CLIENTS, OUTAGES_PER_MILLE) || outage;
    draw_world(with_broker);
    draw_weights();
    actions_begin();
    partner_begin(history_expires);
    deployment_begin();
    replays_begin(has_replays);
    world_start();
    if (with_broker)
        steps *= STEPS_WITH_BROKER;
    for (unsigned i = 0; i < steps; i++)
        step();
    if (has_outage)
        outage_run();
    if (sim_chance(STREAM_RULES, DOUBTS_PER_MILLE) || doubt)
        doubt_run();
    drain();
}
