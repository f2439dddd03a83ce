/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *show_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

long long show_number(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

const char *show_endpoint(const json_t *object)
{
    const json_t *endpoint = json_object_get(object, "endpoint");
    if (!json_is_object(endpoint))
        return "(unrouted)";
    return show_text(endpoint, json_is_string(json_object_get(endpoint, "name")) ? "name" : "id");
}

/* In rabbitmq mode: the links to the broker, and how many events are on their way through it. */
static void print_broker(const json_t *status)
{
    size_t i;
    json_t *link_status;
    json_array_foreach(json_object_get(status, "broker"), i, link_status)
    {
        bool good = json_is_true(json_object_get(link_status, "good"));
        bool keeps = strcmp(show_text(link_status, "role"), "keep") == 0;
        printf("  %s %lld%*s%s%s, since %s\n", show_text(link_status, "role"),
            show_number(link_status, "number"), (int)(8 - strlen(show_text(link_status, "role"))),
            "",
            keeps  ? ""
            : good ? "via "
                   : "NOT via the broker: ",
            show_text(link_status, good ? "peer" : "why"), show_text(link_status, "since"));
    }
    if (json_is_null(json_object_get(status, "in_broker")))
        puts("  it is unknown how many events are only in the broker");
    else
        printf("  events that are only in the broker: %lld\n", show_number(status, "in_broker"));
    printf("  unacked %lld, suspended %lld, in the outbox %lld; direct path since start %lld\n",
        show_number(status, "unacked"), show_number(status, "suspended"),
        show_number(status, "outbox"), show_number(status, "direct"));
}

static void print_roles(const json_t *status)
{
    size_t i;
    json_t *role;
    printf("\nqueue        %s; roles ", show_text(status, "queue"));
    json_array_foreach(json_object_get(status, "roles"), i, role)
        printf("%s%s", i ? ", " : "", json_string_value(role));
    putchar('\n');
    if (strcmp(show_text(status, "queue"), "rabbitmq") == 0)
        print_broker(status);
    if (json_is_string(json_object_get(status, "leader")))
        printf("accounts     from %s, %lld s old\n", show_text(status, "leader"),
            show_number(status, "directory_age_seconds"));
}

/* The journals that refuse events, and why. */
static void print_room(const json_t *status)
{
    size_t i, k;
    json_t *journal, *class;
    json_array_foreach(json_object_get(status, "journals"), i, journal)
    {
        if (strcmp(show_text(journal, "reason"), "well") == 0)
            continue;
        printf("journal %-4lld REFUSES ", show_number(journal, "shard"));
        json_array_foreach(json_object_get(journal, "refuses"), k, class)
            printf("%s%s", k ? ", " : "", json_string_value(class));
        printf(" events: %s", show_text(journal, "reason"));
        if (json_is_integer(json_object_get(journal, "free_bytes")))
            printf(", %.1f MiB free", (double)show_number(journal, "free_bytes") / 1048576.0);
        if (json_is_integer(json_object_get(journal, "wanted_bytes")))
            printf(", accepts more when %.1f MiB are free",
                (double)show_number(journal, "wanted_bytes") / 1048576.0);
        printf(", since %s\n", show_text(journal, "since"));
    }
    if (json_is_string(json_object_get(status, "accounts_trouble")))
        printf("accounts.db  REFUSES changes: %s\n", show_text(status, "accounts_trouble"));
}

void show_status(const json_t *status)
{
    const json_t *open = json_object_get(status, "open"),
                 *events = json_object_get(status, "events");
    long long up = show_number(status, "uptime_seconds");
    printf("penstock %s, %s, up %lldd %02lld:%02lld:%02lld, %lld shards\n\n",
        show_text(status, "version"),
        json_is_true(json_object_get(status, "ready")) ? "ready" : "NOT READY", up / 86400,
        up / 3600 % 24, up / 60 % 60, up % 60, show_number(status, "shards"));
    printf("in progress   pending %lld, sending %lld, waiting %lld, parked %lld (in flight %lld)\n",
        show_number(open, "pending"), show_number(open, "sending"), show_number(open, "waiting"),
        show_number(open, "parked"), show_number(status, "in_flight"));
    printf("since start  accepted %lld, duplicate %lld, conflict %lld, refused %lld, unavailable "
           "%lld\n",
        show_number(events, "accepted"), show_number(events, "duplicate"),
        show_number(events, "conflict"), show_number(events, "refused"),
        show_number(events, "unavailable"));
    printf("             delivered %lld, dead %lld\n", show_number(status, "delivered"),
        show_number(status, "dead"));
    print_room(status);
    print_roles(status);
}

/* How far the attempt got: for the operator who decides whether the client did the work. */
static void print_evidence(const json_t *attempt)
{
    const char *connection = json_string_value(json_object_get(attempt, "connection"));
    if (!connection)
        return;
    printf("      over a %s connection: %lld bytes of the request were sent (%s), %lld bytes of an "
           "answer were received\n",
        connection, show_number(attempt, "request_bytes"),
        json_is_true(json_object_get(attempt, "request_complete")) ? "all of it" : "not all of it",
        show_number(attempt, "answer_bytes"));
}

static void print_attempt(const json_t *attempt)
{
    const json_t *status = json_object_get(attempt, "status");
    char result[64];
    if (json_is_integer(status))
        snprintf(result, sizeof result, "%lld", (long long)json_integer_value(status));
    else
        snprintf(result, sizeof result, "%s", show_text(attempt, "error"));
    printf("    %s  attempt %lld: %s in %.1f ms\n", show_text(attempt, "started_at"),
        show_number(attempt, "number"), result,
        json_number_value(json_object_get(attempt, "duration_ms")));
    print_evidence(attempt);
    const char *answer = json_string_value(json_object_get(attempt, "answer"));
    if (answer)
        printf("      answered: %.*s\n", (int)strcspn(answer, "\r\n"), answer);
}

static void print_action(const json_t *action)
{
    printf("    %s  by hand, from %s to %s", show_text(action, "at"), show_text(action, "from"),
        show_text(action, "to"));
    const json_t *before = json_object_get(action, "from_endpoint"),
                 *after = json_object_get(action, "to_endpoint");
    if (after)
        printf(", and from %s to %s (%s)",
            json_is_object(before) ? show_text(before, "id") : "no endpoint",
            show_text(after, "name"), show_text(after, "id"));
    printf(": %s\n", *show_text(action, "note") ? show_text(action, "note") : "-");
}

/* A forced replay. Its result does not change that the delivery is delivered. */
static void print_replay(const json_t *delivery)
{
    const char *replay = json_string_value(json_object_get(delivery, "replay")),
               *state = show_text(delivery, "state");
    if (!replay)
        return;
    printf("    delivered at %s first; ", show_text(delivery, "delivered_at"));
    if (strcmp(replay, "in_progress") == 0)
        printf("a forced replay is in progress (%s)\n", state);
    else
        printf("the last forced replay %s at %s\n",
            strcmp(replay, "failed") == 0 ? "failed" : "was delivered",
            show_text(delivery, "changed_at"));
}

/* A delivery as part of its event's timeline. */
static void print_delivery(const json_t *delivery)
{
    const json_t *endpoint = json_object_get(delivery, "endpoint");
    const char *state = show_text(delivery, "state");
    printf("  %s\n", show_text(delivery, "id"));
    printf("    to %s (%s) %s\n", show_endpoint(delivery), show_text(endpoint, "id"),
        show_text(endpoint, "url"));
    size_t i;
    json_t *attempt, *action;
    json_array_foreach(json_object_get(delivery, "attempts"), i, attempt) print_attempt(attempt);
    json_array_foreach(json_object_get(delivery, "operator_actions"), i, action)
        print_action(action);
    if (json_is_true(json_object_get(delivery, "damaged")))
        printf("    DAMAGED: the row in the journal is not as it was written\n");
    print_replay(delivery);
    if (strcmp(state, "waiting") == 0)
        printf("    waiting, due %s\n", show_text(delivery, "due_at"));
    else if (strcmp(state, "parked") == 0)
        printf("    parked: %s\n", show_text(delivery, "reason"));
    else if (strcmp(state, "delivered") == 0)
        printf("    delivered at %s\n", show_text(delivery, "delivered_at"));
    else
        printf("    %s%s%s\n", state,
            json_is_string(json_object_get(delivery, "changed_at")) ? " at " : "",
            json_is_string(json_object_get(delivery, "changed_at"))
                ? show_text(delivery, "changed_at")
                : "");
}

void show_event(const json_t *event)
{
    printf("%s  %s", show_text(event, "event"), show_text(event, "type"));
    if (json_is_string(json_object_get(event, "amount")))
        printf("  %s %s", show_text(event, "amount"), show_text(event, "currency"));
    printf("  (%s%s)\n", show_text(event, "class"),
        json_is_true(json_object_get(event, "guarded")) ? ", guarded" : "");
    printf("  from %s for %s, key %s, %lld bytes\n", show_text(event, "partner"),
        show_text(event, "account"), show_text(event, "key"), show_number(event, "bytes"));
    printf("  accepted %s\n", show_text(event, "accepted_at"));
    if (json_is_string(json_object_get(event, "alias")))
        printf("  %s is a duplicate of it\n", show_text(event, "alias"));
    size_t i;
    json_t *delivery;
    json_array_foreach(json_object_get(event, "deliveries"), i, delivery) print_delivery(delivery);
}

void show_delivery(const json_t *delivery)
{
    printf("%s  %s", show_text(delivery, "event"), show_text(delivery, "type"));
    if (json_is_string(json_object_get(delivery, "amount")))
        printf("  %s %s", show_text(delivery, "amount"), show_text(delivery, "currency"));
    printf("\n  from %s for %s, key %s\n  accepted %s\n", show_text(delivery, "partner"),
        show_text(delivery, "account"), show_text(delivery, "key"),
        show_text(delivery, "accepted_at"));
    print_delivery(delivery);
}

void show_action(const json_t *answer)
{
    printf("%s  %s -> %s", show_text(answer, "id"), show_text(answer, "from"),
        show_text(answer, "state"));
    if (json_is_object(json_object_get(answer, "endpoint")))
        printf(", to %s (%s)", show_endpoint(answer),
            show_text(json_object_get(answer, "endpoint"), "id"));
    putchar('\n');
}

/* Objects and lists of any kind. */

/* The texts of an object side by side, or one text. */
static void print_item(const json_t *item)
{
    const char *name, *gap = "";
    json_t *value;
    if (json_is_string(item))
        fputs(json_string_value(item), stdout);
    json_object_foreach((json_t *)item, name, value)
    {
        if (json_is_string(value) && json_string_length(value) > 0) {
            printf("%s%s", gap, json_string_value(value));
            gap = "  ";
        }
    }
}

/* A line for each item. An endpoint without types gets all events. */
static void print_array(const char *name, const json_t *array)
{
    size_t i;
    json_t *item;
    if (json_array_size(array) == 0)
        printf("%-12s %s\n", name, strcmp(name, "types") == 0 ? "all" : "none");
    json_array_foreach(array, i, item)
    {
        printf("%-12s ", i == 0 ? name : "");
        print_item(item);
        putchar('\n');
    }
}

void show_members(const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_string(value))
            printf("%-12s %s\n", name,
                json_string_length(value) > 0 ? json_string_value(value) : "none");
        else if (json_is_boolean(value))
            printf("%-12s %s\n", name, json_is_true(value) ? "true" : "false");
        else if (json_is_integer(value))
            printf("%-12s %lld\n", name, (long long)json_integer_value(value));
        else if (json_is_array(value))
            print_array(name, value);
    }
}

/* Booleans that differ from what is usual (enabled, and nothing else), and lists. */
static void print_unusual(const json_t *item)
{
    const char *name;
    json_t *value, *pattern;
    size_t i;
    json_object_foreach((json_t *)item, name, value)
    {
        if (json_is_boolean(value) && (strcmp(name, "enabled") == 0) != json_is_true(value))
            printf("  %s%s", json_is_true(value) ? "" : "not ", name);
        json_array_foreach(value, i, pattern)
            printf("%s%s", i == 0 ? "  " : ",", json_string_value(pattern));
    }
}

void show_list(const json_t *answer)
{
    json_t *items = json_object_iter_value(json_object_iter((json_t *)answer)), *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        print_item(item);
        print_unusual(item);
        putchar('\n');
    }
    if (json_array_size(items) == 0)
        fputs("none\n", stderr);
}
