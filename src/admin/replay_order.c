/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the body of POST /api/v1/replays. */
#include "admin/replay_question.h"

#include <stdio.h>

#define RATE_RULE "must be a whole number of deliveries per second from 1 to 10000"
_Static_assert(REPLAY_RATE_MAX == 10000, "as the text says");

/* An endpoint may be given by its name, together with its account. */
static bool take_endpoint(const struct admin *admin, struct http_exchange *exchange,
    const char *text, struct delivery_filter *filter)
{
    const char *problem;
    struct slice name = slice_from_string(text);
    if (delivery_filter_set(filter, "endpoint", name, &problem))
        return true;
    const struct directory *directory = accounts_directory(admin->options.accounts);
    const struct account *account =
        *filter->account ? directory_account(directory, slice_from_string(filter->account)) : NULL;
    for (unsigned i = 0; account && i < account->endpoints_count; i++) {
        const struct endpoint *endpoint = directory_endpoint(directory, account->endpoints[i]);
        if (!endpoint || !slice_equals_string(name, endpoint->name))
            continue;
        filter->has_endpoint = true;
        filter->endpoint = endpoint->id;
        return true;
    }
    admin_refuse_member(exchange, "endpoint",
        account ? "must be the id or the name of an endpoint of the account, or the word none for "
                  "unrouted deliveries"
                : problem);
    return false;
}

/* Members are read in the order of the names: the account comes before the endpoint. */
static bool take_filter(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, struct delivery_filter *ret_filter)
{
    for (size_t i = 0; delivery_filter_names[i]; i++) {
        const char *name = delivery_filter_names[i], *problem = NULL;
        char text[DELIVERY_FILTER_TEXT_BYTES];
        enum admin_member taken = admin_take_text(exchange, body, name, false, text, sizeof text);
        if (taken == ADMIN_MEMBER_ABSENT)
            continue;
        if (taken == ADMIN_MEMBER_ANSWERED)
            return false;
        if (strcmp(name, "endpoint") == 0) {
            if (!take_endpoint(admin, exchange, text, ret_filter))
                return false;
        } else if (!delivery_filter_set(ret_filter, name, slice_from_string(text), &problem)) {
            admin_refuse_member(exchange, name, problem);
            return false;
        }
    }
    const char *name, *problem;
    if (delivery_filter_finish(ret_filter, &name, &problem))
        return true;
    admin_refuse_member(exchange, name, problem);
    return false;
}

static bool take_action(
    struct http_exchange *exchange, const json_t *body, struct replay_order *order)
{
    char text[16];
    enum admin_member taken = admin_take_text(exchange, body, "action", false, text, sizeof text);
    if (taken != ADMIN_MEMBER_TAKEN)
        return taken == ADMIN_MEMBER_ABSENT;
    if (replay_action_from_name(text, &order->action))
        return true;
    admin_refuse_member(exchange, "action", "must be retry, discard or resolve");
    return false;
}

bool replay_take_rate(
    struct http_exchange *exchange, const json_t *body, bool *ret_given, unsigned *ret_rate)
{
    const json_t *value = json_object_get(body, "rate");
    *ret_given = value != NULL;
    if (!value)
        return true;
    json_int_t rate = json_integer_value(value);
    if (!json_is_integer(value) || rate < 1 || rate > REPLAY_RATE_MAX) {
        admin_refuse_member(exchange, "rate", RATE_RULE);
        return false;
    }
    *ret_rate = (unsigned)rate;
    return true;
}

/* Checks what the members mean together. */
static bool check(struct http_exchange *exchange, struct replay_order *order)
{
    struct delivery_filter *filter = &order->filter;
    const char *name = "state", *problem = NULL;
    bool was_given = filter->states != 0;
    if (!filter->states) /* what an operator means by default */
        filter->states =
            order->action == REPLAY_ACTION_RESOLVE ? 1u << DELIVERY_PARKED : 1u << DELIVERY_DEAD;
    if (!was_given && order->force)
        filter->states |= 1u << DELIVERY_DELIVERED;
    bool has_delivered = filter->states & 1u << DELIVERY_DELIVERED;
    if (has_delivered && !order->force)
        problem = "delivered needs force (--force): the clients receive these events once more";
    else if (!(filter->states & replay_states(order->action, order->force)))
        problem = order->action == REPLAY_ACTION_RESOLVE
                      ? "must be parked: only parked deliveries can be resolved"
                      : "must name waiting, parked or dead, or delivered with force";
    else if (filter->cause)
        name = "cause", problem = "is not possible here: use it to list deliveries";
    else if (has_delivered && !*filter->account && !filter->has_endpoint)
        name = "account", problem = "or endpoint is required for delivered deliveries";
    if (problem)
        admin_refuse_member(exchange, name, problem);
    return !problem;
}

static bool take_reason(
    struct http_exchange *exchange, const json_t *body, bool required, struct replay_order *order)
{
    char text[ACTION_NOTE_BYTES_MAX + 1] = "";
    if (admin_take_reason(exchange, body, required, text) == ADMIN_MEMBER_ANSWERED)
        return false;
    if (strlen(text) <= REPLAY_REASON_BYTES_MAX) {
        memcpy(order->reason, text, strlen(text) + 1);
        return true;
    }
    admin_refuse_member(exchange, "reason", "must have at most 150 characters");
    return false;
}

bool replay_take_order(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, struct replay_order *ret_order, bool *ret_dry_run)
{
    bool has_rate;
    ret_order->rate = REPLAY_RATE_DEFAULT;
    return admin_take_flag(exchange, body, "dry_run", ret_dry_run) != ADMIN_MEMBER_ANSWERED &&
           admin_take_flag(exchange, body, "force", &ret_order->force) != ADMIN_MEMBER_ANSWERED &&
           admin_take_flag(exchange, body, "guarded", &ret_order->guarded) !=
               ADMIN_MEMBER_ANSWERED &&
           take_action(exchange, body, ret_order) &&
           take_filter(admin, exchange, body, &ret_order->filter) &&
           replay_take_rate(exchange, body, &has_rate, &ret_order->rate) &&
           take_reason(exchange, body, !*ret_dry_run, ret_order) && check(exchange, ret_order);
}

json_t *replay_view_filter(const struct delivery_filter *filter)
{
    json_t *view = json_object();
    char text[DELIVERY_FILTER_TEXT_BYTES];
    for (size_t i = 0; delivery_filter_names[i]; i++)
        if (delivery_filter_get(filter, delivery_filter_names[i], text))
            json_object_set_new(view, delivery_filter_names[i], json_string(text));
    return view;
}
