/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's actions: a table with one row for each, and the functions behind it. */
#include "base/clock.h"
#include "driver_internal.h"
#include "fake_accounts.h"
#include "fake_broker.h"
#include "fake_client.h"
#include "fake_disk_reserve.h"
#include "fake_switches.h"
#include "model_replays.h"
#include "publication.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"
#include "world.h"

#include <string.h>

#define WALL_OFF_US_MAX (10 * US_PER_DAY)

static int64_t wall_off_us;

void actions_begin(void)
{
    wall_off_us = 0;
}

static bool is_up(void)
{
    return world_state() == WORLD_UP;
}

static bool is_down(void)
{
    return world_state() == WORLD_DOWN;
}

static bool is_not_down(void)
{
    return world_state() != WORLD_DOWN;
}

static bool must_stop(void)
{
    return is_up() && world_must_stop();
}

static bool is_always(void)
{
    return true;
}

static bool is_broken(void)
{
    return !disk_is_mended();
}

static bool is_mended(void)
{
    return disk_is_mended() && is_not_down();
}

/* Time. */

static void pass_moment(void)
{
    sim_pass(sim_below(STREAM_DRIVER, 50000));
}

static bool somebody_waits(void)
{
    return driver_next_us() != INT64_MAX && driver_next_us() > sim_mono_us();
}

/* With a broker the consumer's short timer is always due first. So sometimes more time passes, or
 * the others would never be due. */
static void pass_until_due(void)
{
    sim_pass(driver_next_us() - sim_mono_us());
    if (fake_broker_partitions() > 0 && sim_chance(STREAM_DRIVER, 300))
        sim_pass(sim_below(STREAM_DRIVER, 7 * US_PER_SECOND));
}

static void pass_long(void)
{
    sim_pass((1 + sim_below(STREAM_DRIVER, 3600)) * US_PER_SECOND);
}

static void set_clock(void)
{
    static const int64_t jumps_us[] = {
        3600 * US_PER_SECOND, US_PER_DAY, 5 * US_PER_SECOND, US_PER_DAY / 2};
    int64_t jump_us = jumps_us[sim_below(STREAM_DRIVER, 4)];
    if (sim_chance(STREAM_DRIVER, 500))
        jump_us = -jump_us;
    if (wall_off_us + jump_us > WALL_OFF_US_MAX || wall_off_us + jump_us < -WALL_OFF_US_MAX)
        return;
    wall_off_us += jump_us;
    sim_set_wall(jump_us);
    if (jump_us < 0)
        model_replays_clock_went_back();
    tally(TALLY_CLOCK_SET);
    trace("the wall clock is set by %lld s", (long long)(jump_us / US_PER_SECOND));
}

/* Clients' deployments: how a request ends. */

/* The ends, each with its weight while clients work well and while they work badly. */
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
/* Per mille of the answers: a body other than the good one. */
#define OTHER_BODY_GOOD 150
#define OTHER_BODY_BAD 500

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
    unsigned total = 0, chosen = 0, number = sim_below(STREAM_DRIVER, fake_client_waiting());
    for (unsigned i = 0; i < ENDS; i++)
        total += weight_of(i);
    unsigned drawn = sim_below(STREAM_DRIVER, total);
    for (; drawn >= weight_of(chosen); chosen++)
        drawn -= weight_of(chosen);
    int64_t retry_after_s = ends[chosen].retry_after_s_max
                                ? sim_below(STREAM_DRIVER, ends[chosen].retry_after_s_max)
                                : 0;
    const struct client_answer answer = {
        .end = ends[chosen].end,
        .retry_after_us = retry_after_s * US_PER_SECOND,
        .body = sim_chance(STREAM_RULES, bad_mood ? OTHER_BODY_BAD : OTHER_BODY_GOOD)
                    ? (enum fake_body)sim_below(STREAM_RULES, FAKE_BODIES)
                    : BODY_GOOD,
    };
    fake_client_answer(number, &answer);
}

void deployment_answer_all_well(void)
{
    const struct client_answer answer = {.end = ends[0].end};
    while (fake_client_waiting() > 0)
        fake_client_answer(0, &answer);
}

/* Operators. */

static void change_endpoint(void)
{
    struct fake_endpoint *later = &fake_endpoints[FAKE_LATER];
    bool comes = !later->is_there && sim_chance(STREAM_DRIVER, 500);
    struct fake_endpoint *endpoint =
        comes ? later : &fake_endpoints[sim_below(STREAM_DRIVER, FAKE_ENDPOINTS)];
    enum fake_change change;
    if (!endpoint->is_there)
        change = FAKE_BRING_BACK;
    else if (!endpoint->enabled)
        change = FAKE_ENABLE;
    else
        change = sim_chance(STREAM_DRIVER, 700) ? FAKE_DISABLE : FAKE_TAKE_AWAY;
    fake_accounts_change(world_accounts(), endpoint, change);
}

