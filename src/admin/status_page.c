/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/status: the verdict, rates, backlog, the worst endpoints, disk and broker.
 * GET /api/v1/backlog: the endpoints with something open, worst first.
 */
#include "admin/admin_internal.h"

#include "admin/backlog.h"
#include "admin/problems.h"
#include "base/clock.h"
#include "base/memory.h"
#include "runtime/metrics.h"

#include <stdlib.h>

#define STATUS_LOOKED 50 /* endpoints whose queues are looked at, for the problems */
#define STATUS_WORST 5   /* ... and that are shown */
#define BACKLOG_DEFAULT 100
#define BACKLOG_MAX 1000

static struct backlog_view *new_view(struct admin *admin, struct http_exchange *exchange,
    void (*on_done)(struct backlog_view *view, enum err result))
{
    struct backlog_view *view;
    MEMORY_NEW(view);
    view->admin = admin;
    view->on_done = on_done;
    view->context = exchange;
    return view;
}

static json_t *view_items(const struct backlog_view *view, unsigned max)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < view->count && i < max; i++)
        json_array_append_new(items, backlog_item_view(view, &view->items[i]));
    return items;
}

static json_t *view_backlog(const struct backlog_view *view)
{
    bool is_late = view->oldest_due_us != INT64_MAX;
    json_t *backlog = backlog_counts_view(&view->all);
    json_object_set_new(
        backlog, "oldest_past_due", is_late ? admin_time(view->oldest_due_us) : json_null());
    json_object_set_new(backlog, "past_due_seconds",
        is_late ? json_integer((view->now_us - view->oldest_due_us) / US_PER_SECOND) : json_null());
    json_object_set_new(backlog, "complete", json_boolean(view->is_complete));
    return backlog;
}

/* Only those that have something to be sent. */
static json_t *view_worst(const struct backlog_view *view)
{
    unsigned count = 0;
    while (count < view->count && count < STATUS_WORST &&
           backlog_in_progress(&view->items[count].counts) > 0)
        count++;
    return view_items(view, count);
}

/* What has been there before there was a backlog in it. */
static json_t *view_gateway(const struct admin *admin, const struct backlog_view *view)
{
    json_t *open = json_pack("{s:I, s:I, s:I, s:I}", "pending",
        (json_int_t)backlog_sum(&view->all, BACKLOG_PENDING) +
            (json_int_t)backlog_sum(&view->all, BACKLOG_REPLAYS),
        "sending", (json_int_t)backlog_sum(&view->all, BACKLOG_SENDING), "waiting",
        (json_int_t)backlog_sum(&view->all, BACKLOG_WAITING), "parked",
        (json_int_t)backlog_parked(&view->all));
    return json_pack("{s:s, s:o, s:b, s:i, s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:I, s:I, "
                     "s:I, s:I, s:o}",
        "version", PENSTOCK_VERSION, "at", admin_time(view->now_us), "ready",
        (int)admin_is_ready(admin), "shards", (int)admin->options.shards, "uptime_seconds",
        (json_int_t)((clock_mono_us() - admin->started_mono_us) / US_PER_SECOND), "open", open,
        "events", "accepted", (json_int_t)metrics_read(METRIC_EVENTS_ACCEPTED), "duplicate",
        (json_int_t)metrics_read(METRIC_EVENTS_DUPLICATE), "conflict",
        (json_int_t)metrics_read(METRIC_EVENTS_CONFLICT), "refused",
        (json_int_t)metrics_read(METRIC_EVENTS_REFUSED), "unavailable",
        (json_int_t)metrics_read(METRIC_EVENTS_UNAVAILABLE), "delivered",
        (json_int_t)metrics_read(METRIC_ATTEMPTS_DELIVERED), "in_flight",
        (json_int_t)metrics_read(METRIC_IN_FLIGHT), "dead",
        (json_int_t)metrics_read(METRIC_ATTEMPTS_DEAD), "endpoints_disabled",
        (json_int_t)metrics_read(METRIC_ENDPOINTS_DISABLED), "breakers_open",
        (json_int_t)metrics_read(METRIC_BREAKERS_OPEN), "overload", admin_view_overload());
}

static json_t *view_status(const struct admin *admin, const struct backlog_view *view)
{
    json_t *status = view_gateway(admin, view);
    json_t *links = admin_view_links(admin), *room = admin_view_room(admin);
    if (status && (json_object_update(status, links) || json_object_update(status, room)))
        json_decref(TAKE(status));
    json_decref(links);
    json_decref(room);
    if (status && admin->options.accounts)
        json_object_set_new(status, "switches_off", admin_view_switches_off(admin));
    json_object_set_new(status, "problems", problems_view(admin, view));
    json_object_set_new(status, "backlog", view_backlog(view));
    json_object_set_new(status, "rates", lag_view_rates(&admin->lag));
    json_object_set_new(status, "drain", lag_view_drain(&admin->lag, view));
    json_object_set_new(status, "disk", lag_view_disk(&admin->lag, view));
    json_object_set_new(status, "worst", view_worst(view));
    return status;
}

static void on_status(struct backlog_view *view, enum err result)
{
    if (result)
        http_answer_problem(view->context, result, ADMIN_JOURNALS_UNREADABLE, NULL);
    else
        admin_answer_json(view->context, 200, view_status(view->admin, view));
    backlog_view_free(view);
}

void admin_get_status(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange))
        return;
    struct backlog_view *view = new_view(admin, exchange, on_status);
    view->look_max = STATUS_LOOKED;
    backlog_view_ask(view);
}

static void on_backlog(struct backlog_view *view, enum err result)
{
    if (result)
        http_answer_problem(view->context, result, ADMIN_JOURNALS_UNREADABLE, NULL);
    else
        admin_answer_json(view->context, 200,
            json_pack("{s:o, s:b, s:o}", "backlog", view_items(view, view->look_max), "more",
                (int)(view->has_more || view->count > view->look_max), "at",
                admin_time(view->now_us)));
    backlog_view_free(view);
}

void admin_get_backlog(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct admin_parameter parameters[] = {{"account"}, {"limit"}};
    if (!admin_authenticate(admin, exchange) ||
        !admin_take_parameters(exchange, parameters, ARRAY_LENGTH(parameters)))
        return;
    struct backlog_view *view = new_view(admin, exchange, on_backlog);
    view->look_max = BACKLOG_DEFAULT;
    bool takes = !parameters[0].given || admin_take_name(exchange, &parameters[0], view->account);
    if (takes && !admin_knows_account(admin, view->account)) {
        admin_answer_unknown(exchange, "account", view->account);
        takes = false;
    }
    if (takes && admin_take_limit(exchange, &parameters[1], BACKLOG_MAX, &view->look_max))
        backlog_view_ask(view);
    else
        backlog_view_free(view);
}
