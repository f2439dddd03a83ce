/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lists.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "cli/table.h"

#include "model/event_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS "/api/v1/events"
#define PAGE_MAX 1000
#define LIMIT_DEFAULT 100
#define COLUMNS_MAX 12
#define CELL_BYTES 300
#define QUIET_US (2 * US_PER_SECOND) /* then the progress of a search is shown */

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

/* "delivered", or "2 delivered, 1 parked". */
static void write_states(const json_t *item, char ret_text[CELL_BYTES])
{
    static const char *const states[] = {
        "delivered", "pending", "sending", "waiting", "parked", "dead", "discarded"};
    const json_t *list = json_object_get(item, "deliveries");
    size_t len = 0, i;
    ret_text[0] = '\0';
    for (size_t state = 0; state < ARRAY_LENGTH(states); state++) {
        const json_t *delivery;
        unsigned count = 0;
        json_array_foreach(list, i, delivery) count +=
            strcmp(show_text(delivery, "state"), states[state]) == 0;
        if (count == 0)
            continue;
        len += (size_t)snprintf(ret_text + len, CELL_BYTES - len, "%s", len ? ", " : "");
        if (json_array_size(list) > 1)
            len += (size_t)snprintf(ret_text + len, CELL_BYTES - len, "%u ", count);
        len += (size_t)snprintf(ret_text + len, CELL_BYTES - len, "%s", states[state]);
    }
    snprintf(ret_text + len, CELL_BYTES - len, "%s%s", len ? "" : "in the outbox",
        json_is_true(json_object_get(item, "damaged")) ? " (DAMAGED)" : "");
}

#define EVENT_LIST_COLUMNS                                                                        \
    {                                                                                             \
        {"event", "event"}, {"accepted", "accepted_at"}, {"partner", "partner"},                  \
            {"account", "account"}, {"type", "type"}, {"key", "key"}, {"amount", "amount", true}, \
            {"currency", "currency"}, {"class", "class"},                                         \
        {                                                                                         \
            "deliveries", .write = write_states                                                   \
        }                                                                                         \
    }
static const struct list events = {"events", EVENTS, NULL, EVENT_LIST_COLUMNS};
static const struct list events_of_key = {"events", EVENTS, "key", EVENT_LIST_COLUMNS};

/* The two largest units of a duration: "3d 2h", "5m 10s". */
static void write_duration(int64_t us, char ret_text[CELL_BYTES])
{
    static const struct {
        int64_t us;
        char name;
    } units[] = {{US_PER_DAY, 'd'}, {3600 * US_PER_SECOND, 'h'}, {60 * US_PER_SECOND, 'm'},
        {US_PER_SECOND, 's'}};
    size_t i = 0;
    while (i + 1 < ARRAY_LENGTH(units) && us < units[i].us)
        i++;
    long long first = us / units[i].us;
    if (i + 1 == ARRAY_LENGTH(units))
        snprintf(ret_text, CELL_BYTES, "%lld%c", first, units[i].name);
    else
        snprintf(ret_text, CELL_BYTES, "%lld%c %lld%c", first, units[i].name,
            (long long)(us % units[i].us / units[i + 1].us), units[i + 1].name);
}

static bool time_of(const json_t *item, const char *name, int64_t *ret_us)
{
    const char *text = json_string_value(json_object_get(item, name));
    return text && clock_parse_rfc3339(slice_from_string(text), ret_us);
}

/* How long ago the event was accepted. */
static void write_age(const json_t *item, char ret_text[CELL_BYTES])
{
    int64_t accepted_us, now_us = clock_wall_us();
    snprintf(ret_text, CELL_BYTES, "-");
    if (time_of(item, "accepted_at", &accepted_us))
        write_duration(now_us > accepted_us ? now_us - accepted_us : 0, ret_text);
}

/* When a waiting delivery is tried next. */
static void write_next(const json_t *item, char ret_text[CELL_BYTES])
{
    int64_t due_us, now_us = clock_wall_us();
    char duration[CELL_BYTES];
    snprintf(ret_text, CELL_BYTES, "-");
    if (!time_of(item, "due_at", &due_us))
        return;
    write_duration(due_us > now_us ? due_us - now_us : 0, duration);
    snprintf(ret_text, CELL_BYTES, "%s%.60s", due_us > now_us ? "in " : "now",
        due_us > now_us ? duration : "");
}

static void write_money(const json_t *item, char ret_text[CELL_BYTES])
{
    bool has_amount = json_is_string(json_object_get(item, "amount"));
    snprintf(ret_text, CELL_BYTES, "%.60s%s%.60s", show_text(item, "amount"), has_amount ? " " : "",
        has_amount ? show_text(item, "currency") : "");
}

