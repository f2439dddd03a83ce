/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/events/{id}: the state of the partner's own event. An event of another partner, or one
 * outside of the scope of the key, is answered like one that does not exist. An id may belong to a
 * duplicate that was found late. Then the answer is the timeline of the first event: `event` is its
 * id, and `alias` is the requested id.
 *
 * In rabbitmq mode an event may be only in the broker. Then the ingress threads are asked one by
 * one, beginning with the partner's own, whether they accepted it recently (recent_events.h).
 */
#include "ingress/ingress_internal.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>

struct asked {
    struct journal_find find;
    struct http_exchange *exchange;
    char partner[NAME_BYTES_MAX + 1];
    struct key_scope *scope; /* of the key; NULL: all of the partner's events */
    struct ingress *home;    /* the thread that owns the exchange */
    struct mail mail;        /* on its way to another ingress thread, and back */
    unsigned threads_asked;  /* threads asked so far */
    struct buffer json;      /* the answer of a thread that has the event */
    enum err without;        /* the error to answer if no thread has it */
};

#define NO_SUCH_EVENT "You have no event with this id. Check the id."
#define ASK_LATER "The state is not available now. Ask again later."

static void add_time(struct buffer *json, const char *name, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(wall_us, text);
    buffer_add_format(json, "\"%s\":\"%s\"", name, text);
}

void ingress_print_deliveries(
    struct buffer *json, const struct timeline_delivery *deliveries, size_t count)
{
    buffer_add_string(json, "\"deliveries\":[");
    for (size_t i = 0; i < count; i++) {
        const struct timeline_delivery *it = &deliveries[i];
        /* A delivered event stays delivered for the partner, also while an operator sends it again.
         */
        enum delivery_state state = it->delivered_us ? DELIVERY_DELIVERED : it->delivery.state;
        buffer_add_format(json, "%s{\"state\":\"%s\",\"attempts\":%u", i ? "," : "",
            delivery_state_name(state), it->delivery.attempts);
        if (it->delivery.state == DELIVERY_PARKED)
            buffer_add_format(json, ",\"reason\":\"%s\"", park_reason_name(it->reason));
        int64_t changed_us = it->delivered_us ? it->delivered_us : it->changed_us;
        if (changed_us) {
            buffer_add_char(json, ',');
            add_time(json, "changed_at", changed_us);
        }
        buffer_add_char(json, '}');
    }
    buffer_add_char(json, ']');
}

void ingress_print_parts(struct buffer *json, struct slice type, struct slice account,
    struct slice key, int64_t accepted_us)
{
    buffer_add_string(json, "\"type\":");
    buffer_add_json_string(json, type);
    buffer_add_string(json, ",\"account\":");
    buffer_add_json_string(json, account);
    buffer_add_string(json, ",\"key\":");
    if (key.len)
        buffer_add_json_string(json, key);
    else
        buffer_add_string(json, "null");
    buffer_add_char(json, ',');
    add_time(json, "accepted_at", accepted_us);
    buffer_add_char(json, ',');
}

static void answer_json(struct http_exchange *exchange, const struct buffer *json)
{
    if (buffer_status(json) == OK)
        http_answer(exchange,
            &(struct http_reply){
                .status = 200, .content_type = "application/json", .body = buffer_slice(json)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, ASK_LATER, NULL);
}

static void answer_timeline(
    struct http_exchange *exchange, const struct timeline *timeline, const struct event_id *asked)
{
    const struct event_parts *parts = &timeline->event->parts;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    struct buffer json = BUFFER_EMPTY;
    buffer_add_format(&json, "{\"event\":\"%s\",", id);
    if (timeline->is_of_first) {
        event_id_format(asked, id);
        buffer_add_format(&json, "\"alias\":\"%s\",", id);
    }
    ingress_print_parts(&json, parts->type, parts->account, parts->key, parts->accepted_us);
    if (timeline->deliveries_count == 0) /* the event waits in the outbox for the broker */
        buffer_add_string(&json, "\"status\":\"accepted\",");
    ingress_print_deliveries(&json, timeline->deliveries, timeline->deliveries_count);
    buffer_add_string(&json, "}\n");
    answer_json(exchange, &json);
    buffer_done(&json);
}

static void end_asked(struct asked *asked)
{
    timeline_free(asked->find.ret_timeline);
    free(asked->scope);
    buffer_done(&asked->json);
    free(asked);
}

/* Whether the event is one that the asking key could have posted. */
static bool may_see(
    const struct asked *asked, struct slice partner, struct slice account, struct slice type)
{
    return slice_equals_string(partner, asked->partner) &&
           (!asked->scope || (key_scope_has_account(asked->scope, account) &&
                                 key_scope_has_type(asked->scope, type)));
}

/* Prints an event that only the broker has. A key that was too long to be remembered is left
 * out. */
static void print_found(struct buffer *json, const struct queue_found *found)
{
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&found->id, id);
    buffer_add_format(json, "{\"event\":\"%s\",\"status\":\"accepted\",", id);
    ingress_print_parts(json, found->type, found->account, found->key, found->accepted_us);
    buffer_add_string(json, "\"deliveries\":[]}\n");
}

