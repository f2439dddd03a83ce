/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The brake of the replay lane of one endpoint.
 *
 * The attempts of replays do not count for the endpoint's breaker: an operator may have chosen
 * events that the client cannot take. But a client that fails must not get the whole replay either.
 * Payouts that end ambiguously are parked, each for a person to look at, and nothing is sent again
 * that would open the breaker.
 *
 * So the replay lane has a breaker of its own (model/breaker.h), with stricter numbers: it opens
 * after 5 failures in a row, or when half of 5 or more results have failed. Then the lane rests,
 * and one replayed delivery is sent after 1 s, 2 s, 4 s and so on up to 60 s. The first one that
 * succeeds, or that the client rejects, ends the rest. So do a recovery of the endpoint, and an
 * operator who changes it. The other lanes are not concerned.
 *
 * Owned by the delivery thread. Its only bound is that of the breaker: 5 probes in flight. Nothing
 * is stored: after a restart it is closed.
 */
#ifndef PENSTOCK_DELIVERY_REPLAY_BRAKE_H
#define PENSTOCK_DELIVERY_REPLAY_BRAKE_H

#include "model/breaker.h"
#include "runtime/timer.h"

struct endpoint_queue;
struct job;

struct replay_brake {
    struct breaker breaker;
    struct timer timer;     /* armed: the lane rests until it fires */
    int64_t logged_mono_us; /* 0: never */
};

extern const struct breaker_policy replay_brake_policy;

void replay_brake_init(struct endpoint_queue *queue);
void replay_brake_done(struct endpoint_queue *queue);
/* Returns whether the lane may send now. Otherwise a timer makes the queue ready again. */
bool replay_brake_allows(struct endpoint_queue *queue);
/* The lane sends at most one at a time. */
bool replay_brake_is_on(const struct endpoint_queue *queue);
/* Each of these does nothing for a job that is no replay. The job is about to be sent. */
void replay_brake_on_sent(struct job *job);
/* Its attempt has ended. */
void replay_brake_on_end(struct job *job, bool failed);
/* Its attempt ended without a result that says whether the client works. */
void replay_brake_on_lost(struct job *job);
/* The endpoint has recovered, or was changed. */
void replay_brake_reset(struct endpoint_queue *queue);

#endif
