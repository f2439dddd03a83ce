/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/replay.h"

#include "base/cleanup.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#define REPLAYS "/api/v1/replays"

/* Flags that select deliveries, and flags that hold for single ones only. */
#define F(flag) FLAG_BIT(flag)
#define OF_FILTER                                                                          \
    (F(FLAG_ACCOUNT) | F(FLAG_PARTNER) | F(FLAG_ENDPOINT) | F(FLAG_TYPE) | F(FLAG_STATE) | \
        F(FLAG_PARK_REASON) | F(FLAG_CURRENCY) | F(FLAG_SINCE) | F(FLAG_UNTIL))
#define OF_REPLAY (OF_FILTER | F(FLAG_RATE) | F(FLAG_DRY_RUN))
#define OF_IDS (F(FLAG_EXPECT) | F(FLAG_TO_ENDPOINT))

/* The first given flag among these; FLAGS: none. */
static unsigned find_given(const struct invocation *call, uint64_t flags)
{
    for (unsigned i = 0; i < FLAGS; i++)
        if (call->flags[i] && flags & FLAG_BIT(i))
            return i;
    return FLAGS;
}

/* Printing. */

/* "n name, m name" of an object with numbers. */
static void print_counts(const json_t *counts)
{
    const char *name, *before = "";
    json_t *value;
    json_object_foreach((json_t *)counts, name, value)
    {
        printf("%s%s %lld", before, name, (long long)json_integer_value(value));
        before = ", ";
    }
}

static void print_filter(const json_t *replay)
{
    const char *name;
    json_t *value;
    printf("  filter     ");
    json_object_foreach(json_object_get(replay, "filter"), name, value)
        printf("%s=%s ", name, json_string_value(value));
    if (json_is_true(json_object_get(replay, "force")))
        printf("force ");
    if (json_is_true(json_object_get(replay, "guarded")))
        printf("guarded ");
    putchar('\n');
}

static void print_money(const json_t *money)
{
    size_t i;
    json_t *sum;
    json_array_foreach((json_t *)money, i, sum) printf("  money      %s %s in %lld deliveries\n",
        show_text(sum, "amount"), show_text(sum, "currency"), show_number(sum, "count"));
}

static void print_endpoints(const json_t *endpoints)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)endpoints, i, item)
    {
        const json_t *endpoint = json_object_get(item, "endpoint");
        printf("  endpoint   %s  %s  %lld\n",
            json_is_object(endpoint) ? show_text(endpoint, "id") : "-", show_endpoint(item),
            show_number(item, "count"));
    }
}

static void show_dry_run(const json_t *answer)
{
    const json_t *refused = json_object_get(answer, "refused");
    bool complete = json_is_true(json_object_get(answer, "complete"));
    printf("dry run: %s would take %s%lld deliveries\n", show_text(answer, "action"),
        complete ? "" : "at least ", show_number(answer, "count"));
    print_filter(answer);
    if (show_number(answer, "count") > 0)
        printf("  accepted   from %s to %s\n", show_text(answer, "oldest"),
            show_text(answer, "newest"));
    print_money(json_object_get(answer, "money"));
    if (json_object_size(refused) > 0) {
        printf("  refused    ");
        print_counts(refused);
        putchar('\n');
    }
    print_endpoints(json_object_get(answer, "endpoints"));
    printf("  at %lld per second: %lld s\n", show_number(answer, "rate"),
        (show_number(answer, "count") + show_number(answer, "rate") - 1) /
            show_number(answer, "rate"));
    if (!complete)
        puts("  The time was too short to count all of them.");
}

static void print_progress(const json_t *replay)
{
    const json_t *progress = json_object_get(replay, "progress");
    const json_t *total = json_object_get(progress, "total"),
                 *left = json_object_get(progress, "time_left_s"),
                 *refused = json_object_get(progress, "refused_by");
    long long matched = show_number(progress, "matched");
    printf("  progress   %lld", matched);
    if (json_is_integer(total))
        printf(" of %lld", (long long)json_integer_value(total));
    printf(": moved %lld, refused %lld", show_number(progress, "moved"),
        show_number(progress, "refused"));
    if (json_object_size(refused) > 0) {
        printf(" (");
        print_counts(refused);
        putchar(')');
    }
    if (json_is_integer(left))
        printf("; %lld s left", (long long)json_integer_value(left));
    putchar('\n');
    if (show_number(progress, "endpoints_resting") > 0)
        printf("  resting    %lld endpoints fail: each gets one delivery at a time until one "
               "succeeds\n",
            show_number(progress, "endpoints_resting"));
}

void show_replay(const json_t *replay)
{
    if (json_is_true(json_object_get(replay, "dry_run"))) {
        show_dry_run(replay);
        return;
    }
    printf("%s  %s  %s\n", show_text(replay, "id"), show_text(replay, "action"),
        show_text(replay, "state"));
    print_filter(replay);
    printf("  reason     %s\n", show_text(replay, "reason"));
    printf("  created    %s; %s since %s\n", show_text(replay, "created_at"),
        show_text(replay, "state"), show_text(replay, "changed_at"));
    printf("  rate       %lld per second\n", show_number(replay, "rate"));
    print_progress(replay);
}

