/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lag.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#define DURATION_BYTES 32
#define NAME_SHOWN 14 /* of an account or endpoint in a table of 100 columns */

static bool is_number(const json_t *object, const char *name)
{
    return json_is_number(json_object_get(object, name));
}

/* "4 min", for people. */
static const char *duration(long long seconds, char ret_text[DURATION_BYTES])
{
    if (seconds < 120)
        snprintf(ret_text, DURATION_BYTES, "%lld s", seconds);
    else if (seconds < 7200)
        snprintf(ret_text, DURATION_BYTES, "%lld min", seconds / 60);
    else if (seconds < 2 * 86400LL)
        snprintf(ret_text, DURATION_BYTES, "%lld h", seconds / 3600);
    else
        snprintf(ret_text, DURATION_BYTES, "%lld days", seconds / 86400);
    return ret_text;
}

void lag_print_verdict(const json_t *status)
{
    const json_t *problems = json_object_get(status, "problems");
    size_t count = json_array_size(problems), i;
    json_t *problem;
    if (count == 0) {
        puts("All well");
        return;
    }
    printf("%s\n", count == 1 ? "One thing is not well:" : "Not all is well:");
    json_array_foreach(problems, i, problem)
    {
        printf("  - %s\n", show_text(problem, "what"));
        if (json_is_string(json_object_get(problem, "remedy")))
            printf("    %s\n", show_text(problem, "remedy"));
    }
}

void lag_print_rates(const json_t *status)
{
    static const char *const names[] = {"accepted", "attempts", "delivered", "failed"};
    static const char *const spans[] = {"1m", "5m"};
    const json_t *rates = json_object_get(status, "rates");
    if (!json_is_object(json_object_get(rates, spans[0]))) {
        puts("per second    not known yet: the gateway started a few seconds ago\n");
        return;
    }
    printf("%-14s%12s%12s%12s%12s\n", "per second", names[0], names[1], names[2], names[3]);
    for (size_t i = 0; i < ARRAY_LENGTH(spans); i++) {
        const json_t *of = json_object_get(rates, spans[i]);
        if (!json_is_object(of))
            continue;
        printf("  last %-7s", i == 0 ? "min" : "5 min");
        for (size_t k = 0; k < ARRAY_LENGTH(names); k++)
            printf("%12.1f", json_number_value(json_object_get(of, names[k])));
        putchar('\n');
    }
    putchar('\n');
}

static const char *const states[] = {"pending", "replays", "sending", "waiting", "parked", "dead"};

static void print_counts(const char *title, const json_t *counts)
{
    printf("%-14s", title);
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
        printf("%10lld", show_number(counts, states[i]));
    putchar('\n');
}

static void print_parked(const json_t *backlog)
{
    const char *reason, *gap = "  parked: ";
    json_t *count;
    json_object_foreach(json_object_get(backlog, "parked_by_reason"), reason, count)
    {
        printf("%s%s %lld", gap, reason, (long long)json_integer_value(count));
        gap = ", ";
    }
    if (*gap == ',')
        putchar('\n');
}

static void print_drain(const json_t *status)
{
    const json_t *backlog = json_object_get(status, "backlog"),
                 *drain = json_object_get(status, "drain");
    char text[DURATION_BYTES];
    if (is_number(backlog, "past_due_seconds"))
        printf("  oldest past due: %s, since %s",
            duration(show_number(backlog, "past_due_seconds"), text),
            show_text(backlog, "oldest_past_due"));
    else
        printf("  nothing is past due");
    if (is_number(drain, "seconds"))
        printf("; drains in about %s", duration(show_number(drain, "seconds"), text));
    else if (strcmp(show_text(drain, "state"), "does not drain") == 0)
        printf("; it does not drain");
    putchar('\n');
}

void lag_print_backlog(const json_t *status)
{
    const json_t *backlog = json_object_get(status, "backlog");
    const char *class;
    json_t *counts;
    printf("%-14s", "backlog");
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
        printf("%10s", states[i]);
    putchar('\n');
    json_object_foreach(json_object_get(backlog, "by_class"), class, counts)
    {
        char title[32];
        snprintf(title, sizeof title, "  %s", class);
        print_counts(title, counts);
    }
    print_counts("  all", backlog);
    print_parked(backlog);
    print_drain(status);
    if (!json_is_true(json_object_get(backlog, "complete")))
        puts("  not all is known: the first lines say why");
    putchar('\n');
}

/* Endpoints. */

static void add_number(struct table *table, long long number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", number);
    table_add(table, text);
}

static void add_name(struct table *table, const char *name)
{
    char text[NAME_SHOWN + 1];
    size_t len = strlen(name);
    snprintf(text, sizeof text, "%.*s%s", len > NAME_SHOWN ? NAME_SHOWN - 1 : NAME_SHOWN, name,
        len > NAME_SHOWN ? "~" : "");
    table_add(table, text);
}

