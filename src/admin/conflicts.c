/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/conflicts: what came under the key of an accepted event with other money. */
#include "admin/admin_internal.h"

#include "history/listing.h"

#include <stdlib.h>

#define LIMIT_USUAL 100

struct wanted {
    struct journal_list_conflicts list;
    struct admin *admin;
    struct http_exchange *exchange;
    bool from_start;
};

static json_t *conflict_view(const struct listed_conflict *conflict)
{
    const struct event_parts *parts = &conflict->event->parts;
    char first[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, first);
    json_t *view =
        json_pack("{s:s, s:o, s:o, s:I}", "first_event", first, "at", admin_time(conflict->at_us),
            "last_at", admin_time(conflict->last_us), "times", (json_int_t)conflict->times);
    json_object_set_new(view, "partner", admin_text(parts->partner));
    json_object_set_new(view, "account", admin_text(parts->account));
    json_object_set_new(view, "type", admin_text(parts->type));
    json_object_set_new(view, "key", admin_text(parts->key));
    json_object_set_new(view, "amount", admin_text(parts->amount));
    json_object_set_new(view, "currency", admin_text(parts->currency));
    json_object_set_new(view, "bytes", json_integer((json_int_t)conflict->body_bytes));
    if (conflict->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

static json_t *items_view(const struct journal_list_conflicts *list)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < list->page.ret_count; i++)
        json_array_append_new(items, conflict_view(&list->ret_conflicts[i]));
    return items;
}

static void on_listed(struct request *request, void *receiver)
{
    struct wanted *wanted = CONTAINER_OF(request, struct wanted, list.page.request);
    const struct conflict_filter *filter = &wanted->list.filter;
    bool knows_account = admin_knows_account(wanted->admin, filter->account);
    const struct admin_unknown unknown = {.what = knows_account ? "partner" : "account",
        .id = knows_account ? filter->partner : filter->account,
        .from_start = wanted->from_start};
    bool all_known = knows_account && admin_knows_partner(wanted->admin, filter->partner);
    admin_answer_page(wanted->exchange, &wanted->list.page, "conflicts",
        request->result ? NULL : items_view(&wanted->list), all_known ? NULL : &unknown);
    journal_list_conflicts_done(&wanted->list);
    free(wanted);
}

static bool take_first(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct conflict_filter *filter)
{
    filter->has_first = parameter->given;
    if (!parameter->given || event_id_parse(slice_from_string(parameter->value), &filter->first))
        return true;
    admin_refuse_member(exchange, parameter->name, "must be an event's id");
    return false;
}

static bool take_filter(struct http_exchange *exchange, struct journal_list_conflicts *list)
{
    enum { PARTNER, ACCOUNT, EVENT, DAY, LIMIT, CURSOR, PARAMETERS };
    struct admin_parameter parameters[PARAMETERS + 1] = {
        {"partner"}, {"account"}, {"event"}, {"day"}, {"limit"}, {"cursor"}};
    struct conflict_filter *filter = &list->filter;
    if (!admin_take_parameters(exchange, parameters))
        return false;
    filter->has_day = parameters[DAY].given;
    return admin_take_name(exchange, &parameters[PARTNER], filter->partner) &&
           admin_take_name(exchange, &parameters[ACCOUNT], filter->account) &&
           take_first(exchange, &parameters[EVENT], filter) &&
           admin_take_day(exchange, &parameters[DAY], &filter->day) &&
           admin_take_limit(exchange, &parameters[LIMIT], &list->page.count_max) &&
           admin_take_cursor(exchange, &parameters[CURSOR], &list->page.cursor);
}

void admin_list_conflicts(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct journal_list_conflicts list = {.page = {.count_max = LIMIT_USUAL}};
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
    journal_reader_list_conflicts(admin->options.reader, &wanted->list);
}
