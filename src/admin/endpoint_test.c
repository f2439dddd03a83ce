/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /api/v1/accounts/{a}/endpoints/{e}/test: sends a marked event to the endpoint, and answers
 * with all that is known about the attempt. The shard of delivery that owns the account sends it
 * (delivery/endpoint_test.h). Nothing is recorded.
 *
 * The status is 200 if the test was made, whatever the client answered: `success` is the verdict.
 */
#include "admin/admin_internal.h"

#include "base/memory.h"
#include "journal/endpoint_test.h"

#include <stdio.h>
#include <stdlib.h>

struct asked {
    struct endpoint_test test;
    const struct admin *admin;
    struct http_exchange *exchange;
    char account[NAME_BYTES_MAX + 1];
};

static const char *const verdict_names[] = {[VERDICT_DELIVERED] = "delivered",
    [VERDICT_RETRY] = "retry",
    [VERDICT_DEAD] = "dead",
    [VERDICT_PARK_AMBIGUOUS] = "parked",
    [VERDICT_DISABLE_ENDPOINT] = "disabled"};

/* Writes why the answer is no success, and what would become of a real event. */
static void explain(const struct endpoint_test *test, char *ret_text, size_t size)
{
    static const char *const meanings[] = {[VERDICT_DELIVERED] = "",
        [VERDICT_RETRY] = "A real event would be sent again later.",
        [VERDICT_DEAD] = "A real event would be dead: this status is final for this endpoint.",
        [VERDICT_PARK_AMBIGUOUS] = "A real event would be parked.",
        [VERDICT_DISABLE_ENDPOINT] = "A real event would be parked, and the endpoint disabled."};
    const struct attempt_said said = attempt_said_of(&test->ret_attempt);
    char reason[CAUSE_TEXT_BYTES];
    if (test->ret_shortage)
        snprintf(reason, sizeof reason, "this machine lacks a resource (%s)", test->ret_shortage);
    else
        attempt_cause_describe(&said, reason);
    snprintf(ret_text, size, "%s. %s", reason, meanings[test->ret_verdict]);
    for (char *c = ret_text; *c; c++) /* the rule may quote the client */
        if (*c < 0x20 || *c >= 0x7f)
            *c = '.';
}

/* A list of the lines. */
static json_t *view_lines(const char *text)
{
    json_t *lines = json_array();
    for (size_t len; *text; text += len + 1) {
        len = strcspn(text, "\n");
        json_array_append_new(lines, json_stringn(text, len));
    }
    return lines;
}

static json_t *view(const struct asked *asked)
{
    const struct endpoint_test *test = &asked->test;
    bool success = test->ret_verdict == VERDICT_DELIVERED;
    char event[EVENT_ID_TEXT_BYTES], why[512];
    event_id_format(&test->ret_event, event);
    explain(test, why, sizeof why);
    json_t *request = json_pack("{s:s, s:s, s:o, s:s}", "method", "POST", "url", test->ret_url,
        "headers", view_lines(test->ret_headers), "body", test->ret_body);
    return json_pack("{s:s, s:s, s:o, s:b, s:b, s:b, s:s, s:s?, s:o, s:o}", "event", event,
        "account", asked->account, "endpoint", admin_endpoint_label(asked->admin, test->endpoint),
        "enabled", (int)test->ret_enabled, "breaker_open", (int)test->ret_breaker_open, "success",
        (int)success, "verdict", verdict_names[test->ret_verdict], "why", success ? NULL : why,
        "request", request, "attempt", admin_view_attempt(&test->ret_attempt));
}

static void on_answered(struct request *request, void *receiver)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, test.ask);
    const char *detail = "The test was not made. Try again later.";
    if (request->result == ERR_NOT_FOUND)
        detail = "The endpoint was removed before it could be tested.";
    else if (request->result == ERR_OVERLOADED)
        detail = "Other tests are running, or memory is short. Try again when they have ended.";
    if (request->result == OK)
        admin_answer_json(asked->exchange, 200, view(asked));
    else
        http_answer_problem(asked->exchange, request->result, detail, NULL);
    free(asked);
}

/* The body may be empty. False after an answer. */
static bool take_body(struct http_exchange *exchange)
{
    static const char *const known[] = {NULL};
    if (http_body(exchange).len == 0)
        return true;
    json_t *body = admin_read_object(exchange, known);
    json_decref(body);
    return body != NULL;
}

void admin_test_endpoint(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange))
        return;
    const struct endpoint *endpoint = admin_find_endpoint(admin, exchange);
    if (!endpoint || !take_body(exchange))
        return;
    struct asked *asked;
    MEMORY_NEW(asked);
    asked->admin = admin;
    asked->exchange = exchange;
    asked->test.endpoint = endpoint->id;
    memcpy(asked->account, endpoint->account, sizeof asked->account);
    asked->test.ask.reply_to = &admin->mailbox;
    asked->test.ask.on_done = on_answered;
    admin->options.test_endpoint(
        &asked->test, slice_from_string(asked->account), admin->options.context);
}
