/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' acts. Each one that happened stands in the journal's table of acts, and only those that were ordered may
 * stand there; what it permits (one more send, another state) holds from then on.
 */
#include "model_internal.h"

#include "disk.h"
#include "fake_accounts.h"
#include "tally.h"
#include "trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ACTS_MAX 8192

enum act_state { ACT_IN_FLIGHT, ACT_IN_DOUBT, ACT_DONE, ACT_REFUSED };

struct model_act {
    struct model_delivery *delivery;
    enum delivery_state from, to;
    enum act_state state;
    bool found;              /* in the journal, once */
    unsigned long looked_at; /* the look that has found it last */
    /* when it was ordered */
    unsigned long disk_errors;
    uint64_t endpoint;        /* to be sent to from then on; 0: its own */
    uint64_t endpoint_before; /* 0: unrouted */
    bool was_open;
    unsigned changes; /* of the endpoint that it was to be sent to */
};

static struct model_act *acts[ACTS_MAX];
static unsigned acts_count;
static unsigned long looks = 1;

static void describe(const struct model_act *act, char *ret_text, size_t size)
{
    char name[NAME_BYTES];
    model_name(act->delivery, name);
    snprintf(
        ret_text, size, "act on %s from %s to %s", name, delivery_state_name(act->from), delivery_state_name(act->to));
}

/* Where it is to be sent; NULL: nowhere. */
static const struct fake_endpoint *target_of(const struct model_act *act)
{
    return fake_endpoint_of_id(act->endpoint ? act->endpoint : act->endpoint_before);
}

struct model_act *model_ordered(
    struct model_delivery *delivery, enum delivery_state from, enum delivery_state to, uint64_t endpoint)
{
    fail_unless(acts_count < ACTS_MAX, BROKEN_SIM, "too many acts: raise ACTS_MAX");
    struct model_act *act = malloc(sizeof *act);
    assert(act);
    *act = (struct model_act){.delivery = delivery,
        .from = from,
        .to = to,
        .disk_errors = disk_errors(),
        .endpoint = endpoint,
        .endpoint_before = delivery->endpoint};
    const struct fake_endpoint *target = target_of(act);
    act->was_open = target && fake_endpoint_is_open(target);
    act->changes = target ? target->changes : 0;
    acts[acts_count++] = act;
    char text[96];
    describe(act, text, sizeof text);
    trace("%s", text);
    tally(TALLY_ACTS);
    return act;
}

static bool is_of_row(const struct model_act *act, const struct model_act_row *row)
{
    bool same_endpoint = act->endpoint ? act->endpoint == row->to_endpoint : row->from_endpoint == row->to_endpoint;
    return act->from == row->from && act->to == row->to && same_endpoint;
}

/* The one of this kind that this row is of: each look finds each of them once more, or for the first time. */
static struct model_act *find(const struct model_delivery *delivery, const struct model_act_row *row, bool found)
{
    for (unsigned i = 0; i < acts_count; i++) {
        struct model_act *act = acts[i];
        if (act->delivery == delivery && is_of_row(act, row) && act->found == found && act->looked_at != looks &&
            act->state != ACT_REFUSED)
            return act;
    }
    return NULL;
}

/* It was not this one: what a look has taken for it was another one of its kind. */
static void pass_on(struct model_act *act, const char *text)
{
    struct model_act *other = NULL;
    for (unsigned i = 0; i < acts_count && !other; i++)
        if (acts[i]->delivery == act->delivery && acts[i]->from == act->from && acts[i]->to == act->to &&
            !acts[i]->found && acts[i]->state != ACT_REFUSED)
            other = acts[i];
    fail_unless(other, "P2", "%s was refused, and has happened", text);
    act->found = false;
    other->found = true;
    other->looked_at = act->looked_at;
}

static bool has_sibling(const struct model_act *act)
{
    const struct model_post *post = act->delivery->post;
    for (unsigned i = 0; i < post->deliveries_count; i++)
        if (&post->deliveries[i] != act->delivery && post->deliveries[i].endpoint == act->endpoint)
            return true;
    return false;
}

/* Whether there was a reason for it, at some time between the order and the answer. */
static bool may_be_refused(const struct model_act *act, enum act_refusal refusal)
{
    const struct model_delivery *delivery = act->delivery;
    const struct fake_endpoint *target = target_of(act);
    bool was_closed = !target || !act->was_open || !fake_endpoint_is_open(target) || target->changes != act->changes;
    switch (refusal) {
    case ACT_UNROUTED:
        return act->endpoint == 0 && act->endpoint_before == 0;
    case ACT_BODY_EXPIRED:
        return !delivery->post->has_body;
    case ACT_ENDPOINT_GONE:
    case ACT_ENDPOINT_DISABLED:
        return was_closed || delivery->endpoint != act->endpoint_before;
    case ACT_ENDPOINT_FOREIGN:
        return target && target->account != delivery->post->account;
    case ACT_ENDPOINT_HAS_IT:
        return act->endpoint != 0 && has_sibling(act);
    case ACT_WAS_DELIVERED:
        return act->from == DELIVERY_DELIVERED && act->endpoint != 0;
    default:
        return false;
    }
}

