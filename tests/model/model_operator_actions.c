/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operator actions. The journal's table of actions holds each action that was done, and no others.
 * From then on the delivery may do what the action permits: one more send, or another state.
 */
#include "model_internal.h"

#include "disk.h"
#include "fake_accounts.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ACTIONS_MAX 8192

enum action_state { ACTION_IN_FLIGHT, ACTION_IN_DOUBT, ACTION_DONE, ACTION_REFUSED };

struct model_action {
    struct model_delivery *delivery;
    enum delivery_state from, to;
    enum action_state state;
    bool found;              /* a look has found it in the journal */
    unsigned long looked_at; /* number of the last look that found it */
    /* when it was ordered */
    unsigned long disk_errors;
    uint64_t endpoint;        /* the endpoint to send to from then on; 0: the delivery's own */
    uint64_t endpoint_before; /* 0: unrouted */
    bool was_open;
    unsigned changes; /* of the endpoint that the action sends to */
};

static struct model_action *actions[ACTIONS_MAX];
static unsigned actions_count;
static unsigned long looks = 1;

static void describe(const struct model_action *action, char *ret_text, size_t size)
{
    char name[NAME_BYTES];
    model_name(action->delivery, name);
    snprintf(ret_text, size, "action on %s from %s to %s", name, delivery_state_name(action->from),
        delivery_state_name(action->to));
}

/* Returns the endpoint that the action sends to; NULL: none. */
static const struct fake_endpoint *target_of(const struct model_action *action)
{
    return fake_endpoint_of_id(action->endpoint ? action->endpoint : action->endpoint_before);
}

struct model_action *model_ordered(struct model_delivery *delivery, enum delivery_state from,
    enum delivery_state to, uint64_t endpoint)
{
    fail_unless(actions_count < ACTIONS_MAX, BROKEN_SIM, "too many actions: raise ACTIONS_MAX");
    struct model_action *action = malloc(sizeof *action);
    assert(action);
    *action = (struct model_action){.delivery = delivery,
        .from = from,
        .to = to,
        .disk_errors = disk_errors(),
        .endpoint = endpoint,
        .endpoint_before = delivery->endpoint};
    const struct fake_endpoint *target = target_of(action);
    action->was_open = target && fake_endpoint_is_open(target);
    action->changes = target ? target->changes : 0;
    actions[actions_count++] = action;
    char text[96];
    describe(action, text, sizeof text);
    trace("%s", text);
    tally(TALLY_ACTIONS);
    return action;
}

static bool is_of_row(const struct model_action *action, const struct model_action_row *row)
{
    bool same_endpoint = action->endpoint ? action->endpoint == row->to_endpoint
                                          : row->from_endpoint == row->to_endpoint;
    /* A forced replay that is discarded ends, and the delivery stays delivered. */
    bool ends_replay = action->to == DELIVERY_DISCARDED && row->to == DELIVERY_DELIVERED &&
                       action->delivery->replayed;
    return action->from == row->from && (action->to == row->to || ends_replay) && same_endpoint;
}

/* Returns the action that a row of the journal records. Each look matches each row with one
 * action. */
static struct model_action *find(
    const struct model_delivery *delivery, const struct model_action_row *row, bool found)
{
    for (unsigned i = 0; i < actions_count; i++) {
        struct model_action *action = actions[i];
        if (action->delivery == delivery && is_of_row(action, row) && action->found == found &&
            action->looked_at != looks && action->state != ACTION_REFUSED)
            return action;
    }
    return NULL;
}

/* The action was refused. A row that was matched with it belongs to another one of its kind. */
static void pass_on(struct model_action *action, const char *text)
{
    struct model_action *other = NULL;
    for (unsigned i = 0; i < actions_count && !other; i++)
        if (actions[i]->delivery == action->delivery && actions[i]->from == action->from &&
            actions[i]->to == action->to && !actions[i]->found &&
            actions[i]->state != ACTION_REFUSED)
            other = actions[i];
    fail_unless(other, "P2", "%s was refused, but is in the journal", text);
    action->found = false;
    other->found = true;
    other->looked_at = action->looked_at;
}

static bool has_sibling(const struct model_action *action)
{
    const struct model_post *post = action->delivery->post;
    for (unsigned i = 0; i < post->deliveries_count; i++)
        if (&post->deliveries[i] != action->delivery &&
            post->deliveries[i].endpoint == action->endpoint)
            return true;
    return false;
}

/* Returns whether there was a reason for the refusal at some time between order and answer. */
static bool may_be_refused(const struct model_action *action, enum operator_action_refusal refusal)
{
    const struct model_delivery *delivery = action->delivery;
    const struct fake_endpoint *target = target_of(action);
    bool was_closed = !target || !action->was_open || !fake_endpoint_is_open(target) ||
                      target->changes != action->changes;
    switch (refusal) {
    case ACTION_UNROUTED:
        return action->endpoint == 0 && action->endpoint_before == 0;
    case ACTION_BODY_EXPIRED:
        return !delivery->post->has_body;
    case ACTION_ENDPOINT_GONE:
    case ACTION_ENDPOINT_DISABLED:
        return was_closed || delivery->endpoint != action->endpoint_before;
    case ACTION_ENDPOINT_FOREIGN:
        return target && target->account != delivery->post->account;
    case ACTION_ENDPOINT_HAS_IT:
        return action->endpoint != 0 && has_sibling(action);
    case ACTION_WAS_DELIVERED:
        return (action->from == DELIVERY_DELIVERED || delivery->replayed) && action->endpoint != 0;
    default:
        return false;
    }
}

