/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breaker of an endpoint: whether deliveries are sent to it, or wait because it fails.
 *
 *                   too many of the results of the window failed,
 *                   or `count_min` results in a row
 *      CLOSED  ------------------------------------------------>  OPEN
 *        ^                                                        |  ^
 *        |                                           a probe is   |  |  the last probe in flight
 *        |                                           sent         v  |  failed or was lost
 *        +----------------------------------------------------  HALF_OPEN
 *           any attempt succeeds (also from OPEN: one that was
 *           sent before the opening); an operator resets it
 *
 * While it is not closed, only probes are sent: single deliveries of those that wait. What is not
 * sent is no attempt, so it uses up no step of a retry schedule.
 *
 * Probes are sent 1 s after the opening, then 2 s, 4 s, 8 s and 10 s after the probe before. The
 * interval runs from when a probe is sent, not from when it ends: a client that hangs would
 * otherwise delay the next probe by its timeout, and an endpoint that is back must move within 15
 * s. So several probes can be in flight, up to BREAKER_PROBES_MAX. Beyond that the next one waits
 * until one ends. Five are enough for probes that end within 35 s (answer timeout 30 s, connect
 * timeout 5 s). With a longer timeout the gap between probes grows, but stays below this timeout.
 *
 * The window is two halves, the present one and the one before, so it covers between a half and the
 * whole of `window_us`. A slow client may fail less often than the window lasts: a run of
 * `count_min` failures opens the breaker however long it takes. Attempts that were sent before the
 * last edge and failed after it do not count: what hung during an outage times out after the
 * recovery, and must not open the breaker again. A success counts whenever it was sent.
 *
 * BREAKER_RECOVERED is reported when the breaker closes by a success, and when a success follows
 * BREAKER_RUN_MIN or more failures in a row while it is closed, once for each run. The caller then
 * makes due what waits because the endpoint failed.
 *
 * Sources: Envoy's outlier detection (consecutive failures; failure percentage with a minimum
 * volume; ejection time that grows up to a maximum); Nygard, "Release It!" (the three states).
 * Unlike Envoy we send a single event to find out whether an endpoint is back, since a flood of
 * deliveries would hit a client that is about to recover.
 *
 * No clock, no allocation; each call takes constant time. Times are monotonic. Only failures of the
 * endpoint are failures here: an answer that rejects one event (most 4xx) is a success, and faults
 * on our side are not reported, except as breaker_on_probe_lost.
 */
#ifndef PENSTOCK_MODEL_BREAKER_H
#define PENSTOCK_MODEL_BREAKER_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_PROBES_MAX 5
#define BREAKER_RUN_MIN 3 /* fewer failures in a row are chance, and their own schedule is short */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
enum breaker_edge { BREAKER_STAYS, BREAKER_OPENED, BREAKER_RECOVERED };

struct breaker_policy {
    int64_t window_us;
    unsigned count_min; /* results; below it the share says nothing */
    unsigned failures_percent;
    int64_t probe_us_first, probe_us_max;
};

/* 10 s, 10 results, 50 %, probes after 1 s and up to 10 s. */
extern const struct breaker_policy breaker_policy_default;

struct breaker_half {
    unsigned count, failed;
};

struct breaker {
    enum breaker_state state;
    int64_t changed_us;                  /* opened, closed or reset; INT64_MIN: never */
    unsigned run;                        /* failures in a row */
    int64_t half;                        /* the number of the present half window */
    struct breaker_half present, before; /* what ended in the halves; closed only */
    unsigned probes_in_flight;           /* of this opening */
    int64_t next_probe_us, probe_interval_us;
};

struct breaker_result {
    bool failed;
    bool was_probe;  /* breaker_on_probe_sent was called for it */
    int64_t sent_us; /* when the attempt was sent */
};

void breaker_init(struct breaker *breaker);

/* An attempt ended. Returns the edge that it caused. Call it once for each attempt, whatever the
 * state is by then. */
enum breaker_edge breaker_on_result(struct breaker *breaker, const struct breaker_policy *policy,
    const struct breaker_result *result, int64_t now_us);

/* Closed: true. Otherwise whether a probe may be sent now. */
bool breaker_allows(const struct breaker *breaker, int64_t now_us);

/* Call it for each attempt that is sent while the breaker is not closed. */
void breaker_on_probe_sent(
    struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us);

/* A probe ended without a result: a fault on our side, or it was never sent. The time of the next
 * probe does not change. */
void breaker_on_probe_lost(struct breaker *breaker, int64_t sent_us);

/* Returns when the next probe may be sent. INT64_MAX: the breaker is closed, or BREAKER_PROBES_MAX
 * are in flight. Ask again after each result and each lost probe. */
int64_t breaker_next_probe_us(const struct breaker *breaker);

/*
 * Returns how near the breaker is to its opening, in percent: 100 while it is not closed, else at
 * most 99. It is the larger one of two parts: the failures in a row out of `count_min`, and the
 * share of failures in the window out of `failures_percent`. Fewer than `count_min` results in the
 * window count only as far as they go.
 */
unsigned breaker_percent(
    const struct breaker *breaker, const struct breaker_policy *policy, int64_t now_us);

/* An operator enabled or moved the endpoint: closed, and nothing that was sent before counts as a
 * failure. */
void breaker_reset(struct breaker *breaker, int64_t now_us);

#endif
