/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' acts on one delivery: settle, discard, resend, replay. They come through the owner of the delivery, so
 * that what is in memory and what is on disk never part. An act never finds a job in memory: it moves what is parked,
 * dead or delivered, and the journal answers in order, so that the outcome that led there has been taken in before.
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

static void on_act(struct mail *mail, void *receiver)
{
    struct journal_act *act = CONTAINER_OF(mail, struct journal_act, request.mail);
    struct delivery_shard *shard = receiver;
    if (shard->stopping) {
        act->request.result = ERR_SHUTTING_DOWN;
        answer(act);
        return;
    }
    act->request = (struct journal_request){.kind = JOURNAL_ACT, .reply_to = &shard->mailbox, .on_done = on_acted};
    shard->requests_out++;
    journal_submit(shard->journal, &act->request);
}

void delivery_shard_act(struct delivery_shard *shard, struct journal_act *act)
{
    act->request.mail.on_receive = on_act;
    mailbox_post(&shard->mailbox, &act->request.mail);
}
