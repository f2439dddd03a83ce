/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reported to operators of deliveries that end without success: lines in the log, and
 * operator events (model/operator_event.h). Both have the ids that commands take.
 *
 * Thousands of deliveries may die at once. So each kind of each endpoint has a notice (dead; in
 * doubt; parked since it is disabled or removed): the first delivery is reported at once, and then
 * at most one a minute, with the number of those since the last one and the latest of them as a
 * sample. What was left out is reported by a timer, and at the stop. Unrouted deliveries have no
 * endpoint: they have a notice for each partner and account (model/notice_board.h).
 */
#ifndef PENSTOCK_DELIVERY_END_LOG_H
#define PENSTOCK_DELIVERY_END_LOG_H

#include "journal/journal.h"
#include "model/operator_event.h"
#include "runtime/timer.h"

struct delivery_shard;
struct endpoint_queue;
struct job;

struct end_notice {
    struct delivery_shard *shard;
    struct timer timer; /* armed: something was left out */
    bool was_told;
    int64_t told_mono_us;          /* the last one */
    int64_t left_out;              /* since then */
    struct operator_event *latest; /* of those; NULL: none */
};

void end_notice_init(struct end_notice *notice, struct delivery_shard *shard);
void end_notice_done(struct end_notice *notice);

/* The delivery is dead after this attempt. */
void end_log_dead(const struct job *job, const struct attempt *attempt);
/* It is guarded, and it is unknown whether the client did the work. One line for each. */
void end_log_in_doubt(const struct job *job, const struct attempt *attempt);
/* It is parked since its endpoint is disabled or does not exist any more. `attempt`: that was
 * answered with 410; NULL: none was made. */
void end_log_parked(const struct job *job, enum park_reason reason, const struct attempt *attempt);
/* It was accepted, and no endpoint of its account takes it. */
void end_log_unrouted(struct delivery_shard *shard, const struct event *event);

void end_log_init(struct delivery_shard *shard);
void end_log_done(struct delivery_shard *shard);
/* Tells what was left out. At the end of the shard's thread. */
void end_log_flush(struct delivery_shard *shard);

#endif
