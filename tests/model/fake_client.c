/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_client.h"

#include "base/list.h"
#include "fake_accounts.h"
#include "model.h"
#include "sim.h"
#include "sim_loop.h"
#include "trace.h"

#include <assert.h>
#include <stdlib.h>

#define UNDER_WAY_MAX 256
#define MAY_HAVE_PROCESSED 500 /* per mille of what ends ambiguously */
#define ANSWERS_302 400        /* per mille of the successes, where it is one */
#define IS_TOO_LONG 400        /* per mille of the bodies that are cut */
#define ANSWERS_EARLY 500      /* per mille: a status probe tells what was true when it was sent */

struct call {
    struct client_request *request;
    const struct fake_rules *rules;
    struct model_delivery *delivery; /* NULL: a status probe */
    struct model_question question;
    int64_t started_us;
    int64_t due_us; /* when its planned end is due; INT64_MAX: the driver ends it */
    struct client_plan plan;
    bool answered;
    enum success success;
    enum probe_answer says;
};

struct client {
    struct loop *loop;
    struct loop_watch watch;
};

/* Calls are in the order of sending. There is at most one client. */
static struct client *living;
static struct call calls[UNDER_WAY_MAX];
static unsigned calls_count;

static struct call take(unsigned at)
{
    struct call call = calls[at];
    for (calls_count--; at < calls_count; at++)
        calls[at] = calls[at + 1];
    return call;
}

static void finish(struct call call)
{
    call.request->duration_us = sim_mono_us() - call.started_us;
    if (call.delivery)
        model_request_ended(call.delivery, &(struct model_end){call.request->end, call.success});
    else
        model_question_ended(&call.question, call.says);
    call.request->on_done(call.request);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    for (unsigned i = 0; i < calls_count;) {
        if (calls[i].answered) {
            finish(take(i));
            i = 0; /* on_done may have sent others */
        } else {
            i++;
        }
    }
}

enum err client_new(
    struct loop *loop, const struct client_options *options, struct client **ret_client)
{
    (void)options;
    struct client *client = calloc(1, sizeof *client);
    assert(client);
    client->loop = loop;
    client->watch.on_ready = on_ready;
    *ret_client = living = client;
    return OK;
}

/* The gateway never sees how the request ends. Its client may have processed it. */
static void lose(const struct call *call, bool begun)
{
    if (call->delivery && !call->answered && begun && sim_chance(STREAM_RULES, MAY_HAVE_PROCESSED))
        model_client_processed(call->delivery);
}

void client_free(struct client *client)
{
    if (!client)
        return;
    while (calls_count > 0) {
        struct call call = take(0);
        /* If it was answered, the request was certainly sent. */
        bool begun =
            call.answered ? call.request->end.request_begun : sim_chance(STREAM_DRIVER, 500);
        lose(&call, begun);
        call.request->end = (struct attempt_end){.error = ERR_CANCELLED, .request_begun = begun};
        call.success = SUCCESS_NO;
        call.says = PROBE_UNKNOWN;
        call.request->retry_after_us = 0;
        call.request->excerpt_len = 0;
        finish(call);
    }
    loop_watch_remove(client->loop, &client->watch);
    living = NULL;
    free(client);
}

static bool find_header(
    const struct client_request *request, const char *name, struct slice *ret_value)
{
    for (unsigned i = 0; i < request->headers_count; i++) {
        struct slice text = slice_from_string(request->headers[i]);
        if (!slice_starts_with(text, name))
            continue;
        *ret_value = slice_of(text.data + strlen(name), text.len - strlen(name));
        return true;
    }
    return false;
}

static struct slice header(const struct client_request *request, const char *name)
{
    struct slice value;
    fail_unless(
        find_header(request, name, &value), "P4", "a request lacks the header \"%s\"", name);
    return value;
}

/* The client answers by the rules that the gateway used for the request. */
static const struct fake_rules *rules_of(const struct client_request *request)
{
    struct slice number;
    return fake_rules_of_number(find_header(request, FAKE_RULES_HEADER, &number)
                                    ? (unsigned)strtoul(number.data, NULL, 10)
                                    : 0);
}

static void send_event(struct call *call)
{
    const struct client_request *request = call->request;
    const struct model_send send = {
        .id = header(request, "webhook-id: "),
        .attempt = header(request, "penstock-attempt: "),
        .url = request->url,
        .body = request->body,
        .once = request->once,
        .rules = call->rules,
    };
    call->delivery = model_request_sent(&send);
}

static void send_question(struct call *call)
{
    const struct client_request *request = call->request;
    struct slice id, value;
    const struct fake_endpoint *endpoint = fake_endpoint_of_question(request->url, &id);
    fail_unless(endpoint && call->rules->probe, "P5", "a status probe asks %s", request->url);
    fail_unless(request->body.len == 0 && !find_header(request, "webhook-", &value) &&
                    request->answer_wanted && !request->once,
        "P5", "a status probe of %s is sent like an event", request->url);
    call->question = model_asked(id, endpoint);
}

void client_send(struct client *client, struct client_request *request)
{
    (void)client;
    fail_unless(calls_count < UNDER_WAY_MAX, BROKEN_SIM, "too many requests in flight");
    request->end = (struct attempt_end){0};
    request->evidence = (struct attempt_evidence){0};
    request->duration_us = request->retry_after_us = 0;
    request->answer_len = request->excerpt_len = 0;
    request->answer_cut = false;
    request->sends = 0;
    struct call *call = &calls[calls_count++];
    *call = (struct call){.request = request,
        .rules = rules_of(request),
        .started_us = sim_mono_us(),
        .due_us = INT64_MAX,
        .success = SUCCESS_NO};
    if (request->get)
        send_question(call);
    else
        send_event(call);
    if (clients_plan(request, &call->plan))
        call->due_us = sim_mono_us() + call->plan.after_us;
}

