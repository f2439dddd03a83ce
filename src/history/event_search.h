/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of events, newest first, by what the partner sent and by the states of their deliveries.
 *
 * Each shard numbers its events nearly in order of acceptance. A search reads the numbers of
 * all shards at once, from the newest to the oldest, and takes the newest of what they have found.
 * With a key it asks the index of the keys (journal/event_keys.h), so that it reads few events;
 * otherwise it reads the events of the time that is asked for.
 *
 * A page ends after READING_US_MAX, which all shards share. So it may hold fewer events than were
 * asked for, none even, and there may be more all the same. The cursor says for each shard where
 * the search continues.
 *
 * A damaged event is listed, if what is left of it matches.
 */
#ifndef PENSTOCK_HISTORY_EVENT_SEARCH_H
#define PENSTOCK_HISTORY_EVENT_SEARCH_H

#include "history/journal_reader.h"
#include "model/delivery_filter.h"

#define EVENT_SEARCH_COUNT_MAX 1000

/* All zeros: the beginning. */
struct event_cursor {
    unsigned shards; /* how many there are; 0 at the beginning */
    /* By shard: the number of the event that is looked at next; 0: the shard is at its end. */
    int64_t next[SHARDS_MAX];
};

struct found_event {
    struct event *event; /* without its body */
    bool damaged;        /* the row of the event is not what was written */
    unsigned deliveries_count;
    struct timeline_delivery *deliveries;
};

/* ERR_INVALID: the cursor is not one of this installation. Other errors: what the disk says. */
struct journal_search {
    struct request request;
    struct delivery_filter
        filter;                 /* a delivery of the event matches it; `cause` is not looked at */
    struct event_cursor cursor; /* in and out */
    bool has_shard;
    unsigned shard;     /* with has_shard: the only one that has such events */
    unsigned count_max; /* from 1 to EVENT_SEARCH_COUNT_MAX */
    unsigned ret_count;
    bool ret_more;
    struct found_event *ret_events; /* for journal_search_done */
};
void journal_search_done(struct journal_search *search);

/* Any thread; `reply_to` and `on_done` are set. */
void journal_reader_search(struct journal_reader *reader, struct journal_search *search);

/* The reader's: fills the page from the sources of all shards, which are open, in a transaction for
 * each. `ret_events` has room for the page. On failure `ret_shard` is the shard that failed. */
struct timeline_source;
enum err event_search_read(struct timeline_source *sources, unsigned shards,
    struct journal_search *search, int64_t deadline_us, unsigned *ret_shard) MUST_CHECK;

#endif
