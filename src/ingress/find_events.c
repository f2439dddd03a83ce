/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/events?key=KEY: the partner's own events that have this key, the newest first. `account`
 * and `type` narrow the search. Events outside of the scope of the API key are left out.
 *
 *   {"events": [each as GET /v1/events/{id} shows it], "more": whether there are more}
 *
 * 404 if there is none. The search takes pages of a bounded time (history/event_search.h), and at
 * most PAGES_MAX of them. In rabbitmq mode an event is found when it is in a journal.
 */
#include "ingress/ingress_internal.h"

#include "base/memory.h"
#include "history/event_search.h"
#include "http/query.h"
#include "model/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 20
#define PAGES_MAX 40 /* of 50 ms each, and other questions have their turn between them */

#define NO_SUCH_EVENT "You have no event with this key. Check the key."
#define ASK_LATER "The state is not available now. Ask again later."

struct question {
    struct journal_search search;
    struct http_exchange *exchange;
    struct ingress *home;    /* the thread that owns the exchange */
    struct key_scope *scope; /* of the key; NULL: all of the partner's events */
    unsigned pages, count;   /* asked for; events in `json` */
    struct buffer json;
};

static void end_question(struct question *question)
{
    journal_search_done(&question->search);
    free(question->scope);
    buffer_done(&question->json);
    free(question);
}

static void add_event(struct question *question, const struct found_event *found)
{
    const struct event_parts *parts = &found->event->parts;
    const struct key_scope *scope = question->scope;
    struct buffer *json = &question->json;
    char id[EVENT_ID_TEXT_BYTES];
    if (scope &&
        (!key_scope_has_account(scope, parts->account) || !key_scope_has_type(scope, parts->type)))
        return;
    event_id_format(&parts->id, id);
    buffer_add_format(json, "%s{\"event\":\"%s\",", question->count++ ? "," : "", id);
    ingress_print_parts(json, parts->type, parts->account, parts->key, parts->accepted_us);
    if (found->deliveries_count == 0) /* the event waits in the outbox for the broker */
        buffer_add_string(json, "\"status\":\"accepted\",");
    ingress_print_deliveries(json, found->deliveries, found->deliveries_count);
    buffer_add_char(json, '}');
}

static void answer_found(struct question *question)
{
    struct buffer *json = &question->json;
    buffer_add_format(json, "],\"more\":%s}\n", question->search.ret_more ? "true" : "false");
    if (buffer_status(json) == OK)
        http_answer(question->exchange,
            &(struct http_reply){
                .status = 200, .content_type = "application/json", .body = buffer_slice(json)});
    else
        http_answer_problem(question->exchange, ERR_NO_MEMORY, ASK_LATER, NULL);
}

static void on_searched(struct request *request, void *receiver)
{
    struct question *question = CONTAINER_OF(request, struct question, search.request);
    struct journal_search *search = &question->search;
    enum err err = request->result;
    for (unsigned i = 0; i < search->ret_count && question->count < EVENTS_MAX; i++)
        add_event(question, &search->ret_events[i]);
    bool goes_on = !err && search->ret_more && question->count < EVENTS_MAX &&
                   ++question->pages < PAGES_MAX && !question->home->draining;
    if (goes_on) {
        journal_search_done(search);
        journal_reader_search(question->home->options.reader, search);
        return;
    }
    if (!err && question->count > 0) {
        answer_found(question);
    } else {
        if (!err)
            err = search->ret_more ? ERR_UNAVAILABLE : ERR_NOT_FOUND;
        http_answer_problem(
            question->exchange, err, err == ERR_NOT_FOUND ? NO_SUCH_EVENT : ASK_LATER, NULL);
    }
    end_question(question);
}

/* Answers with a 422 that names the parameter. */
static bool refuse_parameter(struct http_exchange *exchange, const char *name, const char *detail)
{
    struct field_problems problems = {0};
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/%.60s", name);
    field_problems_add(&problems, pointer, detail);
    http_answer_problem(exchange, ERR_INVALID, "Correct the parameters under errors.", &problems);
    return false;
}

/* False after an answer. */
static bool take_parameter(struct http_exchange *exchange, struct slice encoded_name,
    struct slice encoded_value, struct delivery_filter *filter)
{
    static const char *const known[] = {"key", "account", "type"};
    char name[16], value[DELIVERY_FILTER_TEXT_BYTES];
    const char *problem;
    bool is_known = false;
    if (!http_query_decode(encoded_name, name, sizeof name))
        return refuse_parameter(
            exchange, "query", "has an unknown parameter: use key, account and type");
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        is_known |= strcmp(name, known[i]) == 0;
    if (!is_known)
        return refuse_parameter(exchange, name, "is not a parameter: use key, account and type");
    if (!http_query_decode(encoded_value, value, sizeof value))
        return refuse_parameter(exchange, name, "is too long, or not percent-encoded");
    return delivery_filter_set(filter, name, slice_from_string(value), &problem) ||
           refuse_parameter(exchange, name, problem);
}

static bool take_query(struct http_exchange *exchange, struct delivery_filter *filter)
{
    struct slice rest = http_query(exchange), name, value;
    while (http_query_take(&rest, &name, &value))
        if (!take_parameter(exchange, name, value, filter))
            return false;
    return *filter->key || refuse_parameter(exchange, "key", "is required: GET /v1/events?key=KEY");
}

void ingress_find_events(struct http_exchange *exchange, void *context)
{
    struct ingress *ingress = context;
    struct caller caller;
    if (!ingress_admitted(ingress, exchange, &caller))
        return;
    struct question *question = memory_new(sizeof *question);
    struct journal_search *search = &question->search;
    if (!take_query(exchange, &search->filter)) {
        free(question);
        return;
    }
    question->exchange = exchange;
    question->home = ingress;
    if (key_scope_is_limited(&caller.credential->scope)) {
        question->scope = memory_new_raw(sizeof *question->scope);
        *question->scope = caller.credential->scope;
    }
    snprintf(search->filter.partner, sizeof search->filter.partner, "%s", caller.partner->id);
    search->count_max = EVENTS_MAX;
    search->request.reply_to = &ingress->mailbox;
    search->request.on_done = on_searched;
    buffer_add_string(&question->json, "{\"events\":[");
    journal_reader_search(ingress->options.reader, search);
}
