/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The retry budget of an endpoint: retries must not add more than 10 % to the load of a client that
 * fails in part.
 *
 * A client that is overloaded fails a part of what it gets. Retries then add to the load that made
 * it fail. So while more than a tenth of the results of the last seconds are failures, retries are
 * at most a tenth of the fresh attempts of the same time. Otherwise they are free: as many as fail,
 * which is a tenth at most. What is refused waits and is asked for again; it uses up no step of its
 * schedule.
 *
 *   share of failures       retries
 *   <= 1/10                 all
 *   >  1/10                 1 for each 10 fresh attempts
 *                           and one when none is in flight and none was sent for a second
 *
 * The last rule lets an endpoint without fresh events make progress, and shows when it is well
 * again. It needs the second: a client that fails within a millisecond would otherwise get a
 * thousand retries a second, one at a time.
 *
 * Time is two halves of 5 s, the present one and the one before, so between 5 s and 10 s count.
 * Below RETRY_BUDGET_RESULTS_MIN results the share says nothing. Retries are free then, until those
 * in flight make up the rest.
 *
 * After an outage the failures of its last seconds are no reason to hold back: the caller resets
 * the budget when the breaker closes, and slow start (concurrency.h) limits what is sent.
 *
 * Sources: Google SRE book, "Handling Overload" (a retry budget of 10 % for each client); Envoy's
 * retry budget (a share, and a minimum of retries); gRPC A6 (retry throttling).
 *
 * No clock, no allocation; constant time. Times are monotonic.
 */
#ifndef PENSTOCK_MODEL_RETRY_BUDGET_H
#define PENSTOCK_MODEL_RETRY_BUDGET_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_HALF_US (5 * US_PER_SECOND)
#define RETRY_BUDGET_DIVISOR 10
#define RETRY_BUDGET_RESULTS_MIN 10
#define RETRY_BUDGET_ALONE_US (1 * US_PER_SECOND)

struct retry_budget_half {
    unsigned fresh, retries;  /* sent */
    unsigned results, failed; /* ended */
};

struct retry_budget {
    int64_t half; /* the number of the present half */
    struct retry_budget_half present, before;
    int64_t retry_sent_us; /* the last one; INT64_MIN: none */
};

void retry_budget_init(struct retry_budget *budget);

/* Returns whether a retry may be sent now. */
bool retry_budget_allows(struct retry_budget *budget, unsigned retries_in_flight, int64_t now_us);

/* Returns when to ask again after a refusal. The answer may still be no. */
int64_t retry_budget_ask_us(const struct retry_budget *budget, int64_t now_us);

/* An attempt is sent. */
void retry_budget_on_sent(struct retry_budget *budget, bool is_retry, int64_t now_us);

/* An attempt ended. `failed`: the endpoint failed, as for the breaker (breaker.h). */
void retry_budget_on_result(struct retry_budget *budget, bool failed, int64_t now_us);

/* The endpoint has recovered from an outage: what was counted says nothing any more. */
void retry_budget_reset(struct retry_budget *budget);

#endif
