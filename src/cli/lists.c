/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lists.h"

#include "base/cleanup.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 1000
#define LIMIT_DEFAULT 100
#define COLUMNS_MAX 10
#define CELL_BYTES 300

/* A column shows a member of the item, or what `write` makes of the item. */
struct list_column {
    const char *title, *member;
    bool is_number;
    void (*write)(const json_t *item, char ret_text[CELL_BYTES]);
};

/* A list of the admin API. */
struct list {
    const char *name; /* of the array in an answer */
    const char *path;
    const char *argument; /* the parameter that the command's argument is; NULL: it takes none */
    struct list_column columns[COLUMNS_MAX]; /* up to the first without a title */
};

static void write_endpoint(const json_t *item, char ret_text[CELL_BYTES])
{
    snprintf(ret_text, CELL_BYTES, "%s", show_endpoint(item));
}

/* "parked: REASON", or the state. */
static void write_state(const json_t *item, char ret_text[CELL_BYTES])
{
    bool is_parked = strcmp(show_text(item, "state"), "parked") == 0;
    snprintf(ret_text, CELL_BYTES, "%s%s%s%s", show_text(item, "state"), is_parked ? ": " : "",
        is_parked ? show_text(item, "reason") : "",
        json_is_true(json_object_get(item, "damaged")) ? " (DAMAGED)" : "");
}

static const struct list deliveries = {"deliveries", "/api/v1/deliveries", NULL,
    {{"delivery", "id"}, {"account", "account"}, {"endpoint", .write = write_endpoint},
        {"type", "type"}, {"amount", "amount", true}, {"currency", "currency"},
        {"accepted", "accepted_at"}, {"attempts", "attempts", true},
        {"state", .write = write_state}}};

static const struct list conflicts = {"conflicts", "/api/v1/conflicts", "event",
    {{"first event", "first_event"}, {"partner", "partner"}, {"account", "account"},
        {"type", "type"}, {"key", "key"}, {"amount", "amount", true}, {"currency", "currency"},
        {"received", "at"}, {"times", "times", true}}};

static const struct list poison = {"poison", "/api/v1/poison", NULL,
    {{"received", "at"}, {"queue", "queue"}, {"bytes", "bytes", true}, {"message id", "message_id"},
        {"reason", "reason"}}};

static void add_cell(struct table *table, const struct list_column *column, const json_t *item)
{
    char text[CELL_BYTES];
    const json_t *value = column->member ? json_object_get(item, column->member) : NULL;
    if (column->write)
        column->write(item, text);
    else if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    table_add(
        table, column->write || json_is_integer(value) ? text : show_text(item, column->member));
}

static void print_items(const struct list *list, const json_t *items)
{
    struct table_column shown[COLUMNS_MAX];
    struct table table;
    size_t count = 0, i;
    json_t *item;
    for (; count < COLUMNS_MAX && list->columns[count].title; count++)
        shown[count] =
            (struct table_column){list->columns[count].title, list->columns[count].is_number};
    table_init(&table, shown, count);
    json_array_foreach(items, i, item)
    {
        for (size_t column = 0; column < count; column++)
            add_cell(&table, &list->columns[column], item);
    }
    table_print(&table, stdout);
    table_done(&table);
}

static enum err get_page(const struct invocation *call, const struct list *list, size_t limit,
    const char *cursor, json_t **ret_answer)
{
    struct buffer path = BUFFER_EMPTY;
    char number[16];
    snprintf(number, sizeof number, "%zu", limit < PAGE_MAX ? limit : (size_t)PAGE_MAX);
    buffer_add_string(&path, list->path);
    remote_add_parameter(&path, list->argument, list->argument ? call->words[0] : NULL);
    request_add_parameters(call, &path);
    remote_add_parameter(&path, "limit", number);
    remote_add_parameter(&path, "cursor", cursor);
    enum err err = buffer_status(&path);
    if (!err)
        err = remote_request(call, "GET", path.data, NULL, ret_answer);
    buffer_done(&path);
    return err;
}

/* The filter names something that does not exist, and no page had an item for it. */
static enum err refuse_unknown(const json_t *unknown)
{
    const char *what = show_text(unknown, "what");
    command_fail(ERR_NOT_FOUND,
        "%s \"%s\" does not exist, and the journals hold nothing for it: \"penstock %s list\" "
        "shows what exists",
        what, show_text(unknown, "id"), what);
    return ERR_NOT_FOUND;
}

/* Asks for page after page until there are as many items as wanted, and prints them. */
static int show_pages(const struct invocation *call, const struct list *list)
{
    const char *text = call->flags[FLAG_LIMIT], *cursor = NULL;
    size_t limit = text ? strtoul(text, NULL, 10) : LIMIT_DEFAULT;
    json_t *items = json_array(), *answer = NULL;
    enum err err;
    do {
        json_t *page = NULL;
        err = get_page(call, list, limit - json_array_size(items), cursor, &page);
        json_decref(answer);
        answer = page;
        json_array_extend(items, json_object_get(answer, list->name));
        cursor = json_string_value(json_object_get(answer, "next"));
    } while (!err && cursor && json_array_size(items) < limit);
    const json_t *unknown = json_object_get(answer, "unknown");
    if (!err && unknown && json_array_size(items) == 0)
        err = refuse_unknown(unknown);
    if (!err && call->flags[FLAG_JSON]) {
        json_object_set(answer, list->name, items);
        remote_print(call, answer, NULL);
    } else if (!err) {
        print_items(list, items);
        if (cursor)
            fprintf(stderr, "there are more: raise --limit to see them\n");
    }
    json_decref(items);
    json_decref(answer);
    return err_exit_code(err);
}

int command_delivery_list(const struct invocation *call)
{
    return show_pages(call, &deliveries);
}

/* False after a complaint: a mistyped event must not look like one without conflicts. An event
 * whose history has expired is known by its conflicts only. */
static bool event_is_known(const struct invocation *call)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *answer = NULL;
    buffer_add_string(&path, conflicts.path);
    remote_add_parameter(&path, conflicts.argument, call->words[0]);
    enum err err = buffer_status(&path);
    if (!err)
        err = remote_request(call, "GET", path.data, NULL, &answer);
    buffer_done(&path);
    bool has_none = json_array_size(json_object_get(answer, conflicts.name)) == 0 &&
                    json_is_null(json_object_get(answer, "next"));
    json_decref(answer);
    if (!err && has_none) {
        char timeline[256];
        json_t *event = NULL;
        snprintf(timeline, sizeof timeline, "/api/v1/events/%.128s", call->words[0]);
        err = remote_request(call, "GET", timeline, NULL, &event);
        json_decref(event);
    }
    return err == OK;
}

int command_event_conflicts(const struct invocation *call)
{
    if (!request_arguments_are_names(call))
        return err_exit_code(ERR_USAGE);
    if (call->words[0] && !event_is_known(call))
        return err_exit_code(ERR_NOT_FOUND);
    return show_pages(call, &conflicts);
}

int command_event_poison(const struct invocation *call)
{
    return show_pages(call, &poison);
}
