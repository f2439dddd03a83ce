/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock delivery ...`, `penstock event conflicts` and `penstock event poison`: the lists behind
 * the audit's numbers, what is no event, and what is done to one of what stands there. */
#include "main/manage.h"
#include "main/show.h"
#include "main/table.h"

#include <errno.h>
#include <string.h>

#define DELIVERIES "/api/v1/deliveries"
#define PAGE_MAX 1000
#define LIMIT_USUAL 100

/* Lists: page after page until there are as many as were asked for. */

struct list {
    const char *name; /* of the array, and of the path */
    void (*print)(const json_t *items);
};

/* False after a complaint. */
static bool take_limit(const struct invocation *call, size_t *ret_limit)
{
    const char *text = call->flags[FLAG_LIMIT];
    char *end = NULL;
    *ret_limit = LIMIT_USUAL;
    if (!text)
        return true;
    errno = 0;
    unsigned long limit = strtoul(text, &end, 10);
    if (errno || *end || *text < '1' || *text > '9') {
        command_fail(ERR_USAGE, "--limit takes a number, not \"%s\"", text);
        return false;
    }
    *ret_limit = limit;
    return true;
}

static enum err get_page(const struct invocation *call, const struct buffer *question, size_t limit,
    const char *cursor, json_t **ret_answer)
{
    struct buffer path = BUFFER_EMPTY;
    char number[16];
    snprintf(number, sizeof number, "%zu", limit < PAGE_MAX ? limit : (size_t)PAGE_MAX);
    buffer_add_slice(&path, buffer_slice(question));
    remote_add_parameter(&path, "limit", number);
    remote_add_parameter(&path, "cursor", cursor);
    enum err failed = buffer_status(&path);
    if (!failed)
        failed = remote_request(call, "GET", path.data, NULL, ret_answer);
    buffer_done(&path);
    return failed;
}

/* Page after page had nothing of it. */
static enum err refuse_unknown(const json_t *unknown)
{
    const char *what = show_text(unknown, "what");
    command_fail(ERR_NOT_FOUND,
        "there is no %s \"%s\", and nothing in the journals is of it: see penstock %s list", what,
        show_text(unknown, "id"), what);
    return ERR_NOT_FOUND;
}

static int show_list(
    const struct invocation *call, const struct list *list, struct buffer *question)
{
    size_t limit;
    json_t *items = json_array(), *answer = NULL;
    enum err failed = take_limit(call, &limit) ? buffer_status(question) : ERR_USAGE;
    const char *cursor = NULL;
    do {
        json_t *page = NULL;
        if (!failed)
            failed = get_page(call, question, limit - json_array_size(items), cursor, &page);
        json_decref(answer);
        answer = page;
        json_array_extend(items, json_object_get(answer, list->name));
        cursor = json_string_value(json_object_get(answer, "next"));
    } while (!failed && cursor && json_array_size(items) < limit);
    buffer_done(question);
    const json_t *unknown = json_object_get(answer, "unknown");
    if (!failed && unknown && json_array_size(items) == 0)
        failed = refuse_unknown(unknown);
    if (!failed && call->flags[FLAG_JSON]) {
        json_object_set(answer, list->name, items);
        remote_print_json(answer);
    } else if (!failed) {
        list->print(items);
        if (cursor)
            fprintf(stderr, "there are more: see --limit\n");
    }
    json_decref(items);
    json_decref(answer);
    return failed ? err_exit_code(failed) : 0;
}

static void print_table(struct table *table)
{
    if (table_print(table, stdout) != OK)
        fprintf(stderr, "penstock: out of memory\n");
    table_done(table);
}

static void print_deliveries(const json_t *items)
{
    static const struct table_column columns[] = {{"delivery"}, {"account"}, {"endpoint"}, {"type"},
        {"amount", true}, {"currency"}, {"accepted"}, {"tries", true}, {"state"}};
    struct table table;
    size_t i;
    json_t *item;
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(items, i, item)
    {
        char tries[24], state[64];
        bool is_parked = strcmp(show_text(item, "state"), "parked") == 0;
        snprintf(tries, sizeof tries, "%lld", show_number(item, "attempts"));
        snprintf(state, sizeof state, "%s%s%s%s", show_text(item, "state"), is_parked ? ": " : "",
            is_parked ? show_text(item, "reason") : "",
            json_is_true(json_object_get(item, "damaged")) ? " (DAMAGED)" : "");
        const char *const cells[] = {show_text(item, "id"), show_text(item, "account"),
            show_endpoint(item), show_text(item, "type"), show_text(item, "amount"),
            show_text(item, "currency"), show_text(item, "accepted_at"), tries, state};
        for (size_t column = 0; column < sizeof cells / sizeof cells[0]; column++)
            table_add(&table, cells[column]);
    }
    print_table(&table);
}

int command_delivery_list(const struct invocation *call)
{
    static const struct list list = {"deliveries", print_deliveries};
    struct buffer path = BUFFER_EMPTY;
    buffer_add_string(&path, DELIVERIES);
    remote_add_parameter(&path, "state", call->flags[FLAG_STATE]);
    remote_add_parameter(&path, "reason", call->flags[FLAG_REASON]);
    remote_add_parameter(&path, "account", call->flags[FLAG_ACCOUNT]);
    remote_add_parameter(&path, "endpoint", call->flags[FLAG_ENDPOINT]);
    remote_add_parameter(&path, "day", call->flags[FLAG_DAY]);
    remote_add_parameter(&path, "currency", call->flags[FLAG_CURRENCY]);
    return show_list(call, &list, &path);
}

static void print_conflicts(const json_t *items)
{
    static const struct table_column columns[] = {{"first event"}, {"partner"}, {"account"},
        {"type"}, {"key"}, {"amount", true}, {"currency"}, {"came"}, {"times", true}};
    struct table table;
    size_t i;
    json_t *item;
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(items, i, item)
    {
        char times[24];
        snprintf(times, sizeof times, "%lld", show_number(item, "times"));
        const char *const cells[] = {show_text(item, "first_event"), show_text(item, "partner"),
            show_text(item, "account"), show_text(item, "type"), show_text(item, "key"),
            show_text(item, "amount"), show_text(item, "currency"), show_text(item, "at"), times};
        for (size_t column = 0; column < sizeof cells / sizeof cells[0]; column++)
            table_add(&table, cells[column]);
    }
    print_table(&table);
}

/* False after a complaint: an event without conflicts and a mistyped one must not look the same.
 * One whose history has expired is known by its conflicts only. */
static bool event_is_known(const struct invocation *call)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *answer = NULL;
    size_t count = 0;
    buffer_add_string(&path, "/api/v1/conflicts");
    remote_add_parameter(&path, "event", call->words[0]);
    enum err failed = buffer_status(&path) ? buffer_status(&path)
                                           : remote_request(call, "GET", path.data, NULL, &answer);
    if (!failed)
        count = json_array_size(json_object_get(answer, "conflicts"));
    bool is_over = json_is_null(json_object_get(answer, "next"));
    json_decref(answer);
    answer = NULL;
    buffer_done(&path);
    if (!failed && count == 0 && is_over) {
        char timeline[256];
        snprintf(timeline, sizeof timeline, "/api/v1/events/%.128s", call->words[0]);
        failed = remote_request(call, "GET", timeline, NULL, &answer);
        json_decref(answer);
    }
    return !failed;
}

int command_event_conflicts(const struct invocation *call)
{
    static const struct list list = {"conflicts", print_conflicts};
    struct buffer path = BUFFER_EMPTY;
    buffer_add_string(&path, "/api/v1/conflicts");
    remote_add_parameter(&path, "event", call->words[0]);
    remote_add_parameter(&path, "account", call->flags[FLAG_ACCOUNT]);
    remote_add_parameter(&path, "day", call->flags[FLAG_DAY]);
    if (call->words[0] && !event_is_known(call)) {
        buffer_done(&path);
        return err_exit_code(ERR_NOT_FOUND);
    }
    return show_list(call, &list, &path);
}

static void print_poison(const json_t *items)
{
    static const struct table_column columns[] = {
        {"came"}, {"queue"}, {"bytes", true}, {"message id"}, {"why it is no event"}};
    struct table table;
    size_t i;
    json_t *item;
    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    json_array_foreach(items, i, item)
    {
        char bytes[24];
        snprintf(bytes, sizeof bytes, "%lld", show_number(item, "bytes"));
        const char *const cells[] = {show_text(item, "at"), show_text(item, "queue"), bytes,
            show_text(item, "message_id"), show_text(item, "reason")};
        for (size_t column = 0; column < sizeof cells / sizeof cells[0]; column++)
            table_add(&table, cells[column]);
    }
    print_table(&table);
}

int command_event_poison(const struct invocation *call)
{
    static const struct list list = {"poison", print_poison};
    struct buffer path = BUFFER_EMPTY;
    buffer_add_string(&path, "/api/v1/poison");
    return show_list(call, &list, &path);
}

/* One delivery. */

static void print_one(const json_t *delivery)
{
    printf("%s  %s", show_text(delivery, "event"), show_text(delivery, "type"));
    if (json_is_string(json_object_get(delivery, "amount")))
        printf("  %s %s", show_text(delivery, "amount"), show_text(delivery, "currency"));
    printf("\n  from %s for %s, key %s\n  accepted %s\n", show_text(delivery, "partner"),
        show_text(delivery, "account"), show_text(delivery, "key"),
        show_text(delivery, "accepted_at"));
    show_delivery(delivery);
}

int command_delivery_show(const struct invocation *call)
{
    return manage_call(call, "GET", NULL, print_one, DELIVERIES "/%s", call->words[0]);
}

static void print_action(const json_t *answer)
{
    printf("%s  %s -> %s", show_text(answer, "id"), show_text(answer, "from"),
        show_text(answer, "state"));
    if (json_is_object(json_object_get(answer, "endpoint")))
        printf(", to %s (%s)", show_endpoint(answer),
            show_text(json_object_get(answer, "endpoint"), "id"));
    putchar('\n');
}

static int action(const struct invocation *call, const char *verb, json_t *body)
{
    if (!call->flags[FLAG_EXPECT]) {
        json_decref(body);
        return command_fail(ERR_USAGE,
            "delivery %s: say where the delivery is, with --expect STATE (penstock delivery show "
            "tells); nothing is "
            "done "
            "when it has moved on",
            verb);
    }
    manage_add_text(call, FLAG_EXPECT, "expect", body);
    manage_add_text(call, FLAG_TO_ENDPOINT, "endpoint", body);
    manage_add_text(call, FLAG_NOTE, "note", body);
    return manage_call(call, "POST", body, print_action, DELIVERIES "/%s/%s", call->words[0], verb);
}

int command_delivery_resolve(const struct invocation *call)
{
    if (!call->flags[FLAG_AS])
        return command_fail(ERR_USAGE,
            "delivery resolve: say what became of it, with --as delivered or --as discarded");
    json_t *body = json_object();
    manage_add_text(call, FLAG_AS, "as", body);
    return action(call, "resolve", body);
}

int command_delivery_resend(const struct invocation *call)
{
    return action(call, "resend", json_object());
}

int command_delivery_discard(const struct invocation *call)
{
    return action(call, "discard", json_object());
}

int command_delivery_replay(const struct invocation *call)
{
    json_t *body = json_object();
    if (call->flags[FLAG_FORCE])
        json_object_set_new(body, "force", json_true());
    return action(call, "replay", body);
}
