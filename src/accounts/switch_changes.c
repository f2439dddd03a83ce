/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of switches. One that is off has a row and an entry in the directory; one that is on has
 * none. Each change is kept in the history, with who made it and why. */
#include "accounts/change.h"

#include <stdio.h>

static enum err check(struct change *change, const struct switch_change *wanted)
{
    const struct accounts_request *request = change->request;
    if ((unsigned)wanted->kind >= SWITCHES)
        return change_refuse(change, ERR_INVALID, "switch: " SWITCH_RULE);
    if (!switch_reason_is_valid(TEXT_IN(wanted->reason)))
        return change_refuse(change, ERR_INVALID, "reason: " SWITCH_REASON_RULE);
    if (request->account[0] && !change_find_account(change))
        return ERR_NOT_FOUND;
    if (request->endpoint_id == 0)
        return OK;
    if (!request->account[0])
        return change_refuse(change, ERR_INVALID, "account: is required with an endpoint");
    if (!switch_has_endpoints(wanted->kind))
        return change_refuse(change, ERR_INVALID,
            "endpoint: the switch %s is for an account or for all, since a post is for an account",
            switch_name(wanted->kind));
    const struct endpoint *endpoint = directory_endpoint(change->directory, request->endpoint_id);
    if (endpoint && slice_equals_string(TEXT_IN(request->account), endpoint->account))
        return OK;
    char text[ENDPOINT_ID_TEXT_BYTES];
    endpoint_id_format(request->endpoint_id, text);
    return change_refuse(
        change, ERR_NOT_FOUND, "account %s has no endpoint %s", request->account, text);
}

static enum err switch_off(struct change *change, const struct switch_change *wanted)
{
    struct operator_switch off = {.kind = wanted->kind,
        .endpoint = wanted->endpoint,
        .since_us = wanted->at_us,
        .version = change->version};
    int64_t count = 0;
    memcpy(off.account, wanted->account, sizeof off.account);
    memcpy(off.reason, wanted->reason, sizeof off.reason);
    enum err error = change_judge(change, accounts_store_count_switches(change->store, &count));
    if (error)
        return error;
    if (count >= SWITCHES_OFF_MAX)
        return change_refuse(change, ERR_INVALID,
            "switch: %d switches are off, and more are not allowed: use one for the account or for "
            "all",
            SWITCHES_OFF_MAX);
    error = change_judge(change, accounts_store_switch_off(change->store, &off));
    if (!error)
        change_add_entry(change, directory_entry_of_switch(&off));
    return error;
}

/* Writes the change, and keeps it for the listener. */
static enum err write_change(struct change *change, const struct switch_change *wanted)
{
    enum err error = wanted->is_off ? switch_off(change, wanted)
                                    : change_judge(change,
                                          accounts_store_switch_on(change->store, wanted->kind,
                                              wanted->account, wanted->endpoint, change->version));
    if (!error)
        error = change_judge(change, accounts_store_note_switch(change->store, wanted));
    if (!error)
        change->switches[change->switches_count++] = *wanted;
    return error;
}

enum err change_set_switch(struct change *change)
{
    struct accounts_request *request = change->request;
    struct switch_change *wanted = &request->switch_wanted;
    enum err error = check(change, wanted);
    if (error)
        return error;
    memcpy(wanted->account, request->account, sizeof wanted->account);
    wanted->endpoint = request->endpoint_id;
    wanted->at_us = change->now_us;
    const struct operator_switch *present = directory_switch_at(
        change->directory, wanted->kind, TEXT_IN(wanted->account), wanted->endpoint);
    request->ret_is_changed = wanted->is_off != (present != NULL);
    if (request->ret_is_changed)
        return write_change(change, wanted);
    if (present) {
        wanted->at_us = present->since_us;
        memcpy(wanted->reason, present->reason, sizeof wanted->reason);
    }
    return OK;
}

enum err change_remove_switches_of(struct change *change, const struct endpoint *endpoint)
{
    enum err error = OK;
    for (unsigned kind = 0; !error && kind < SWITCHES; kind++) {
        struct switch_change gone = {.kind = (enum switch_kind)kind,
            .endpoint = endpoint->id,
            .at_us = change->now_us,
            .reason = "the endpoint was removed",
            .actor = "penstock"};
        memcpy(gone.account, endpoint->account, sizeof gone.account);
        if (directory_switch_at(change->directory, gone.kind, TEXT_IN(gone.account), gone.endpoint))
            error = write_change(change, &gone);
    }
    return error;
}

void change_take_out_switches(struct change *change)
{
    for (unsigned i = 0; i < change->switches_count; i++) {
        const struct switch_change *done = &change->switches[i];
        if (!done->is_off)
            directory_withdraw_switch(change->directory, done->kind, done->account, done->endpoint);
    }
}
