/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads enter the same keys again and again. At any time at most one thread has a key in flight.
 * All others find a durable first event as its thread wrote it. It ends by itself.
 */
#include "queue/recent_keys.h"
#include "runtime/thread.h"

#include <stdatomic.h>
#include <stdio.h>

#define THREADS 4
#define ROUNDS 500000
#define KEYS 300
#define PLACES 1024 /* so few that keys are evicted as well */

static struct recent_keys *keys;
static _Atomic unsigned owners[KEYS]; /* 1 + the thread that has it in flight */
static _Atomic int failures;

static void fail(const char *what, unsigned key)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "race/recent_keys: %s (key %u)\n", what, key);
}

/* Every part of the event depends on its key and its number. */
static struct recent_key_event event_of(unsigned key, unsigned thread, unsigned round)
{
    struct recent_key_event event = {0};
    memcpy(event.id.bytes, (unsigned[]){key, thread, round}, 3 * sizeof key);
    memcpy(event.money.amount, (unsigned[]){key, thread, round}, 3 * sizeof key);
    return event;
}

static void check_found(const struct recent_key_event *found, unsigned key)
{
    if (memcmp(found->id.bytes, &key, sizeof key) != 0 ||
        memcmp(found->id.bytes, found->money.amount, 3 * sizeof key) != 0)
        fail("another key's first, or half of one", key);
}

static void run(void *context)
{
    const unsigned thread = *(const unsigned *)context;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned number = (round * 7 + thread * 13) % KEYS, nobody = 0;
        struct dedupe_key key = {0};
        memcpy(key.bytes, &number, sizeof number);
        struct recent_key_event event = event_of(number, thread, round), found;
        enum recent_key_finding known = recent_keys_enter(keys, &key, &event, &found);
        if (known == RECENT_KEY_DURABLE)
            check_found(&found, number);
        if (known != RECENT_KEY_NEW)
            continue;
        if (!atomic_compare_exchange_strong(&owners[number], &nobody, thread + 1))
            fail("two have it in flight", number);
        atomic_store(&owners[number], 0);
        recent_keys_end(keys, &key, &event.id, round % 3 ? NULL : &event);
    }
}

int main(void)
{
    static unsigned numbers[THREADS];
    static struct thread threads[THREADS];
    keys = recent_keys_new(PLACES);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (thread_start(&threads[i], "keys", run, &numbers[i]))
            return 1;
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    recent_keys_free(keys);
    return atomic_load(&failures) ? 1 : 0;
}
