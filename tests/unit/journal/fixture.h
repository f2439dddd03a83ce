/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A desk in front of a real journal: its thread runs against a file in a temporary directory, and
 * the test's own thread is the receiver of answers and handovers, in one mailbox, so that their
 * order can be seen.
 */
#ifndef PENSTOCK_TESTS_UNIT_JOURNAL_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_JOURNAL_FIXTURE_H

#include "base/clock.h"
#include "journal/journal.h"
#include "journal/journal_sqlite.h"

#include <sqlite3.h>

#define DESK_ARRIVALS_MAX 4096
#define DESK_DELIVERIES_MAX 64

/* What arrived in the mailbox: an answer, or a delivery of a handover. */
struct arrival {
    const struct request *answered; /* NULL: a delivery */
    struct delivery delivery;
};

struct desk {
    char directory[256];
    char detail[256];
    int64_t reserve_bytes; /* of the journals that are opened from now on */
    struct mailbox mailbox;
    struct journal *journal;
    size_t arrivals_count, answers_count, queries_count;
    size_t unrouted_count; /* handed over without an endpoint: no arrivals */
    struct arrival arrivals[DESK_ARRIVALS_MAX];
    struct event_id_generator ids;
    struct byte_budget budget;
    _Atomic int failures; /* calls of on_failed */
};

/* A new directory, and an open journal of shard 0 in it. */
struct desk *desk_new(void);
void desk_free(struct desk *desk); /* stops the journal, takes the directory away */

enum err desk_try_open(struct desk *desk, unsigned shard);
void desk_open(struct desk *desk);
void desk_stop(struct desk *desk);
void desk_reopen(struct desk *desk);

/* All of them in one transaction, and waits for the answers: they gather while the sync of another
 * commit is held. */
void desk_call_together(struct desk *desk, struct request **requests, size_t count);
void desk_submit(struct desk *desk, struct request *request);
void desk_wait_answers(struct desk *desk, size_t count); /* answers since desk_new */
enum err desk_call(
    struct desk *desk, struct request *request); /* submits, waits, returns the result */

/* An event with a fresh id; NULL texts are left out. */
struct draft {
    const char *type, *key, *amount, *currency;
    struct slice body;
    int64_t accepted_us;
    unsigned partition;
};
struct event *desk_event(struct desk *desk, struct draft draft);

/* A request to append; desk_append makes the event, calls, and drops its reference. */
struct journal_append *append_init(
    struct journal_append *append, struct event *event, const uint64_t *endpoints, unsigned count);
enum err desk_append(
    struct desk *desk, struct draft draft, uint64_t endpoint, struct event_id *ret_id);

/* The id of the delivery handed over last. */
int64_t desk_last_delivery(const struct desk *desk);

/* A move without an attempt; the fields can be changed before it is called. */
struct journal_record move_of(int64_t delivery, enum delivery_state from, enum delivery_state to);
struct attempt attempt_of(uint32_t number, int http_status, enum err error, const char *excerpt);

struct loaded {
    struct journal_load load;
    struct delivery deliveries[DESK_DELIVERIES_MAX];
};
void loaded_init(struct loaded *loaded, uint64_t endpoint);
enum err desk_load(struct desk *desk, struct loaded *loaded);
void loaded_done(struct loaded *loaded);

/* Statements on the file beside the journal; it need not be stopped. */
void desk_sql(struct desk *desk, const char *text);
int64_t desk_sql_int(struct desk *desk, const char *text);

/* Works off the mailbox until a counter of the desk has come to `count`. */
void desk_wait_for(struct desk *desk, const size_t *counter, size_t count);

#endif
