/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the journals of all shards beside their writers: a thread with one read-only connection for
 * each file and short transactions. It answers what operators and partners ask: the timeline of one
 * event, lists, what is past due, audits. So no loop ever runs SQLite.
 */
#ifndef PENSTOCK_HISTORY_JOURNAL_READER_H
#define PENSTOCK_HISTORY_JOURNAL_READER_H

#include "journal/journal.h"

struct journal_reader;

enum err journal_reader_open(
    const char *directory, unsigned shards, struct journal_reader **ret_reader) MUST_CHECK;
void journal_reader_stop(struct journal_reader *reader); /* takes NULL */

struct audit_loss;
/* What every audit is to name; before anything is asked. They must outlive the reader. */
void journal_reader_set_losses(
    struct journal_reader *reader, const struct audit_loss *losses, size_t count);

struct timeline_attempt {
    int64_t delivery;
    struct attempt attempt;
};

struct timeline_delivery {
    struct delivery delivery; /* `event` is NULL */
    enum park_reason reason;
    int64_t changed_us;   /* wall time of the last move; 0 while nothing has moved */
    int64_t delivered_us; /* wall time of when it was delivered first; 0: never */
    enum delivery_replay replay;
    bool broker_owned; /* the broker's (journal.h) */
    bool damaged;      /* the row is not what was written */
};

/* What an operator or a status probe did to a delivery, and why. */
struct timeline_action {
    int64_t delivery;
    int64_t at_us;
    enum delivery_state from, to;
    enum action_actor actor;
    uint64_t from_endpoint, to_endpoint;
    char note[ACTION_NOTE_BYTES_MAX + 1];
};

/* Everything that the journal has about one event. The attempt that delivered it is among the
 * others. */
struct timeline {
    struct event *event; /* the body is empty when it has expired */
    /* What was asked for is an alias: a duplicate, and this is the first one's timeline. */
    bool is_of_first;
    size_t deliveries_count, attempts_count, actions_count;
    struct timeline_delivery *deliveries;
    struct timeline_attempt *attempts; /* in order of delivery and number */
    struct timeline_action *actions;   /* in order of time */
};

void timeline_free(struct timeline *timeline); /* takes NULL */

/* ERR_NOT_FOUND: no journal has the id. The id of a duplicate that was found late leads to
 * the first one. The requester owns ret_timeline. */
struct journal_find {
    struct request request;
    struct event_id id;
    struct timeline *ret_timeline;
};

/* Any thread; `reply_to` and `on_done` are set. */
void journal_reader_find(struct journal_reader *reader, struct journal_find *find);

#endif
