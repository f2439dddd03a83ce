/* SPDX-License-Identifier: Apache-2.0 */
/* Refill: loads deliveries of one endpoint from the journal into memory. */
#ifndef PENSTOCK_DELIVERY_REFILL_H
#define PENSTOCK_DELIVERY_REFILL_H

#include "journal/journal.h"
#include "runtime/timer.h"

struct endpoint_queue;
struct job;

/* Deliveries of a queue that are in the journal but not in memory, in order of their numbers. */
struct refill_cursor {
    bool has_some;    /* behind `after_id` */
    int64_t after_id; /* up to here they have been loaded */
    /* While loading: a delivery behind this one was left in the journal; INT64_MAX: none was. */
    int64_t left_after_id;
};

/* The deliveries that an endpoint has in the journal but not in memory, and the requests that load
 * them. */
struct refill {
    struct refill_cursor recent, unsent, replays, recovered;
    /* What had no room lately: the first delivery of this interval and of the one before; 0:
     * none. */
    int64_t recent_interval, recent_present_id, recent_before_id;
    int64_t recovered_us; /* the recovery mark, in wall time; 0: none yet */
    int64_t next_due_us;  /* when the earliest waiting one is due; INT64_MAX: none waits */
    /* Waiting ones up to here, in order of (due time, id), have been loaded. */
    int64_t waiting_after_due_us, waiting_after_id;
    unsigned part; /* enum refill_part: of the last load */
    struct timer due_timer;

    struct journal_load load;
    bool loading;
    /* While loading: the earliest due time that was committed behind the cursor; INT64_MAX:
     * none. */
    int64_t late_due_us;

    struct journal_release release;
    bool releasing, release_again;
    struct timer release_timer; /* the journal refused: release again later */
};

void refill_init_queue(struct endpoint_queue *queue);
void refill_done(struct endpoint_queue *queue);
/* Loads more from the journal, if there may be more and there is room. */
void refill_queue(struct endpoint_queue *queue);
/* Makes what is parked as disabled or gone pending again, if the endpoint is enabled. */
void refill_release(struct endpoint_queue *queue);
void refill_release_later(struct endpoint_queue *queue); /* in a second */
/* A pending delivery with this number is in the journal only. The second is for one that an
 * operator replays. */
void refill_leave_in_journal(struct endpoint_queue *queue, int64_t delivery);
void refill_leave_replay_in_journal(struct endpoint_queue *queue, int64_t delivery);
/* As these two, and loads it if there is room. */
void refill_expect_pending(struct endpoint_queue *queue, int64_t delivery);
void refill_expect_replay(struct endpoint_queue *queue, int64_t delivery);
/* A delivery of the queue is waiting: its outcome was committed. */
void refill_expect_waiting(struct endpoint_queue *queue, const struct journal_record *record);
/* Some delivery of the queue waits until then. */
void refill_expect_due(struct endpoint_queue *queue, int64_t due_us);
/* What a switch held is held no more: all is looked for again. What is not due yet waits. */
void refill_look_at_all(struct endpoint_queue *queue);
/* The endpoint has recovered: what failed because of it is due. */
void refill_recover(struct endpoint_queue *queue);
/* Makes a job of the delivery, or leaves it in the journal. Takes over the reference to its
 * event. */
void refill_take_handover(struct endpoint_queue *queue, const struct delivery *delivery);
/* A waiting delivery may be due, and was not loaded when it was. */
void refill_expect_again(struct endpoint_queue *queue, int64_t delivery);
/* Forgets a queued job whose delivery is in the journal as well. */
void refill_unload_job(struct job *job);
/* Forgets what waits in memory and is in the journal as well. It is loaded again later. */
void refill_unload(struct endpoint_queue *queue);

#endif
