/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decision about one delivery that is parked, dead or delivered: an operator's (resolve, discard,
 * resend, replay), or that of a client which has answered a status probe. The journal moves the
 * delivery and keeps who decided, and why.
 *
 * A decision never finds a job in memory. The journal answers in order, so the outcome that led to
 * the present state has been handled before.
 *
 * Before a delivery is sent again, the journal is asked where it would be sent and whose event it
 * is. The directory then says whether that endpoint exists, is enabled, and is of this account. A
 * decision that could only park the delivery again is refused.
 */
#include "delivery/decision.h"

#include "delivery/shard.h"

static void ask(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    shard_ask(shard, &action->request, JOURNAL_OPERATOR_ACTION, on_done);
}

void decision_submit(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    action->looks = action->to == DELIVERY_PENDING;
    ask(shard, action, on_done);
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
static enum err judge(const struct delivery_shard *shard, struct journal_operator_action *action)
{
    if (shard->taker.stopping) /* the directory may be freed */
        return ERR_SHUTTING_DOWN;
    action->ret_refusal = judge_endpoint(
        shard, action->endpoint ? action->endpoint : action->ret_endpoint, action->ret_account);
    return action->ret_refusal == ACTION_NOT_REFUSED ? OK : ERR_INVALID;
}

bool decision_continue(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    if (!action->looks || action->request.result != OK)
        return false;
    action->request.result = judge(shard, action);
    if (action->request.result != OK)
        return false;
    action->looks = false;
    action->expected_endpoint = action->ret_endpoint;
    ask(shard, action, on_done);
    return true;
}
