/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "ingress/ingress_internal.h"
#include "runtime/metrics.h"

#define ANSWER_WITHIN_US (3 * US_PER_SECOND)

void awaited_begin(struct awaited *awaited, struct ingress *ingress, struct http_exchange *exchange,
    void (*on_late)(struct awaited *awaited))
{
    awaited->exchange = exchange;
    awaited->received_mono_us = http_received_mono_us(exchange);
    awaited->on_late = on_late;
    list_add_tail(&ingress->waiting, &awaited->in_waiting);
}

struct http_exchange *awaited_take_exchange(struct awaited *awaited)
{
    if (awaited->exchange)
        metrics_observe(HISTOGRAM_ANSWER, clock_mono_us() - awaited->received_mono_us);
    return TAKE(awaited->exchange);
}

void awaited_end(struct awaited *awaited)
{
    list_remove(&awaited->in_waiting);
}

void awaited_expire(struct ingress *ingress, int64_t now_mono_us)
{
    list_for_each (node, &ingress->waiting) {
        struct awaited *awaited = CONTAINER_OF(node, struct awaited, in_waiting);
        if (now_mono_us - awaited->received_mono_us < ANSWER_WITHIN_US)
            break;
        if (awaited->exchange)
            awaited->on_late(awaited);
    }
}
