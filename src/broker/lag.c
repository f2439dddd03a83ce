/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lag.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct mark {
    _Atomic uint64_t key;    /* of the event; 0: none is marked */
    _Atomic int64_t came_us; /* of the last one that came; counts while none is marked */
    int64_t marked_us;       /* the ingress thread's */
};

struct broker_lag {
    unsigned partitions, threads; /* immutable */
    struct mark marks[];          /* by partition, then thread */
};

/* The half of an id that holds the variant, so it is never 0, the counter and the random bits. */
static uint64_t key_of(const struct event_id *id)
{
    uint64_t key;
    memcpy(&key, id->bytes + EVENT_ID_BYTES - sizeof key, sizeof key);
    return key;
}

static size_t place_of(const struct broker_lag *lag, unsigned thread, unsigned partition)
{
    assert(thread < lag->threads && partition < lag->partitions);
    return (size_t)partition * lag->threads + thread;
}

bool broker_lag_is_marked(const struct broker_lag *lag, unsigned thread, unsigned partition)
{
    return atomic_load_explicit(&lag->marks[place_of(lag, thread, partition)].key, memory_order_relaxed) != 0;
}

void broker_lag_mark(struct broker_lag *lag, unsigned thread, const struct event_id *id, int64_t now_mono_us)
{
    struct mark *mark = &lag->marks[place_of(lag, thread, event_id_partition(id))];
    mark->marked_us = now_mono_us;
    atomic_store_explicit(&mark->key, key_of(id), memory_order_release);
}

void broker_lag_forget(struct broker_lag *lag, unsigned thread, unsigned partition)
{
    struct mark *mark = &lag->marks[place_of(lag, thread, partition)];
    mark->marked_us = INT64_MAX; /* whatever comes now was before it */
    atomic_store_explicit(&mark->key, 0, memory_order_release);
}

int64_t broker_lag_us(const struct broker_lag *lag, unsigned thread, unsigned partition, int64_t now_mono_us)
{
    const struct mark *mark = &lag->marks[place_of(lag, thread, partition)];
    int64_t until_us = now_mono_us;
    if (atomic_load_explicit(&mark->key, memory_order_acquire) == 0)
        until_us = atomic_load_explicit(&mark->came_us, memory_order_relaxed);
    return until_us > mark->marked_us ? until_us - mark->marked_us : 0;
}

/* Between the look and the exchange the thread may have marked another one: then its time of arrival is written too
 * early, and again when it comes. */
void broker_lag_arrived(struct broker_lag *lag, const struct event_id *id, int64_t now_mono_us)
{
    unsigned partition = event_id_partition(id);
    if (partition >= lag->partitions)
        return;
    struct mark *marks = &lag->marks[place_of(lag, 0, partition)];
    for (unsigned i = 0; i < lag->threads; i++) {
        uint64_t key = key_of(id);
        if (atomic_load_explicit(&marks[i].key, memory_order_relaxed) != key)
            continue;
        atomic_store_explicit(&marks[i].came_us, now_mono_us, memory_order_relaxed);
        atomic_compare_exchange_strong_explicit(&marks[i].key, &key, 0, memory_order_release, memory_order_relaxed);
    }
}

enum err broker_lag_new(unsigned partitions, unsigned threads, struct broker_lag **ret_lag)
{
    size_t count = (size_t)partitions * threads;
    struct broker_lag *lag = calloc(1, sizeof *lag + count * sizeof lag->marks[0]);
    if (!lag)
        return ERR_NO_MEMORY;
    lag->partitions = partitions;
    lag->threads = threads;
    for (size_t i = 0; i < count; i++)
        lag->marks[i].marked_us = INT64_MAX;
    *ret_lag = lag;
    return OK;
}

void broker_lag_free(struct broker_lag *lag)
{
    free(lag);
}
