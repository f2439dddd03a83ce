/* SPDX-License-Identifier: Apache-2.0 */
/* The last operator events for people. */
#include "cli/print_answer.h"

#include <stdio.h>

static void print_if_there(const json_t *event, const char *name)
{
    const char *text = json_string_value(json_object_get(event, name));
    if (text)
        printf("  %s %s", name, text);
}

static void print_event(const json_t *event)
{
    const char *detail = json_string_value(json_object_get(event, "detail"));
    long long percent = show_number(event, "percent"), count = show_number(event, "count");
    printf("%s  %-7s  %s", show_text(event, "at"), show_text(event, "severity"),
        show_text(event, "kind"));
    if (percent > 0)
        printf(" %lld %%", percent);
    printf("  %s%s%s\n   ", show_text(event, "what"), detail ? ": " : "", detail ? detail : "");
    if (count > 0)
        printf("  count %lld", count);
    print_if_there(event, "subject");
    print_if_there(event, "partner");
    print_if_there(event, "account");
    print_if_there(event, "endpoint");
    print_if_there(event, "cause");
    print_if_there(event, "delivery");
    if (!json_is_string(json_object_get(event, "delivery")))
        print_if_there(event, "event");
    print_if_there(event, "first_event");
    putchar('\n');
}

void show_operator_events(const json_t *answer)
{
    const json_t *events = json_object_get(answer, "operator_events");
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event) print_event(event);
    if (json_array_size(events) == 0)
        fputs("none since the start of this gateway\n", stderr);
}
