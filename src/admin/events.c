/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/events: events, newest first, by the members of a filter.
 *
 *   {"events": [...], "next": the cursor of the next page, or null}
 *
 * A page takes a bounded time. So it may have fewer events than `limit`, even none, and still a
 * `next` (history/event_search.h). A filter for an account, a partner or an endpoint that does not
 * exist is a 404 if the list is complete in one empty page; other pages have the member `unknown`.
 */
#include "admin/admin_internal.h"

#include "base/memory.h"
#include "history/event_search.h"
#include "model/delivery_id.h"
#include "model/placement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 100
#define CURSOR_BYTES (2 + SHARDS_MAX * 17 + 1)

static_assert(CURSOR_BYTES <= ADMIN_PARAMETER_BYTES, "the cursor fits into a parameter");

/* Filters that a list of events takes, then `limit` and `cursor`. */
static const char *const names[] = {"partner", "account", "endpoint", "type", "class", "key",
    "state", "park_reason", "amount", "currency", "since", "until", "day", "limit", "cursor"};
#define FILTERS (ARRAY_LENGTH(names) - 2)

/* A question on its way to the reader and back. */
struct question {
    struct journal_search search;
    struct admin *admin;
    struct http_exchange *exchange;
    bool from_start;
    struct admin_parameter parameters[ARRAY_LENGTH(names)];
};

/* The cursor: how many shards, and where each continues, in hex between dots. It has no meaning for
 * clients. */

static bool parse_cursor(const char *text, struct event_cursor *ret_cursor)
{
    struct event_cursor cursor = {0};
    char *end;
    errno = 0;
    unsigned long shards = strtoul(text, &end, 16);
    if (errno || *text < '1' || shards > SHARDS_MAX)
        return false;
    for (unsigned i = 0; i < shards; i++) {
        if (*end != '.' || end[1] == '-')
            return false;
        text = end + 1;
        cursor.next[i] = strtoll(text, &end, 16);
        if (errno || end == text)
            return false;
    }
    cursor.shards = (unsigned)shards;
    *ret_cursor = cursor;
    return *end == '\0';
}

static json_t *next_of(const struct journal_search *search)
{
    const struct event_cursor *cursor = &search->cursor;
    char text[CURSOR_BYTES];
    if (!search->ret_more)
        return json_null();
    size_t len = (size_t)snprintf(text, sizeof text, "%x", cursor->shards);
    for (unsigned i = 0; i < cursor->shards; i++)
        len += (size_t)snprintf(
            text + len, sizeof text - len, ".%llx", (unsigned long long)cursor->next[i]);
    return json_string(text);
}

/* Views. */

static json_t *delivery_view(
    const struct admin *admin, const struct event_id *event, const struct timeline_delivery *it)
{
    char id[DELIVERY_ID_TEXT_BYTES];
    delivery_id_format(event, placement_index(it->delivery.id), id);
    json_t *view = json_pack("{s:s, s:o, s:s, s:i}", "id", id, "endpoint",
        admin_endpoint_label(admin, it->delivery.endpoint), "state",
        delivery_state_name(it->delivery.state), "attempts", (int)it->delivery.attempts);
    if (it->delivery.state == DELIVERY_PARKED)
        json_object_set_new(view, "reason", json_string(park_reason_name(it->reason)));
    if (it->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

static json_t *event_view(const struct admin *admin, const struct found_event *found)
{
    const struct event_parts *parts = &found->event->parts;
    json_t *view = json_object(), *deliveries = json_array();
    admin_add_event(view, parts);
    json_object_set_new(view, "class", json_string(class_name(parts->class)));
    for (unsigned i = 0; i < found->deliveries_count; i++)
        json_array_append_new(deliveries, delivery_view(admin, &parts->id, &found->deliveries[i]));
    json_object_set_new(view, "deliveries", deliveries);
    if (found->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

static void answer_page(const struct question *question)
{
    const struct journal_search *search = &question->search;
    json_t *events = json_array();
    for (unsigned i = 0; i < search->ret_count; i++)
        json_array_append_new(events, event_view(question->admin, &search->ret_events[i]));
    admin_answer_page(question->exchange, "events", events, next_of(search),
        admin_filter_unknown(question->admin, question->parameters, FILTERS),
        question->from_start && !search->ret_more);
}

static void on_searched(struct request *request, void *receiver)
{
    struct question *question = CONTAINER_OF(request, struct question, search.request);
    if (request->result == OK)
        answer_page(question);
    else
        admin_answer_unread(question->exchange, request->result);
    journal_search_done(&question->search);
    free(question);
}

/* Reads the parameters. False after an answer. */
static bool take_question(struct question *question)
{
    struct journal_search *search = &question->search;
    const struct admin_parameter *cursor = &question->parameters[FILTERS + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        question->parameters[i].name = names[i];
    if (!admin_take_parameters(question->exchange, question->parameters, ARRAY_LENGTH(names)) ||
        !admin_take_filter(
            question->admin, question->exchange, question->parameters, FILTERS, &search->filter) ||
        !admin_take_limit(question->exchange, &question->parameters[FILTERS],
            EVENT_SEARCH_COUNT_MAX, &search->count_max))
        return false;
    if (!cursor->given || parse_cursor(cursor->value, &search->cursor))
        return true;
    admin_refuse_member(question->exchange, cursor->name, ADMIN_CURSOR_RULE);
    return false;
}

void admin_list_events(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange))
        return;
    struct question *question;
    MEMORY_NEW(question);
    question->admin = admin;
    question->exchange = exchange;
    question->search.count_max = LIMIT_DEFAULT;
    if (!take_question(question)) {
        free(question);
        return;
    }
    question->from_start = question->search.cursor.shards == 0;
    question->search.request.reply_to = &admin->mailbox;
    question->search.request.on_done = on_searched;
    question->search.has_shard =
        admin_shard_of(admin, question->search.filter.account, &question->search.shard);
    journal_reader_search(admin->options.reader, &question->search);
}
