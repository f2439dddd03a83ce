/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of rabbitmq mode alone, between a fake broker and journals that answer what the test
 * tells them. Time is what the test says, and everything happens on its thread. */
#ifndef PENSTOCK_TESTS_UNIT_QUEUE_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_QUEUE_FIXTURE_H

#include "fake_broker.h"

#include "base/clock.h"
#include "queue/broker_queue.h"
#include "queue/recent_keys.h"

#include <criterion/criterion.h>

#define QUEUE_SHARDS 2
#define QUEUE_PARTITIONS 4
#define CONFIRM_TIMEOUT_US US_PER_SECOND
#define LAG_US_MAX (200 * US_PER_MS)

/* An entry and what became of it. */
struct sent {
    struct queue_entry entry;
    struct event_id id;
    unsigned answers; /* on_durable has run so often */
    enum err result;
};

extern struct queue *queue;
extern struct recent_keys *queue_known; /* of all threads */
extern bool queue_sends_guarded;
extern struct operator_event queue_operator_events[16];
extern unsigned queue_operator_events_count;

/* What every test of the queue has: a clock that the test moves, a mailbox, and journals. `left` as
 * below. */
extern struct mailbox queue_mailbox;
extern struct journal *queue_journals[QUEUE_SHARDS];
extern struct byte_budget queue_budgets[QUEUE_SHARDS];
void queue_ground_begin(int64_t left);
void queue_ground_end(void);
int64_t queue_move_clock(int64_t us); /* returns the time */
void queue_answer_all(enum err result);

/* `left` events are in the journals' outboxes from before. */
void queue_fixture_begin(bool outbox, int64_t left);
/* The gateway delivers as well, and how long events wait in the broker matters. */
void queue_fixture_begin_with_lag(void);
void queue_fixture_end(void);
void queue_connect(void); /* answers the dial that is out */
/* So much time passes, and a tick behind it. */
void queue_pass(int64_t us);
void queue_work(void);                      /* the mailbox */
void queue_arrive(const struct sent *sent); /* the journal has received it from the broker */
struct disk_board *queue_room(unsigned shard);

struct sent *queue_send(unsigned partition, const char *key, const char *amount);
void queue_expect(const struct sent *sent, enum err result); /* it was answered, once */

/* The requests that the journals received, in order. */
unsigned queue_requests(enum journal_kind kind);
struct request *queue_request(enum journal_kind kind, unsigned index);
struct journal_append *queue_append(unsigned index);
unsigned queue_request_shard(enum journal_kind kind, unsigned index);
/* Answers and works the mailbox off. */
void queue_answer(struct request *request, enum err result);
/* Answers a JOURNAL_LOAD_OUTBOX with events of these partitions. Their numbers begin with
 * `first_number`. */
void queue_answer_load(
    unsigned index, int64_t first_number, unsigned count, const unsigned *partitions);

#endif
