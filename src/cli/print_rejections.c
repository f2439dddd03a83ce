/* SPDX-License-Identifier: Apache-2.0 */
/* The rejected posts of a partner for people. */
#include "cli/print_answer.h"

#include <stdio.h>

/* The body with its line ends, each line as far in as the first. */
static void print_body(const json_t *rejection)
{
    const char *text = json_string_value(json_object_get(rejection, "body"));
    long long bytes = show_number(rejection, "body_bytes");
    if (bytes == 0)
        return;
    printf("    body, %lld bytes%s\n", bytes, text ? ":" : "");
    if (!text)
        return;
    fputs("      ", stdout);
    for (; *text; text++) {
        putchar(*text);
        if (*text == '\n')
            fputs("      ", stdout);
    }
    fputs(
        (long long)json_string_length(json_object_get(rejection, "body")) < bytes ? "...\n" : "\n",
        stdout);
}

static void print_rejection(const json_t *rejection)
{
    size_t i;
    json_t *error;
    printf("%s  %lld %s  %s  from %s\n", show_text(rejection, "at"),
        show_number(rejection, "status"), show_text(rejection, "code"),
        show_text(rejection, "request"), show_text(rejection, "address"));
    if (json_is_string(json_object_get(rejection, "account")) ||
        json_is_string(json_object_get(rejection, "type")))
        printf("    a %s for %s\n", show_text(rejection, "type"), show_text(rejection, "account"));
    printf("    %s\n", show_text(rejection, "detail"));
    json_array_foreach(json_object_get(rejection, "errors"), i, error)
        printf("    %s %s\n", show_text(error, "pointer"), show_text(error, "detail"));
    print_body(rejection);
    if (show_number(rejection, "similar") > 0)
        printf("    and %lld more with this code, which are not listed\n",
            show_number(rejection, "similar"));
}

void show_rejections(const json_t *answer)
{
    const json_t *rejections = json_object_get(answer, "rejections");
    size_t i;
    json_t *rejection;
    json_array_foreach(rejections, i, rejection) print_rejection(rejection);
    if (json_array_size(rejections) == 0)
        fputs("none since the start of this gateway\n", stderr);
}
