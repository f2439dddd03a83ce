/* SPDX-License-Identifier: Apache-2.0 */
#include "model/concurrency.h"

#include <assert.h>

#define LATE_ANSWER_FACTOR 3
#define LATE_ATTEMPT_FACTOR 4
#define USUAL_WEIGHT 8 /* a new latency counts for 1/8 */
#define LATE_ANSWER_CUT 0.9
#define HALF 0.5
#define CEILING_PATIENCE 32

void concurrency_init(struct concurrency *concurrency)
{
    *concurrency = (struct concurrency){.limit = CONCURRENCY_START,
        .slow_start = true,
        .cut_mono_us = INT64_MIN,
        .halved_mono_us = INT64_MIN};
}

unsigned concurrency_limit(const struct concurrency *concurrency, unsigned cap)
{
    assert(cap > 0 && concurrency->limit >= 1);
    return concurrency->limit < (double)cap ? (unsigned)concurrency->limit : cap;
}

static void cut(struct concurrency *concurrency, double limit, int64_t now_us)
{
    concurrency->limit = limit > 1 ? limit : 1;
    concurrency->cut_mono_us = now_us;
}

static void update_usual(struct concurrency *concurrency, int64_t latency_us)
{
    if (concurrency->usual_us == 0)
        concurrency->usual_us = latency_us;
    else
        concurrency->usual_us += (latency_us - concurrency->usual_us) / USUAL_WEIGHT;
    if (concurrency->usual_us < 1)
        concurrency->usual_us = 1;
}

static void grow(struct concurrency *concurrency)
{
    double step = concurrency->slow_start ? 1 : 1 / concurrency->limit;
    if (concurrency->limit >= concurrency->ceiling)
        concurrency->ceiling = 0;
    else if (concurrency->limit + 1 > concurrency->ceiling)
        step /= CEILING_PATIENCE;
    concurrency->limit += step;
}

void concurrency_on_success(struct concurrency *concurrency, unsigned in_flight, unsigned cap,
    int64_t latency_us, int64_t now_us)
{
    int64_t usual_us = concurrency->usual_us;
    update_usual(concurrency, latency_us);
    if (concurrency->limit > (double)cap)
        concurrency->limit = cap;
    if (usual_us > 0 && latency_us > LATE_ANSWER_FACTOR * usual_us + CONCURRENCY_LATE_MARGIN_US) {
        if (now_us - latency_us >= concurrency->cut_mono_us) {
            cut(concurrency, concurrency->limit * LATE_ANSWER_CUT, now_us);
            concurrency->slow_start = false;
        }
        return;
    }
    if (in_flight * 2.0 > concurrency->limit)
        grow(concurrency);
    if (concurrency->limit > (double)cap)
        concurrency->limit = cap;
}

void concurrency_on_failure(struct concurrency *concurrency, int64_t latency_us, int64_t now_us)
{
    concurrency->slow_start = false;
    if (now_us - latency_us < concurrency->halved_mono_us)
        return;
    concurrency->ceiling = concurrency->limit;
    cut(concurrency, concurrency->limit * HALF, now_us);
    concurrency->halved_mono_us = now_us;
}

int64_t concurrency_late_us(const struct concurrency *concurrency)
{
    int64_t late_us = concurrency->usual_us * LATE_ATTEMPT_FACTOR;
    if (late_us < CONCURRENCY_LATE_US_MIN)
        return CONCURRENCY_LATE_US_MIN;
    return late_us < CONCURRENCY_LATE_US_MAX ? late_us : CONCURRENCY_LATE_US_MAX;
}

void concurrency_on_late(struct concurrency *concurrency, unsigned in_flight, int64_t now_us)
{
    int64_t halved_us = concurrency->halved_mono_us;
    if (halved_us != INT64_MIN && now_us - halved_us < concurrency_late_us(concurrency))
        return;
    double smaller = in_flight < concurrency->limit ? in_flight : concurrency->limit;
    cut(concurrency, smaller * HALF, now_us);
    concurrency->halved_mono_us = now_us;
    if (concurrency->usual_us > 0)
        concurrency->slow_start = false;
}

void concurrency_restart(struct concurrency *concurrency)
{
    int64_t usual_us = concurrency->usual_us;
    concurrency_init(concurrency);
    concurrency->limit = 1;
    concurrency->usual_us = usual_us;
}
