/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backlog as operators see it: endpoints with something open, worst first.
 *
 * A question has three parts, and each of them is bounded:
 *
 *   1 boards    the counts of all endpoints, without a lock (journal/backlog_board.h). The
 *               BACKLOG_CANDIDATES_MAX endpoints with the most in progress are chosen
 *   2 reader    since when the oldest delivery of each is past due (history/due.h). Then they are
 *               sorted: the longest past due first, then the most in progress
 *   3 shards    what the queues of the first ones do at present (journal/queue_look.h)
 *
 * No part scans a store. Owned by the admin thread.
 */
#ifndef PENSTOCK_ADMIN_BACKLOG_H
#define PENSTOCK_ADMIN_BACKLOG_H

#include "base/limits.h"
#include "history/due.h"
#include "journal/backlog_board.h"
#include "journal/queue_look.h"

#include <jansson.h>

#define BACKLOG_CANDIDATES_MAX DUE_ENDPOINTS_MAX

struct admin;

struct backlog_item {
    unsigned shard;
    uint64_t endpoint; /* 0: unrouted */
    struct backlog_counts counts;
    bool is_known;                       /* ... the following; else the reader had no answer */
    bool waits;                          /* the oldest past due is a waiting one */
    int64_t due_us;                      /* since when the oldest is past due; INT64_MAX: none is */
    const struct queue_look_entry *look; /* NULL: it was not looked at */
};

struct backlog_view {
    /* of the asker */
    struct admin *admin;
    char account[NAME_BYTES_MAX + 1]; /* empty: all */
    unsigned look_max;                /* of the first ones the queues are looked at */
    /* Called once, on the admin thread, with the result of the reader. The asker then calls
     * backlog_view_free. */
    void (*on_done)(struct backlog_view *view, enum err result);
    void *context;

    /* the answer */
    struct backlog_counts all;     /* whatever the account (backlog_sum_all) */
    bool is_complete;              /* the boards know everything, and the reader could answer all */
    bool has_more;                 /* there are more endpoints than items */
    int64_t now_us, oldest_due_us; /* INT64_MAX: nothing that is known is past due */
    bool oldest_waits;             /* the oldest past due is a waiting one */
    size_t unknown;                /* endpoints in progress of which that is not known */
    unsigned count;
    struct backlog_item *items; /* worst first */
    int64_t free_bytes, journal_bytes;

    /* internal */
    struct journal_due due;
    struct queue_look looks[SHARDS_MAX];
    struct queue_look_entry *entries;
    unsigned looks_open;
};

/* The sums over all endpoints but the operators': what operators have not heard of is no event of a
 * client. */
void backlog_sum_all(const struct admin *admin, struct backlog_counts *ret_counts);
/* Asks. `view` is zeroed, apart from what is the asker's. */
void backlog_view_ask(struct backlog_view *view);
void backlog_view_free(struct backlog_view *view); /* and what it points to */

/* One endpoint, for the API. */
json_t *backlog_item_view(const struct backlog_view *view, const struct backlog_item *item);
/* Sums by state and class. */
json_t *backlog_counts_view(const struct backlog_counts *counts);
/* Adds what the queue of an endpoint does: breaker, next probe, limits, causes. */
void backlog_add_look(json_t *view, const struct queue_look_entry *look);

#endif
