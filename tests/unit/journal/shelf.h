/* SPDX-License-Identifier: Apache-2.0 */
/* A store without a thread: the test is its writer, and chooses the time. */
#ifndef PENSTOCK_TESTS_UNIT_JOURNAL_SHELF_H
#define PENSTOCK_TESTS_UNIT_JOURNAL_SHELF_H

#include "journal/store.h"

struct shelf {
    char directory[64];
    struct store store;
    struct event_id_generator ids;
    struct operator_event_sink operator_events; /* of the next open */
    bool changed_by_hand;                       /* what is counted may differ from now on */
    unsigned handed_over; /* deliveries, by the append or the receipt that was made last */
};

struct shelf *shelf_new(void);
void shelf_free(struct shelf *shelf);
void shelf_open(struct shelf *shelf);
/* Without writing what has gathered: as a crash would leave it. */
void shelf_crash(struct shelf *shelf);

void shelf_begin(struct shelf *shelf);
/* Checks that the backlog board counts what the table has, unless the test changed rows by hand. */
void shelf_commit(struct shelf *shelf);

/* Accepts an event for two endpoints (or one, or none: 0) in a transaction of its own; returns its
 * number. */
struct shelved {
    const char *key, *amount, *currency, *account, *partner;
    int64_t accepted_us;
    unsigned partition;
    enum event_class class;
    unsigned endpoints; /* 1 and up to this; 0: unrouted */
};
int64_t shelf_append(struct shelf *shelf, struct shelved event);
/* Returns an event with a fresh id. The caller unrefs it. */
struct event *shelf_event(struct shelf *shelf, struct shelved draft);
/* Each stores the event in a transaction of its own. */
enum err shelf_append_event(struct shelf *shelf, struct event *event, unsigned endpoints);
struct journal_receive shelf_receive(
    struct shelf *shelf, struct event *event, unsigned endpoints, enum park_reason park_as);
/* Any other request. */
enum err shelf_call(struct shelf *shelf,
    enum err (*apply)(struct store *store, struct request *request), struct request *request);
/* The same, with its result. */
enum err shelf_try_append(struct shelf *shelf, struct shelved event);

/* The id of the event with this number. */
struct event_id shelf_id_of(struct shelf *shelf, int64_t seq);

/* Moves delivery `index` of an event, in a transaction of its own. */
enum err shelf_move(struct shelf *shelf, int64_t seq, unsigned index, enum delivery_state from,
    enum delivery_state to);

/* One round of the expiry. Returns how many steps it took. */
unsigned shelf_expire(struct shelf *shelf, int64_t now_us);

void shelf_sql(struct shelf *shelf, const char *text);
int64_t shelf_sql_int(struct shelf *shelf, const char *text);

#endif