void show_replays(const json_t *answer)
{
    static const struct table_column columns[] = {{"replay", false}, {"action", false},
        {"state", false}, {"moved", true}, {"refused", true}, {"total", true}, {"created", false},
        {"reason", false}};
    struct table table;
    size_t i;
    json_t *replay;
    table_init(&table, columns, ARRAY_LENGTH(columns));
    json_array_foreach(json_object_get(answer, "replays"), i, replay)
    {
        const json_t *progress = json_object_get(replay, "progress");
        static const char *const numbers[] = {"moved", "refused", "total"};
        table_add(&table, show_text(replay, "id"));
        table_add(&table, show_text(replay, "action"));
        table_add(&table, show_text(replay, "state"));
        for (size_t at = 0; at < ARRAY_LENGTH(numbers); at++) {
            char text[24];
            snprintf(text, sizeof text, "%lld", show_number(progress, numbers[at]));
            table_add(&table, json_is_null(json_object_get(progress, numbers[at])) ? "-" : text);
        }
        table_add(&table, show_text(replay, "created_at"));
        table_add(&table, show_text(replay, "reason"));
    }
    table_print(&table, stdout);
    table_done(&table);
}

/* Single deliveries. */

static const char *verb_of(const struct invocation *call)
{
    return strchr(call->command->name, ' ') + 1;
}

static enum err act_on(const struct invocation *call, const char *delivery)
{
    char path[160];
    json_t *body = NULL, *answer = NULL;
    enum err err = request_body(call, &body);
    if (err)
        return err;
    if (call->flags[FLAG_TO_ENDPOINT]) /* --endpoint has this name in a filter */
        json_object_set_new(body, "endpoint", json_string(call->flags[FLAG_TO_ENDPOINT]));
    snprintf(path, sizeof path, "%s/%.80s/%s", call->command->path, delivery, verb_of(call));
    err = remote_request(call, "POST", path, body, &answer);
    if (!err)
        remote_print(call, answer, call->command->print);
    json_decref(answer);
    return err;
}

/* Each of them; the exit code is that of the first one that was refused. */
static int act_on_each(const struct invocation *call)
{
    unsigned wrong = find_given(call, OF_REPLAY);
    enum err first = OK;
    if (wrong != FLAGS)
        return command_fail(ERR_USAGE,
            "%s: %s selects deliveries, and ids were given as well: leave one of them out",
            call->command->name, flag_rows[wrong].name);
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    for (unsigned i = 0; i < call->words_count; i++) {
        enum err err = act_on(call, call->words[i]);
        if (!first)
            first = err;
    }
    return err_exit_code(first);
}

/* Many deliveries. */

static int replay_by_filter(const struct invocation *call)
{
    unsigned wrong = find_given(call, OF_IDS);
    json_t *body = NULL, *answer = NULL;
    const char *action = verb_of(call);
    if (find_given(call, OF_FILTER) == FLAGS)
        return command_fail(ERR_USAGE,
            "%s: give the ids of deliveries, or flags that select them, such as --account A "
            "--state dead; see \"penstock %s --help\"",
            call->command->name, call->command->name);
    if (wrong != FLAGS)
        return command_fail(ERR_USAGE, "%s: %s is for single deliveries: give their ids",
            call->command->name, flag_rows[wrong].name);
    enum err err = request_body(call, &body);
    if (err)
        return err_exit_code(err);
    if (call->flags[FLAG_AS] && strcmp(call->flags[FLAG_AS], "discarded") == 0)
        action = "discard";
    if (call->flags[FLAG_AS] && !call->flags[FLAG_STATE])
        json_object_set_new(body, "state", json_string("parked"));
    json_object_del(body, "as");
    json_object_set_new(body, "action", json_string(action));
    err = remote_request(call, "POST", REPLAYS, body, &answer);
    if (!err)
        remote_print(call, answer, show_replay);
    json_decref(answer);
    return err_exit_code(err);
}

int command_delivery_act(const struct invocation *call)
{
    return call->words_count > 0 ? act_on_each(call) : replay_by_filter(call);
}

/* Replays. */

static int change_state(const struct invocation *call, const char *state)
{
    char path[160];
    json_t *body = NULL, *answer = NULL;
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    enum err err = request_body(call, &body);
    if (err)
        return err_exit_code(err);
    json_object_set_new(body, "state", json_string(state));
    snprintf(path, sizeof path, REPLAYS "/%.80s", call->words[0]);
    err = remote_request(call, "PATCH", path, body, &answer);
    if (!err)
        remote_print(call, answer, show_replay);
    json_decref(answer);
    return err_exit_code(err);
}

int command_replay_pause(const struct invocation *call)
{
    return change_state(call, "paused");
}

int command_replay_resume(const struct invocation *call)
{
    return change_state(call, "running");
}

int command_replay_cancel(const struct invocation *call)
{
    return change_state(call, "cancelled");
}