static void on_remembered(struct mail *mail, void *receiver)
{
    struct asked *asked = CONTAINER_OF(mail, struct asked, mail);
    if (asked->json.len || asked->json.failed)
        answer_json(asked->exchange, &asked->json);
    else
        http_answer_problem(asked->exchange, asked->without,
            asked->without == ERR_NOT_FOUND ? NO_SUCH_EVENT : ASK_LATER, NULL);
    end_asked(asked);
}

/* Asks the thread that runs this. The next thread is asked by mail. */
static void remember(struct mail *mail, void *receiver)
{
    struct asked *asked = CONTAINER_OF(mail, struct asked, mail);
    struct ingress *here = receiver;
    const struct ingress_options *options = &here->options;
    struct queue_found found;
    if (here->ended) { /* all threads have ended, so any thread may answer */
        http_answer_problem(asked->exchange, ERR_SHUTTING_DOWN, ASK_LATER, NULL);
        end_asked(asked);
        return;
    }
    if (queue_find(here->queue, &asked->find.id, &found) &&
        may_see(asked, found.partner, found.account, found.type))
        print_found(&asked->json, &found);
    asked->threads_asked++;
    bool over = asked->json.len || asked->threads_asked >= options->threads || !options->ingresses;
    if (!over && here->draining) { /* the next one may have ended */
        asked->without = ERR_SHUTTING_DOWN;
        over = true;
    }
    if (over && here == asked->home) {
        on_remembered(mail, here);
        return;
    }
    asked->mail.on_receive = over ? on_remembered : remember;
    struct ingress *next =
        over ? asked->home : options->ingresses[(options->number + 1) % options->threads];
    mailbox_post(&next->mailbox, &asked->mail);
}

static void on_found(struct request *request, void *receiver)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, find.request);
    const struct timeline *timeline = asked->find.ret_timeline;
    enum err result = request->result;
    if (result == ERR_NOT_FOUND && asked->home->options.connector) {
        remember(&asked->mail, receiver);
        return;
    }
    if (result == OK && !may_see(asked, timeline->event->parts.partner,
                            timeline->event->parts.account, timeline->event->parts.type))
        result = ERR_NOT_FOUND;
    if (result == OK)
        answer_timeline(asked->exchange, timeline, &asked->find.id);
    else
        http_answer_problem(
            asked->exchange, result, result == ERR_NOT_FOUND ? NO_SUCH_EVENT : ASK_LATER, NULL);
    end_asked(asked);
}

void ingress_get_event(struct http_exchange *exchange, void *context)
{
    struct ingress *ingress = context;
    struct caller caller;
    if (!ingress_admitted(ingress, exchange, &caller))
        return;
    struct event_id id;
    if (!event_id_parse(http_path_part(exchange, 0), &id)) {
        http_answer_problem(exchange, ERR_NOT_FOUND, NO_SUCH_EVENT, NULL);
        return;
    }
    struct asked *asked = memory_new(sizeof *asked);
    asked->exchange = exchange;
    asked->home = ingress;
    asked->without = ERR_NOT_FOUND;
    snprintf(asked->partner, sizeof asked->partner, "%s", caller.partner->id);
    if (key_scope_is_limited(&caller.credential->scope)) {
        asked->scope = memory_new_raw(sizeof *asked->scope);
        *asked->scope = caller.credential->scope;
    }
    asked->find.id = id;
    asked->find.request.reply_to = &ingress->mailbox;
    asked->find.request.on_done = on_found;
    journal_reader_find(ingress->options.reader, &asked->find);
}
