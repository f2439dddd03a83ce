/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of the journals: GET /api/v1/deliveries, /api/v1/conflicts, /api/v1/poison.
 *
 * One handler serves them all. A list is a row of `lists`: its filters, the question to the reader
 * of the journals, and the view of an item. Every list also takes `limit` and `cursor`, and answers
 *
 *   {NAME: [...], "next": the cursor of the next page, or null}
 *
 * A page may have fewer items than `limit`, even none, and still a `next` (history/listing.h). A
 * filter for something that does not exist is an error when the journals hold nothing for it: a
 * list that is complete in one empty page is a 404; other pages have the member `unknown`, so that
 * the client can tell after the last one.
 */
#include "admin/admin_internal.h"

#include "base/crypto.h"
#include "base/memory.h"
#include "history/listing.h"
#include "model/delivery_id.h"
#include "model/placement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 100
#define FILTERS_MAX 15 /* with the end of the array */

struct list_kind;

/* A question on its way to the reader and back. */
struct list_question {
    const struct list_kind *list;
    struct admin *admin;
    struct http_exchange *exchange;
    bool from_start;                                    /* without a cursor */
    struct admin_parameter parameters[FILTERS_MAX + 2]; /* in the order of the filters */
    union {                                             /* each begins with the page */
        struct journal_page page;
        struct journal_list deliveries;
        struct journal_list_conflicts conflicts;
        struct journal_list_poison poison;
    };
};

/* A parameter of a list. */
struct list_filter {
    const char *name;
    /* Puts the value at `target`, or answers a 422 and returns false. NULL: it is a member of the
     * delivery filter. */
    bool (*take)(
        struct http_exchange *exchange, const struct admin_parameter *parameter, void *target);
    size_t target; /* offset in the question */
    size_t given;  /* offset of a flag that is set; 0: none */
};

struct list_kind {
    const char *name;
    struct list_filter filters[FILTERS_MAX];
    void (*ask)(struct journal_reader *reader, struct list_question *question);
    void (*done)(struct list_question *question);
    json_t *(*view)(const struct list_question *question, unsigned index); /* NULL: no memory */
};

/* Filters. */

static bool take_name(
    struct http_exchange *exchange, const struct admin_parameter *parameter, void *target)
{
    return admin_take_name(exchange, parameter, target);
}

static bool take_day(
    struct http_exchange *exchange, const struct admin_parameter *parameter, void *target)
{
    return admin_take_day(exchange, parameter, target);
}

static bool take_event(
    struct http_exchange *exchange, const struct admin_parameter *parameter, void *target)
{
    if (event_id_parse(slice_from_string(parameter->value), target))
        return true;
    admin_refuse_member(exchange, parameter->name, "must be the id of an event (evt_...)");
    return false;
}

/* Views of an item. */

