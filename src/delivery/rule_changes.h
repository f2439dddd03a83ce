/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of retry rules, which apply to what waits already. */
#ifndef PENSTOCK_DELIVERY_RULE_CHANGES_H
#define PENSTOCK_DELIVERY_RULE_CHANGES_H

#include "base/list.h"
#include "journal/journal.h"
#include "model/class.h"
#include "model/endpoint_policy.h"
#include "runtime/timer.h"

struct delivery_shard;
struct endpoint_queue;
struct job;

/* Gives what waits new due times after the rules have changed. */
struct redue_walk {
    struct journal_redue step;
    struct retry_rules rules[EVENT_CLASSES]; /* of this walk */
    bool running, again;                     /* again: they have changed since */
    bool asking;
    int64_t after_due_us, after_id; /* where the next step begins */
    int64_t ended_mono_us;          /* when the last walk ended; INT64_MIN: none did */
    struct list in_shard;           /* in rule_changes.waiting */
    struct timer timer;             /* armed: the next step */
};

/* Which rules the due times in the journal follow, and the walks that make them follow. */
struct rule_changes {
    struct journal_record_retry_rules request;
    struct journal_retry_rules recorded; /* in the journal, or on the way there */
    bool is_certain;                     /* the journal has not refused it */
    bool asking;
    int64_t endpoints_version; /* of the latest change of an endpoint that is known here */
    struct timer timer;        /* armed: records again */
    bool walking;              /* one endpoint at a time */
    struct list waiting;       /* of struct endpoint_queue: they wait for their walk */
};

void rule_changes_init(struct delivery_shard *shard);
void rule_changes_init_queue(struct endpoint_queue *queue);
void rule_changes_done_queue(struct endpoint_queue *queue);
/* Takes the rules that the journal had at the start. Call it before the first backlog is taken. */
void rule_changes_begin(struct delivery_shard *shard);
/* The queue has waiting deliveries from an earlier run. Starts a walk if their due times may follow
 * other rules than the present ones. */
void rule_changes_check_backlog(struct endpoint_queue *queue);
/* The queue has new settings; before, its rules were these, one for each class. Starts a walk if
 * what waits is due earlier now. */
void rule_changes_on_settings(struct endpoint_queue *queue, const struct delivery_rules *before);
/* An endpoint has changed, and its queue has the new settings. */
void rule_changes_on_endpoint(struct delivery_shard *shard, int64_t version);
/* Records in the journal which rules the due times follow now, if it does not have them. */
void rule_changes_record(struct delivery_shard *shard);
/* Returns when the job, which waited, is due. A walk may have changed its due time in the journal
 * after it was loaded. */
int64_t rule_changes_due_us(const struct job *job);

#endif