/* It was done: it can be delivered, as far as anybody knew. */
static void check_done(const struct model_act *act, const char *text)
{
    const struct fake_endpoint *target = target_of(act);
    if (act->to != DELIVERY_PENDING)
        return;
    bool was_open = target && (act->was_open || fake_endpoint_is_open(target) || target->changes != act->changes);
    fail_unless(was_open || (!act->endpoint && act->delivery->endpoint != act->endpoint_before), "P2",
        "%s: it is sent to an endpoint that takes nothing", text);
    fail_unless(!act->endpoint || target->account == act->delivery->post->account, "P2",
        "%s: it is sent to an endpoint of another account", text);
    fail_unless(
        !act->endpoint || !has_sibling(act), "P4", "%s: its endpoint has a delivery of the event already", text);
    if (act->endpoint && act->endpoint != act->endpoint_before)
        tally(TALLY_ACTS_MOVED);
}

void model_act_answered(struct model_act *act, enum err result, enum delivery_state state, enum act_refusal refusal)
{
    char text[96];
    describe(act, text, sizeof text);
    trace("%s answered %s", text, err_name(result));
    act->state = ACT_REFUSED;
    switch (result) {
    case OK:
        act->state = ACT_DONE;
        model_look();
        check_done(act, text);
        tally(TALLY_ACTS_DONE);
        break;
    case ERR_MOVED_ON:
        fail_unless(state != act->from, "P2", "%s: it is where it was believed to be, and yet moved on", text);
        tally(TALLY_ACTS_MOVED_ON);
        break;
    case ERR_INVALID: /* nowhere to send it, or nothing to send */
        model_look();
        fail_unless(act->to == DELIVERY_PENDING && may_be_refused(act, refusal), "P2", "%s is refused for reason %d",
            text, refusal);
        tally(refusal <= ACT_BODY_EXPIRED ? TALLY_ACTS_IN_VAIN : TALLY_ACTS_CLOSED);
        break;
    case ERR_NOT_FOUND:
        fail_unless(!act->delivery->post->on_disk || model_rules()->history_us != 0, "P2", "%s: it is not found", text);
        break;
    case ERR_DISK:
    case ERR_DISK_FULL:
        fail_unless(model_journal_is_in_doubt() || disk_errors() > act->disk_errors, "P2",
            "%s is refused with %s, though the disk has refused nothing", text, err_name(result));
        act->state = model_journal_is_in_doubt() ? ACT_IN_DOUBT : ACT_REFUSED;
        break;
    case ERR_SHUTTING_DOWN:
        break;
    default:
        fail("P2", "%s is answered %s", text, err_name(result));
    }
    if (act->state == ACT_REFUSED && act->found)
        pass_on(act, text);
}

void model_act_found(struct model_delivery *delivery, const struct model_act_row *row)
{
    struct model_act *act = find(delivery, row, true);
    if (act) {
        act->looked_at = looks;
        return;
    }
    act = find(delivery, row, false);
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless(act, "P2", "somebody moved %s from %s to %s, and nobody had ordered it", name,
        delivery_state_name(row->from), delivery_state_name(row->to));
    act->found = true;
    act->looked_at = looks;
    delivery->ordered[row->from][row->to]++;
    if (row->from_endpoint != row->to_endpoint)
        delivery->moved_to = row->to_endpoint;
    trace("%s was moved from %s to %s by order", name, delivery_state_name(row->from), delivery_state_name(row->to));
    if (row->to == DELIVERY_PENDING) {
        /* Send it (again): whatever was known of its sends counts no more. */
        delivery->spent = false;
        delivery->seen_2xx = false;
        delivery->replayed |= row->from == DELIVERY_DELIVERED;
        tally(row->from == DELIVERY_DELIVERED ? TALLY_ACTS_FORCED : TALLY_ACTS_RESEND);
    }
}

void model_acts_read(bool settles_doubts)
{
    looks++;
    for (unsigned i = 0; i < acts_count; i++) {
        struct model_act *act = acts[i];
        char text[96];
        describe(act, text, sizeof text);
        fail_unless(act->found || act->state != ACT_DONE || act->delivery->post->expired, "P2",
            "%s was answered, and does not stand in the journal", text);
        if (act->state == ACT_IN_DOUBT && settles_doubts)
            act->state = act->found ? ACT_DONE : ACT_REFUSED;
    }
}

bool model_act_is_open(const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    for (unsigned i = 0; i < acts_count; i++)
        if (acts[i]->delivery == delivery && acts[i]->from == from && acts[i]->to == to && !acts[i]->found &&
            acts[i]->looked_at != looks && acts[i]->state != ACT_REFUSED)
            return true;
    return false;
}

void model_acts_crashed(void)
{
    for (unsigned i = 0; i < acts_count; i++)
        if (acts[i]->state == ACT_IN_FLIGHT)
            acts[i]->state = ACT_IN_DOUBT;
}

unsigned model_acts_in_flight(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < acts_count; i++)
        count += acts[i]->state == ACT_IN_FLIGHT;
    return count;
}
