/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_client.h"

#include "base/list.h"
#include "clients.h"
#include "model.h"
#include "sim.h"
#include "sim_loop.h"
#include "trace.h"

#include <assert.h>
#include <stdlib.h>

#define UNDER_WAY_MAX 256

struct call {
    struct client_request *request;
    struct model_delivery *delivery;
    int64_t started_us;
    int64_t due_us; /* when its planned end is due; INT64_MAX: the driver ends it */
    struct client_plan plan;
    bool answered;
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
    model_request_ended(call.delivery, &call.request->end);
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

void client_free(struct client *client)
{
    if (!client)
        return;
    while (calls_count > 0) {
        struct call call = take(0);
        /* If it was answered, the request was certainly sent. */
        bool begun =
            call.answered ? call.request->end.request_begun : sim_chance(STREAM_DRIVER, 500);
        call.request->end = (struct attempt_end){.error = ERR_CANCELLED, .request_begun = begun};
        call.request->retry_after_us = 0;
        call.request->excerpt_len = 0;
        finish(call);
    }
    loop_watch_remove(client->loop, &client->watch);
    living = NULL;
    free(client);
}

static struct slice header(const struct client_request *request, const char *name)
{
    for (unsigned i = 0; i < request->headers_count; i++) {
        struct slice text = slice_from_string(request->headers[i]);
        if (slice_starts_with(text, name))
            return slice_of(text.data + strlen(name), text.len - strlen(name));
    }
    fail("P4", "a request lacks the header \"%s\"", name);
}

void client_send(struct client *client, struct client_request *request)
{
    (void)client;
    fail_unless(calls_count < UNDER_WAY_MAX, BROKEN_SIM, "too many requests in flight");
    request->end = (struct attempt_end){0};
    request->evidence = (struct attempt_evidence){0};
    request->duration_us = request->retry_after_us = 0;
    request->excerpt_len = 0;
    request->sends = 0;
    const struct model_send send = {
        .id = header(request, "webhook-id: "),
        .attempt = header(request, "penstock-attempt: "),
        .url = request->url,
        .body = request->body,
        .once = request->once,
    };
    struct call *call = &calls[calls_count++];
    *call = (struct call){.request = request,
        .delivery = model_request_sent(&send),
        .started_us = sim_mono_us(),
        .due_us = INT64_MAX};
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

static void answer(struct call *call, const struct attempt_end *end, int64_t retry_after_us)
{
    struct client_request *request = call->request;
    call->answered = true;
    request->end = *end;
    request->sends = end->request_begun;
    request->retry_after_us = retry_after_us;
    if (end->http_status) {
        request->excerpt_len = 2;
        memcpy(request->excerpt, "hi", 2);
    }
    model_request_answered(call->delivery, end);
    sim_loop_ring(living->loop, &living->watch);
}

void fake_client_answer(unsigned number, const struct attempt_end *end, int64_t retry_after_us)
{
    answer(&calls[find_waiting(number)], end, retry_after_us);
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
            answer(&calls[i], &calls[i].plan.end, calls[i].plan.retry_after_us);
}

void fake_client_forget_plans(void)
{
    for (unsigned i = 0; i < calls_count; i++)
        calls[i].due_us = INT64_MAX;
}

void fake_client_forget(void)
{
    calls_count = 0;
    living = NULL;
}
