/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/deliveries and GET /api/v1/deliveries/{id}: the lists behind the audit's numbers, and
 * one of them. */
#include "admin/admin_internal.h"

#include "history/listing.h"
#include "model/delivery_id.h"
#include "model/money.h"
#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_USUAL 100

/* One. */

struct asked {
    struct journal_find find;
    unsigned index;
    struct admin *admin;
    struct http_exchange *exchange;
};

/* Both views say the same of the event. */
static void add_event(json_t *view, const struct event_parts *parts)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    json_object_set_new(view, "event", json_string(id));
    json_object_set_new(view, "partner", admin_text(parts->partner));
    json_object_set_new(view, "account", admin_text(parts->account));
    json_object_set_new(view, "type", admin_text(parts->type));
    json_object_set_new(view, "key", admin_text(parts->key));
    json_object_set_new(view, "amount", admin_text(parts->amount));
    json_object_set_new(view, "currency", admin_text(parts->currency));
    json_object_set_new(view, "accepted_at", admin_time(parts->accepted_us));
}

static void answer_found(const struct asked *asked)
{
    const struct timeline *timeline = asked->find.ret_timeline;
    for (size_t i = 0; i < timeline->deliveries_count; i++) {
        const struct timeline_delivery *it = &timeline->deliveries[i];
        if (placement_index(it->delivery.id) != asked->index)
            continue;
        json_t *view = admin_view_delivery(asked->admin, timeline, it);
        add_event(view, &timeline->event->parts);
        admin_answer_json(asked->exchange, 200, view);
        return;
    }
    http_answer_problem(asked->exchange, ERR_NOT_FOUND, "The event has no such delivery.", NULL);
}

static void on_found(struct request *request, void *receiver)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, find.request);
    if (request->result == OK)
        answer_found(asked);
    else
        http_answer_problem(asked->exchange, request->result,
            request->result == ERR_NOT_FOUND ? "No journal knows this delivery."
                                             : "The journal could not be read.",
            NULL);
    timeline_free(asked->find.ret_timeline);
    free(asked);
}

bool admin_take_delivery_id(
    struct http_exchange *exchange, struct event_id *ret_event, unsigned *ret_index)
{
    if (delivery_id_parse(http_path_part(exchange, 0), ret_event, ret_index))
        return true;
    http_answer_problem(exchange, ERR_NOT_FOUND,
        "Ids of deliveries look like dlv_01890a5d-ac96-774b-bcce-b302099a8057-0.", NULL);
    return false;
}

void admin_get_delivery(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct event_id event;
    unsigned index;
    if (!admin_authenticate(admin, exchange) || !admin_take_delivery_id(exchange, &event, &index))
        return;
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
    *asked = (struct asked){.admin = admin,
        .exchange = exchange,
        .index = index,
        .find = {.id = event, .request = {.reply_to = &admin->mailbox, .on_done = on_found}}};
    journal_reader_find(admin->options.reader, &asked->find);
}

/* Many. */

struct wanted {
    struct journal_list list;
    struct admin *admin;
    struct http_exchange *exchange;
    bool from_start;
};

static json_t *listed_view(const struct admin *admin, const struct listed_delivery *listed)
{
    const struct delivery *delivery = &listed->delivery.delivery;
    json_t *view = json_object();
    char id[DELIVERY_ID_TEXT_BYTES] = "";
    if (listed->event)
        delivery_id_format(&listed->event->parts.id, placement_index(delivery->id), id);
    json_object_set_new(view, "id", admin_text(slice_from_string(id)));
    if (listed->event)
        add_event(view, &listed->event->parts);
    json_object_set_new(view, "endpoint", admin_endpoint_label(admin, delivery->endpoint));
    json_object_set_new(view, "state", json_string(delivery_state_name(delivery->state)));
    json_object_set_new(view, "reason",
        delivery->state == DELIVERY_PARKED ? json_string(park_reason_name(listed->delivery.reason))
                                           : json_null());
    json_object_set_new(view, "lane", json_string(delivery_lane_name(delivery->lane)));
    json_object_set_new(view, "attempts", json_integer(delivery->attempts));
    json_object_set_new(view, "due_at",
        delivery->state == DELIVERY_WAITING ? admin_time(delivery->due_us) : json_null());
    json_object_set_new(view, "changed_at", admin_time(listed->delivery.changed_us));
    admin_add_delivered(view, &listed->delivery);
    if (listed->delivery.damaged || !listed->event)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

static json_t *items_view(const struct wanted *wanted)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < wanted->list.page.ret_count; i++)
        json_array_append_new(items, listed_view(wanted->admin, &wanted->list.ret_deliveries[i]));
    return items;
}

