/* SPDX-License-Identifier: Apache-2.0 */
/* The flow of one endpoint: how many attempts it gets, and when. */
#ifndef PENSTOCK_DELIVERY_FLOW_H
#define PENSTOCK_DELIVERY_FLOW_H

#include "delivery/replay_brake.h"
#include "model/breaker.h"
#include "model/concurrency.h"
#include "model/failing_notice.h"
#include "model/learned_rate.h"
#include "model/retry_budget.h"
#include "model/token_bucket.h"
#include "runtime/timer.h"

struct attempt_run;
struct endpoint_queue;
struct job;

/* What an attempt says about the endpoint. */
enum flow_result {
    FLOW_DELIVERED,
    FLOW_REJECTED, /* it works, and does not want this event */
    FLOW_FAILED,
    FLOW_THROTTLED /* 429 */
};

/* The rules are in model/. */
struct flow {
    struct concurrency concurrency;
    struct breaker breaker;
    struct token_bucket bucket;
    struct learned_rate learned; /* what a 429 has taught */
    struct retry_budget budget;
    /* The endpoint's settings (settings.c). */
    double rate_max; /* attempts per second; 0: no limit */
    unsigned in_flight_max;
    struct timer rate_timer;   /* armed: the rate allows nothing until it fires */
    struct timer budget_timer; /* armed: asks the retry budget again */
    struct timer late_timer;   /* armed: looks whether an attempt in flight is late */
    struct timer probe_timer;  /* armed: sends a probe, or looks whether one is needed */
    struct timer notice_timer; /* armed: looks whether a recovery is to be reported */
    struct replay_brake brake; /* of the replay lane */
    bool is_late;              /* an attempt in flight is late, and not stuck */
    /* For the end of the turn: the endpoint has recovered; its breaker has opened, so that what
     * waits leaves memory; a probe is due. */
    bool has_recovered, wants_unload, wants_probe;
    /* What hangs: the latest success was sent then, and when the next attempt is given up. */
    int64_t answered_mono_us, next_stuck_us, stuck_interval_us;
    int64_t throttled_mono_us; /* the last 429 since the last recovery; 0: none */
    /* Deliveries have failed because of the endpoint in an earlier run of the gateway, or before an
     * operator changed the endpoint: the first success is its recovery. */
    bool failed_before;
    int64_t opened_mono_us;
    unsigned openings;             /* since an opening was reported */
    struct failing_notice failing; /* what was reported to operators (flow_notice.c) */
    /* By the wall clock, as the times of acceptance: until then, something else than this gateway
     * may have made events late (flow_notice.c); 0: nothing has. */
    int64_t troubled_us;
    int64_t failing_since_us; /* by the shard's clock: the first failure, or the opening */
    int64_t proved_mono_us, proved_took_us; /* the last answer but a failure; 0: none */
};

/* Sends nothing from the queue for this time, because this machine lacks something. */
void flow_rest(struct endpoint_queue *queue, int64_t rest_us);
void flow_init(struct endpoint_queue *queue);
void flow_done(struct endpoint_queue *queue);
/* Returns whether the endpoint may have another attempt in flight. While the breaker is not closed,
 * it may not. */
bool flow_has_place(const struct endpoint_queue *queue);
bool flow_is_open(const struct endpoint_queue *queue); /* the breaker is not closed */
/* Returns whether the endpoint succeeded a moment ago, and shows no sign of trouble. */
bool flow_has_proved_itself(const struct endpoint_queue *queue);
/* Return whether the rate and the retry budget allow an attempt now. Otherwise a timer makes the
 * queue ready again when they may. */
bool flow_may_send(struct endpoint_queue *queue);
bool flow_may_retry(struct endpoint_queue *queue);
/* The job is about to be sent. */
void flow_on_sent(struct job *job);
/* An attempt has ended, and its job is still in flight. */
void flow_on_end(const struct attempt_run *run, enum flow_result result);
/* The job is sent as a probe. */
void flow_on_probe(struct job *job);
/* It ended without a result, if it is a probe at all. */
void flow_on_probe_lost(struct job *job);
/* Returns whether the endpoint has failed lately, so that a probe is needed. */
bool flow_needs_probe(const struct endpoint_queue *queue);
/* Arms the timer of the next probe. */
void flow_await_probe(struct endpoint_queue *queue);
/*
 * What is reported to operators of the flow (flow_notice.c). An attempt has failed, or succeeded:
 * tells the levels of the breaker, and the recovery. A delivery was made: counts whether it was in
 * time.
 */
void flow_notice_trouble(struct endpoint_queue *queue, enum flow_result result);
void flow_notice_init(struct endpoint_queue *queue);
void flow_notice_failed(const struct attempt_run *run);
void flow_notice_succeeded(const struct attempt_run *run, bool was_open);
void flow_notice_closed(const struct endpoint_queue *queue, const char *why);
void flow_notice_delivered(const struct attempt_run *run, int64_t since_accepted_us);
/* An operator has changed the endpoint. */
void flow_reset(struct endpoint_queue *queue);

#endif
