/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock status` and `penstock event show`: what has become of things, for people. */
#include "main/remote.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void print_status(const json_t *status)
{
    const json_t *open = json_object_get(status, "open"), *events = json_object_get(status, "events");
    long long up = number_of(status, "uptime_seconds");
    printf("penstock %s, %s, up %lldd %02lld:%02lld:%02lld, %lld shards\n\n", text_of(status, "version"),
        json_is_true(json_object_get(status, "ready")) ? "ready" : "NOT READY", up / 86400, up / 3600 % 24,
        up / 60 % 60, up % 60, number_of(status, "shards"));
    printf("on the way   pending %lld, sending %lld, waiting %lld, parked %lld (in flight %lld)\n",
        number_of(open, "pending"), number_of(open, "sending"), number_of(open, "waiting"), number_of(open, "parked"),
        number_of(status, "in_flight"));
    printf("since start  accepted %lld, duplicate %lld, conflict %lld, refused %lld, unavailable %lld\n",
        number_of(events, "accepted"), number_of(events, "duplicate"), number_of(events, "conflict"),
        number_of(events, "refused"), number_of(events, "unavailable"));
    printf("             delivered %lld, dead %lld\n", number_of(status, "delivered"), number_of(status, "dead"));
}

int command_status(const struct invocation *call)
{
    return remote_show(call, "GET", "/api/v1/status", NULL, print_status);
}

/* For the person who has to decide whether the client did the work. */
static void print_evidence(const json_t *attempt)
{
    const char *connection = json_string_value(json_object_get(attempt, "connection"));
    if (!connection)
        return;
    printf("      over a %s connection: %lld bytes of the request went out (%s), %lld bytes of an answer came back\n",
        connection, number_of(attempt, "request_bytes"),
        json_is_true(json_object_get(attempt, "request_complete")) ? "all of it" : "not all of it",
        number_of(attempt, "answer_bytes"));
}

static void print_attempt(const json_t *attempt)
{
    const json_t *status = json_object_get(attempt, "status");
    char result[64];
    if (json_is_integer(status))
        snprintf(result, sizeof result, "%lld", (long long)json_integer_value(status));
    else
        snprintf(result, sizeof result, "%s", text_of(attempt, "error"));
    printf("    %s  attempt %lld: %s in %.1f ms\n", text_of(attempt, "started_at"), number_of(attempt, "number"),
        result, json_number_value(json_object_get(attempt, "duration_ms")));
    print_evidence(attempt);
    const char *answer = json_string_value(json_object_get(attempt, "answer"));
    if (answer)
        printf("      answered: %.*s\n", (int)strcspn(answer, "\r\n"), answer);
}

static void print_delivery(const json_t *delivery)
{
    const json_t *endpoint = json_object_get(delivery, "endpoint");
    const char *state = text_of(delivery, "state");
    printf("  to %s (%s) %s\n", text_of(endpoint, "name"), text_of(endpoint, "id"), text_of(endpoint, "url"));
    size_t i;
    json_t *attempt;
    json_array_foreach(json_object_get(delivery, "attempts"), i, attempt) print_attempt(attempt);
    if (strcmp(state, "waiting") == 0)
        printf("    waiting, due %s\n", text_of(delivery, "due_at"));
    else if (strcmp(state, "parked") == 0)
        printf("    parked: %s\n", text_of(delivery, "reason"));
    else
        printf("    %s%s%s\n", state, json_is_string(json_object_get(delivery, "changed_at")) ? " at " : "",
            json_is_string(json_object_get(delivery, "changed_at")) ? text_of(delivery, "changed_at") : "");
}

static void print_event(const json_t *event)
{
    printf("%s  %s", text_of(event, "event"), text_of(event, "type"));
    if (json_is_string(json_object_get(event, "amount")))
        printf("  %s %s", text_of(event, "amount"), text_of(event, "currency"));
    printf("  (%s%s)\n", text_of(event, "class"), json_is_true(json_object_get(event, "guarded")) ? ", guarded" : "");
    printf("  from %s for %s, key %s, %lld bytes\n", text_of(event, "partner"), text_of(event, "account"),
        text_of(event, "key"), number_of(event, "bytes"));
    printf("  accepted %s\n", text_of(event, "accepted_at"));
    size_t i;
    json_t *delivery;
    json_array_foreach(json_object_get(event, "deliveries"), i, delivery) print_delivery(delivery);
}

int command_event_show(const struct invocation *call)
{
    char path[256];
    if (strlen(call->words[0]) > 128 || strpbrk(call->words[0], "/?#% "))
        return command_fail(ERR_USAGE,
            "\"%s\" is not an event id; they look like evt_01890a5d-ac96-774b-bcce-b302099a8057", call->words[0]);
    snprintf(path, sizeof path, "/api/v1/events/%s", call->words[0]);
    return remote_show(call, "GET", path, NULL, print_event);
}
