/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operator actions on one delivery: POST /api/v1/deliveries/{id}/retry, discard, resolve.
 *
 *   retry     waiting, parked, dead -> pending, and with `force` also delivered. `endpoint` names
 *             another endpoint of the account, which gets the delivery from now on. A delivery that
 *             is in doubt needs `guarded` and a reason, since the client may have done the work
 *   discard   waiting, parked, dead -> discarded
 *   resolve   parked -> delivered or discarded (`as`)
 *
 * With `expect` the action is done only in this state. The delivery keeps a record of the action
 * with its reason. The owner of the delivery runs the action, and the answer follows its commit. A
 * delivery that could never be sent is refused, with the reason and the remedy.
 */
#include "admin/admin_internal.h"

#include "base/memory.h"
#include "model/delivery_id.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct journal_operator_action action;
    const struct admin *admin;
    struct http_exchange *exchange;
};

/* Writes why the delivery cannot be sent, and the remedy. */
static void describe_refusal(
    const struct journal_operator_action *action, char *ret_text, size_t size)
{
    char endpoint[ENDPOINT_ID_TEXT_BYTES], delivery[DELIVERY_ID_TEXT_BYTES];
    endpoint_id_format(action->endpoint ? action->endpoint : action->ret_endpoint, endpoint);
    switch (action->ret_refusal) {
    case ACTION_UNROUTED:
        snprintf(ret_text, size,
            "The delivery has no endpoint. Choose an endpoint of its account, or add one that "
            "takes its type: the delivery is then sent automatically. You can also resolve or "
            "discard the delivery.");
        break;
    case ACTION_BODY_EXPIRED:
        snprintf(ret_text, size,
            "The body of the event has expired (retention.bodies), so it cannot be sent again. The "
            "partner can post the event again with another key.");
        break;
    case ACTION_ENDPOINT_GONE:
        snprintf(ret_text, size,
            action->endpoint
                ? "The endpoint %s does not exist: choose another endpoint of the account %s."
                : "Its endpoint %s has been removed: choose another endpoint of the account %s, or "
                  "resolve or discard the delivery. A delivery that was delivered cannot change "
                  "its endpoint.",
            endpoint, action->ret_account);
        break;
    case ACTION_ENDPOINT_DISABLED:
        snprintf(ret_text, size,
            "The endpoint %s of the account %s is disabled: enable it, or choose another endpoint "
            "of the account. Deliveries that are parked as disabled are sent as soon as it is "
            "enabled.",
            endpoint, action->ret_account);
        break;
    case ACTION_ENDPOINT_FOREIGN:
        snprintf(ret_text, size,
            "The endpoint %s belongs to another account: choose an endpoint of the account %s.",
            endpoint, action->ret_account);
        break;
    case ACTION_ENDPOINT_HAS_IT:
        delivery_id_format(&action->event, action->ret_index, delivery);
        snprintf(ret_text, size,
            "The endpoint %s already has a delivery of this event, %s: retry that one, and discard "
            "this one.",
            endpoint, delivery);
        break;
    case ACTION_WAS_DELIVERED:
        snprintf(ret_text, size,
            "A delivery that was delivered cannot change its endpoint: retry it without another "
            "endpoint.");
        break;
    case ACTION_NEEDS_GUARDED:
        snprintf(ret_text, size,
            action->to == DELIVERY_PENDING
                ? "The client may have the event already. Ask the client. If it does not have it, "
                  "set guarded to true (--guarded), and say why in the reason. If it has it, "
                  "resolve "
                  "or discard the delivery."
                : "The delivery is in doubt: the client may have the event. Ask the client, and "
                  "resolve the delivery; or discard it with expect set to parked.");
        break;
    case ACTION_NOT_REFUSED:
        snprintf(ret_text, size, "The delivery cannot be sent.");
        break;
    }
}

/* Writes that the delivery is in another state. */
static void describe_state(
    const struct journal_operator_action *action, char *ret_text, size_t size)
{
    const char *state = delivery_state_name(action->ret_state);
    if (!action->from_any && action->ret_state != DELIVERY_SENDING)
        snprintf(ret_text, size, "The state of the delivery is %s, not %s.", state,
            delivery_state_name(action->from));
    else if (action->ret_state == DELIVERY_DELIVERED && action->to == DELIVERY_PENDING)
        snprintf(ret_text, size,
            "The delivery is delivered. To send it again all the same, set force to true "
            "(--force).");
    else if (action->ret_state == DELIVERY_PENDING || action->ret_state == DELIVERY_SENDING)
        snprintf(ret_text, size,
            "The delivery is %s: it is sent without your help. Look at it again when the attempt "
            "has ended.",
            state);
    else
        snprintf(ret_text, size, "The delivery is %s: nothing can be done to it.", state);
}

static void answer_refusal(
    const struct journal_operator_action *action, struct http_exchange *exchange)
{
    char detail[512];
    const char *text = "The action was not done. Try again later.";
    switch (action->ask.result) {
    case ERR_NOT_FOUND:
        text = "No journal has this delivery.";
        break;
    case ERR_MOVED_ON:
        describe_state(action, detail, sizeof detail);
        text = detail;
        break;
    case ERR_INVALID:
        describe_refusal(action, detail, sizeof detail);
        text = detail;
        break;
    case ERR_DAMAGED:
        text =
            "The row of the delivery or of its event is damaged, so it is not sent again. Resolve "
            "or discard it.";
        break;
    default:
        break;
    }
    http_answer_problem(exchange, action->ask.result, text, NULL);
}

