/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery/endpoint_test.h"

#include "base/clock.h"
#include "base/memory.h"
#include "delivery/attempt.h"
#include "delivery/flow.h"
#include "delivery/job.h"
#include "delivery/outcome.h"
#include "delivery/queues.h"
#include "delivery/request_headers.h"
#include "delivery/shard.h"
#include "journal/endpoint_test.h"

#include <stdio.h>
#include <stdlib.h>

#define TESTS_MAX 4

/* A test in flight. Its job is in no lane and in no map: it only leads the attempt to the queue of
 * the endpoint and to the event. */
struct test {
    struct endpoint_test *asked;
    struct job job;
};

static void end(struct test *test, enum err result)
{
    struct endpoint_test *asked = test->asked;
    test->job.queue->shard->tests--;
    job_free_run(test->job.run);
    event_unref(test->job.delivery.event);
    free(test);
    request_answer(&asked->ask, result);
}

static void on_answer(struct client_request *client)
{
    struct attempt_run *run = CONTAINER_OF(client, struct attempt_run, client);
    struct test *test = CONTAINER_OF(run->job, struct test, job);
    struct endpoint_test *asked = test->asked;
    if (client->end.error == ERR_CANCELLED) {
        end(test, ERR_SHUTTING_DOWN);
        return;
    }
    run->record = (struct journal_record){0};
    asked->ret_verdict = outcome_judge(run);
    asked->ret_attempt = run->record.attempt;
    asked->ret_shortage = client->shortage;
    end(test, OK);
}

/* The endpoint's own headers are those after ours. */
static void show_request(const struct attempt_run *run, struct endpoint_test *asked)
{
    size_t used = 0, size = sizeof asked->ret_headers;
    snprintf(asked->ret_url, sizeof asked->ret_url, "%s", run->url);
    asked->ret_headers[0] = '\0';
    for (unsigned i = 0; i < run->client.headers_count && used < size; i++) {
        const char *header = run->client.headers[i];
        bool is_ours = i < run->own_headers_count;
        used += (size_t)snprintf(asked->ret_headers + used, size - used, "%.*s%s\n",
            (int)(is_ours ? strlen(header) : strcspn(header, ":")), header,
            is_ours ? "" : ": (not shown)");
    }
}

static enum err make_event(struct delivery_shard *shard, const struct endpoint *endpoint,
    struct endpoint_test *asked, struct event **ret_event)
{
    unsigned char random[8];
    char id[EVENT_ID_TEXT_BYTES];
    struct event_id_generator ids = {0};
    struct event_parts parts = {.accepted_us = clock_wall_us(),
        .class = CLASS_CRITICAL,
        .account = slice_from_string(endpoint->account),
        .type = SLICE_LITERAL(ENDPOINT_TEST_TYPE)};
    crypto_random(random, sizeof random);
    /* The number of the shard is one of its partitions. */
    event_id_make(&ids, parts.accepted_us, shard->taker.shard, random, &parts.id);
    event_id_format(&parts.id, id);
    int len = snprintf(asked->ret_body, sizeof asked->ret_body,
        "{\"id\":\"%s\",\"type\":\"" ENDPOINT_TEST_TYPE
        "\",\"account\":\"%s\",\"test\":true,\"message\":\"This is a test of the endpoint by an "
        "operator of Penstock, and not an event: check the signature, answer, and book nothing.\"}",
        id, endpoint->account);
    parts.body = slice_of(asked->ret_body, (size_t)len);
    asked->ret_event = parts.id;
    return event_new(&parts, shard->taker.budget, 100, ret_event);
}

static enum err begin(struct delivery_shard *shard, struct endpoint_test *asked)
{
    if (shard->taker.stopping)
        return ERR_SHUTTING_DOWN;
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, asked->endpoint);
    if (!endpoint)
        return ERR_NOT_FOUND;
    if (shard->tests >= TESTS_MAX)
        return ERR_OVERLOADED;
    struct endpoint_queue *queue = queues_get(shard, endpoint->id);
    enum err failed = request_headers_prepare(queue, endpoint);
    if (failed)
        return failed;
    struct test *test;
    MEMORY_NEW(test);
    failed = make_event(shard, endpoint, asked, &test->job.delivery.event);
    if (failed) {
        free(test);
        return failed;
    }
    shard->tests++;
    test->asked = asked;
    test->job.queue = queue;
    test->job.delivery.endpoint = endpoint->id;
    test->job.delivery.state = DELIVERY_PENDING;
    test->job.run = attempt_new(&test->job, endpoint);
    test->job.run->is_test = true;
    asked->ret_enabled = endpoint->enabled;
    asked->ret_breaker_open = flow_is_open(queue);
    attempt_send(test->job.run, on_answer);
    show_request(test->job.run, asked);
    return OK;
}

static void on_test(struct mail *mail, void *receiver)
{
    struct endpoint_test *asked = CONTAINER_OF(mail, struct endpoint_test, ask.mail);
    enum err failed = begin(receiver, asked);
    if (failed)
        request_answer(&asked->ask, failed);
}

void delivery_shard_test_endpoint(struct delivery_shard *shard, struct endpoint_test *test)
{
    request_submit(&test->ask, &shard->mailbox, on_test);
}
