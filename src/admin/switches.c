/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches, the controls of an incident (model/switch.h).
 *
 * GET /api/v1/switches: the four of the installation, and those that are off for an account or an
 * endpoint. With `history` also the last changes: who, when and why. A follower has no history.
 * POST /api/v1/switches: switches one off or on again. The answer follows the commit, and the
 * directory shows the change by then. A switch that is so already stays as it is: `changed` is
 * false, and `since` and `reason` are those of the first change.
 */
#include "admin/admin_internal.h"

#include "accounts/switches.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX 20  /* of /readyz */
#define SHOWN_MAX 100 /* of the status */
#define HISTORY_RULE "must be a number from 1 to 100"

static const struct directory *directory_of(const struct admin *admin)
{
    return accounts_directory(admin->options.accounts);
}

/* Those that are off, in the order in which people read them. */

struct off_list {
    unsigned count;
    const struct operator_switch *items[SWITCHES_OFF_MAX];
};

static void add_off(const struct operator_switch *off, void *context)
{
    struct off_list *list = context;
    if (list->count < SWITCHES_OFF_MAX)
        list->items[list->count++] = off;
}

static int compare(const void *left, const void *right)
{
    const struct operator_switch *a = *(const struct operator_switch *const *)left,
                                 *b = *(const struct operator_switch *const *)right;
    int by_account = strcmp(a->account, b->account);
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (by_account)
        return by_account;
    return (a->endpoint > b->endpoint) - (a->endpoint < b->endpoint);
}

static void list_off(const struct admin *admin, struct off_list *ret_list)
{
    ret_list->count = 0;
    directory_each_switch(directory_of(admin), add_off, ret_list);
    qsort(ret_list->items, ret_list->count, sizeof ret_list->items[0], compare);
}

/* Views. */

static json_t *view(const struct admin *admin, enum switch_kind kind, bool is_off,
    const char *account, uint64_t endpoint)
{
    return json_pack("{s:s, s:s, s:o, s:o}", "switch", switch_name(kind), "state",
        is_off ? "off" : "on", "account", admin_text(slice_from_string(account)), "endpoint",
        admin_endpoint_label(admin, endpoint));
}

json_t *admin_view_switch(const struct admin *admin, const struct operator_switch *off)
{
    if (!off)
        return json_null();
    json_t *it = view(admin, off->kind, true, off->account, off->endpoint);
    json_object_set_new(it, "since", admin_time(off->since_us));
    json_object_set_new(it, "reason", json_string(off->reason));
    return it;
}

json_t *admin_view_switches_off(const struct admin *admin)
{
    struct off_list *list = memory_new(sizeof *list);
    json_t *items = json_array();
    list_off(admin, list);
    for (unsigned i = 0; i < list->count && i < SHOWN_MAX; i++)
        json_array_append_new(items, admin_view_switch(admin, list->items[i]));
    free(list);
    return items;
}

json_t *admin_view_switches_of(const struct admin *admin, const struct endpoint *endpoint)
{
    static const enum switch_kind kinds[] = {SWITCH_DELIVERIES, SWITCH_RETRIES, SWITCH_OPTIONAL};
    json_t *items = json_array();
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        const struct operator_switch *off = directory_switch_off(
            directory_of(admin), kinds[i], slice_from_string(endpoint->account), endpoint->id);
        if (off)
            json_array_append_new(items, admin_view_switch(admin, off));
    }
    return items;
}

json_t *admin_view_held_by(const struct admin *admin, const struct event_parts *parts,
    uint64_t endpoint, enum delivery_state state)
{
    const struct operator_switch *off =
        admin->options.accounts
            ? switches_holding(directory_of(admin), parts->account, endpoint, parts->class, state)
            : NULL;
    return admin_view_switch(admin, off);
}

void admin_print_switches(const struct admin *admin, struct buffer *text)
{
    struct off_list *list = memory_new(sizeof *list);
    list_off(admin, list);
    if (list->count == 0)
        buffer_add_string(text, "[+] all switches are on\n");
    for (unsigned i = 0; i < list->count && i < LINES_MAX; i++) {
        const struct operator_switch *off = list->items[i];
        char since[CLOCK_TEXT_BYTES], id[ENDPOINT_ID_TEXT_BYTES];
        clock_format_rfc3339(off->since_us, since);
        endpoint_id_format(off->endpoint, id);
        buffer_add_format(text, "[-] the switch %s is off%s%s%s%s since %s: %s\n",
            switch_name(off->kind), off->account[0] ? " for account " : "", off->account,
            off->endpoint ? " and endpoint " : "", off->endpoint ? id : "", since, off->reason);
    }
    if (list->count > LINES_MAX)
        buffer_add_format(text, "[-] and %u more switches are off\n", list->count - LINES_MAX);
    free(list);
}

