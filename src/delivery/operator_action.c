/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operator actions on one delivery: resolve, discard, resend, replay. They are sent to the shard
 * that owns the delivery, so that memory and disk agree. An action never finds a job in memory: it
 * moves what is parked, dead or delivered. The journal answers in order, so the outcome that led to
 * this state has been handled before.
 *
 * Resend and replay first ask the journal where the delivery would be sent and whose event it is.
 * The directory then says whether that endpoint exists, is enabled, and is of this account. An
 * action that could only park the delivery again is refused.
 */
#include "delivery/delivery_internal.h"

static void answer(struct journal_operator_action *action)
{
    request_answer(&action->ask, action->request.result);
}

static void on_acted(struct request *request, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, request);
    struct delivery_shard *shard = receiver;
    if (request->result == OK && action->to == DELIVERY_PENDING)
        refill_expect_replay(queues_get(shard, action->ret_endpoint), action->ret_delivery);
    answer(action);
}

static void submit(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    shard_ask(shard, &action->request, JOURNAL_OPERATOR_ACTION, on_done);
}

/* Returns why the endpoint cannot take a delivery of the account. */
static enum operator_action_refusal judge_endpoint(
    const struct delivery_shard *shard, uint64_t id, const char *account)
{
    const struct endpoint *endpoint = directory_endpoint(shard->taker.directory, id);
    if (!endpoint)
        return ACTION_ENDPOINT_GONE;
    if (strcmp(endpoint->account, account) != 0)
        return ACTION_ENDPOINT_FOREIGN;
    return endpoint->enabled ? ACTION_NOT_REFUSED : ACTION_ENDPOINT_DISABLED;
}

/* The journal has answered whether the delivery can be sent, as far as it knows. */
static void on_looked(struct request *request, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, request);
    struct delivery_shard *shard = receiver;
    if (request->result == OK && shard->taker.stopping) /* the directory may be freed */
        request->result = ERR_SHUTTING_DOWN;
    if (request->result == OK) {
        action->ret_refusal = judge_endpoint(
            shard, action->endpoint ? action->endpoint : action->ret_endpoint, action->ret_account);
        request->result = action->ret_refusal == ACTION_NOT_REFUSED ? OK : ERR_INVALID;
    }
    if (request->result == OK) {
        action->looks = false;
        action->expected_endpoint = action->ret_endpoint;
        submit(shard, action, on_acted);
        return;
    }
    answer(action);
}

static void on_action(struct mail *mail, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(mail, struct journal_operator_action, ask.mail);
    struct delivery_shard *shard = receiver;
    if (shard->taker.stopping) {
        action->request.result = ERR_SHUTTING_DOWN;
        answer(action);
        return;
    }
    action->looks = action->to == DELIVERY_PENDING;
    submit(shard, action, action->looks ? on_looked : on_acted);
}

void delivery_shard_operator_action(
    struct delivery_shard *shard, struct journal_operator_action *action)
{
    request_submit(&action->ask, &shard->mailbox, on_action);
}
