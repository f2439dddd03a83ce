/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /v1/events. Answers when the queue reports that the event is durable, or with 503 when that
 * takes too long. If the partner disconnects, the event is handled in the same way.
 */
#include "base/failpoint.h"
#include "base/memory.h"
#include "ingress/ingress_internal.h"

/* A posted event that is in the queue. */
struct posted {
    struct queue_entry entry;
    struct awaited awaited;
    struct ingress *ingress;
};

static void answer_good(
    struct http_exchange *exchange, const struct posted *posted, enum err result)
{
    struct buffer json = BUFFER_EMPTY;
    result_print(posted->ingress, &posted->entry.append, result, "{\"status\":", &json);
    buffer_add_char(&json, '\n');
    if (buffer_status(&json) == OK)
        http_answer(exchange,
            &(struct http_reply){
                .status = 200, .content_type = "application/json", .body = buffer_slice(&json)});
    else
        http_answer_problem(exchange, ERR_NO_MEMORY, REFUSED_LATE, NULL);
    buffer_done(&json);
}

static void on_durable(struct queue_entry *entry, enum err result)
{
    struct posted *posted = CONTAINER_OF(entry, struct posted, entry);
    result_count(result);
    failpoint_crash(CRASH_ANSWER_DUE);
    struct http_exchange *exchange = awaited_take_exchange(&posted->awaited);
    if (exchange && result_is_good(result)) {
        answer_good(exchange, posted, result);
    } else if (exchange) {
        struct refusal refusal;
        result_refuse(&entry->append, result, &refusal);
        http_answer_refusal_of(exchange, &refusal, entry->append.event->parts.body);
    }
    awaited_end(&posted->awaited, posted->ingress);
    event_unref(entry->append.event);
    free(posted);
}

static void on_late(struct awaited *awaited)
{
    const struct posted *posted = CONTAINER_OF(awaited, struct posted, awaited);
    struct refusal late;
    (void)refuse(&late, ERR_TIMEOUT, REFUSED_LATE);
    http_answer_refusal_of(
        awaited_take_exchange(awaited), &late, posted->entry.append.event->parts.body);
}

static enum err post_one(struct ingress *ingress, struct http_exchange *exchange,
    const struct caller *caller, struct slice fallback_key, struct refusal *ret_refusal)
{
    if (!media_is(exchange, "application/json"))
        return refuse(
            ret_refusal, ERR_MEDIA_TYPE, "Send the event as content-type: application/json.");
    if (!media_is_plain(exchange))
        return refuse(ret_refusal, ERR_MEDIA_TYPE, "Send the body without content-encoding.");
    char storage[GIVEN_KEY_BYTES_MAX];
    struct slice given_key = {0};
    enum err failed =
        given_key_parse(http_header(exchange, "idempotency-key"), storage, &given_key, ret_refusal);
    if (failed)
        return failed;
    struct posted *posted = memory_new(sizeof *posted);
    struct submission submission = {.caller = *caller,
        .body = http_body(exchange),
        .may_give_key = true,
        .given_key = given_key,
        .fallback_key = fallback_key,
        .traceparent = http_header(exchange, "traceparent")};
    failed = ingress_accept(ingress, &submission, &posted->entry.append, ret_refusal);
    if (failed) {
        free(posted);
        return failed;
    }
    failpoint_crash(CRASH_EVENT_MADE);
    posted->ingress = ingress;
    posted->entry.on_durable = on_durable;
    awaited_begin(&posted->awaited, ingress, exchange, on_late);
    ingress_enqueue(ingress, &posted->entry);
    failpoint_crash(CRASH_EVENT_POSTED);
    return OK;
}

void ingress_post_one(struct ingress *ingress, struct http_exchange *exchange,
    const struct caller *caller, struct slice fallback_key)
{
    struct refusal refusal;
    failpoint_crash(CRASH_BODY_COMPLETE);
    enum err failed = post_one(ingress, exchange, caller, fallback_key, &refusal);
    if (!failed)
        return;
    result_count_refused(failed);
    http_answer_refusal(exchange, &refusal);
}

void ingress_post_event(struct http_exchange *exchange, void *context)
{
    struct caller caller;
    if (ingress_admitted(context, exchange, &caller))
        ingress_post_one(context, exchange, &caller, slice_of(NULL, 0));
}
