/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real delivery shard between a journal that is the test's own (it records every request and
 * answers when the test says so) and a client deployment on loopback that answers as scripted.
 */
#ifndef PENSTOCK_TESTS_UNIT_DELIVERY_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_DELIVERY_FIXTURE_H

#include "base/clock.h"
#include "delivery/delivery.h"
#include "support/wait_until.h"

#include <criterion/criterion.h>
#include <time.h>

#define BODY "{\"type\":\"note\"}"

extern struct delivery_policy policy; /* may be changed before begin_shard */
extern struct delivery_shard *shard;
extern size_t body_bytes;          /* of what is handed over; 0: BODY */
extern int64_t accepted_before_us; /* how long ago the next deliveries were accepted */
extern struct journal_retry_rules
    journal_retry_rules; /* what the journal says at the start; not known */
/* Both are of account acc_1, and lead to the sink: /in and /other. Deliveries are made for
 * `endpoint`. */
extern uint64_t endpoint, other_endpoint;

void fixture_begin(void);
void fixture_end(void);
/* Starts the shard and answers its backlog scan with `backlog` (NULL: nothing). */
void begin_shard(const struct journal_backlog *backlog);
void begin_shard_unscanned(void);
void end_shard(int64_t drain_us); /* stops and joins; fixture_end does it where the test has not */
void free_shard(void);            /* after end_shard, in a test of this step */
void endpoint_secret(struct secret *ret_secret);
void change_endpoint(
    unsigned changes, bool value); /* flags: what `changes` names becomes `value` */
bool endpoint_is_enabled(void);

/* The journal's side: requests of one kind, counted from 0. */
unsigned journal_count(enum journal_kind kind);
struct request *journal_request(enum journal_kind kind, unsigned index);          /* waits for it */
struct journal_record *journal_record_at(enum journal_kind kind, unsigned index); /* unanswered */
/* A copy of a recorded outcome, also of one that has been answered. */
const struct journal_record *journal_outcome_at(unsigned index);
struct journal_load *journal_load_at(unsigned index);
void journal_answer(struct request *request, enum err result);
void journal_answer_scan(unsigned index, const struct journal_backlog *backlog);
struct request *journal_take(
    void); /* the next one that was not taken yet and is answered by hand; NULL: none */
/* From now on every request of this kind is answered OK at once (loads: nothing there). */
void journal_answer_at_once(enum journal_kind kind);
void journal_answer_by_hand(enum journal_kind kind); /* again */
/* Fills a load's answer with deliveries first to last (as make_delivery). */
void journal_answer_load(
    struct journal_load *load, int64_t first, int64_t last, enum delivery_state state, bool more);
/* As if accepted now, or as if failed once for a waiting one. The event's reference is the
 * caller's. */
struct delivery make_delivery(int64_t id, const char *type, enum delivery_state state);
/* Switches one off or on: for all, for the account, or for `endpoint`. A shard that
 * runs is notified. */
enum switch_scope { SWITCH_ALL, SWITCH_ACCOUNT, SWITCH_ENDPOINT };
void set_switch(enum switch_kind kind, enum switch_scope scope, bool off);

/* Hands deliveries first to last over, as a commit would. `type` is the events'. */
void hand_over(int64_t first, int64_t last, const char *type);

/* What the shard has posted for operators, in order. */
unsigned reported_count(void);
const struct operator_event *reported_event(unsigned index); /* waits for it */

/* Bytes that deliveries hold in memory. */
int64_t taken_bytes(void);

/* The client deployment's side. */
struct sink_request {
    char head[4096];
    char body[1024];
    unsigned connection; /* counted from 0 */
};
unsigned sink_count(void);                               /* requests so far */
const struct sink_request *sink_request(unsigned index); /* waits for it */
unsigned sink_concurrent_max(void);
/* What it does with each request from now on. */
enum sink_mode { SINK_ANSWER, SINK_HOLD, SINK_DROP };
void sink_set(enum sink_mode mode, int status);
extern unsigned fail_each;             /* SINK_ANSWER: each of so many is answered 500; 0: none */
void sink_hold_path(const char *path); /* SINK_HOLD for this path only; the others are answered */
void sink_release(void);               /* answers the held requests, and returns to SINK_ANSWER */

#endif
