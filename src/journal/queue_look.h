/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the queues of endpoints: a question to the shard of delivery that owns them. The shard
 * answers on its loop out of its memory, without the journal.
 *
 * It is in this folder because both sides may include this folder. The journal never gets it.
 *
 * Bound: QUEUE_LOOK_MAX endpoints in one question.
 */
#ifndef PENSTOCK_JOURNAL_QUEUE_LOOK_H
#define PENSTOCK_JOURNAL_QUEUE_LOOK_H

#include "model/breaker.h"
#include "model/recent_causes.h"
#include "runtime/request.h"

#define QUEUE_LOOK_MAX 1000

struct queue_look_entry {
    uint64_t endpoint;
    /* the answer */
    bool ret_found; /* false: nothing was to be sent to it since the start */
    enum breaker_state ret_breaker;
    int64_t ret_failing_since_us; /* wall; 0: it does not fail */
    int64_t ret_next_probe_us;    /* wall; 0: no probe is planned, or one is in flight */
    unsigned ret_probes_in_flight;
    unsigned ret_in_flight, ret_in_flight_limit;
    unsigned ret_queued; /* in memory, not in flight */
    double ret_rate;     /* attempts per second that the settings or a 429 allow; 0: no limit */
    bool ret_rate_is_learned; /* ... and a 429 has taught it */
    int64_t ret_rate_wait_us; /* until the rate allows the next attempt; 0: now */
    int64_t ret_rest_us;      /* nothing is sent for so long (Retry-After, a shortage); 0 */
    bool ret_retries_held;    /* by the retry budget */
    struct cause_count ret_causes[RECENT_CAUSES]; /* the most frequent first */
};

/* Results: OK, ERR_SHUTTING_DOWN. */
struct queue_look {
    struct request ask;
    unsigned count;
    struct queue_look_entry *entries; /* the requester's */
    void *context;                    /* the requester's */
    bool ret_journal_refuses;         /* nothing is sent, since outcomes cannot be recorded */
};

#endif
