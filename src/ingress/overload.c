/* SPDX-License-Identifier: Apache-2.0 */
/* Measures the overload of an ingress thread (model/overload.h), shows it in the metrics, and says
 * to partners why an event is refused. */
#include "base/clock.h"
#include "ingress/ingress_internal.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

#define TICK_US (100 * US_PER_MS) /* http/server.h, on_tick */

static unsigned memory_percent(const struct ingress *ingress)
{
    unsigned fullest = 0;
    for (unsigned i = 0; i < ingress->options.shards; i++) {
        const struct byte_budget *budget = &ingress->options.budgets[i];
        int64_t taken = atomic_load_explicit(&budget->taken_bytes, memory_order_relaxed);
        /* As byte_budget_take counts. */
        unsigned percent = budget->bytes_max >= 100 && taken > 0
                               ? (unsigned)(taken / (budget->bytes_max / 100))
                               : 0;
        fullest = percent > fullest ? percent : fullest;
    }
    return fullest;
}

/* The gauges count threads. So a thread adds what has changed. */
static void show(struct ingress *ingress, const enum overload_level levels[OVERLOAD_SIGNS])
{
    static const enum metric classes[] = {[OVERLOAD_OPTIONAL] = METRIC_INGRESS_REFUSING_OPTIONAL,
        [OVERLOAD_IMPORTANT] = METRIC_INGRESS_REFUSING_IMPORTANT,
        [OVERLOAD_CRITICAL] = METRIC_INGRESS_REFUSING_CRITICAL};
    static const enum metric signs[] = {[OVERLOAD_MEMORY] = METRIC_INGRESS_OVERLOADED_MEMORY,
        [OVERLOAD_TURNS] = METRIC_INGRESS_OVERLOADED_TURNS,
        [OVERLOAD_ANSWERS] = METRIC_INGRESS_OVERLOADED_ANSWERS};
    enum overload_level *shown = ingress->overload_shown;
    enum overload_level before = OVERLOAD_NONE, after = OVERLOAD_NONE;
    for (unsigned sign = 0; sign < OVERLOAD_SIGNS; sign++) {
        before = shown[sign] > before ? shown[sign] : before;
        after = levels[sign] > after ? levels[sign] : after;
        if ((shown[sign] > 0) != (levels[sign] > 0))
            metrics_add(signs[sign], levels[sign] > 0 ? 1 : -1);
        if (levels[sign] != shown[sign])
            log_warn("overload: sign=%s level=%d before=%d",
                overload_sign_name((enum overload_sign)sign), (int)levels[sign], (int)shown[sign]);
        shown[sign] = levels[sign];
    }
    for (unsigned level = OVERLOAD_OPTIONAL; level <= OVERLOAD_CRITICAL; level++)
        metrics_add(classes[level], (int)(after >= level) - (int)(before >= level));
}

void ingress_watch_overload(struct ingress *ingress, int64_t now_mono_us)
{
    int64_t since_us = ingress->ticked_mono_us ? now_mono_us - ingress->ticked_mono_us : TICK_US;
    ingress->ticked_mono_us = now_mono_us;
    overload_tick(&ingress->overload, since_us - TICK_US, memory_percent(ingress), now_mono_us);
    show(ingress, ingress->overload.levels);
}

void ingress_end_overload(struct ingress *ingress)
{
    static const enum overload_level none[OVERLOAD_SIGNS];
    show(ingress, none);
}

static const char *const reasons[] = {[OVERLOAD_MEMORY] = "it has too many events in memory",
    [OVERLOAD_TURNS] = "it has too much to do",
    [OVERLOAD_ANSWERS] = "it takes too long to store events"};

enum err ingress_refuse_class(
    enum event_class class, enum overload_sign sign, struct refusal *ret_refusal)
{
    return refuse(ret_refusal, ERR_OVERLOADED,
        "The gateway refuses %s events now because %s. Send the event again later with the same "
        "key.",
        class_name(class), reasons[sign]);
}

enum err ingress_check_overload(
    const struct ingress *ingress, enum event_class class, struct refusal *ret_refusal)
{
    enum overload_sign sign;
    return overload_refuses(&ingress->overload, class, &sign)
               ? ingress_refuse_class(class, sign, ret_refusal)
               : OK;
}
