/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of the request to a client: the signature of Standard Webhooks, Penstock's own, and
 * those that the endpoint's settings add.
 *
 * An endpoint may have several secrets while it changes from one to the next. The event is then
 * signed with each of them: `webhook-signature` has the signatures with a space between them.
 */
#include "delivery/request_headers.h"

#include "base/clock.h"
#include "delivery/attempt.h"
#include "delivery/endpoint_queue.h"
#include "delivery/job.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* Appends one "name: value" header. The texts follow each other in run->header_texts. */
static void add_header(struct attempt_run *run, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_header(struct attempt_run *run, size_t *used, const char *format, ...)
{
    size_t left = sizeof run->header_texts - *used;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(run->header_texts + *used, left, format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < left && run->client.headers_count < CLIENT_HEADERS_MAX);
    run->client.headers[run->client.headers_count++] = run->header_texts + *used;
    *used += (size_t)len + 1;
}

enum err request_headers_prepare(struct endpoint_queue *queue, const struct endpoint *endpoint)
{
    if (queue->macs_version == endpoint->version)
        return OK;
    for (unsigned i = 0; i < queue->macs_count; i++)
        hmac_free(queue->macs[i]);
    queue->macs_count = 0;
    queue->macs_version = -1;
    for (unsigned i = 0; i < endpoint->secrets_count; i++) {
        const struct secret *secret = &endpoint->secrets[i];
        enum err failed =
            hmac_new(slice_of(secret->bytes, secret->len), &queue->macs[queue->macs_count]);
        if (failed)
            return failed;
        queue->macs_count++;
    }
    queue->macs_version = endpoint->version;
    return OK;
}

void request_headers_add(struct attempt_run *run)
{
    const struct delivery *delivery = &run->job->delivery;
    const struct event_parts *parts = &delivery->event->parts;
    struct endpoint_queue *queue = run->job->queue;
    char id[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts->id, id);
    int64_t timestamp_s = run->started_wall_us / US_PER_SECOND;
    char signatures[ENDPOINT_SECRETS_MAX * (SIGNATURE_TEXT_BYTES + 1)] = "";
    size_t at = 0;
    for (unsigned i = 0; i < queue->macs_count; i++) {
        char signature[SIGNATURE_TEXT_BYTES];
        signature_make(
            queue->macs[i], slice_from_string(id), timestamp_s, run->client.body, signature);
        at += (size_t)snprintf(
            signatures + at, sizeof signatures - at, "%s%s", i ? " " : "", signature);
    }
    size_t used = 0;
    run->client.headers_count = 0;
    add_header(run, &used, "webhook-id: %s", id);
    add_header(run, &used, "webhook-timestamp: %lld", (long long)timestamp_s);
    add_header(run, &used, "webhook-signature: %s", signatures);
    add_header(run, &used, "content-type: application/json");
    add_header(run, &used, "user-agent: Penstock/" PENSTOCK_VERSION);
    add_header(run, &used, "penstock-attempt: %u", delivery->attempts + 1);
    if (run->is_test)
        add_header(run, &used, "penstock-test: true");
    if (parts->traceparent.len)
        add_header(run, &used, "traceparent: %.*s", SLICE_ARGS(parts->traceparent));
    run->own_headers_count = run->client.headers_count;
    const char *const *own;
    unsigned count = endpoint_policy_headers(run->policy, &own);
    assert(run->client.headers_count + count <= CLIENT_HEADERS_MAX);
    for (unsigned i = 0; i < count; i++)
        run->client.headers[run->client.headers_count++] = own[i];
}