static void on_answered(struct request *request, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, ask);
    struct asked *asked = CONTAINER_OF(action, struct asked, action);
    if (action->ask.result == OK) {
        char event[EVENT_ID_TEXT_BYTES], id[DELIVERY_ID_TEXT_BYTES];
        event_id_format(&action->event, event);
        delivery_id_format(&action->event, action->index, id);
        json_t *view = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "event", event, "from",
            delivery_state_name(action->from), "state", delivery_state_name(action->ret_state),
            "reason", action->note);
        if (action->endpoint)
            json_object_set_new(
                view, "endpoint", admin_endpoint_label(asked->admin, action->ret_endpoint));
        admin_answer_json(asked->exchange, 200, view);
    } else {
        answer_refusal(action, asked->exchange);
    }
    free(asked);
}

/* What a body says, false after an answer. */

static bool take_reason(
    struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action)
{
    return admin_take_reason(exchange, body, false, action->note) != ADMIN_MEMBER_ANSWERED;
}

/* Takes a state among `states` (bits); `rule` names them. */
static enum admin_member take_state(struct http_exchange *exchange, const json_t *body,
    const char *name, bool required, unsigned states, const char *rule,
    enum delivery_state *ret_state)
{
    char text[16];
    enum delivery_state state;
    enum admin_member taken = admin_take_text(exchange, body, name, required, text, sizeof text);
    if (taken != ADMIN_MEMBER_TAKEN)
        return taken;
    if (!delivery_state_from_name(text, &state) || !(states & 1u << state)) {
        admin_refuse_member(exchange, name, rule);
        return ADMIN_MEMBER_ANSWERED;
    }
    *ret_state = state;
    return taken;
}

/* The state in which the action is done; without the member `expect`, any of them. */
static bool take_expect(struct http_exchange *exchange, const json_t *body, unsigned states,
    const char *rule, struct journal_operator_action *action)
{
    enum admin_member taken =
        take_state(exchange, body, "expect", false, states, rule, &action->from);
    if (taken == ADMIN_MEMBER_ABSENT)
        action->from_any = states;
    return taken != ADMIN_MEMBER_ANSWERED;
}

/* Takes the id of the endpoint that is to get the delivery. */
static bool take_endpoint(
    struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action)
{
    char text[ENDPOINT_ID_TEXT_BYTES];
    enum admin_member taken = admin_take_text(exchange, body, "endpoint", false, text, sizeof text);
    if (taken != ADMIN_MEMBER_TAKEN)
        return taken != ADMIN_MEMBER_ANSWERED;
    if (endpoint_id_parse(slice_from_string(text), &action->endpoint) && action->endpoint != 0)
        return true;
    admin_refuse_member(
        exchange, "endpoint", "must be the id of an endpoint such as ep_0123456789abcdef");
    return false;
}

#define WAITING (1u << DELIVERY_WAITING)
#define PARKED (1u << DELIVERY_PARKED)
#define DEAD (1u << DELIVERY_DEAD)
#define DELIVERED (1u << DELIVERY_DELIVERED)
#define DISCARDED (1u << DELIVERY_DISCARDED)

static bool take_resolve(
    struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action)
{
    action->from = DELIVERY_PARKED;
    return take_state(exchange, body, "as", true, DELIVERED | DISCARDED,
               "must be delivered or discarded", &action->to) == ADMIN_MEMBER_TAKEN &&
           take_state(exchange, body, "expect", false, PARKED, "must be parked", &action->from) !=
               ADMIN_MEMBER_ANSWERED;
}

static bool take_discard(
    struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action)
{
    action->to = DELIVERY_DISCARDED;
    return take_expect(
        exchange, body, WAITING | PARKED | DEAD, "must be waiting, parked or dead", action);
}

static bool take_retry(
    struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action)
{
    bool force = false;
    action->to = DELIVERY_PENDING;
    if (admin_take_flag(exchange, body, "force", &force) == ADMIN_MEMBER_ANSWERED ||
        admin_take_flag(exchange, body, "guarded", &action->allows_doubt) ==
            ADMIN_MEMBER_ANSWERED ||
        !take_expect(exchange, body, WAITING | PARKED | DEAD | (force ? DELIVERED : 0),
            "must be waiting, parked or dead, or delivered if force is true", action) ||
        !take_endpoint(exchange, body, action) || !take_reason(exchange, body, action))
        return false;
    if ((action->allows_doubt || force) && !*action->note) {
        admin_refuse_member(exchange, "reason",
            "must say why a delivery in doubt, or a delivered one, is sent again: for example, who "
            "has asked the client");
        return false;
    }
    return true;
}

static void do_action(struct http_exchange *exchange, struct admin *admin, const char *const *known,
    bool (*take)(
        struct http_exchange *exchange, const json_t *body, struct journal_operator_action *action))
{
    struct asked draft = {.admin = admin, .exchange = exchange};
    struct journal_operator_action *action = &draft.action;
    json_t *body = admin_authenticate(admin, exchange) &&
                           admin_take_delivery_id(exchange, &action->event, &action->index)
                       ? admin_read_object(exchange, known)
                       : NULL;
    if (!body)
        return;
    bool taken = take(exchange, body, action) && take_reason(exchange, body, action);
    json_decref(body);
    if (!taken || admin_refuse_as_follower(admin, exchange))
        return;
    struct asked *asked = memory_new_raw(sizeof *asked);
    *asked = draft;
    asked->action.ask.reply_to = &admin->mailbox;
    asked->action.ask.on_done = on_answered;
    admin->options.action(&asked->action, admin->options.context);
}

void admin_resolve_delivery(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"as", "expect", "reason", NULL};
    do_action(exchange, context, known, take_resolve);
}

void admin_discard_delivery(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"expect", "reason", NULL};
    do_action(exchange, context, known, take_discard);
}

void admin_retry_delivery(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"expect", "endpoint", "force", "guarded", "reason", NULL};
    do_action(exchange, context, known, take_retry);
}
