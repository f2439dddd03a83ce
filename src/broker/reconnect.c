/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/reconnect.h"

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

static void wait_longer(struct reconnect *reconnect)
{
    reconnect->not_before_us = reconnect->now_us + jittered(reconnect->gap_us);
    reconnect->gap_us = reconnect->gap_us * 2 < GAP_US_MAX ? reconnect->gap_us * 2 : GAP_US_MAX;
}

static void on_done(struct request *base, void *receiver)
{
    struct connector_request *request = CONTAINER_OF(base, struct connector_request, base);
    struct reconnect *reconnect = CONTAINER_OF(request, struct reconnect, request);
    reconnect->asking = false;
    if (request->base.result == OK) {
        reconnect->wanted = false;
        reconnect->opened_us = reconnect->now_us;
        reconnect->listener.on_link(reconnect->listener.context, TAKE(request->ret_link));
        return;
    }
    wait_longer(reconnect);
    if (!reconnect->stopped)
        reconnect->listener.on_failed(
            reconnect->listener.context, request->base.result, request->ret_detail);
}

void reconnect_init(struct reconnect *reconnect, struct broker_connector *connector,
    enum connector_task task, struct mailbox *reply_to, const struct reconnect_listener *listener)
{
    *reconnect = (struct reconnect){.connector = connector,
        .task = task,
        .reply_to = reply_to,
        .listener = *listener,
        .gap_us = GAP_US_MIN};
}

void reconnect_want(struct reconnect *reconnect, int64_t now_mono_us)
{
    if (reconnect->wanted)
        return;
    reconnect->wanted = true;
    reconnect->now_us = now_mono_us;
    if (reconnect->opened_us && now_mono_us - reconnect->opened_us < SHORT_LIFE_US)
        wait_longer(reconnect);
    else if (reconnect->opened_us)
        reconnect->gap_us = GAP_US_MIN;
    reconnect_tick(reconnect, now_mono_us);
}

void reconnect_tick(struct reconnect *reconnect, int64_t now_mono_us)
{
    reconnect->now_us = now_mono_us;
    if (reconnect->stopped || !reconnect->wanted || reconnect->asking ||
        now_mono_us < reconnect->not_before_us)
        return;
    reconnect->asking = true;
    reconnect->request = (struct connector_request){.base.kind = reconnect->task,
        .base.reply_to = reconnect->reply_to,
        .base.on_done = on_done};
    broker_connector_submit(reconnect->connector, &reconnect->request);
}

void reconnect_stop(struct reconnect *reconnect)
{
    reconnect->stopped = true;
}
