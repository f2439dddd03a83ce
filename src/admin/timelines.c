/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/events/{id}: the timeline of an event. The id of a duplicate that was found late
 * gives the timeline of the first event, with the member `alias`.
 * GET /api/v1/deliveries/{id}: one delivery of a timeline.
 */
#include "admin/admin_internal.h"

#include "admin/why.h"
#include "base/clock.h"
#include "base/memory.h"
#include "model/delivery_id.h"
#include "model/placement.h"

#include <assert.h>
#include <stdlib.h>

/* Views. */

void admin_add_event_fields(json_t *view, const struct event_parts *parts)
{
    json_object_set_new(view, "partner", admin_text(parts->partner));
    json_object_set_new(view, "account", admin_text(parts->account));
    json_object_set_new(view, "type", admin_text(parts->type));
    json_object_set_new(view, "key", admin_text(parts->key));
    json_object_set_new(view, "amount", admin_text(parts->amount));
    json_object_set_new(view, "currency", admin_text(parts->currency));
}

void admin_add_event(json_t *view, const struct event_parts *parts)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    json_object_set_new(view, "event", json_string(id));
    admin_add_event_fields(view, parts);
    json_object_set_new(view, "accepted_at", admin_time(parts->accepted_us));
}

/* What a client sends may have any bytes. What is not ASCII text becomes a dot. */
static json_t *ascii_text(struct slice bytes)
{
    char text[ANSWER_EXCERPT_BYTES_MAX];
    assert(bytes.len <= sizeof text);
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.data[i];
        bool ends_line = c == '\n' || (c == '\r' && i + 1 < bytes.len && bytes.data[i + 1] == '\n');
        text[i] = (char)((c >= 0x20 && c < 0x7f) || ends_line || c == '\t' ? c : '.');
    }
    return json_stringn(text, bytes.len);
}

static json_t *text_or_null(const char *text)
{
    return *text ? ascii_text(slice_from_string(text)) : json_null();
}

/* Null: the step did not happen. */
static json_t *milliseconds(uint32_t duration_us)
{
    return duration_us ? json_real((double)duration_us / 1000.0) : json_null();
}

/* How the attempt was made and how far it got. The journal does not keep this of an attempt that
 * delivered: no byte of a request is counted there. */
static void add_evidence(json_t *view, const struct attempt *attempt)
{
    const struct attempt_evidence *evidence = &attempt->evidence;
    if (attempt->end.http_status / 100 == 2 && evidence->request_bytes == 0)
        return;
    json_object_set_new(view, "connection",
        attempt->end.request_begun ? json_string(evidence->warm ? "warm" : "new") : json_null());
    json_object_set_new(view, "request_bytes", json_integer(evidence->request_bytes));
    json_object_set_new(view, "request_complete", json_boolean(evidence->request_complete));
    json_object_set_new(view, "answer_bytes", json_integer(evidence->answer_bytes));
    json_object_set_new(view, "peer", text_or_null(evidence->peer));
    json_object_set_new(view, "http", text_or_null(evidence->http));
    json_object_set_new(view, "tls", text_or_null(evidence->tls));
    json_object_set_new(view, "tls_problem", text_or_null(evidence->tls_problem));
    json_object_set_new(view, "dns_ms", milliseconds(evidence->dns_us));
    json_object_set_new(view, "connect_ms", milliseconds(evidence->connect_us));
    json_object_set_new(view, "tls_ms", milliseconds(evidence->tls_us));
    json_object_set_new(view, "first_byte_ms", milliseconds(evidence->first_byte_us));
    json_object_set_new(view, "location", text_or_null(evidence->location));
    json_object_set_new(view, "rule", text_or_null(attempt->rule));
}

/* Why it did not deliver; nothing if it did. */
static void add_cause(json_t *view, const struct attempt *attempt)
{
    const struct attempt_said said = attempt_said_of(attempt);
    enum attempt_cause cause = attempt_cause_of(&said);
    char what[CAUSE_TEXT_BYTES];
    if (cause == CAUSE_NONE)
        return;
    attempt_cause_describe(&said, what);
    json_object_set_new(view, "cause", json_string(attempt_cause_code(cause)));
    json_object_set_new(view, "what", ascii_text(slice_from_string(what)));
    json_object_set_new(view, "remedy", json_string(attempt_cause_remedy(cause)));
}

