/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decision about one delivery that is parked, dead, delivered or waiting: an operator's (resolve,
 * retry, discard), or that of a client which has answered a status probe. The journal moves the
 * delivery and keeps who decided, and why.
 *
 * A delivery that is parked, dead or delivered has no job in memory. The journal answers in order,
 * so the outcome that led to the present state has been handled before. A waiting one may have a
 * job, or may get one from a load that is in flight. So the journal is asked first where the
 * delivery is (a look). A job that is queued is taken out of memory, and no load makes another one
 * until the decision has ended. A job that is being sent or recorded is stronger than the decision,
 * which is refused.
 *
 * Before a delivery is sent again, the look also says where it would be sent and whose event it is.
 * The directory then says whether that endpoint exists, is enabled, and is of this account. A
 * decision that could only park the delivery again is refused.
 */
#include "delivery/decision.h"

#include "delivery/endpoint_queue.h"
#include "delivery/job.h"
#include "delivery/queues.h"
#include "delivery/refill.h"
#include "delivery/shard.h"

static void ask(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    shard_ask(shard, &action->request, JOURNAL_OPERATOR_ACTION, on_done);
}

void decision_submit(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    action->is_deciding = false;
    action->looks =
        action->to == DELIVERY_PENDING || action->from == DELIVERY_WAITING || action->from_any;
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
    if (action->to != DELIVERY_PENDING)
        return OK;
    action->ret_refusal = judge_endpoint(
        shard, action->endpoint ? action->endpoint : action->ret_endpoint, action->ret_account);
    return action->ret_refusal == ACTION_NOT_REFUSED ? OK : ERR_INVALID;
}

/* Takes a waiting delivery out of memory, until the decision has ended. */
static enum err take_out(struct delivery_shard *shard, struct journal_operator_action *action)
{
    struct job *job = job_find(shard, action->ret_delivery);
    if (shard_decides(shard, action->ret_delivery))
        return ERR_UNAVAILABLE; /* another operator is faster */
    if (job && job->place != JOB_QUEUED) {
        action->ret_state = DELIVERY_SENDING;
        return ERR_MOVED_ON;
    }
    if (job) {
        shard_touch(job->queue); /* there is room for another one */
        refill_unload_job(job);
    }
    action->is_deciding = true;
    id_map_add(&shard->deciding, &action->in_deciding, (uint64_t)action->ret_delivery);
    return OK;
}

/* The decision has ended. A delivery that waits as before may be loaded again. */
static void end(struct delivery_shard *shard, struct journal_operator_action *action)
{
    if (!action->is_deciding)
        return;
    action->is_deciding = false;
    id_map_remove(&shard->deciding, &action->in_deciding);
    if (action->request.result != OK)
        refill_expect_again(
            queues_get(shard, action->expected_endpoint), (int64_t)action->in_deciding.id);
}

bool decision_continue(struct delivery_shard *shard, struct journal_operator_action *action,
    void (*on_done)(struct request *request, void *receiver))
{
    if (!action->looks || action->request.result != OK) {
        end(shard, action);
        return false;
    }
    action->request.result = judge(shard, action);
    if (action->request.result == OK && action->from == DELIVERY_WAITING)
        action->request.result = take_out(shard, action);
    if (action->request.result != OK)
        return false;
    action->looks = false;
    action->expected_endpoint = action->ret_endpoint;
    ask(shard, action, on_done);
    return true;
}
