/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' acts on one delivery: settle, discard, resend, replay. They come through the owner of the delivery, so
 * that what is in memory and what is on disk never part. An act never finds a job in memory: it moves what is parked,
 * dead or delivered, and the journal answers in order, so that the outcome that led there has been taken in before.
 *
 * What is to be sent is looked at first: the journal says where it would go and whose event it is, and the directory
 * whether that endpoint is there, takes something, and is the account's. What could only be parked again is refused.
 */
#include "delivery/delivery_internal.h"

/* On the asker's thread. */
static void receive_answer(struct mail *mail, void *receiver)
{
    struct journal_act *act = CONTAINER_OF(mail, struct journal_act, request.mail);
    act->on_answered(act, receiver);
}

static void answer(struct journal_act *act)
{
    act->request.mail.on_receive = receive_answer;
    mailbox_post(act->asked_by, &act->request.mail);
}

static void on_acted(struct journal_request *request, void *receiver)
{
    struct journal_act *act = CONTAINER_OF(request, struct journal_act, request);
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result == OK && act->to == DELIVERY_PENDING)
        refill_expect_pending(shard, act->ret_endpoint, act->ret_delivery);
    answer(act);
    pump_run(shard);
    shard_stop_if_drained(shard);
}

static void submit(struct delivery_shard *shard, struct journal_act *act,
    void (*on_done)(struct journal_request *request, void *receiver))
{
    act->request = (struct journal_request){.kind = JOURNAL_ACT, .reply_to = &shard->mailbox, .on_done = on_done};
    shard->requests_out++;
    journal_submit(shard->journal, &act->request);
}

/* Why the endpoint takes no delivery of the account. */
static enum act_refusal judge_endpoint(const struct delivery_shard *shard, uint64_t id, const char *account)
{
    const struct endpoint *endpoint = directory_endpoint(shard->directory, id);
    if (!endpoint)
        return ACT_ENDPOINT_GONE;
    if (strcmp(endpoint->account, account) != 0)
        return ACT_ENDPOINT_FOREIGN;
    return endpoint->enabled ? ACT_NOT_REFUSED : ACT_ENDPOINT_DISABLED;
}

/* The journal has looked: it can be sent, as far as that is the journal's to say. */
static void on_looked(struct journal_request *request, void *receiver)
{
    struct journal_act *act = CONTAINER_OF(request, struct journal_act, request);
    struct delivery_shard *shard = receiver;
    shard->requests_out--;
    if (request->result == OK && shard->stopping) /* the directory may be gone */
        request->result = ERR_SHUTTING_DOWN;
    if (request->result == OK) {
        act->ret_refusal = judge_endpoint(shard, act->endpoint ? act->endpoint : act->ret_endpoint, act->ret_account);
        request->result = act->ret_refusal == ACT_NOT_REFUSED ? OK : ERR_INVALID;
    }
    if (request->result == OK) {
        act->looks = false;
        act->expected_endpoint = act->ret_endpoint;
        submit(shard, act, on_acted);
        return;
    }
    answer(act);
    shard_stop_if_drained(shard);
}

static void on_act(struct mail *mail, void *receiver)
{
    struct journal_act *act = CONTAINER_OF(mail, struct journal_act, request.mail);
    struct delivery_shard *shard = receiver;
    if (shard->stopping) {
        act->request.result = ERR_SHUTTING_DOWN;
        answer(act);
        return;
    }
    act->looks = act->to == DELIVERY_PENDING;
    submit(shard, act, act->looks ? on_looked : on_acted);
}

void delivery_shard_act(struct delivery_shard *shard, struct journal_act *act)
{
    act->request.mail.on_receive = on_act;
    mailbox_post(&shard->mailbox, &act->request.mail);
}
