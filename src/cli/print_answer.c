/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print_answer.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The word and the text, if the attempt has the text. */
static void print_with(const json_t *attempt, const char *word, const char *name)
{
    const char *text = json_string_value(json_object_get(attempt, name));
    if (text)
        printf("%s%s", word, text);
}

/* How long each step took, of those that happened. */
static void print_steps(const json_t *attempt)
{
    static const struct {
        const char *name, *title;
    } steps[] = {{"dns_ms", "name look-up"}, {"connect_ms", "connection"},
        {"tls_ms", "TLS handshake"}, {"first_byte_ms", "first byte of the answer"}};
    const char *gap = "      took: ";
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
        const json_t *duration = json_object_get(attempt, steps[i].name);
        if (!json_is_number(duration))
            continue;
        printf("%s%s %.1f ms", gap, steps[i].title, json_number_value(duration));
        gap = ", ";
    }
    if (*gap == ',')
        putchar('\n');
}

/* A line of its own, if the attempt has the text. */
static void print_line(const json_t *attempt, const char *title, const char *name)
{
    const char *text = json_string_value(json_object_get(attempt, name));
    if (text)
        printf("      %s: %s\n", title, text);
}

/* How the attempt was made and how far it got: for the operator who decides whether the client did
 * the work. */
static void print_evidence(const json_t *attempt)
{
    const char *connection = json_string_value(json_object_get(attempt, "connection"));
    if (connection) {
        printf("      over a %s connection", connection);
        print_with(attempt, " to ", "peer");
        print_with(attempt, ", ", "tls");
        print_with(attempt, ", HTTP/", "http");
        printf(": %lld bytes of the request were sent (%s), %lld bytes of an answer were "
               "received\n",
            show_number(attempt, "request_bytes"),
            json_is_true(json_object_get(attempt, "request_complete")) ? "all of it"
                                                                       : "not all of it",
            show_number(attempt, "answer_bytes"));
    } else {
        print_line(attempt, "tried to connect to", "peer");
    }
    print_steps(attempt);
}

void show_attempt(const json_t *attempt)
{
    const json_t *status = json_object_get(attempt, "status");
    const char *what = json_string_value(json_object_get(attempt, "what"));
    char number[16];
    if (json_is_integer(status))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(status));
    else
        snprintf(number, sizeof number, "failed");
    printf("    %s  attempt %lld: %s in %.1f ms%s%s\n", show_text(attempt, "started_at"),
        show_number(attempt, "number"), number,
        json_number_value(json_object_get(attempt, "duration_ms")), what ? ": " : "",
        what ? what : "");
    print_line(attempt, "what to do", "remedy");
    print_evidence(attempt);
    const char *answer = json_string_value(json_object_get(attempt, "answer"));
    if (answer)
        printf("      answered: %.*s\n", (int)strcspn(answer, "\r\n"), answer);
}

static void print_action(const json_t *action)
{
    const char *who = "operator action";
    if (strcmp(show_text(action, "by"), "status-probe") == 0)
        who = strcmp(show_text(action, "to"), "delivered") == 0 ? "status probe answers yes"
                                                                : "status probe answers no";
    printf("    %s  %s, from %s to %s", show_text(action, "at"), who, show_text(action, "from"),
        show_text(action, "to"));
    const json_t *before = json_object_get(action, "from_endpoint"),
                 *after = json_object_get(action, "to_endpoint");
    if (after)
        printf(", and from %s to %s (%s)",
            json_is_object(before) ? show_text(before, "id") : "no endpoint",
            show_text(after, "name"), show_text(after, "id"));
    printf(": %s\n", *show_text(action, "reason") ? show_text(action, "reason") : "-");
}

/* A forced replay. Its result does not change that the delivery is delivered. */
static void print_replay(const json_t *delivery)
{
    const char *replay = json_string_value(json_object_get(delivery, "replay")),
               *state = show_text(delivery, "state");
    if (!replay)
        return;
    printf("    first delivered at %s; ", show_text(delivery, "delivered_at"));
    if (strcmp(replay, "in_progress") == 0)
        printf("a forced replay is in progress (%s)\n", state);
    else
        printf("the last forced replay %s at %s\n",
            strcmp(replay, "failed") == 0 ? "failed" : "was delivered",
            show_text(delivery, "changed_at"));
}

