/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress threads mark events of one partition, take marks back and mark others. Delivery threads
 * report that events have arrived. A mark ends only by its own event, and the measured wait is
 * correct. It ends by itself.
 */
#include "broker/lag.h"
#include "base/clock.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INGRESSES 2
#define DELIVERIES 2
#define ROUNDS 50000
#define PARTITION 1

static struct broker_lag *lag;
static _Atomic uint64_t published[INGRESSES]; /* the event of its round, from 1 */
static _Atomic int running = INGRESSES, failures;

static void fail(const char *what)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "race/lag: %s\n", what);
}

static struct event_id id_of(unsigned thread, uint64_t round)
{
    struct event_id_generator generator = {0};
    struct event_id id;
    unsigned char random[8];
    uint64_t number = round * INGRESSES + thread;
    memcpy(random, &number, sizeof random);
    event_id_make(&generator, (int64_t)round * 1000, PARTITION, random, &id);
    memcpy(id.bytes + 9, (const unsigned char *)&number, 7); /* after the variant: all ids differ */
    return id;
}

/* In odd rounds events of earlier rounds arrive, and not the thread's own. */
static bool comes(uint64_t round)
{
    return round % 2 == 0;
}

static void publish(void *context)
{
    const unsigned thread = *(const unsigned *)context;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct event_id id = id_of(thread, round);
        int64_t marked_us = clock_mono_us();
        broker_lag_mark(lag, thread, &id, marked_us);
        int64_t published_us = clock_mono_us();
        atomic_store(&published[thread], round);
        bool takes_back = round % 3 == 0; /* possibly while it arrives */
        unsigned looks = comes(round) && !takes_back ? 1000000000 : 100;
        while (looks-- > 0 && broker_lag_is_marked(lag, thread, PARTITION))
            continue;
        bool came = !broker_lag_is_marked(lag, thread, PARTITION);
        int64_t waited_us = broker_lag_us(lag, thread, PARTITION, clock_mono_us());
        if (came && !comes(round))
            fail("a mark that another event has ended");
        if (!came && comes(round) && !takes_back)
            fail("a mark that its event has not ended");
        if (waited_us < published_us - marked_us || waited_us > clock_mono_us() - marked_us)
            fail("a wait that is longer or shorter than it was");
        broker_lag_forget(lag, thread, PARTITION);
        if (broker_lag_us(lag, thread, PARTITION, clock_mono_us()) != 0)
            fail("a wait after it was forgotten");
    }
    atomic_fetch_sub(&running, 1);
}

static void deliver(void *context)
{
    while (atomic_load(&running) > 0)
        for (unsigned thread = 0; thread < INGRESSES; thread++) {
            uint64_t round = atomic_load(&published[thread]);
            for (uint64_t each = round > 2 ? round - 2 : 1; each <= round; each++) {
                struct event_id id = id_of(thread, each);
                if (each < round || comes(round))
                    broker_lag_arrived(lag, &id, clock_mono_us());
            }
        }
}

int main(void)
{
    static unsigned numbers[INGRESSES];
    static struct thread threads[INGRESSES + DELIVERIES];
    lag = broker_lag_new(PARTITION + 1, INGRESSES);
    for (unsigned i = 0; i < INGRESSES; i++) {
        numbers[i] = i;
        if (thread_start(&threads[i], "ingress", publish, &numbers[i]))
            return 1;
    }
    for (unsigned i = INGRESSES; i < INGRESSES + DELIVERIES; i++)
        if (thread_start(&threads[i], "delivery", deliver, NULL))
            return 1;
    for (unsigned i = 0; i < INGRESSES + DELIVERIES; i++)
        thread_join(&threads[i]);
    broker_lag_free(lag);
    return atomic_load(&failures) ? 1 : 0;
}
