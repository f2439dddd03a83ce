/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists behind the audit's numbers, page by page: deliveries, and conflicts; and poison, which
 * no audit counts.
 *
 * A page is what one short read transaction for each shard finds (READING_US_MAX in all): it may
 * hold fewer than were asked for, none even, and there may be more all the same. The cursor then
 * leads behind what has been looked at; it is the asker's to keep and to give back with the same
 * filter.
 *
 * Deliveries in states that are not final come out of the index of their state (schema.h), by
 * endpoint and oldest first, and behind them pending replays, and what is the broker's and pending;
 * where delivered or discarded ones are asked for, or all, the history is gone through, newest
 * first. What was delivered and is being replayed by force is on the lists of both its states. What
 * has expired is in the totals only, and on no list. Shards follow each other.
 */
#ifndef PENSTOCK_HISTORY_LISTING_H
#define PENSTOCK_HISTORY_LISTING_H

#include "history/journal_reader.h"
#include "model/delivery_filter.h"

#define LISTING_COUNT_MAX 1000

/* What is gone through, from 1: the index of a state, 1 + the state; the index of pending replays;
 * conflicts and poison: 1. */
#define LISTING_PLACE_HISTORY (1 + DELIVERY_STATES)
#define LISTING_PLACE_BROKER_OWNED (2 + DELIVERY_STATES)
#define LISTING_PLACE_REPLAYS (3 + DELIVERY_STATES)

/* All zeros: the beginning. Behind the first page `place` is not 0. */
struct listing_cursor {
    unsigned shard;
    unsigned place;
    int64_t endpoint, key,
        id; /* the last row that has been looked at; the key is the index's second column */
};

/* What both lists have in common. OK, ERR_INVALID (the cursor is none of this filter's), and what
 * the disk says. */
struct journal_page {
    struct request request;
    struct listing_cursor cursor; /* in and out */
    bool has_shard;
    unsigned shard;     /* with has_shard: the only one that has such items */
    unsigned count_max; /* from 1 to LISTING_COUNT_MAX */
    unsigned ret_count;
    bool ret_more;
};

struct listed_delivery {
    struct timeline_delivery delivery;
    struct event *event; /* without its body, the list's reference; NULL: not there, or damaged */
    enum attempt_cause cause; /* of the last attempt, if it failed; else CAUSE_NONE */
};

struct journal_list {
    struct journal_page page;
    struct delivery_filter filter;
    struct listed_delivery *ret_deliveries; /* for journal_list_done */
};
void journal_list_done(struct journal_list *list);

struct conflict_filter {
    bool has_day, has_first;
    int64_t day;           /* on which the first of them arrived */
    struct event_id first; /* the event that was accepted */
    char account[NAME_BYTES_MAX + 1], partner[NAME_BYTES_MAX + 1]; /* empty: any */
};

struct listed_conflict {
    struct event *event; /* without a body, and with the id of the event that was accepted */
    int64_t at_us, last_us, times;
    size_t body_bytes;
    bool damaged; /* the row is not what was written */
};

/* Newest first. */
struct journal_list_conflicts {
    struct journal_page page;
    struct conflict_filter filter;
    struct listed_conflict *ret_conflicts; /* for journal_list_conflicts_done */
};
void journal_list_conflicts_done(struct journal_list_conflicts *list);

#define POISON_TEXT_BYTES 257 /* the longest of the texts, cut, with its NUL */

struct listed_poison {
    int64_t at_us;
    char queue[POISON_TEXT_BYTES], reason[POISON_TEXT_BYTES], message_id[POISON_TEXT_BYTES];
    uint64_t body_bytes; /* as the sender said; more than body_len: it was cut */
    size_t headers_len, body_len;
    char *bytes;  /* the headers (JSON), and the body behind them */
    bool damaged; /* the row is not what was written */
};

/* Newest first. A page ends with a few megabytes as well. */
struct journal_list_poison {
    struct journal_page page;
    size_t bytes;                     /* of the page so far; 0 before */
    struct listed_poison *ret_poison; /* for journal_list_poison_done */
};
void journal_list_poison_done(struct journal_list_poison *list);

/* Any thread; `reply_to` and `on_done` are set. */
void journal_reader_list(struct journal_reader *reader, struct journal_list *list);
void journal_reader_list_conflicts(
    struct journal_reader *reader, struct journal_list_conflicts *list);
void journal_reader_list_poison(struct journal_reader *reader, struct journal_list_poison *list);

/* The reader's: fill the page from one shard, in a transaction of their own, until it is full,
 * `deadline_us` has passed (monotonic), or, *ret_over, the shard is at its end. */
struct timeline_source;
enum err listing_read(struct timeline_source *source, struct journal_page *page,
    int64_t deadline_us, bool *ret_over) MUST_CHECK;
enum err listing_read_conflicts(struct timeline_source *source, struct journal_page *page,
    int64_t deadline_us, bool *ret_over) MUST_CHECK;
enum err listing_read_poison(struct timeline_source *source, struct journal_page *page,
    int64_t deadline_us, bool *ret_over) MUST_CHECK;

#endif
