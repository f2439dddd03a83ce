/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' acts. Each one that happened stands in the journal's table of acts, and only those that were ordered may
 * stand there; what it permits (one more send, another state) holds from then on.
 */
#include "model_internal.h"

#include "disk.h"
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
    bool was_unrouted;
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

struct model_act *model_ordered(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    fail_unless(acts_count < ACTS_MAX, BROKEN_SIM, "too many acts: raise ACTS_MAX");
    struct model_act *act = malloc(sizeof *act);
    assert(act);
    *act = (struct model_act){.delivery = delivery,
        .from = from,
        .to = to,
        .disk_errors = disk_errors(),
        .was_unrouted = delivery->endpoint == 0};
    acts[acts_count++] = act;
    char text[96];
    describe(act, text, sizeof text);
    trace("%s", text);
    tally(TALLY_ACTS);
    return act;
}

/* The one of this kind that this row is of: each look finds each of them once more, or for the first time. */
static struct model_act *find(
    const struct model_delivery *delivery, enum delivery_state from, enum delivery_state to, bool found)
{
    for (unsigned i = 0; i < acts_count; i++) {
        struct model_act *act = acts[i];
        if (act->delivery == delivery && act->from == from && act->to == to && act->found == found &&
            act->looked_at != looks && act->state != ACT_REFUSED)
            return act;
    }
    return NULL;
}

/* It was not this one: what a look has taken for it was another one of its kind. */
static void pass_on(struct model_act *act, const char *text)
{
    struct model_act *other = find(act->delivery, act->from, act->to, false);
    fail_unless(other, "P2", "%s was refused, and has happened", text);
    act->found = false;
    other->found = true;
    other->looked_at = act->looked_at;
}

void model_act_answered(struct model_act *act, enum err result, enum delivery_state state)
{
    char text[96];
    describe(act, text, sizeof text);
    trace("%s answered %s", text, err_name(result));
    const struct model_post *post = act->delivery->post;
    act->state = ACT_REFUSED;
    switch (result) {
    case OK:
        act->state = ACT_DONE;
        tally(TALLY_ACTS_DONE);
        break;
    case ERR_MOVED_ON:
        fail_unless(state != act->from, "P2", "%s: it is where it was believed to be, and yet moved on", text);
        tally(TALLY_ACTS_MOVED_ON);
        break;
    case ERR_INVALID: /* nowhere to send it, or nothing to send */
        model_look();
        fail_unless(act->to == DELIVERY_PENDING && (act->was_unrouted || !post->has_body), "P2",
            "%s is refused as invalid", text);
        tally(TALLY_ACTS_IN_VAIN);
        break;
    case ERR_NOT_FOUND:
        fail_unless(!post->on_disk || model_rules()->history_us != 0, "P2", "%s: it is not found", text);
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

void model_act_found(struct model_delivery *delivery, enum delivery_state from, enum delivery_state to)
{
    struct model_act *act = find(delivery, from, to, true);
    if (act) {
        act->looked_at = looks;
        return;
    }
    act = find(delivery, from, to, false);
    char name[NAME_BYTES];
    model_name(delivery, name);
    fail_unless(act, "P2", "somebody moved %s from %s to %s, and nobody had ordered it", name,
        delivery_state_name(from), delivery_state_name(to));
    act->found = true;
    act->looked_at = looks;
    delivery->ordered[from][to]++;
    trace("%s was moved from %s to %s by order", name, delivery_state_name(from), delivery_state_name(to));
    if (to == DELIVERY_PENDING) {
        /* Send it (again): whatever was known of its sends counts no more. */
        delivery->spent = false;
        delivery->seen_2xx = false;
        tally(from == DELIVERY_DELIVERED ? TALLY_ACTS_FORCED : TALLY_ACTS_RESEND);
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
    return find(delivery, from, to, false) != NULL;
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