void actions_change_rules(void)
{
    fake_accounts_change(world_accounts(), &fake_endpoints[sim_below(STREAM_RULES, FAKE_ENDPOINTS)],
        FAKE_CHANGE_RULES);
}

static void change_policy(void)
{
    struct delivery_policy policy = *world_policy();
    fake_switches_set_all(world_accounts(), SWITCH_DELIVERIES, sim_chance(STREAM_DRIVER, 300));
    fake_switches_change(world_accounts());
    policy.active_per_endpoint = 1 + sim_below(STREAM_DRIVER, 8);
    policy.rules.in_flight_max = 1 + sim_below(STREAM_DRIVER, 4);
    policy.in_flight_per_shard = 2 + sim_below(STREAM_DRIVER, 8);
    trace("policy: active %u, in flight %u and %u", policy.active_per_endpoint,
        policy.rules.in_flight_max, policy.in_flight_per_shard);
    world_set_policy(&policy);
    tally(TALLY_PAUSES);
}

static bool can_action(void)
{
    return is_up() && model_any_delivery(0) != NULL;
}

/* Returns an open endpoint of the account without a delivery of the event; NULL: none. */
static const struct fake_endpoint *find_other(const struct model_delivery *delivery)
{
    const struct model_post *post = delivery->post;
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        bool has_it = false;
        for (unsigned j = 0; j < post->deliveries_count; j++)
            has_it |= post->deliveries[j].endpoint == fake_endpoints[i].id;
        if (!has_it && fake_endpoints[i].account == post->account &&
            fake_endpoint_is_open(&fake_endpoints[i]))
            return &fake_endpoints[i];
    }
    return NULL;
}

static struct model_delivery *choose_delivery(bool moves)
{
    struct model_delivery *delivery;
    bool fits = false;
    for (unsigned tries = moves ? 60 : 10; tries > 0 && !fits; tries--) {
        delivery = model_any_delivery(sim_random(STREAM_DRIVER));
        fits = delivery_state_may_move_by_operator(delivery->state, DELIVERY_PENDING) &&
               (!moves || (delivery->state != DELIVERY_DELIVERED && find_other(delivery)));
    }
    return delivery;
}

/* Sometimes any endpoint: of another account, removed, or one that has the event already. */
static uint64_t choose_endpoint(const struct model_delivery *delivery, bool moves)
{
    const struct fake_endpoint *other = moves ? find_other(delivery) : NULL;
    if (other)
        return other->id;
    return sim_chance(STREAM_DRIVER, 300)
               ? fake_endpoints[sim_below(STREAM_DRIVER, FAKE_ENDPOINTS)].id
               : 0;
}

/* Mostly with the delivery's state, sometimes with an earlier state or one that it never had. */
static void action_on_delivery(void)
{
    static const enum delivery_state theirs[] = {
        DELIVERY_PARKED, DELIVERY_DEAD, DELIVERY_DELIVERED, DELIVERY_WAITING};
    bool moves = sim_chance(STREAM_DRIVER, 400);
    struct model_delivery *delivery = choose_delivery(moves);
    enum delivery_state from = delivery->state, to;
    if (!delivery_state_may_move_by_operator(from, DELIVERY_PENDING) ||
        sim_chance(STREAM_DRIVER, 100))
        from = theirs[sim_below(STREAM_DRIVER, 4)];
    do
        to = (enum delivery_state)sim_below(STREAM_DRIVER, DELIVERY_STATES);
    while (!delivery_state_may_move_by_operator(from, to) || (moves && to != DELIVERY_PENDING));
    world_action(delivery, from, to, to == DELIVERY_PENDING ? choose_endpoint(delivery, moves) : 0);
}

bool actions_can_decide_doubt(void)
{
    return is_up() && model_in_doubt(0) != NULL;
}

void actions_decide_doubt(void)
{
    static const enum delivery_state to[] = {
        DELIVERY_PENDING, DELIVERY_PENDING, DELIVERY_DELIVERED, DELIVERY_DISCARDED};
    struct model_delivery *delivery = model_in_doubt(sim_random(STREAM_RULES));
    world_action(delivery, DELIVERY_PARKED, to[sim_below(STREAM_RULES, 4)], 0);
}

static void start(void)
{
    partner_meet_new_gateway();
    world_start();
}

static void stop(void)
{
    static const int64_t drains_us[] = {0, US_PER_SECOND, 40 * US_PER_SECOND};
    world_stop(drains_us[sim_below(STREAM_DRIVER, 3)]);
}

/* Kills and faults of the disk. */

static void crash(void)
{
    world_crash(sim_chance(STREAM_DRIVER, 500) ? DISK_KILL : DISK_POWER_LOSS);
}

static void doom(void)
{
    disk_die_after(1 + sim_below(STREAM_DRIVER, 60));
}

static void fill_disk(void)
{
    trace("the disk is full");
    disk_set_full(true);
}

static void fill_disk_briefly(void)
{
    disk_refuse_growth(1 + sim_below(STREAM_DRIVER, 3));
}

