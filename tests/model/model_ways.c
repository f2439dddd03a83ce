/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P2: a delivery changes its state only as model/delivery_state.h permits. Between two looks it may
 * have made several changes. Some of them need a cause outside the gateway: a client's answer, an
 * open endpoint, an operator action.
 */
#include "model_internal.h"

#include "fake_accounts.h"
#include "model_replays.h"
#include "sim.h"
#include "tally.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

/* A node is a state. For `parked` there is one node for each reason. */
#define LONGEST_SCHEDULE 5
#define NODES (DELIVERY_STATES + PARK_TAKEN_OVER + 1)

static unsigned node_of(enum delivery_state state, enum park_reason reason)
{
    return state == DELIVERY_PARKED ? DELIVERY_STATES + (unsigned)reason : (unsigned)state;
}

static enum delivery_state state_of(unsigned node)
{
    return node < DELIVERY_STATES ? (enum delivery_state)node : DELIVERY_PARKED;
}

bool model_is_guarded(const struct model_delivery *delivery)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(delivery->endpoint);
    return delivery->post->guarded && !(endpoint && endpoint->idempotent);
}

/* Parked deliveries are released without an operator when the cause is gone. A release that began
 * while the endpoint was open may be recorded after the endpoint has closed. */
static bool may_be_released(const struct model_delivery *delivery, enum park_reason reason)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(delivery->endpoint);
    bool may_have_cause = reason == PARK_UNROUTED || reason == PARK_DISABLED || reason == PARK_GONE;
    return may_have_cause && endpoint && fake_endpoint_was_open(endpoint);
}

static bool may_be_parked(const struct model_delivery *delivery, enum park_reason reason)
{
    if (reason == PARK_AMBIGUOUS)
        return model_is_guarded(delivery);
    return reason == PARK_DISABLED || reason == PARK_GONE;
}

/* True while a delivery that has expired together with its actions is judged: then actions count
 * that were ordered and never found. */
static bool unseen_actions_count;

/* Returns whether a delivery may make this one change. */
static bool may_step(const struct model_delivery *delivery, unsigned from, unsigned to)
{
    enum delivery_state from_state = state_of(from), to_state = state_of(to);
    if (!delivery_state_may_move(from_state, to_state))
        return false;
    if (delivery->ordered[from_state][to_state] > 0 ||
        (unseen_actions_count && (model_action_is_open(delivery, from_state, to_state) ||
                                     model_replay_is_open(delivery, from_state, to_state) ||
                                     model_resolution_is_open(delivery, from_state, to_state))))
        return true;
    switch (from_state) {
    case DELIVERY_PARKED:
        return to == DELIVERY_PENDING &&
               may_be_released(delivery, (enum park_reason)(from - DELIVERY_STATES));
    case DELIVERY_WAITING:
        if (delivery_state_may_move_by_operator(from_state, to_state))
            return false; /* not without an order */
        break;
    case DELIVERY_PENDING:
    case DELIVERY_SENDING:
        break;
    default:
        return false;
    }
    if (delivery->replayed && to_state == DELIVERY_DELIVERED)
        return true; /* however the replay ended */
    if (to_state == DELIVERY_PARKED)
        return may_be_parked(delivery, (enum park_reason)(to - DELIVERY_STATES));
    if (to == DELIVERY_DELIVERED)
        return delivery->worked_off;
    /* From `sending` it may change to waiting without a send, when the gateway stopped first. */
    bool is_failure = to == DELIVERY_DEAD || (to == DELIVERY_WAITING && from != DELIVERY_SENDING);
    return !is_failure || delivery->sends > 0;
}

/* Adds the nodes that can be reached. Changes to pending begin a new round: only if `rounds`. */
static void spread(const struct model_delivery *delivery, bool reached[NODES], bool rounds)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned a = 0; a < NODES; a++)
            for (unsigned b = 0; b < NODES && reached[a]; b++)
                if (!reached[b] && (rounds || b != DELIVERY_PENDING) && may_step(delivery, a, b))
                    reached[b] = more = true;
    }
}