enum err client_check_url(
    const struct client_options *options, const char *url, const char **ret_problem)
{
    (void)options;
    (void)url;
    (void)ret_problem;
    return OK;
}

static bool is_waiting(const struct call *call)
{
    return !call->answered && call->due_us == INT64_MAX;
}

static unsigned find_waiting(unsigned number)
{
    for (unsigned i = 0; i < calls_count; i++)
        if (is_waiting(&calls[i]) && number-- == 0)
            return i;
    fail(BROKEN_SIM, "no request has this number");
}

unsigned fake_client_waiting(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < calls_count; i++)
        count += is_waiting(&calls[i]);
    return count;
}

/* Gives the gateway the body, if it wants one. A cut one is too long, or is lost halfway. */
static void give_body(struct client_request *request, struct slice body, bool cut)
{
    if (!request->answer_wanted)
        return;
    assert(body.len <= request->answer_size);
    memcpy(request->answer, body.data, body.len);
    request->answer_len = body.len;
    request->answer_cut = cut && sim_chance(STREAM_RULES, IS_TOO_LONG);
    if (cut && !request->answer_cut)
        request->end.error = ERR_ANSWER_LOST;
}

static bool is_2xx(int status)
{
    return status >= 200 && status < 300;
}

/* Whether the client has done the work. */
static bool has_processed(const struct call *call, enum fake_body body)
{
    const struct attempt_end *end = &call->request->end;
    if (call->success != SUCCESS_NO)
        return call->success == SUCCESS_YES || body == BODY_NO_JSON || body == BODY_GOOD_CUT;
    bool may_have =
        end->http_status ? end->http_status == 502 || end->http_status == 504 : end->request_begun;
    return may_have && sim_chance(STREAM_RULES, MAY_HAVE_PROCESSED);
}

static void answer_event(struct call *call, enum fake_body body)
{
    struct attempt_end *end = &call->request->end;
    if (is_2xx(end->http_status) && call->rules->statuses == STATUSES_WITH_302 &&
        sim_chance(STREAM_RULES, ANSWERS_302))
        end->http_status = 302;
    if (!fake_rules_read_body(call->rules))
        body = BODY_GOOD;
    else if (end->http_status == 204)
        body = BODY_EMPTY;
    if (end->http_status) {
        call->success = fake_rules_judge(call->rules, end->http_status, body);
        give_body(call->request, fake_body_text(body), fake_body_is_cut(body));
    }
    model_request_answered(call->delivery, &(struct model_end){*end, call->success});
    if (has_processed(call, body))
        model_client_processed(call->delivery);
}

/* The truth, or something that says nothing. It may be what was true when the probe was sent. */
static enum fake_report choose_report(const struct call *call, bool truthful)
{
    bool processed = sim_chance(STREAM_RULES, ANSWERS_EARLY) ? call->question.processed
                                                             : model_has_processed(&call->question);
    enum fake_report report = processed ? REPORT_PROCESSED : REPORT_ABSENT;
    enum probe_answer truth = processed ? PROBE_YES : PROBE_NO, says;
    do {
        if (!truthful)
            report = (enum fake_report)(
                REPORT_LOOKING + sim_below(STREAM_RULES, FAKE_REPORTS - REPORT_LOOKING));
        says = fake_rules_judge_report(call->rules, report);
    } while (says != PROBE_UNKNOWN && says != truth);
    return report;
}

static void answer_question(struct call *call, bool truthful)
{
    struct attempt_end *end = &call->request->end;
    enum fake_report report = REPORT_BUSY;
    if (is_2xx(end->http_status)) {
        report = choose_report(call, truthful);
        call->says = fake_rules_judge_report(call->rules, report);
    }
    if (is_2xx(end->http_status) || end->http_status == 404) /* a deployment's 404 is no answer */
        end->http_status = fake_report_status(report);
    if (end->http_status)
        give_body(call->request, fake_report_text(report), report == REPORT_CUT);
}

bool fake_client_is_question(unsigned number)
{
    return !calls[find_waiting(number)].delivery;
}

bool fake_client_is_guarded(unsigned number)
{
    return calls[find_waiting(number)].request->once;
}

static void answer(struct call *call, const struct client_answer *how)
{
    struct client_request *request = call->request;
    call->answered = true;
    request->end = how->end;
    request->sends = how->end.request_begun;
    request->retry_after_us = how->retry_after_us;
    if (how->end.http_status) {
        request->excerpt_len = 2;
        memcpy(request->excerpt, "hi", 2);
    }
    if (call->delivery)
        answer_event(call, how->body);
    else
        answer_question(call, how->body == BODY_GOOD);
    sim_loop_ring(living->loop, &living->watch);
}

void fake_client_answer(unsigned number, const struct client_answer *how)
{
    answer(&calls[find_waiting(number)], how);
}

int64_t fake_client_next_us(void)
{
    int64_t next_us = INT64_MAX;
    for (unsigned i = 0; i < calls_count; i++)
        if (!calls[i].answered && calls[i].due_us < next_us)
            next_us = calls[i].due_us;
    return next_us;
}

void fake_client_work(void)
{
    for (unsigned i = 0; i < calls_count; i++)
        if (!calls[i].answered && calls[i].due_us <= sim_mono_us())
            answer(&calls[i], &calls[i].plan.answer);
}

void fake_client_forget_plans(void)
{
    for (unsigned i = 0; i < calls_count; i++)
        calls[i].due_us = INT64_MAX;
}

void fake_client_forget(void)
{
    for (unsigned i = 0; i < calls_count; i++)
        lose(&calls[i], true);
    calls_count = 0;
    living = NULL;
}
