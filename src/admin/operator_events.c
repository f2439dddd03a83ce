/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/operator-events: the last operator events of this gateway since its start, the newest
 * first (model/operator_event.h).
 */
#include "admin/admin_internal.h"

#include "base/memory.h"

#include <stdlib.h>

static json_t *text(const char *text)
{
    return admin_text(slice_from_string(text));
}

static json_t *number(int64_t number)
{
    return number ? json_integer(number) : json_null();
}

static json_t *view(const struct operator_event *event)
{
    json_t *view = json_object();
    json_object_set_new(view, "at", admin_time(event->at_us));
    json_object_set_new(view, "kind", json_string(operator_event_kind_name(event->kind)));
    json_object_set_new(view, "severity",
        json_string(operator_severity_name(operator_event_severity(event->kind))));
    json_object_set_new(view, "what", json_string(operator_event_what(event->kind)));
    json_object_set_new(view, "detail", text(event->detail));
    json_object_set_new(view, "cause", text(event->cause));
    json_object_set_new(view, "subject", text(event->subject));
    json_object_set_new(view, "partner", text(event->partner));
    json_object_set_new(view, "account", text(event->account));
    json_object_set_new(view, "endpoint", text(event->endpoint));
    json_object_set_new(view, "endpoint_name", text(event->endpoint_name));
    json_object_set_new(view, "percent", number(event->percent));
    json_object_set_new(view, "count", number(event->count));
    json_object_set_new(view, "delivery", text(event->delivery));
    json_object_set_new(view, "event", text(event->event));
    json_object_set_new(view, "first_event", text(event->first_event));
    return view;
}

void admin_list_operator_events(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct admin_options *options = &admin->options;
    if (!admin_authenticate(admin, exchange))
        return;
    json_t *items = json_array();
    struct operator_event *list = memory_new_array(OPERATOR_EVENTS_LISTED_MAX, sizeof *list);
    unsigned count =
        options->list_operator_events ? options->list_operator_events(list, options->context) : 0;
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(items, view(&list[i]));
    free(list);
    admin_answer_json(exchange, 200, json_pack("{s:o}", "operator_events", items));
}
