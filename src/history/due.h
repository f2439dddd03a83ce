/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is past due: for each of some endpoints, since when its oldest delivery should have been
 * sent; and how much room the journals take and have.
 *
 * A delivery is past due from its due time on, whatever its age: a pending one from its acceptance,
 * a waiting one from the time of its next attempt. Replays have no due time. A pending delivery
 * that is the broker's counts when it is among the oldest DUE_BROKER_OWNED_MAX of its shard.
 *
 * Cost: two seeks in an index and one row for each endpoint, in one short transaction for each
 * shard. Each shard gets its part of READING_US_MAX. What has no answer by then is left out: its
 * `ret_known` is false. The next question begins there. A journal that cannot be read leaves out
 * its own endpoints only.
 */
#ifndef PENSTOCK_HISTORY_DUE_H
#define PENSTOCK_HISTORY_DUE_H

#include "history/journal_reader.h"

#define DUE_ENDPOINTS_MAX 1000 /* in one question */
#define DUE_BROKER_OWNED_MAX 256

struct journal_due_entry {
    unsigned shard;
    uint64_t endpoint;
    bool ret_known;
    bool ret_waits;     /* the oldest is a waiting one, else a pending one */
    int64_t ret_due_us; /* wall; INT64_MAX: nothing is past due */
};

struct journal_due {
    struct request request;
    int64_t now_us; /* wall */
    unsigned count;
    struct journal_due_entry *entries; /* the requester's */
    bool ret_complete;                 /* all entries have their answer */
    unsigned ret_unreadable;           /* journals that could not be read */
    unsigned ret_unreadable_shard;     /* ... the first of them, and why */
    enum err ret_unreadable_error;
    int64_t ret_free_bytes;    /* of the file system; -1: it does not say */
    int64_t ret_journal_bytes; /* of the files of all journals, with their WAL */
};

/* Any thread; `reply_to` and `on_done` are set. */
void journal_reader_due(struct journal_reader *reader, struct journal_due *due);

struct timeline_source;
/* Of one shard, on the reader's thread. Begins with entry `*first`, and continues at the start
 * after the last one. *first is set to the one at which the time was up. */
enum err due_read(struct timeline_source *source, struct journal_due *due, unsigned shard,
    int64_t deadline_us, unsigned *first) MUST_CHECK;
void due_measure(struct journal_due *due, const char *directory, unsigned shards);

#endif