static bool may_reach(
    const struct model_delivery *delivery, unsigned from, unsigned to, bool new_round)
{
    bool reached[NODES] = {0};
    reached[from] = true;
    spread(delivery, reached, false);
    if (!new_round)
        return reached[to];
    /* At least one change to pending, then any others. */
    bool again[NODES] = {0};
    for (unsigned a = 0; a < NODES; a++)
        again[DELIVERY_PENDING] |= reached[a] && may_step(delivery, a, DELIVERY_PENDING);
    if (again[DELIVERY_PENDING])
        spread(delivery, again, true);
    return again[to];
}

static unsigned first_node(const struct model_delivery *delivery)
{
    const struct model_post *post = delivery->post;
    if (delivery->on_disk)
        return node_of(delivery->state, delivery->reason);
    if (post->state == POST_LATE_CONFLICT)
        return node_of(DELIVERY_PARKED, PARK_CONFLICT);
    if (post->misrouted)
        return node_of(DELIVERY_PARKED, PARK_MISMATCH);
    return delivery->endpoint ? (unsigned)DELIVERY_PENDING
                              : node_of(DELIVERY_PARKED, PARK_UNROUTED);
}

bool model_may_be_final(const struct model_delivery *delivery)
{
    unsigned from = first_node(delivery);
    unseen_actions_count = true;
    bool may = may_reach(delivery, from, DELIVERY_DELIVERED, false) ||
               may_reach(delivery, from, DELIVERY_DELIVERED, true) ||
               may_reach(delivery, from, DELIVERY_DISCARDED, false) ||
               may_reach(delivery, from, DELIVERY_DISCARDED, true);
    unseen_actions_count = false;
    return may;
}

static void tally_state(const struct model_delivery *row)
{
    static const enum tally parked[] = {[PARK_UNROUTED] = TALLY_SEEN_UNROUTED,
        [PARK_DISABLED] = TALLY_SEEN_DISABLED,
        [PARK_GONE] = TALLY_SEEN_GONE,
        [PARK_AMBIGUOUS] = TALLY_SEEN_AMBIGUOUS,
        [PARK_CONFLICT] = TALLY_LATE_CONFLICTS,
        [PARK_MISMATCH] = TALLY_SEEN_MISMATCH,
        [PARK_TAKEN_OVER] = TALLY_SEEN_ADOPTED};
    if (row->state == DELIVERY_PARKED && row->reason != PARK_DAMAGED)
        tally(parked[row->reason]);
    else if (row->state == DELIVERY_WAITING)
        tally(TALLY_SEEN_WAITING);
    else if (row->state == DELIVERY_DELIVERED)
        tally(TALLY_SEEN_DELIVERED);
    else if (row->state == DELIVERY_DISCARDED)
        tally(TALLY_SEEN_DISCARDED);
    else if (row->state == DELIVERY_DEAD)
        tally(TALLY_SEEN_DEAD);
}

/* An attempt that failed before the delivery was due, as a probe or after a recovery, uses up no
 * step. New rules, which its owner learned meanwhile, may make it due earlier, but never later. */
static void check_early(
    const struct model_delivery *before, const struct model_delivery *row, const char *name)
{
    bool is_its_end = row->attempts == before->attempts + 1 &&
                      row->attempts == before->ended_number && before->ended_early &&
                      row->generation == before->generation;
    if (!is_its_end || !before->wait.is_known || row->state != DELIVERY_WAITING)
        return;
    tally(TALLY_EARLY_FAILED);
    fail_unless(row->failures == before->failures, "P7",
        "%s was sent before it was due and failed: it had %lld failures and has %lld", name,
        (long long)before->failures, (long long)row->failures);
    fail_unless(row->due_us <= before->wait.due_us, "P7",
        "%s was sent before it was due and failed: it is due in %lld ms, later than in %lld ms",
        name, (long long)((row->due_us - model_run_us()) / US_PER_MS),
        (long long)((before->wait.due_us - model_run_us()) / US_PER_MS));
}

/* A delivery dies by a final status, or by an attempt that fails when it is due, at the end of
 * its schedule or behind the horizon of its endpoint. */