/* GET. */

static json_t *all_view(const struct admin *admin)
{
    json_t *items = json_array();
    struct off_list *list = memory_new(sizeof *list);
    for (unsigned kind = 0; kind < SWITCHES; kind++) {
        const struct operator_switch *off =
            directory_switch_at(directory_of(admin), (enum switch_kind)kind, slice_of(NULL, 0), 0);
        json_array_append_new(items, off ? admin_view_switch(admin, off)
                                         : view(admin, (enum switch_kind)kind, false, "", 0));
    }
    list_off(admin, list);
    for (unsigned i = 0; i < list->count; i++)
        if (list->items[i]->account[0])
            json_array_append_new(items, admin_view_switch(admin, list->items[i]));
    free(list);
    return items;
}

struct history {
    struct accounts_switch_history request;
    struct admin *admin;
    struct http_exchange *exchange;
};

static json_t *change_view(const struct admin *admin, const struct switch_change *change)
{
    json_t *it = view(admin, change->kind, change->is_off, change->account, change->endpoint);
    json_object_set_new(it, "at", admin_time(change->at_us));
    json_object_set_new(it, "by", admin_text(slice_from_string(change->actor)));
    json_object_set_new(it, "reason", json_string(change->reason));
    return it;
}

static void on_history(struct request *base, void *receiver)
{
    struct accounts_switch_history *request =
        CONTAINER_OF(base, struct accounts_switch_history, base);
    struct history *history = CONTAINER_OF(request, struct history, request);
    struct admin *admin = receiver;
    if (base->result != OK) {
        http_answer_problem(
            history->exchange, base->result, "accounts.db cannot be read: see the log.", NULL);
    } else if (!admin->options.accounts) {
        http_answer_problem(history->exchange, ERR_SHUTTING_DOWN, ADMIN_ASK_LATER, NULL);
    } else {
        json_t *changes = json_array();
        for (unsigned i = 0; i < request->ret_count; i++)
            json_array_append_new(changes, change_view(admin, &request->ret_changes[i]));
        admin_answer_json(history->exchange, 200,
            json_pack("{s:o, s:o}", "switches", all_view(admin), "history", changes));
    }
    free(history);
}

static void ask_history(struct admin *admin, struct http_exchange *exchange, unsigned count)
{
    struct history *history;
    MEMORY_NEW(history);
    history->admin = admin;
    history->exchange = exchange;
    history->request.count_max = count;
    history->request.base.reply_to = &admin->mailbox;
    history->request.base.on_done = on_history;
    accounts_list_switch_changes(admin->options.accounts, &history->request);
}

void admin_list_switches(struct http_exchange *exchange, void *context)
{
    struct admin *admin = context;
    struct admin_parameter parameters[] = {{.name = "history"}};
    if (!admin_authenticate(admin, exchange) ||
        !admin_take_parameters(exchange, parameters, ARRAY_LENGTH(parameters)))
        return;
    if (!parameters[0].given) {
        admin_answer_json(exchange, 200, json_pack("{s:o}", "switches", all_view(admin)));
        return;
    }
    char *end;
    errno = 0;
    long count = strtol(parameters[0].value, &end, 10);
    if (errno || *end || count < 1 || count > SWITCH_HISTORY_MAX)
        admin_refuse_member(exchange, "history", HISTORY_RULE);
    else
        ask_history(admin, exchange, (unsigned)count);
}

/* POST. */

static json_t *view_changed(const struct admin_change *change)
{
    const struct accounts_request *request = &change->request;
    const struct switch_change *done = &request->switch_wanted;
    json_t *it =
        view(change->admin, done->kind, done->is_off, request->account, request->endpoint_id);
    json_object_set_new(it, "since", admin_time(done->at_us));
    json_object_set_new(it, "reason", json_string(done->reason));
    json_object_set_new(it, "changed", json_boolean(request->ret_is_changed));
    return it;
}

