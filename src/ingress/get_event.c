/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/events/{id}: what has become of the partner's own event. Somebody else's looks like one that does not exist.
 */
#include "ingress/ingress_internal.h"

#include "base/clock.h"

#include <stdio.h>

struct asked {
    struct journal_find find;
    struct http_exchange *exchange;
    char partner[NAME_BYTES_MAX + 1];
};

static void add_time(struct buffer *json, const char *name, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_rfc3339(wall_us, text);
    buffer_add_format(json, "\"%s\":\"%s\"", name, text);
}

static void add_deliveries(struct buffer *json, const struct story *story)
{
    buffer_add_string(json, "\"deliveries\":[");
    for (size_t i = 0; i < story->deliveries_count; i++) {
        const struct story_delivery *it = &story->deliveries[i];
        buffer_add_format(json, "%s{\"state\":\"%s\",\"attempts\":%u", i ? "," : "",
            delivery_state_name(it->delivery.state), it->delivery.attempts);
        if (it->delivery.state == DELIVERY_PARKED)
            buffer_add_format(json, ",\"reason\":\"%s\"", park_reason_name(it->reason));
        if (it->settled_us) {
            buffer_add_char(json, ',');
            add_time(json, "changed_at", it->settled_us);
        }
        buffer_add_char(json, '}');
    }
    buffer_add_char(json, ']');
}

static void answer_story(struct http_exchange *exchange, const struct story *story)
{
    const struct event_parts *parts = &story->event->parts;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    struct buffer json = BUFFER_EMPTY;
    buffer_add_format(&json, "{\"event\":\"%s\",\"type\":", id);
    buffer_add_json_string(&json, parts->type);
    buffer_add_string(&json, ",\"account\":");
    buffer_add_json_string(&json, parts->account);
    buffer_add_string(&json, ",\"key\":");
    if (parts->key.len)
        buffer_add_json_string(&json, parts->key);
    else
        buffer_add_string(&json, "null");
    buffer_add_char(&json, ',');
    add_time(&json, "accepted_at", parts->accepted_us);
    buffer_add_char(&json, ',');
    add_deliveries(&json, story);
    buffer_add_string(&json, "}\n");
    if (buffer_status(&json) == OK)
        http_answer(exchange,
            &(struct http_reply){.status = 200, .content_type = "application/json", .body = buffer_slice(&json)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
    buffer_done(&json);
}

static void on_found(struct journal_query *query, void *receiver)
{
    struct asked *asked = CONTAINER_OF(query, struct asked, find.query);
    const struct story *story = asked->find.ret_story;
    enum err result = query->result;
    if (result == OK && !slice_equals_string(story->event->parts.partner, asked->partner))
        result = ERR_NOT_FOUND;
    if (result == OK)
        answer_story(asked->exchange, story);
    else
        http_answer_problem(asked->exchange, result,
            result == ERR_NOT_FOUND ? "There is no such event of yours." : "Ask again later.", NULL);
    story_free(asked->find.ret_story);
    free(asked);
}

void ingress_get_event(struct http_exchange *exchange, void *context)
{
    struct ingress *ingress = context;
    const struct partner *partner = ingress_authenticate(ingress, exchange);
    if (!partner)
        return;
    struct event_id id;
    if (!event_id_parse(http_path_part(exchange, 0), &id)) {
        http_answer_problem(exchange, ERR_NOT_FOUND, "There is no such event of yours.", NULL);
        return;
    }
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked) {
        http_answer_problem(exchange, ERR_NO_MEMORY, "Ask again later.", NULL);
        return;
    }
    asked->exchange = exchange;
    snprintf(asked->partner, sizeof asked->partner, "%s", partner->id);
    asked->find.id = id;
    asked->find.query.reply_to = &ingress->mailbox;
    asked->find.query.on_done = on_found;
    journal_reader_find(ingress->options.reader, &asked->find);
}