/* The action was done: the delivery must be deliverable, as far as the gateway could see. */
static void check_done(const struct model_action *action, const char *text)
{
    const struct fake_endpoint *target = target_of(action);
    if (action->to != DELIVERY_PENDING)
        return;
    bool was_open = target && (action->was_open || fake_endpoint_is_open(target) ||
                                  target->changes != action->changes);
    fail_unless(
        was_open || (!action->endpoint && action->delivery->endpoint != action->endpoint_before),
        "P2", "%s: it is sent to an endpoint that is not open", text);
    fail_unless(!action->endpoint || target->account == action->delivery->post->account, "P2",
        "%s: it is sent to an endpoint of another account", text);
    fail_unless(!action->endpoint || !has_sibling(action), "P4",
        "%s: its endpoint has a delivery of the event already", text);
    if (action->endpoint && action->endpoint != action->endpoint_before)
        tally(TALLY_ACTIONS_MOVED);
}

void model_action_answered(struct model_action *action, enum err result, enum delivery_state state,
    enum operator_action_refusal refusal)
{
    char text[96];
    describe(action, text, sizeof text);
    trace("%s answered %s", text, err_name(result));
    action->state = ACTION_REFUSED;
    switch (result) {
    case OK:
        action->state = ACTION_DONE;
        model_look();
        check_done(action, text);
        tally(TALLY_ACTIONS_DONE);
        break;
    case ERR_MOVED_ON:
        fail_unless(state != action->from, "P2",
            "%s: the delivery is in the expected state, but the answer is \"moved on\"", text);
        tally(TALLY_ACTIONS_MOVED_ON);
        break;
    case ERR_INVALID: /* no endpoint to send to, or no body */
        model_look();
        fail_unless(action->to == DELIVERY_PENDING && may_be_refused(action, refusal), "P2",
            "%s is refused for reason %d", text, refusal);
        tally(refusal <= ACTION_BODY_EXPIRED ? TALLY_ACTIONS_IN_VAIN : TALLY_ACTIONS_CLOSED);
        break;
    case ERR_NOT_FOUND:
        fail_unless(!action->delivery->post->on_disk || model_rules()->history_us != 0, "P2",
            "%s: the delivery is not found", text);
        break;
    case ERR_DISK:
    case ERR_DISK_FULL:
        fail_unless(model_journal_is_in_doubt() || disk_errors() > action->disk_errors, "P2",
            "%s is refused with %s, but the disk has not refused anything", text, err_name(result));
        action->state = model_journal_is_in_doubt() ? ACTION_IN_DOUBT : ACTION_REFUSED;
        break;
    case ERR_SHUTTING_DOWN:
    case ERR_UNAVAILABLE: /* another action on the same delivery is in flight */
        break;
    default:
        fail("P2", "%s is answered %s", text, err_name(result));
    }
    if (action->state == ACTION_REFUSED && action->found)
        pass_on(action, text);
}

void model_action_found(struct model_delivery *delivery, const struct model_action_row *row)
{
    struct model_action *action = find(delivery, row, true);
    if (action) {
        action->looked_at = looks;
        return;
    }
    action = find(delivery, row, false);
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless(action, "P2", "an action moved %s from %s to %s, but none was ordered", name,
        delivery_state_name(row->from), delivery_state_name(row->to));
    action->found = true;
    action->looked_at = looks;
    delivery->ordered[row->from][row->to]++;
    if (row->from_endpoint != row->to_endpoint)
        delivery->moved_to = row->to_endpoint;
    trace("an operator action moved %s from %s to %s", name, delivery_state_name(row->from),
        delivery_state_name(row->to));
    fail_unless(row->from != DELIVERY_WAITING || !(delivery->in_flight || delivery->seen_success),
        "P4", "an action moved %s, which is being sent", name);
    if (row->to == DELIVERY_PENDING) {
        /* An order to send it permits one more send, whatever happened to earlier ones. */
        delivery->spent = false;
        delivery->seen_success = false;
        delivery->sent_by_order = true;
        delivery->replayed |= row->from == DELIVERY_DELIVERED;
        tally(row->from == DELIVERY_DELIVERED ? TALLY_ACTIONS_FORCED : TALLY_ACTIONS_RESEND);
    }
}

void model_actions_read(bool decides_doubts)
{
    looks++;
    for (unsigned i = 0; i < actions_count; i++) {
        struct model_action *action = actions[i];
        char text[96];
        describe(action, text, sizeof text);
        fail_unless(
            action->found || action->state != ACTION_DONE || action->delivery->post->expired, "P2",
            "%s was answered as done, but is not in the journal", text);
        if (action->state == ACTION_IN_DOUBT && decides_doubts)
            action->state = action->found ? ACTION_DONE : ACTION_REFUSED;
    }
}

bool model_action_is_open(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    for (unsigned i = 0; i < actions_count; i++)
        if (actions[i]->delivery == delivery && actions[i]->from == from && actions[i]->to == to &&
            !actions[i]->found && actions[i]->looked_at != looks &&
            actions[i]->state != ACTION_REFUSED)
            return true;
    return false;
}

void model_actions_crashed(void)
{
    for (unsigned i = 0; i < actions_count; i++)
        if (actions[i]->state == ACTION_IN_FLIGHT)
            actions[i]->state = ACTION_IN_DOUBT;
}

unsigned model_actions_in_flight(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < actions_count; i++)
        count += actions[i]->state == ACTION_IN_FLIGHT;
    return count;
}