json_t *admin_view_attempt(const struct attempt *attempt)
{
    json_t *view = json_object();
    json_object_set_new(view, "number", json_integer(attempt->number));
    json_object_set_new(view, "started_at", admin_time(attempt->started_us));
    json_object_set_new(view, "duration_ms", json_real((double)attempt->duration_us / 1000.0));
    json_object_set_new(view, "status",
        attempt->end.http_status ? json_integer(attempt->end.http_status) : json_null());
    json_object_set_new(view, "error",
        attempt->end.error == OK ? json_null() : json_string(err_name(attempt->end.error)));
    add_cause(view, attempt);
    add_evidence(view, attempt);
    if (attempt->excerpt_len)
        json_object_set_new(
            view, "answer", ascii_text(slice_of(attempt->excerpt, attempt->excerpt_len)));
    return view;
}

json_t *admin_endpoint_label(const struct admin *admin, uint64_t id)
{
    if (id == 0)
        return json_null();
    char text[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(id, text);
    const struct endpoint *endpoint = NULL;
    if (admin->options.accounts)
        endpoint = directory_endpoint(accounts_directory(admin->options.accounts), id);
    return json_pack("{s:s, s:s?, s:s?}", "id", text, "name", endpoint ? endpoint->name : NULL,
        "url", endpoint ? endpoint->url : NULL);
}

static json_t *action_view(const struct admin *admin, const struct timeline_action *action)
{
    const char *by = action->actor == ACTION_BY_STATUS_PROBE ? "status-probe" : "operator";
    json_t *view = json_pack("{s:o, s:s, s:s, s:s, s:s}", "at", admin_time(action->at_us), "by", by,
        "from", delivery_state_name(action->from), "to", delivery_state_name(action->to), "reason",
        action->note);
    if (action->from_endpoint != action->to_endpoint) {
        json_object_set_new(
            view, "from_endpoint", admin_endpoint_label(admin, action->from_endpoint));
        json_object_set_new(view, "to_endpoint", admin_endpoint_label(admin, action->to_endpoint));
    }
    return view;
}

void admin_add_delivered(json_t *view, const struct timeline_delivery *delivery)
{
    json_object_set_new(view, "delivered_at", admin_time(delivery->delivered_us));
    json_object_set_new(view, "replay",
        delivery->replay == REPLAY_NONE ? json_null()
                                        : json_string(delivery_replay_name(delivery->replay)));
}

json_t *admin_wait_cause(const struct delivery *delivery)
{
    return delivery->state != DELIVERY_WAITING || delivery->wait_cause == WAIT_NONE
               ? json_null()
               : json_string(wait_cause_name(delivery->wait_cause));
}

/* Questions to the reader of the journals, and then to the shard of the event. */

struct asked {
    struct journal_find find;
    struct queue_look look; /* why what is open is not delivered */
    struct queue_look_entry entries[ACCOUNT_ENDPOINTS_MAX];
    bool is_delivery; /* one delivery of the event, `index` */
    unsigned index;
    struct admin *admin;
    struct http_exchange *exchange;
};

static void add_why(
    json_t *view, const struct asked *asked, const struct timeline_delivery *delivery)
{
    const struct queue_look *look = &asked->look;
    struct why_question question = {.admin = asked->admin,
        .event = asked->find.ret_timeline->event,
        .delivery = delivery,
        .journal_refuses = look->ret_journal_refuses,
        .now_us = clock_wall_us()};
    for (unsigned i = 0; i < look->count; i++)
        if (look->entries[i].endpoint == delivery->delivery.endpoint)
            question.look = &look->entries[i];
    json_t *why = why_view(&question);
    if (why)
        json_object_set_new(view, "why", why);
}

static json_t *delivery_view(const struct asked *asked, const struct timeline_delivery *it)
{
    const struct admin *admin = asked->admin;
    const struct timeline *timeline = asked->find.ret_timeline;
    const struct delivery *delivery = &it->delivery;
    json_t *view = json_object(), *attempts = json_array(), *actions = json_array();
    char id[DELIVERY_ID_TEXT_BYTES];
    delivery_id_format(&timeline->event->parts.id, placement_index(delivery->id), id);
    json_object_set_new(view, "id", json_string(id));
    json_object_set_new(view, "endpoint", admin_endpoint_label(admin, delivery->endpoint));
    json_object_set_new(view, "state", json_string(delivery_state_name(delivery->state)));
    if (delivery->state == DELIVERY_PARKED)
        json_object_set_new(view, "reason", json_string(park_reason_name(it->reason)));
    json_object_set_new(view, "lane", json_string(delivery_lane_name(delivery->lane)));
    if (delivery->state == DELIVERY_WAITING) {
        json_object_set_new(view, "due_at", admin_time(delivery->due_us));
        json_object_set_new(view, "waits_because", admin_wait_cause(delivery));
    }
    json_object_set_new(view, "held_by",
        admin_view_held_by(admin, &timeline->event->parts, delivery->endpoint, delivery->state));
    json_object_set_new(view, "changed_at", admin_time(it->changed_us));
    admin_add_delivered(view, it);
    for (size_t i = 0; i < timeline->attempts_count; i++)
        if (timeline->attempts[i].delivery == delivery->id)
            json_array_append_new(attempts, admin_view_attempt(&timeline->attempts[i].attempt));
    json_object_set_new(view, "attempts", attempts);
    for (size_t i = 0; i < timeline->actions_count; i++)
        if (timeline->actions[i].delivery == delivery->id)
            json_array_append_new(actions, action_view(admin, &timeline->actions[i]));
    json_object_set_new(view, "operator_actions", actions);
    if (it->damaged)
        json_object_set_new(view, "damaged", json_true());
    add_why(view, asked, it);
    return view;
}

static json_t *timeline_view(const struct asked *asked)
{
    const struct timeline *timeline = asked->find.ret_timeline;
    const struct event *event = timeline->event;
    const struct event_parts *parts = &event->parts;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    json_t *view = json_object(), *deliveries = json_array();
    json_object_set_new(view, "event", json_string(id));
    if (timeline->is_of_first) {
        event_id_format(&asked->find.id, id);
        json_object_set_new(view, "alias", json_string(id));
    }
    json_object_set_new(view, "partner", admin_text(parts->partner));
    json_object_set_new(view, "account", admin_text(parts->account));
    json_object_set_new(view, "type", admin_text(parts->type));
    json_object_set_new(view, "class", json_string(class_name(event->parts.class)));
    json_object_set_new(view, "guarded", json_boolean(event->parts.guarded));
    json_object_set_new(view, "key", admin_text(parts->key));
    json_object_set_new(view, "amount", admin_text(parts->amount));
    json_object_set_new(view, "currency", admin_text(parts->currency));
    json_object_set_new(
        view, "occurred_at", admin_time(parts->has_occurred_at ? parts->occurred_us : 0));
    json_object_set_new(view, "accepted_at", admin_time(parts->accepted_us));
    json_object_set_new(view, "bytes", json_integer((json_int_t)parts->body.len));
    for (size_t i = 0; i < timeline->deliveries_count; i++)
        json_array_append_new(deliveries, delivery_view(asked, &timeline->deliveries[i]));
    json_object_set_new(view, "deliveries", deliveries);
    json_object_set_new(view, "filtered", why_filtered(asked->admin, parts));
    return view;
}

static void answer_delivery(const struct asked *asked)
{
    const struct timeline *timeline = asked->find.ret_timeline;
    for (size_t i = 0; i < timeline->deliveries_count; i++) {
        const struct timeline_delivery *it = &timeline->deliveries[i];
        if (placement_index(it->delivery.id) != asked->index)
            continue;
        json_t *view = delivery_view(asked, it);
        admin_add_event(view, &timeline->event->parts);
        admin_answer_json(asked->exchange, 200, view);
        return;
    }
    http_answer_problem(asked->exchange, ERR_NOT_FOUND,
        "The event has no delivery with this number: GET /api/v1/events/{id} shows its deliveries.",
        NULL);
}

static void answer(struct asked *asked)
{
    if (asked->admin->has_ended)
        http_answer_problem(
            asked->exchange, ERR_SHUTTING_DOWN, "The gateway stops. Try again later.", NULL);
    else if (asked->is_delivery)
        answer_delivery(asked);
    else
        admin_answer_json(asked->exchange, 200, timeline_view(asked));
    timeline_free(asked->find.ret_timeline);
    free(asked);
}

static void on_looked(struct request *request, void *receiver)
{
    answer(CONTAINER_OF(request, struct asked, look.ask));
}

/* Asks the shard about the endpoints of what is to be sent. Returns false when there is none. */
static bool look_at_queues(struct asked *asked)
{
    const struct timeline *timeline = asked->find.ret_timeline;
    const struct admin_options *options = &asked->admin->options;
    struct queue_look *look = &asked->look;
    look->entries = asked->entries;
    for (size_t i = 0; i < timeline->deliveries_count; i++) {
        const struct delivery *delivery = &timeline->deliveries[i].delivery;
        bool is_open = delivery->state == DELIVERY_PENDING || delivery->state == DELIVERY_WAITING;
        if (is_open && delivery->endpoint != 0 && look->count < ACCOUNT_ENDPOINTS_MAX)
            look->entries[look->count++].endpoint = delivery->endpoint;
    }
    if (look->count == 0 || !options->look_at_queues || asked->admin->draining)
        return false;
    look->ask.reply_to = &asked->admin->mailbox;
    look->ask.on_done = on_looked;
    options->look_at_queues(look,
        placement_shard(event_id_partition(&timeline->event->parts.id), options->shards),
        options->context);
    return true;
}

static void on_found(struct request *request, void *receiver)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, find.request);
    if (request->result == OK) {
        if (!look_at_queues(asked))
            answer(asked);
        return;
    }
    if (request->result == ERR_NOT_FOUND)
        http_answer_problem(asked->exchange, ERR_NOT_FOUND,
            asked->is_delivery ? "No journal has this delivery." : "No journal has this event.",
            NULL);
    else
        http_answer_problem(asked->exchange, request->result, ADMIN_JOURNALS_UNREADABLE, NULL);
    free(asked);
}