static json_t *delivery_view(const struct list_question *question, unsigned index)
{
    const struct listed_delivery *listed = &question->deliveries.ret_deliveries[index];
    const struct delivery *delivery = &listed->delivery.delivery;
    json_t *view = json_object();
    char id[DELIVERY_ID_TEXT_BYTES] = "";
    if (listed->event)
        delivery_id_format(&listed->event->parts.id, placement_index(delivery->id), id);
    json_object_set_new(view, "id", admin_text(slice_from_string(id)));
    if (listed->event)
        admin_add_event(view, &listed->event->parts);
    if (listed->event)
        json_object_set_new(view, "class", json_string(class_name(listed->event->parts.class)));
    json_object_set_new(
        view, "endpoint", admin_endpoint_label(question->admin, delivery->endpoint));
    json_object_set_new(view, "state", json_string(delivery_state_name(delivery->state)));
    json_object_set_new(view, "reason",
        delivery->state == DELIVERY_PARKED ? json_string(park_reason_name(listed->delivery.reason))
                                           : json_null());
    json_object_set_new(view, "lane", json_string(delivery_lane_name(delivery->lane)));
    json_object_set_new(view, "attempts", json_integer(delivery->attempts));
    json_object_set_new(view, "cause",
        listed->cause ? json_string(attempt_cause_code(listed->cause)) : json_null());
    json_object_set_new(view, "due_at",
        delivery->state == DELIVERY_WAITING ? admin_time(delivery->due_us) : json_null());
    json_object_set_new(view, "waits_because", admin_wait_cause(delivery));
    json_object_set_new(view, "changed_at", admin_time(listed->delivery.changed_us));
    admin_add_delivered(view, &listed->delivery);
    if (listed->delivery.damaged || !listed->event)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

/* The event that was received; its id is the one of the first event. */
static json_t *conflict_view(const struct list_question *question, unsigned index)
{
    const struct listed_conflict *conflict = &question->conflicts.ret_conflicts[index];
    const struct event_parts *parts = &conflict->event->parts;
    char first[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, first);
    json_t *view =
        json_pack("{s:s, s:o, s:o, s:I}", "first_event", first, "at", admin_time(conflict->at_us),
            "last_at", admin_time(conflict->last_us), "times", (json_int_t)conflict->times);
    admin_add_event_fields(view, parts);
    json_object_set_new(view, "bytes", json_integer((json_int_t)conflict->body_bytes));
    if (conflict->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

/* NULL: no memory. */
static json_t *base64_text(struct slice bytes)
{
    char *text = malloc(BASE64_BYTES(bytes.len));
    if (!text)
        return NULL;
    json_t *string = json_stringn(text, base64_encode(bytes, false, text));
    free(text);
    return string;
}

/* The bytes of a message: as text (`body`) if they are UTF-8, else in base64 (`body_base64`). */
static bool add_body(json_t *view, struct slice body)
{
    json_t *text = json_stringn(body.len ? body.data : "", body.len);
    return text ? json_object_set_new(view, "body", text) == 0
                : json_object_set_new(view, "body_base64", base64_text(body)) == 0;
}

static json_t *poison_view(const struct list_question *question, unsigned index)
{
    const struct listed_poison *poison = &question->poison.ret_poison[index];
    json_t *headers =
        poison->headers_len ? json_loadb(poison->bytes, poison->headers_len, 0, NULL) : NULL;
    json_t *message_id = *poison->message_id ? json_string(poison->message_id) : NULL;
    json_t *view = json_pack("{s:s, s:s, s:o, s:o?, s:o?, s:I}", "queue", poison->queue, "reason",
        poison->reason, "at", admin_time(poison->at_us), "message_id", message_id, "headers",
        headers, "bytes", (json_int_t)poison->body_bytes);
    if (!view || !add_body(view, slice_of(poison->bytes + poison->headers_len, poison->body_len))) {
        json_decref(view);
        return NULL;
    }
    if (poison->body_bytes > poison->body_len)
        json_object_set_new(view, "cut", json_true());
    if (poison->damaged)
        json_object_set_new(view, "damaged", json_true());
    return view;
}

/* The lists. */

static void ask_deliveries(struct journal_reader *reader, struct list_question *question)
{
    journal_reader_list(reader, &question->deliveries);
}

static void ask_conflicts(struct journal_reader *reader, struct list_question *question)
{
    journal_reader_list_conflicts(reader, &question->conflicts);
}

static void ask_poison(struct journal_reader *reader, struct list_question *question)
{
    journal_reader_list_poison(reader, &question->poison);
}

static void deliveries_done(struct list_question *question)
{
    journal_list_done(&question->deliveries);
}

static void conflicts_done(struct list_question *question)
{
    journal_list_conflicts_done(&question->conflicts);
}

static void poison_done(struct list_question *question)
{
    journal_list_poison_done(&question->poison);
}

#define CONFLICTS(field) offsetof(struct list_question, conflicts.filter.field)

static const struct list_kind lists[] = {
    {"deliveries",
        {
            {"state"},
            {"park_reason"},
            {"partner"},
            {"account"},
            {"endpoint"},
            {"type"},
            {"class"},
            {"key"},
            {"amount"},
            {"currency"},
            {"cause"},
            {"since"},
            {"until"},
            {"day"},
        },
        ask_deliveries, deliveries_done, delivery_view},
    {"conflicts",
        {
            {"account", take_name, CONFLICTS(account)},
            {"partner", take_name, CONFLICTS(partner)},
            {"event", take_event, CONFLICTS(first), CONFLICTS(has_first)},
            {"day", take_day, CONFLICTS(day), CONFLICTS(has_day)},
        },
        ask_conflicts, conflicts_done, conflict_view},
    {"poison", {{NULL}}, ask_poison, poison_done, poison_view},
};

/* Limit and cursor. A cursor is numbers between dots, which have no meaning for clients. */

static bool parse_cursor(const char *text, struct listing_cursor *ret_cursor)
{
    int64_t numbers[5];
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        char *end;
        errno = 0;
        numbers[i] = strtoll(text, &end, 10);
        bool is_last = i + 1 == ARRAY_LENGTH(numbers);
        if (errno || end == text || *end != (is_last ? '\0' : '.'))
            return false;
        text = end + 1;
    }
    if (numbers[0] < 0 || numbers[0] >= SHARDS_MAX || numbers[1] < 0 ||
        numbers[1] > LISTING_PLACE_REPLAYS)
        return false;
    *ret_cursor = (struct listing_cursor){.shard = (unsigned)numbers[0],
        .place = (unsigned)numbers[1],
        .endpoint = numbers[2],
        .key = numbers[3],
        .id = numbers[4]};
    return true;
}

static bool take_cursor(struct http_exchange *exchange, const struct admin_parameter *parameter,
    struct listing_cursor *ret_cursor)
{
    if (!parameter->given || parse_cursor(parameter->value, ret_cursor))
        return true;
    admin_refuse_member(exchange, parameter->name, ADMIN_CURSOR_RULE);
    return false;
}

/* The cursor of the next page; null after the last one. */
static json_t *next_of(const struct journal_page *page)
{
    const struct listing_cursor *cursor = &page->cursor;
    char text[96];
    if (!page->ret_more)
        return json_null();
    snprintf(text, sizeof text, "%u.%u.%lld.%lld.%lld", cursor->shard, cursor->place,
        (long long)cursor->endpoint, (long long)cursor->key, (long long)cursor->id);
    return json_string(text);
}

/* The handler. */

static size_t count_filters(const struct list_kind *list)
{
    size_t count = 0;
    while (list->filters[count].name)
        count++;
    return count;
}

static json_t *items_view(const struct list_question *question)
{
    json_t *items = json_array();
    for (unsigned i = 0; i < question->page.ret_count; i++) {
        if (json_array_append_new(items, question->list->view(question, i)) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

static void answer_page(const struct list_question *question)
{
    const struct journal_page *page = &question->page;
    admin_answer_page(question->exchange, question->list->name, items_view(question), next_of(page),
        admin_filter_unknown(question->admin, question->parameters, count_filters(question->list)),
        question->from_start && !page->ret_more);
}

static void on_listed(struct request *request, void *receiver)
{
    struct list_question *question = CONTAINER_OF(request, struct list_question, page.request);
    if (request->result == OK)
        answer_page(question);
    else
        admin_answer_unread(question->exchange, request->result);
    question->list->done(question);
    free(question);
}

static bool take_delivery_filter(struct list_question *question)
{
    struct journal_list *list = &question->deliveries;
    if (!admin_take_filter(question->admin, question->exchange, question->parameters,
            count_filters(question->list), &list->filter))
        return false;
    list->page.has_shard = admin_shard_of(question->admin, list->filter.account, &list->page.shard);
    return true;
}

/* Reads the parameters of a question. False after an answer. */
static bool take_question(struct list_question *question)
{
    const struct list_filter *filters = question->list->filters;
    struct admin_parameter *parameters = question->parameters;
    size_t count = count_filters(question->list);
    for (size_t i = 0; i < count; i++)
        parameters[i].name = filters[i].name;
    parameters[count].name = "limit";
    parameters[count + 1].name = "cursor";
    if (!admin_take_parameters(question->exchange, parameters, count + 2))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!parameters[i].given || !filters[i].take)
            continue;
        if (filters[i].given)
            *(bool *)((char *)question + filters[i].given) = true;
        if (!filters[i].take(
                question->exchange, &parameters[i], (char *)question + filters[i].target))
            return false;
    }
    if (question->list->view == delivery_view && !take_delivery_filter(question))
        return false;
    question->page.count_max = LIMIT_DEFAULT;
    return admin_take_limit(question->exchange, &parameters[count], LISTING_COUNT_MAX,
               &question->page.count_max) &&
           take_cursor(question->exchange, &parameters[count + 1], &question->page.cursor);
}

static void answer_list(
    struct admin *admin, struct http_exchange *exchange, const struct list_kind *list)
{
    if (!admin_authenticate(admin, exchange))
        return;
    struct list_question *question;
    MEMORY_NEW(question);
    question->list = list;
    question->admin = admin;
    question->exchange = exchange;
    if (!take_question(question)) {
        free(question);
        return;
    }
    question->from_start = question->page.cursor.place == 0;
    question->page.request.reply_to = &admin->mailbox;
    question->page.request.on_done = on_listed;
    list->ask(admin->options.reader, question);
}

void admin_list_deliveries(struct http_exchange *exchange, void *context)
{
    answer_list(context, exchange, &lists[0]);
}

void admin_list_conflicts(struct http_exchange *exchange, void *context)
{
    answer_list(context, exchange, &lists[1]);
}

void admin_list_poison(struct http_exchange *exchange, void *context)
{
    answer_list(context, exchange, &lists[2]);
}
