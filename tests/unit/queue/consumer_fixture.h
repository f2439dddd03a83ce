/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer of one shard, between a fake broker, journals that answer what the test tells them,
 * and a taker that keeps the jobs it gets. Time is what the test says, and everything happens on
 * its thread.
 */
#ifndef PENSTOCK_TESTS_UNIT_QUEUE_CONSUMER_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_QUEUE_CONSUMER_FIXTURE_H

#include "fixture.h"

#include "broker/lag.h"
#include "model/placement.h"
#include "queue/consumer.h"
#include "runtime/metrics.h"

/* The shard is the first of QUEUE_SHARDS. Its channels: the queues of partitions 0 and 2, and what
 * the broker dropped from each; and the stream, with `checks`. */
enum { CHANNEL_0, CHANNEL_2, CHANNEL_DROPPED_0, CHANNEL_DROPPED_2, CHANNEL_CONFIRMED };

#define PREFETCH 8
#define PREFETCH_BYTES 100000
/* Those of each account, in order. */
#define ENDPOINT_FIRST 11
#define ENDPOINT_SECOND 12

/* What the consumer gave to delivery. */
struct test_job {
    struct sourced sourced;
    struct delivery delivery; /* its event is NULL when the job has ended */
    bool is_dropped, is_slow;
};

#define TAKEN_MAX 1024

extern struct taken {
    unsigned room; /* for so many jobs */
    unsigned count;
    struct test_job *jobs[TAKEN_MAX]; /* in order */
    unsigned handed_over;
    int64_t last_handed_over; /* a delivery */
    unsigned expected;
    struct {
        uint64_t endpoint;
        int64_t delivery;
    } expectations[TAKEN_MAX];
    unsigned looked_again;
    unsigned scans; /* of the backlog */
} taken;

extern struct event_taker taker;
extern struct event_source *source;
extern struct consumer_options consumer_options; /* of the next one that is made */
extern struct broker_status *consumer_status;
extern const struct hash_seed consumer_seed;

/* Steps of a beginning. A suite's .init makes some, or all of them. */
void consumer_prepare(void);      /* the ground, and default options */
void consumer_start(void);        /* makes it and starts it */
void consumer_list_nothing(void); /* the last run has left nothing */
void consumer_connect(void);      /* answers the dial that is out, and opens the channels */
void consumer_begin(void);        /* all of these */
/* As a shard ends, with whatever is under way. */
void consumer_end(void);
/* The shard is about to end; its requests are still answered. */
void consumer_stop(void);

void consumer_pass(int64_t us);
void consumer_answer_dial(enum connector_task task, enum err result);
struct broker_link_status consumer_shown(enum broker_role role);

/* An account of this partition, which has both endpoints. */
const char *account_of(unsigned partition);
/* A new event of this partition, as its message. The caller may change it before it is sent. It is
 * valid until the fourth one after it. */
struct message *message_of(unsigned partition);

/* The oldest JOURNAL_RECEIVE without an answer. */
struct journal_receive *receive_at(unsigned index);
void answer_received(
    enum journal_received received, bool is_new, int64_t event, unsigned deliveries);
/* Sends a message, which is received as broker-owned, with so many deliveries. */
struct message_tag receive_event(unsigned channel, int64_t event, unsigned deliveries);

struct journal_adopt *adopt_at(unsigned index);
void answer_adopt(enum err result); /* the oldest */
unsigned adopts(void);
void answer_kept(enum err result); /* the oldest JOURNAL_KEEP_POISON */

/* The job of a delivery that has not ended. */
struct test_job *job_of(int64_t event, unsigned index);
bool has_job(int64_t event, unsigned index);
void start_job(int64_t event, unsigned index);
/* A commit says that it is delivered, or that its event has become the journal's. */
void end_job(int64_t event, unsigned index, bool adopted);
/* Its row could not be moved. */
void doubt_job(int64_t event, unsigned index);
/* As the journal says what it has accepted by itself: an event with so many deliveries. `endpoint`
 * is that of the first one. */
void hand_over(int64_t event, uint64_t endpoint, unsigned deliveries);

#endif
