/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dial.h"

#include "base/clock.h"
#include "base/crypto.h"

#define GAP_US_MIN (200 * US_PER_MS)
#define GAP_US_MAX (5 * US_PER_SECOND)
#define SHORT_LIFE_US (5 * US_PER_SECOND)

/* Spreads by +-20 %. */
static int64_t jittered(int64_t gap_us)
{
    uint32_t random;
    crypto_random(&random, sizeof random);
    return gap_us * 4 / 5 + gap_us * 2 / 5 * (int64_t)(random % 1024) / 1024;
}

static void wait_longer(struct dial *dial)
{
    dial->not_before_us = dial->now_us + jittered(dial->gap_us);
    dial->gap_us = dial->gap_us * 2 < GAP_US_MAX ? dial->gap_us * 2 : GAP_US_MAX;
}

static void on_done(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct dial *dial = CONTAINER_OF(request, struct dial, request);
    dial->asking = false;
    if (request->base.result == OK) {
        dial->wanted = false;
        dial->opened_us = dial->now_us;
        dial->listener.on_link(dial->listener.context, TAKE(request->ret_link));
        return;
    }
    wait_longer(dial);
    if (!dial->stopped)
        dial->listener.on_failed(dial->listener.context, request->base.result, request->ret_detail);
}

void dial_init(struct dial *dial, struct broker_connector *connector, enum connector_task task,
    struct mailbox *reply_to, const struct dial_listener *listener)
{
    *dial = (struct dial){.connector = connector,
        .task = task,
        .reply_to = reply_to,
        .listener = *listener,
        .gap_us = GAP_US_MIN};
}

void dial_want(struct dial *dial, int64_t now_mono_us)
{
    if (dial->wanted)
        return;
    dial->wanted = true;
    dial->now_us = now_mono_us;
    if (dial->opened_us && now_mono_us - dial->opened_us < SHORT_LIFE_US)
        wait_longer(dial);
    else if (dial->opened_us)
        dial->gap_us = GAP_US_MIN;
    dial_tick(dial, now_mono_us);
}

void dial_tick(struct dial *dial, int64_t now_mono_us)
{
    dial->now_us = now_mono_us;
    if (dial->stopped || !dial->wanted || dial->asking || now_mono_us < dial->not_before_us)
        return;
    dial->asking = true;
    dial->request = (struct connector_request){
        .base.kind = dial->task, .base.reply_to = dial->reply_to, .base.on_done = on_done};
    broker_connector_submit(dial->connector, &dial->request);
}

void dial_stop(struct dial *dial)
{
    dial->stopped = true;
}