static void squeeze_disk(void)
{
    static const enum disk_space spaces[] = {SPACE_PLENTY, SPACE_PLENTY, SPACE_LOW, SPACE_SCARCE};
    fake_reserve_set_space(spaces[sim_below(STREAM_DRIVER, 4)]);
}

static void break_writes(void)
{
    trace("the next writes fail");
    disk_fail_writes(1 + sim_below(STREAM_DRIVER, 2));
}

static void break_sync(void)
{
    trace("the next sync fails");
    disk_fail_syncs(1);
}

static void mend_disk(void)
{
    trace("the disk works again");
    disk_mend();
    fake_reserve_set_space(SPACE_PLENTY);
}

/* The broker. */

static bool has_publications(void)
{
    return publications_count() > 0;
}

static bool is_owned_by_other(void)
{
    return fake_broker_is_owned_by_other();
}

static void take_ownership(void)
{
    fake_broker_ownership(true);
}

static void give_ownership_back(void)
{
    fake_broker_ownership(false);
}

static bool has_broker(void)
{
    return fake_broker_partitions() > 0;
}

static bool broker_is_down(void)
{
    return has_broker() && !fake_broker_is_up();
}

void actions_disturb(void)
{
    static const char *const names[] = {"set clock", "endpoint", "action", "stop", "crash", "crash",
        "doom", "disk full briefly", "write fails", "channel lost", "connection lost", "rules"};
    const char *name = names[sim_below(STREAM_CLIENTS, sizeof names / sizeof names[0])];
    for (unsigned i = 0; i < actions_count; i++)
        if (strcmp(actions[i].name, name) == 0 && actions[i].is_possible())
            actions[i].run();
}

void actions_mend(void)
{
    mend_disk();
    fake_broker_mend();
    disk_die_after(0);
    for (unsigned i = 0; i < FAKE_ENDPOINTS; i++) {
        if (!fake_endpoints[i].is_there)
            fake_accounts_change(world_accounts(), &fake_endpoints[i], FAKE_BRING_BACK);
        if (!fake_endpoints[i].enabled)
            fake_accounts_change(world_accounts(), &fake_endpoints[i], FAKE_ENABLE);
    }
    fake_switches_all_on(world_accounts());
}

const struct action actions[] = {
    {"post", 300, true, partner_can_post, partner_post},
    {"answer", 300, true, deployment_can_answer, deployment_answer},
    {"a moment", 60, true, is_always, pass_moment},
    {"until due", 60, true, somebody_waits, pass_until_due},
    {"long", 8, false, is_always, pass_long},
    {"set clock", 8, false, is_always, set_clock},
    {"mood", 20, true, is_always, deployment_change_mood},
    {"endpoint", 25, false, is_always, change_endpoint},
    {"policy", 15, false, is_up, change_policy},
    {"action", 40, false, can_action, action_on_delivery},
    {"start", 300, true, is_down, start},
    {"stop", 8, false, is_up, stop},
    {"must stop", 200, true, must_stop, stop},
    {"crash", 8, false, is_not_down, crash},
    {"doom", 12, false, is_not_down, doom},
    {"disk full", 4, false, is_mended, fill_disk},
    {"disk full briefly", 12, false, is_mended, fill_disk_briefly},
    {"disk squeezed", 6, false, is_always, squeeze_disk},
    {"write fails", 3, false, is_mended, break_writes},
    {"sync fails", 3, false, is_mended, break_sync},
    {"disk mended", 60, true, is_broken, mend_disk},
    {"publication", 600, true, has_publications, publication_step},
    {"broker", 900, true, fake_broker_has_work, fake_broker_work},
    {"poison", 8, false, fake_broker_is_up, fake_broker_publish_poison},
    {"channel lost", 40, false, fake_broker_has_consumer, fake_broker_lose_channel},
    {"connection lost", 25, false, fake_broker_has_consumer, fake_broker_lose_connection},
    {"ghost noticed", 60, true, fake_broker_has_ghost, fake_broker_notice_ghost},
    {"broker down", 4, false, fake_broker_is_up, fake_broker_go_down},
    {"broker up", 100, true, broker_is_down, fake_broker_come_up},
    {"queue deleted", 4, false, fake_broker_is_up, fake_broker_delete_queue},
    {"queue drops", 20, false, fake_broker_is_up, fake_broker_drop},
    {"queues declared", 30, true, fake_broker_lacks_queue, fake_broker_declare_queues},
    {"connector refuses", 8, false, fake_broker_is_up, fake_broker_refuse},
    {"owned by another", 4, false, fake_broker_is_up, take_ownership},
    {"ownership given back", 60, true, is_owned_by_other, give_ownership_back},
    {"rules", 20, false, is_always, actions_change_rules},
    {"doubt", 20, false, actions_can_decide_doubt, actions_decide_doubt},
};
const unsigned actions_count = sizeof actions / sizeof actions[0];
