/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lag.h"

#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MARKED (UINT64_C(1) << 63)

struct mark {
    /* MARKED and the key of the event; or its arrival, monotonic us; 0: nothing was marked yet. */
    _Atomic uint64_t state;
    int64_t marked_us; /* owned by the ingress thread */
};

struct broker_lag {
    unsigned partitions, threads; /* immutable */
    struct mark marks[];          /* by partition, then thread */
};

/* Uses the half of the id that has the counter and the random bits. */
static uint64_t key_of(const struct event_id *id)
{
    uint64_t key;
    memcpy(&key, id->bytes + EVENT_ID_BYTES - sizeof key, sizeof key);
    return key | MARKED;
}

static size_t place_of(const struct broker_lag *lag, unsigned thread, unsigned partition)
{
    assert(thread < lag->threads && partition < lag->partitions);
    return (size_t)partition * lag->threads + thread;
}

bool broker_lag_is_marked(const struct broker_lag *lag, unsigned thread, unsigned partition)
{
    return atomic_load_explicit(
               &lag->marks[place_of(lag, thread, partition)].state, memory_order_relaxed) &
           MARKED;
}

void broker_lag_mark(
    struct broker_lag *lag, unsigned thread, const struct event_id *id, int64_t now_mono_us)
{
    struct mark *mark = &lag->marks[place_of(lag, thread, event_id_partition(id))];
    mark->marked_us = now_mono_us;
    atomic_store_explicit(&mark->state, key_of(id), memory_order_relaxed);
}

void broker_lag_forget(struct broker_lag *lag, unsigned thread, unsigned partition)
{
    struct mark *mark = &lag->marks[place_of(lag, thread, partition)];
    mark->marked_us = 0;
    atomic_store_explicit(&mark->state, 0, memory_order_relaxed);
}

int64_t broker_lag_us(
    const struct broker_lag *lag, unsigned thread, unsigned partition, int64_t now_mono_us)
{
    const struct mark *mark = &lag->marks[place_of(lag, thread, partition)];
    uint64_t state = atomic_load_explicit(&mark->state, memory_order_relaxed);
    int64_t until_us = state & MARKED ? now_mono_us : (int64_t)state;
    return until_us > mark->marked_us ? until_us - mark->marked_us : 0;
}

void broker_lag_arrived(struct broker_lag *lag, const struct event_id *id, int64_t now_mono_us)
{
    unsigned partition = event_id_partition(id);
    if (partition >= lag->partitions)
        return;
    struct mark *marks = &lag->marks[place_of(lag, 0, partition)];
    for (unsigned i = 0; i < lag->threads; i++) {
        uint64_t key = key_of(id);
        if (atomic_load_explicit(&marks[i].state, memory_order_relaxed) == key)
            atomic_compare_exchange_strong_explicit(&marks[i].state, &key, (uint64_t)now_mono_us,
                memory_order_relaxed, memory_order_relaxed);
    }
}

struct broker_lag *broker_lag_new(unsigned partitions, unsigned threads)
{
    size_t count = (size_t)partitions * threads;
    struct broker_lag *lag = memory_new(sizeof *lag + count * sizeof lag->marks[0]);
    lag->partitions = partitions;
    lag->threads = threads;
    return lag;
}

void broker_lag_free(struct broker_lag *lag)
{
    free(lag);
}