static void check_death(
    const struct model_delivery *before, const struct model_delivery *row, const char *name)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(row->endpoint);
    const int64_t *steps_us;
    unsigned steps = model_schedule_of(row->endpoint, &steps_us);
    if (!endpoint || endpoint->final_4xx ||
        (endpoint->policy.final_404 && before->ended_status == 404))
        return;
    int64_t horizon_us = endpoint->policy.horizon_us, sum_us = 0;
    for (unsigned i = 0; i < steps; i++)
        sum_us += steps_us[i];
    fail_unless(horizon_us > 0 || row->failures > steps, "P2", "%s is dead after %lld failures",
        name, (long long)row->failures);
    if (row->attempts != before->ended_number || row->attempts != before->attempts + 1)
        return; /* it is unknown which attempt it was */
    tally(TALLY_DIED);
    fail_unless(!before->ended_early, "P7", "%s is dead by an attempt before it was due", name);
    int64_t age_us = before->ended_us - before->post->accepted_us;
    if (row->generation > 0 || age_us <= 0)
        return; /* its life began anew, or by another clock: it is counted in steps */
    int64_t life_us = horizon_us > 0 ? horizon_us / 100 * 99 : sum_us / 5 * 4;
    fail_unless(age_us + US_PER_SECOND >= life_us, "P2",
        "%s is dead after %lld s, and should live for %lld s", name,
        (long long)(age_us / US_PER_SECOND), (long long)(life_us / US_PER_SECOND));
}

/* A horizon is never extended, whatever the client asks for. */
static void check_horizon(
    const struct model_delivery *before, const struct model_delivery *row, const char *name)
{
    const struct fake_endpoint *endpoint = before->ended_unchanged ? before->sent_to : NULL;
    int64_t accepted_us = before->post->accepted_us;
    bool is_its_end = row->attempts == before->ended_number && !before->ended_early &&
                      row->attempts == before->attempts + 1 && row->state == DELIVERY_WAITING;
    if (!endpoint || endpoint->policy.horizon_us == 0 || !is_its_end || row->generation > 0 ||
        before->ended_us <= accepted_us)
        return;
    /* It counts by the clock that is behind: a clock that was set ahead ends nothing early. */
    int64_t behind_us = before->ended_us - before->ended_wall_us;
    if (behind_us < 0)
        behind_us = 0;
    int64_t beyond_us = row->due_us - accepted_us - endpoint->policy.horizon_us;
    fail_unless(beyond_us <= behind_us + US_PER_SECOND, "P2", "%s is due %lld s behind its horizon",
        name, (long long)(beyond_us / US_PER_SECOND));
}

static void check_numbers(struct model_delivery *before, const struct model_delivery *row,
    bool first_after_start, const char *name)
{
    fail_unless(row->generation >= before->generation, "P2", "%s is in an earlier round", name);
    fail_unless(row->attempts >= before->attempts, "P2", "%s has lost an attempt", name);
    fail_unless(row->attempts <= before->ends_seen, "P2", "%s has %lld attempts, but %lld ended",
        name, (long long)row->attempts, (long long)before->ends_seen);
    /* A Retry-After that is longer than a step skips steps of the schedule. Until the horizon,
     * further attempts repeat its last step. */
    fail_unless(row->failures <= row->attempts + LONGEST_SCHEDULE, "P2",
        "%s has more failures than attempts", name);
    model_check_due(row, name);
    if (!first_after_start)
        check_early(before, row, name);
    if (!first_after_start)
        check_horizon(before, row, name);
    if (row->state == DELIVERY_DEAD && before->state != DELIVERY_DEAD)
        check_death(before, row, name);
    /* NULL: it was sent again since, after the endpoint was removed. */
    const struct fake_endpoint *endpoint = before->ended_unchanged ? before->sent_to : NULL;
    if (endpoint && endpoint->policy.final_404 && row->attempts == before->ended_number &&
        row->attempts > before->attempts && before->ended_status == 404)
        fail_unless(row->state != DELIVERY_WAITING, "P2",
            "%s was answered 404, which is final, and waits for another attempt", name);
}

static void check_endpoint(
    struct model_delivery *delivery, const struct model_delivery *row, const char *name)
{
    const struct fake_endpoint *endpoint = fake_endpoint_of_id(row->endpoint);
    bool is_of_account = endpoint && endpoint->account == delivery->post->account;
    bool was_routed = delivery->endpoint == 0 && is_of_account;
    bool was_moved = delivery->moved_to != 0 && delivery->moved_to == row->endpoint;
    /* Events from the broker are routed when they arrive. */
    if (delivery->post->published && !delivery->on_disk) {
        fail_unless(is_of_account || (row->endpoint == 0 && delivery->post->deliveries_count == 1),
            "P2", "%s is for an endpoint of another account", name);
        delivery->endpoint = row->endpoint;
    }
    fail_unless(row->endpoint == delivery->endpoint || was_routed || was_moved, "P2",
        "%s has another endpoint now", name);
    if (row->endpoint != delivery->endpoint && !was_moved)
        tally(TALLY_ROUTED);
    delivery->endpoint = row->endpoint;
    delivery->moved_to = 0;
}