static const struct list deliveries = {"deliveries", "/api/v1/deliveries", NULL,
    {{"delivery", "id"}, {"partner", "partner"}, {"account", "account"},
        {"endpoint", .write = write_endpoint}, {"type", "type"}, {"key", "key"},
        {"amount", .is_number = true, .write = write_money}, {"age", .write = write_age},
        {"attempts", "attempts", true}, {"cause", "cause"}, {"next try", .write = write_next},
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

/* Says how far a search has come, if it takes long. */
static void show_progress(size_t found, int64_t *said_us)
{
    int64_t now_us = clock_mono_us();
    if (now_us - *said_us < QUIET_US)
        return;
    *said_us = now_us;
    fprintf(stderr, "searching: %zu found so far\n", found);
}

/* Asks for page after page until there are as many items as wanted. *ret_answer is like a page with
 * all of them; the caller owns it. On failure the complaint has been printed. */
static enum err gather(const struct invocation *call, const struct list *list, json_t **ret_answer)
{
    const char *text = call->flags[FLAG_LIMIT], *cursor = NULL;
    size_t limit = text ? strtoul(text, NULL, 10) : LIMIT_DEFAULT;
    json_t *items = json_array(), *answer = NULL;
    int64_t said_us = clock_mono_us();
    enum err err;
    do {
        json_t *page = NULL;
        err = get_page(call, list, limit - json_array_size(items), cursor, &page);
        json_decref(answer);
        answer = page;
        json_array_extend(items, json_object_get(answer, list->name));
        cursor = json_string_value(json_object_get(answer, "next"));
        show_progress(json_array_size(items), &said_us);
    } while (!err && cursor && json_array_size(items) < limit);
    const json_t *unknown = json_object_get(answer, "unknown");
    if (!err && unknown && json_array_size(items) == 0)
        err = refuse_unknown(unknown);
    if (err) {
        json_decref(items);
        json_decref(answer);
        return err;
    }
    json_object_set_new(answer, list->name, items);
    *ret_answer = answer;
    return OK;
}

static void print_gathered(
    const struct invocation *call, const struct list *list, const json_t *answer)
{
    if (call->flags[FLAG_JSON]) {
        remote_print(call, answer, NULL);
        return;
    }
    print_items(list, json_object_get(answer, list->name));
    if (json_is_string(json_object_get(answer, "next")))
        fprintf(stderr, "there are more: raise --limit to see them\n");
}

static int show_pages(const struct invocation *call, const struct list *list)
{
    json_t *answer;
    enum err err = gather(call, list, &answer);
    if (err)
        return err_exit_code(err);
    print_gathered(call, list, answer);
    json_decref(answer);
    return err_exit_code(OK);
}

/* Events. */

int command_event_list(const struct invocation *call)
{
    return show_pages(call, &events);
}

static bool is_event_id(const char *text)
{
    struct event_id id;
    return event_id_parse(slice_from_string(text), &id);
}

/* The events with the key that is the argument, as a page of the list. ERR_NOT_FOUND after a
 * complaint: there is none. */
static enum err find_by_key(const struct invocation *call, json_t **ret_answer)
{
    json_t *answer;
    enum err err = gather(call, &events_of_key, &answer);
    if (err)
        return err;
    if (json_array_size(json_object_get(answer, events_of_key.name)) == 0) {
        json_decref(answer);
        command_fail(ERR_NOT_FOUND,
            "no event has the key \"%s\": check the key, and whether the history of the event has "
            "expired",
            call->words[0]);
        return ERR_NOT_FOUND;
    }
    *ret_answer = answer;
    return OK;
}

static enum err get_event(const struct invocation *call, const char *id, json_t **ret_event)
{
    char path[128];
    snprintf(path, sizeof path, EVENTS "/%.64s", id);
    return remote_request(call, "GET", path, NULL, ret_event);
}

int command_event_find(const struct invocation *call)
{
    json_t *answer = NULL, *event;
    enum err err;
    if (is_event_id(call->words[0])) {
        err = get_event(call, call->words[0], &event);
        if (!err)
            answer = json_pack("{s:[o], s:n}", events.name, event, "next");
    } else {
        err = find_by_key(call, &answer);
    }
    if (!err)
        print_gathered(call, &events, answer);
    json_decref(answer);
    return err_exit_code(err);
}

int command_event_show(const struct invocation *call)
{
    json_t *answer = NULL, *event;
    if (is_event_id(call->words[0]))
        return request_run(call);
    enum err err = find_by_key(call, &answer);
    if (err)
        return err_exit_code(err);
    const json_t *found = json_object_get(answer, events_of_key.name);
    if (json_array_size(found) > 1) {
        fprintf(stderr,
            "%zu events have this key: \"penstock event show EVENT\" shows one of "
            "them\n",
            json_array_size(found));
        print_gathered(call, &events_of_key, answer);
    } else {
        err = get_event(call, show_text(json_array_get(found, 0), "event"), &event);
        if (!err) {
            remote_print(call, event, show_event);
            json_decref(event);
        }
    }
    json_decref(answer);
    return err_exit_code(err);
}

/* Others. */

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