/* "open, 8 s": the next probe is in eight seconds. */
static void add_breaker(struct table *table, const json_t *item, int64_t now_us)
{
    char text[64], left[DURATION_BYTES] = "";
    int64_t probe_us;
    const char *probe = json_string_value(json_object_get(item, "next_probe_at"));
    bool is_closed = strcmp(show_text(item, "breaker"), "closed") == 0;
    if (probe && !is_closed && clock_parse_rfc3339(slice_from_string(probe), &probe_us))
        duration(probe_us > now_us ? (probe_us - now_us) / US_PER_SECOND + 1 : 0, left);
    if (json_is_false(json_object_get(item, "enabled")))
        snprintf(text, sizeof text, "disabled");
    else
        snprintf(text, sizeof text, "%s%s%s", show_text(item, "breaker"), *left ? ", " : "", left);
    table_add(table, text);
}

static void add_cause(struct table *table, const json_t *item)
{
    const json_t *causes = json_object_get(item, "lately_failed"), *first;
    char text[64];
    first = json_array_get(causes, 0);
    if (first)
        snprintf(
            text, sizeof text, "%s (%lld)", show_text(first, "cause"), show_number(first, "count"));
    table_add(table, first ? text : "-");
}

static void print_items(const json_t *items, int64_t now_us)
{
    static const struct table_column columns[] = {{"account", false}, {"endpoint", false},
        {"past due", true}, {"pending", true}, {"waiting", true}, {"parked", true}, {"dead", true},
        {"breaker", false}, {"cause of late", false}};
    struct table table;
    size_t i;
    json_t *item;
    table_init(&table, columns, ARRAY_LENGTH(columns));
    json_array_foreach(items, i, item)
    {
        char late[DURATION_BYTES];
        add_name(&table, show_text(item, "account"));
        add_name(&table, show_endpoint(item));
        table_add(&table, is_number(item, "past_due_seconds")
                              ? duration(show_number(item, "past_due_seconds"), late)
                              : "-");
        add_number(&table, show_number(item, "pending") + show_number(item, "replays") +
                               show_number(item, "sending"));
        add_number(&table, show_number(item, "waiting"));
        add_number(&table, show_number(item, "parked"));
        add_number(&table, show_number(item, "dead"));
        add_breaker(&table, item, now_us);
        add_cause(&table, item);
    }
    table_print(&table, stdout);
    table_done(&table);
}

void lag_print_worst(const json_t *status)
{
    const json_t *worst = json_object_get(status, "worst");
    if (json_array_size(worst) == 0)
        return;
    int64_t now_us = 0;
    (void)clock_parse_rfc3339(slice_from_string(show_text(status, "at")), &now_us);
    print_items(worst, now_us);
    putchar('\n');
}

void lag_print_disk(const json_t *status)
{
    const json_t *disk = json_object_get(status, "disk");
    char text[DURATION_BYTES];
    printf("disk          %.1f GiB free, journals %.1f MiB",
        (double)show_number(disk, "free_bytes") / 1073741824.0,
        (double)show_number(disk, "journal_bytes") / 1048576.0);
    if (is_number(disk, "lasts_seconds"))
        printf(
            "; at this pace it is full in %s", duration(show_number(disk, "lasts_seconds"), text));
    putchar('\n');
}

/* penstock endpoint list. */

static void show_backlog(const json_t *answer)
{
    const json_t *items = json_object_get(answer, "backlog");
    int64_t now_us = 0;
    (void)clock_parse_rfc3339(slice_from_string(show_text(answer, "at")), &now_us);
    if (json_array_size(items) == 0) {
        fputs("none: no endpoint has anything open\n", stderr);
        return;
    }
    print_items(items, now_us);
    if (json_is_true(json_object_get(answer, "more")))
        fputs("there are more: raise --limit to see them\n", stderr);
}

int command_endpoint_list(const struct invocation *call)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *answer = NULL;
    bool wants_backlog = call->flags[FLAG_BACKLOG] != NULL;
    const char *account = call->words[0] ? call->words[0] : call->flags[FLAG_ACCOUNT];
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    if (!wants_backlog && !account)
        return command_fail(ERR_USAGE,
            "endpoint list: the argument ACCOUNT is missing: see \"penstock endpoint list "
            "--help\"");
    if (wants_backlog) {
        buffer_add_string(&path, "/api/v1/backlog");
        remote_add_parameter(&path, "account", account);
        remote_add_parameter(&path, "limit", call->flags[FLAG_LIMIT]);
    } else {
        buffer_add_format(&path, "/api/v1/accounts/%s/endpoints", account);
    }
    enum err err = buffer_status(&path);
    if (!err)
        err = remote_request(call, "GET", path.data, NULL, &answer);
    if (!err)
        remote_print(call, answer, wants_backlog ? show_backlog : show_list);
    buffer_done(&path);
    json_decref(answer);
    return err_exit_code(err);
}