/* Once delivered, a delivery stays delivered, and the time of it does not change. */
static void check_replay(
    const struct model_delivery *before, const struct model_delivery *row, const char *name)
{
    bool is_lost = row->state == DELIVERY_DEAD || row->state == DELIVERY_PARKED ||
                   row->state == DELIVERY_DISCARDED;
    fail_unless(!before->replayed || !is_lost, "P2", "%s was delivered and replayed, but is %s",
        name, delivery_state_name(row->state));
    fail_unless((row->delivered_us != 0) == before->replayed, "P2",
        "%s was%s replayed, but was delivered at %lld", name, before->replayed ? "" : " not",
        (long long)row->delivered_us);
    fail_unless(before->delivered_us == 0 || before->delivered_us == row->delivered_us, "P2",
        "the time at which %s was delivered has changed", name);
}

void model_check_way(
    struct model_delivery *delivery, const struct model_delivery *row, bool first_after_start)
{
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless((unsigned)row->state < DELIVERY_STATES && (unsigned)row->reason <= PARK_TAKEN_OVER,
        "P2", "%s is in state %d, reason %d", name, row->state, row->reason);
    check_endpoint(delivery, row, name);
    unsigned before = first_node(delivery), now = node_of(row->state, row->reason);
    /* Parked as adopted by force: when it arrives, or when it arrives again (or not) after it was
     * pending in an earlier run. */
    if ((!delivery->on_disk || before == node_of(DELIVERY_PENDING, PARK_NONE)) &&
        now == node_of(DELIVERY_PARKED, PARK_TAKEN_OVER) && model_may_be_adopted(delivery->post))
        before = now;
    /* A start records an attempt that the end of the last run has interrupted. */
    bool is_parked = row->state == DELIVERY_PARKED && row->reason == PARK_AMBIGUOUS;
    bool interrupted = first_after_start &&
                       (is_parked || (delivery->replayed && row->state == DELIVERY_DELIVERED));
    bool has_moved = before != now || row->generation > delivery->generation;
    if (interrupted && has_moved && row->attempts > delivery->ends_seen)
        delivery->ends_seen++;
    check_numbers(delivery, row, first_after_start, name);
    check_replay(delivery, row, name);
    bool new_round = row->generation > delivery->generation;
    fail_unless(may_reach(delivery, before, now, new_round), "P2",
        "%s was %s %s and is %s %s%s: this change is not permitted", name,
        delivery_state_name(state_of(before)), park_reason_name(delivery->reason),
        delivery_state_name(row->state), park_reason_name(row->reason),
        new_round ? " in a new round" : "");
    if (before != now || new_round || row->attempts != delivery->attempts)
        model_replay_touched(delivery);
    if (!delivery->on_disk || before != now || new_round) {
        trace("%s is %s %s", name, delivery_state_name(row->state),
            row->state == DELIVERY_PARKED ? park_reason_name(row->reason) : "");
        tally_state(row);
        if (delivery->replayed && row->state == DELIVERY_DELIVERED && row->started_us == 0)
            tally(TALLY_REPLAYS_FAILED);
        if (new_round)
            tally(TALLY_RELEASED);
    }
    if (!delivery->on_disk)
        delivery->seen_us = sim_mono_us();
    delivery->on_disk = true;
    if (row->state != DELIVERY_SENDING)
        delivery->wait = row->wait;
    delivery->broker_owned = row->broker_owned;
    delivery->id = row->id;
    delivery->state = row->state;
    delivery->reason = row->reason;
    delivery->lane = row->lane;
    delivery->generation = row->generation;
    delivery->attempts = row->attempts;
    delivery->failures = row->failures;
    delivery->delivered_us = row->delivered_us;
    memset(delivery->ordered, 0, sizeof delivery->ordered);
}
