/* SPDX-License-Identifier: Apache-2.0 */
/* Operator actions on one delivery: resolve, retry, discard. They are sent to the shard
 * that owns the delivery, so that memory and disk agree. */
#include "delivery/delivery.h"

#include "delivery/decision.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/shard.h"

static void on_done(struct request *request, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(request, struct journal_operator_action, request);
    struct delivery_shard *shard = receiver;
    if (decision_continue(shard, action, on_done))
        return;
    if (request->result == OK && action->to == DELIVERY_PENDING)
        refill_expect_replay(queues_get(shard, action->ret_endpoint), action->ret_delivery);
    request_answer(&action->ask, request->result);
}

static void on_action(struct mail *mail, void *receiver)
{
    struct journal_operator_action *action =
        CONTAINER_OF(mail, struct journal_operator_action, ask.mail);
    struct delivery_shard *shard = receiver;
    if (shard->taker.stopping) {
        action->request.result = ERR_SHUTTING_DOWN;
        request_answer(&action->ask, ERR_SHUTTING_DOWN);
        return;
    }
    decision_submit(shard, action, on_done);
}

void delivery_shard_operator_action(
    struct delivery_shard *shard, struct journal_operator_action *action)
{
    request_submit(&action->ask, &shard->mailbox, on_action);
}