/* False after an answer. */
static bool take_switch(
    struct http_exchange *exchange, const json_t *body, struct switch_change *ret_wanted)
{
    char name[16], state[8];
    if (admin_take_text(exchange, body, "switch", true, name, sizeof name) != ADMIN_MEMBER_TAKEN ||
        admin_take_text(exchange, body, "state", true, state, sizeof state) != ADMIN_MEMBER_TAKEN ||
        admin_take_text(exchange, body, "reason", true, ret_wanted->reason,
            sizeof ret_wanted->reason) != ADMIN_MEMBER_TAKEN)
        return false;
    ret_wanted->is_off = strcmp(state, "off") == 0;
    if (!switch_find(slice_from_string(name), &ret_wanted->kind))
        admin_refuse_member(exchange, "switch", SWITCH_RULE);
    else if (!ret_wanted->is_off && strcmp(state, "on") != 0)
        admin_refuse_member(exchange, "state", "must be on or off");
    else if (!switch_reason_is_valid(slice_from_string(ret_wanted->reason)))
        admin_refuse_member(exchange, "reason", SWITCH_REASON_RULE);
    else
        return true;
    return false;
}

/* By its id or its name. 0: the account has no such endpoint. */
static uint64_t find_endpoint(
    const struct admin *admin, const struct account *account, const char *text)
{
    uint64_t id = 0;
    bool is_id = endpoint_id_parse(slice_from_string(text), &id);
    for (unsigned i = 0; i < account->endpoints_count; i++) {
        const struct endpoint *endpoint =
            directory_endpoint(directory_of(admin), account->endpoints[i]);
        if (endpoint && ((is_id && endpoint->id == id) || strcmp(endpoint->name, text) == 0))
            return endpoint->id;
    }
    return 0;
}

/* False after an answer. */
static bool take_scope(const struct admin *admin, struct http_exchange *exchange,
    const json_t *body, enum switch_kind kind, char ret_account[NAME_BYTES_MAX + 1],
    uint64_t *ret_endpoint)
{
    char endpoint[NAME_BYTES_MAX + 1];
    const struct account *account = NULL;
    enum admin_member taken =
        admin_take_text(exchange, body, "account", false, ret_account, NAME_BYTES_MAX + 1);
    if (taken == ADMIN_MEMBER_TAKEN) {
        account = directory_account(directory_of(admin), slice_from_string(ret_account));
        if (!account) {
            admin_refuse_member(exchange, "account",
                "does not exist: \"penstock account list\" shows the accounts");
            return false;
        }
    }
    if (taken != ADMIN_MEMBER_ANSWERED)
        taken = admin_take_text(exchange, body, "endpoint", false, endpoint, sizeof endpoint);
    if (taken != ADMIN_MEMBER_TAKEN)
        return taken == ADMIN_MEMBER_ABSENT;
    if (!account)
        admin_refuse_member(exchange, "account", "is required with an endpoint");
    else if (!switch_has_endpoints(kind))
        admin_refuse_member(exchange, "endpoint",
            "is not possible: a post is for an account, so switch ingress off for the account");
    else if (!(*ret_endpoint = find_endpoint(admin, account, endpoint)))
        admin_refuse_member(exchange, "endpoint",
            "is not one of this account: \"penstock endpoint list ACCOUNT\" shows its endpoints");
    else
        return true;
    return false;
}

void admin_set_switch(struct http_exchange *exchange, void *context)
{
    static const char *const known[] = {"switch", "state", "account", "endpoint", "reason", NULL};
    struct admin *admin = context;
    if (!admin_authenticate(admin, exchange) || admin_refuse_as_follower(admin, exchange))
        return;
    json_t *body = admin_read_object(exchange, known);
    if (!body)
        return;
    struct switch_change wanted = {0};
    char account[NAME_BYTES_MAX + 1] = "";
    uint64_t endpoint = 0;
    bool good = take_switch(exchange, body, &wanted) &&
                take_scope(admin, exchange, body, wanted.kind, account, &endpoint);
    json_decref(body);
    if (!good)
        return;
    struct admin_change *change =
        admin_change_new(exchange, ACCOUNTS_SET_SWITCH, 200, view_changed);
    snprintf(wanted.actor, sizeof wanted.actor, "operator at %s", http_peer(exchange)->text);
    memcpy(change->request.account, account, sizeof account);
    change->request.endpoint_id = endpoint;
    change->request.switch_wanted = wanted;
    admin_change_submit(admin, change);
}