static void find(struct admin *admin, struct http_exchange *exchange, const struct event_id *event,
    bool is_delivery, unsigned index)
{
    struct asked *asked;
    MEMORY_NEW(asked);
    *asked = (struct asked){.admin = admin,
        .exchange = exchange,
        .is_delivery = is_delivery,
        .index = index,
        .find = {.id = *event, .request = {.reply_to = &admin->mailbox, .on_done = on_found}}};
    journal_reader_find(admin->options.reader, &asked->find);
}

void admin_get_event(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct event_id event;
    if (!admin_authenticate(admin, exchange))
        return;
    if (event_id_parse(http_path_part(exchange, 0), &event))
        find(admin, exchange, &event, false, 0);
    else
        http_answer_problem(exchange, ERR_NOT_FOUND,
            "The id of an event must be like evt_01890a5d-ac96-774b-bcce-b302099a8057.", NULL);
}

bool admin_take_delivery_id(
    struct http_exchange *exchange, struct event_id *ret_event, unsigned *ret_index)
{
    if (delivery_id_parse(http_path_part(exchange, 0), ret_event, ret_index))
        return true;
    http_answer_problem(exchange, ERR_NOT_FOUND,
        "The id of a delivery must be like dlv_01890a5d-ac96-774b-bcce-b302099a8057-0.", NULL);
    return false;
}

void admin_get_delivery(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct event_id event;
    unsigned index;
    if (admin_authenticate(admin, exchange) && admin_take_delivery_id(exchange, &event, &index))
        find(admin, exchange, &event, true, index);
}