/* Why a delivery waits, as the end of a sentence. */
static const char *why_it_waits(const json_t *delivery)
{
    static const struct {
        const char *name, *text;
    } causes[] = {
        {"endpoint", ", or when the endpoint recovers: the endpoint failed"},
        {"event", ": the endpoint did not take this event"},
        {"ourselves", ": it could not be sent, and that was no attempt of the client"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(causes); i++)
        if (strcmp(show_text(delivery, "waits_because"), causes[i].name) == 0)
            return causes[i].text;
    return "";
}

/* Why it is not delivered, when it is tried next, and what helps. */
static void print_why(const json_t *delivery)
{
    const json_t *why = json_object_get(delivery, "why");
    if (!json_is_object(why))
        return;
    printf("    why: %s\n", show_text(why, "text"));
    if (json_is_string(json_object_get(why, "next_try_at")))
        printf("    next try: %s\n", show_text(why, "next_try_at"));
    if (json_is_string(json_object_get(why, "remedy")))
        printf("    what to do: %s\n", show_text(why, "remedy"));
}

static void print_filtered(const json_t *event)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(event, "filtered"), i, name)
        printf("%s%s", i == 0 ? "  not for these endpoints, which do not take its type: " : ", ",
            json_string_value(name));
    if (json_array_size(json_object_get(event, "filtered")) > 0)
        putchar('\n');
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
    json_array_foreach(json_object_get(delivery, "attempts"), i, attempt) show_attempt(attempt);
    json_array_foreach(json_object_get(delivery, "operator_actions"), i, action)
        print_action(action);
    if (json_is_true(json_object_get(delivery, "damaged")))
        printf("    DAMAGED: the row in the journal differs from what was written\n");
    print_replay(delivery);
    if (strcmp(state, "waiting") == 0)
        printf("    waiting, due %s%s\n", show_text(delivery, "due_at"), why_it_waits(delivery));
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
    print_why(delivery);
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
    print_filtered(event);
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

/* Since when and why an endpoint is disabled is shown in one sentence. */
static bool is_of_disabling(const char *name)
{
    return strcmp(name, "disabled_since") == 0 || strcmp(name, "disabled_because") == 0;
}

static void print_disabling(const char *before, const json_t *endpoint, const char *after)
{
    const char *because = json_string_value(json_object_get(endpoint, "disabled_because"));
    printf("%ssince %s%s%s%s", before, show_text(endpoint, "disabled_since"),
        because ? " because " : "", because ? because : "", after);
}

/* The texts of an object side by side, or one text. */
static void print_item(const json_t *item)
{
    const char *name, *gap = "";
    json_t *value;
    if (json_is_string(item))
        fputs(json_string_value(item), stdout);
    json_object_foreach((json_t *)item, name, value)
    {
        if (json_is_string(value) && json_string_length(value) > 0 && !is_of_disabling(name)) {
            printf("%s%s", gap, json_string_value(value));
            gap = "  ";
        }
    }
}

/* A line for each item. An endpoint without types gets all events, and a key without accounts and
 * types may post all of its partner's. */
static void print_array(const char *name, const json_t *array)
{
    size_t i;
    json_t *item;
    if (json_array_size(array) == 0)
        printf("%-12s %s\n", name,
            strcmp(name, "types") == 0 || strcmp(name, "accounts") == 0 ? "all" : "none");
    json_array_foreach(array, i, item)
    {
        printf("%-12s ", i == 0 ? name : "");
        print_item(item);
        putchar('\n');
    }
}

static void print_object(const char *name, const json_t *object)
{
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    printf("%-12s %s\n", name, text ? text : "");
    free(text);
}

void show_member(const json_t *object, const char *name, const json_t *value)
{
    if (is_of_disabling(name)) {
        if (json_is_string(value) && strcmp(name, "disabled_since") == 0)
            print_disabling("disabled     ", object, "\n");
    } else if (json_is_object(value))
        print_object(name, value);
    else if (json_is_string(value))
        printf(
            "%-12s %s\n", name, json_string_length(value) > 0 ? json_string_value(value) : "none");
    else if (json_is_boolean(value))
        printf("%-12s %s\n", name, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        printf("%-12s %lld\n", name, (long long)json_integer_value(value));
    else if (json_is_array(value))
        print_array(name, value);
}

void show_members(const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) show_member(object, name, value);
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
        if (json_is_string(value) && strcmp(name, "disabled_since") == 0)
            print_disabling("  ", item, "");
        if (strcmp(name, "rules") == 0)
            fputs(json_object_size(value) > 0 ? "  with rules" : "", stdout);
        else if (json_is_object(value))
            printf("  with a %s", name);
        json_array_foreach(value, i, pattern)
        {
            if (json_is_string(pattern))
                printf("%s%s", i == 0 ? "  " : ",", json_string_value(pattern));
            else if (strcmp(name, "switched_off") == 0)
                printf("  %s switched off", show_text(pattern, "switch"));
        }
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
