/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of an attempt: judged, and recorded in the journal. */
#ifndef PENSTOCK_DELIVERY_OUTCOME_H
#define PENSTOCK_DELIVERY_OUTCOME_H

#include "journal/journal.h"
#include "model/verdict.h"

struct attempt_run;
struct delivery_shard;
struct job;

void outcome_init(struct delivery_shard *shard);
void outcome_of_attempt(struct attempt_run *run); /* the HTTP client has finished */
/* Fills run->record.attempt, and returns what it means. For a test: nothing is recorded. */
enum verdict outcome_judge(struct attempt_run *run);
void outcome_park(struct job *job, enum park_reason reason);      /* without an attempt */
void outcome_pause(struct delivery_shard *shard, enum err error); /* the journal refused to write */
void outcome_cut_short(struct attempt_run *run); /* the shard stops: as a crash would leave it */
/* A switch was changed while `sending` was committed. Nothing has been sent: it waits as before. */
void outcome_take_back(struct attempt_run *run);
/* The row could not be moved. The job leaves memory, and the owner of the event decides. */
void outcome_forget_in_doubt(struct job *job);
/* True if the last attempt was lost with a kept connection, so that this one needs a new
 * connection. */
bool outcome_was_repeated(const struct delivery *delivery);

#endif
