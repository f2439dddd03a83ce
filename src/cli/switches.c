/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/switches.h"

#include "cli/print_answer.h"
#include "cli/remote.h"
#include "cli/request.h"
#include "model/switch.h"

#include <stdio.h>
#include <string.h>

#define SWITCHES_PATH "/api/v1/switches"

static bool is_off(const json_t *it)
{
    return strcmp(show_text(it, "state"), "off") == 0;
}

/* "for endpoint main (ep_...) of account acme", or nothing for all. */
static void print_scope(const json_t *it)
{
    const json_t *endpoint = json_object_get(it, "endpoint");
    if (!json_is_string(json_object_get(it, "account")))
        return;
    if (json_is_object(endpoint))
        printf(" for endpoint %s (%s) of account %s", show_endpoint(it), show_text(endpoint, "id"),
            show_text(it, "account"));
    else
        printf(" for account %s", show_text(it, "account"));
}

void show_switch(const json_t *it)
{
    printf("%-12s %s", show_text(it, "switch"), is_off(it) ? "OFF" : "on");
    print_scope(it);
    if (is_off(it))
        printf(" since %s: %s", show_text(it, "since"), show_text(it, "reason"));
    putchar('\n');
}

static void show_switches(const json_t *answer)
{
    const json_t *history = json_object_get(answer, "history");
    size_t i;
    json_t *it;
    json_array_foreach(json_object_get(answer, "switches"), i, it) show_switch(it);
    if (!history)
        return;
    puts(json_array_size(history) > 0 ? "\nlast changes, the newest first"
                                      : "\nno switch was ever changed on this gateway");
    json_array_foreach(history, i, it)
    {
        printf("%s  %s %s", show_text(it, "at"), show_text(it, "switch"), show_text(it, "state"));
        print_scope(it);
        printf(" by %s: %s\n", show_text(it, "by"), show_text(it, "reason"));
    }
}

int command_switch_list(const struct invocation *call)
{
    struct buffer path = BUFFER_EMPTY;
    json_t *answer = NULL;
    buffer_add_string(&path, SWITCHES_PATH);
    request_add_parameters(call, &path);
    enum err err = buffer_status(&path);
    if (!err)
        err = remote_request(call, "GET", path.data, NULL, &answer);
    buffer_done(&path);
    if (!err)
        remote_print(call, answer, show_switches);
    json_decref(answer);
    return err_exit_code(err);
}

static void show_changed(const json_t *answer)
{
    if (!json_is_true(json_object_get(answer, "changed")))
        fputs("nothing has changed: the switch was so already\n", stderr);
    show_switch(answer);
}

int command_switch(const struct invocation *call)
{
    const char *name = call->words[0], *state = call->words[1];
    enum switch_kind kind;
    json_t *body = NULL, *answer = NULL;
    if (!switch_find(slice_from_string(name), &kind))
        return command_fail(ERR_USAGE, "switch: \"%s\" is not a switch: it " SWITCH_RULE, name);
    if (strcmp(state, "on") != 0 && strcmp(state, "off") != 0)
        return command_fail(
            ERR_USAGE, "switch: \"%s\" is not a state: it must be on or off", state);
    enum err err = request_body(call, &body);
    if (err)
        return err_exit_code(err);
    json_object_set_new(body, "switch", json_string(name));
    json_object_set_new(body, "state", json_string(state));
    err = remote_request(call, "POST", SWITCHES_PATH, body, &answer);
    if (!err)
        remote_print(call, answer, show_changed);
    json_decref(answer);
    return err_exit_code(err);
}