static void on_listed(struct request *request, void *receiver)
{
    struct wanted *wanted = CONTAINER_OF(request, struct wanted, list.page.request);
    const struct listing_filter *filter = &wanted->list.filter;
    const struct accounts *accounts = wanted->admin->options.accounts;
    bool knows_account = admin_knows_account(wanted->admin, filter->account);
    bool knows_endpoint = !filter->has_endpoint || filter->endpoint == 0 || !accounts ||
                          directory_endpoint(accounts_directory(accounts), filter->endpoint);
    char endpoint[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(filter->endpoint, endpoint);
    const struct admin_unknown unknown = {.what = knows_account ? "endpoint" : "account",
        .id = knows_account ? endpoint : filter->account,
        .from_start = wanted->from_start};
    admin_answer_page(wanted->exchange, &wanted->list.page, "deliveries",
        request->result ? NULL : items_view(wanted),
        knows_account && knows_endpoint ? NULL : &unknown);
    journal_list_done(&wanted->list);
    free(wanted);
}

/* The filter's parts, each false after a 422. */

static bool take_state(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_filter *filter)
{
    enum delivery_state state;
    if (!parameter->given)
        return true;
    if (strcmp(parameter->value, "in_progress") == 0)
        filter->states = LISTING_IN_PROGRESS;
    else if (delivery_state_from_name(parameter->value, &state))
        filter->states = 1u << state;
    else
        admin_refuse_member(exchange, parameter->name,
            "must be in_progress (pending, sending or waiting), pending, sending, waiting, parked, "
            "delivered, dead or "
            "discarded");
    return filter->states != 0;
}

static bool take_reason(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_filter *filter)
{
    if (!parameter->given)
        return true;
    if (!park_reason_from_name(parameter->value, &filter->reason))
        admin_refuse_member(exchange, parameter->name,
            "must be unrouted, disabled, gone, ambiguous, conflict, damaged, mismatch, taken-over "
            "or doubtful");
    else if (filter->states && filter->states != 1u << DELIVERY_PARKED)
        admin_refuse_member(exchange, parameter->name, "goes with the state parked");
    else
        filter->states = 1u << DELIVERY_PARKED;
    return filter->states == 1u << DELIVERY_PARKED && filter->reason != PARK_NONE;
}

static bool take_endpoint(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_filter *filter)
{
    filter->has_endpoint = parameter->given;
    if (!parameter->given || strcmp(parameter->value, "none") == 0 ||
        endpoint_id_parse(slice_from_string(parameter->value), &filter->endpoint))
        return true;
    admin_refuse_member(exchange, parameter->name,
        "must be an endpoint's id such as ep_0123456789abcdef, or none: unrouted");
    return false;
}

static bool take_currency(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_filter *filter)
{
    filter->has_currency = parameter->given;
    if (!parameter->given || strcmp(parameter->value, "none") == 0)
        return true;
    if (!money_check_currency(slice_from_string(parameter->value))) {
        admin_refuse_member(exchange, parameter->name,
            "must be three capital letters such as EUR, or none: no amount");
        return false;
    }
    memcpy(filter->currency, parameter->value, sizeof filter->currency);
    return true;
}

static bool take_filter(struct http_exchange *exchange, struct journal_list *list)
{
    enum { STATE, REASON, ACCOUNT, ENDPOINT, DAY, CURRENCY, LIMIT, CURSOR, PARAMETERS };
    struct admin_parameter parameters[PARAMETERS + 1] = {{"state"}, {"reason"}, {"account"},
        {"endpoint"}, {"day"}, {"currency"}, {"limit"}, {"cursor"}};
    struct listing_filter *filter = &list->filter;
    if (!admin_take_parameters(exchange, parameters))
        return false;
    filter->has_day = parameters[DAY].given;
    return take_state(exchange, &parameters[STATE], filter) &&
           take_reason(exchange, &parameters[REASON], filter) &&
           admin_take_name(exchange, &parameters[ACCOUNT], filter->account) &&
           take_endpoint(exchange, &parameters[ENDPOINT], filter) &&
           admin_take_day(exchange, &parameters[DAY], &filter->day) &&
           take_currency(exchange, &parameters[CURRENCY], filter) &&
           admin_take_limit(exchange, &parameters[LIMIT], &list->page.count_max) &&
           admin_take_cursor(exchange, &parameters[CURSOR], &list->page.cursor);
}

void admin_list_deliveries(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct journal_list list = {.page = {.count_max = LIMIT_USUAL}};
    if (!admin_authenticate(admin, exchange) || !take_filter(exchange, &list))
        return;
    struct wanted *wanted = malloc(sizeof *wanted);
    if (!wanted) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
    *wanted = (struct wanted){.list = list,
        .admin = admin,
        .exchange = exchange,
        .from_start = list.page.cursor.place == 0};
    wanted->list.page.request.reply_to = &admin->mailbox;
    wanted->list.page.request.on_done = on_listed;
    journal_reader_list(admin->options.reader, &wanted->list);
}
