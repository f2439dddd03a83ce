/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the process lives, whether it is ready, what it counts, and what is on its way. */
#include "admin/admin_internal.h"

#include "base/clock.h"
#include "runtime/metrics.h"

#include <stdlib.h>

static void answer_text(struct http_exchange *exchange, int status, const char *text)
{
    http_answer(exchange, &(struct http_reply){.status = status,
                              .content_type = "text/plain; charset=utf-8",
                              .body = slice_from_string(text)});
}

void admin_get_livez(struct http_exchange *exchange, void *context)
{
    answer_text(exchange, 200, "ok\n");
}

static bool wants_verbose(const struct http_exchange *exchange)
{
    struct slice query = http_query(exchange);
    return slice_equals_string(query, "verbose") || slice_starts_with(query, "verbose=") ||
           slice_starts_with(query, "verbose&");
}

void admin_get_readyz(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    bool ready = atomic_load(&admin->ready);
    bool journals = admin_takes_events(admin);
    if (!wants_verbose(exchange)) {
        answer_text(
            exchange, ready && journals ? 200 : 503, ready && journals ? "ok\n" : "not ready\n");
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    buffer_add_format(&text, "[%c] started\n", ready ? '+' : '-');
    admin_print_room(admin, &text);
    admin_print_status(admin, &text);
    buffer_add_string(&text, ready && journals ? "ready\n" : "not ready\n");
    if (buffer_status(&text) == OK)
        answer_text(exchange, ready && journals ? 200 : 503, text.data);
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
    buffer_done(&text);
}

void admin_get_metrics(struct http_exchange *exchange, void *context)
{
    struct buffer text = BUFFER_EMPTY;
    metrics_print(&text);
    if (buffer_status(&text) == OK)
        http_answer(exchange, &(struct http_reply){.status = 200,
                                  .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = buffer_slice(&text)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
    buffer_done(&text);
}

struct counts {
    struct journal_state_counts counts;
    struct admin *admin;
    struct http_exchange *exchange;
};

static void on_state_counts(struct request *request, void *receiver)
{
    struct counts *counts = CONTAINER_OF(request, struct counts, counts.request);
    if (request->result != OK) {
        http_answer_problem(counts->exchange, request->result,
            "The journals could not be read; ask again later.", NULL);
        free(counts);
        return;
    }
    struct admin *admin = counts->admin;
    json_t *open = json_object();
    static const enum delivery_state states[] = {
        DELIVERY_PENDING, DELIVERY_SENDING, DELIVERY_WAITING, DELIVERY_PARKED};
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
        json_object_set_new(open, delivery_state_name(states[i]),
            json_integer(counts->counts.ret_counts[states[i]]));
    json_t *status = json_pack(
        "{s:s, s:b, s:i, s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:I, s:I}", "version",
        PENSTOCK_VERSION, "ready", (int)(atomic_load(&admin->ready) && admin_takes_events(admin)),
        "shards", (int)admin->options.shards, "uptime_seconds",
        (json_int_t)((clock_mono_us() - admin->started_mono_us) / US_PER_SECOND), "open", open,
        "events", "accepted", (json_int_t)metrics_read(METRIC_EVENTS_ACCEPTED), "duplicate",
        (json_int_t)metrics_read(METRIC_EVENTS_DUPLICATE), "conflict",
        (json_int_t)metrics_read(METRIC_EVENTS_CONFLICT), "refused",
        (json_int_t)metrics_read(METRIC_EVENTS_REFUSED), "unavailable",
        (json_int_t)metrics_read(METRIC_EVENTS_UNAVAILABLE), "delivered",
        (json_int_t)metrics_read(METRIC_ATTEMPTS_DELIVERED), "in_flight",
        (json_int_t)metrics_read(METRIC_IN_FLIGHT), "dead",
        (json_int_t)metrics_read(METRIC_ATTEMPTS_DEAD));
    json_t *link_status = admin_view_status(admin), *room = admin_view_room(admin);
    if (status && (json_object_update(status, link_status) || json_object_update(status, room)))
        json_decref(TAKE(status));
    json_decref(link_status);
    json_decref(room);
    admin_answer_json(counts->exchange, 200, status);
    free(counts);
}

void admin_get_status(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange))
        return;
    struct counts *counts = calloc(1, sizeof *counts);
    if (!counts) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
    counts->admin = admin;
    counts->exchange = exchange;
    counts->counts.request.reply_to = &admin->mailbox;
    counts->counts.request.on_done = on_state_counts;
    journal_reader_count_states(admin->options.reader, &counts->counts);
}
