/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/partners/{p}/rejections: the last posts of a partner that this gateway has rejected,
 * the newest first (http/rejections.h). The token that may only read gets no bodies.
 */
#include "admin/admin_internal.h"

#include "base/memory.h"
#include "http/rejections.h"

#include <stdlib.h>

static json_t *view_problems(const struct rejection *rejection)
{
    json_t *problems = json_array();
    const char *pointer, *detail;
    for (size_t at = 0; rejection_next_problem(rejection, &at, &pointer, &detail);)
        json_array_append_new(
            problems, json_pack("{s:s, s:s}", "pointer", pointer, "detail", detail));
    return problems;
}

static json_t *text(const char *text)
{
    return admin_text(slice_from_string(text));
}

static json_t *view_rejection(const struct rejection *rejection, bool with_body)
{
    json_t *view = json_object();
    json_object_set_new(view, "at", admin_time(rejection->at_us));
    json_object_set_new(view, "request", text(rejection->request_id));
    json_object_set_new(view, "address", text(rejection->address));
    json_object_set_new(view, "status", json_integer(err_http_status(rejection->error)));
    json_object_set_new(view, "code", json_string(err_name(rejection->error)));
    json_object_set_new(view, "detail", text(rejection->detail));
    json_object_set_new(view, "errors", view_problems(rejection));
    json_object_set_new(view, "account", text(rejection->account));
    json_object_set_new(view, "type", text(rejection->type));
    json_object_set_new(view, "body_bytes", json_integer((json_int_t)rejection->body_bytes));
    if (with_body)
        json_object_set_new(
            view, "body", admin_text(slice_of(rejection->excerpt, rejection->excerpt_len)));
    json_object_set_new(view, "similar", json_integer((json_int_t)rejection->similar));
    return view;
}

void admin_list_rejections(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    const struct partner *partner =
        admin_authenticate(admin, exchange) ? admin_find_partner(admin, exchange) : NULL;
    if (!partner)
        return;
    json_t *items = json_array();
    struct rejection *list = memory_new_array(REJECTIONS_PER_PARTNER, sizeof *list);
    unsigned count = admin->options.rejections
                         ? rejections_list(admin->options.rejections, partner->id, list)
                         : 0;
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(items, view_rejection(&list[i], admin_may_change(exchange)));
    free(list);
    admin_answer_json(exchange, 200, json_pack("{s:o}", "rejections", items));
}
