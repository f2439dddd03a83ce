/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events have a given key: the index behind the search by a partner's own id.
 *
 * An index of SQLite on events(key) would write a page of its own for nearly every event, since
 * keys are random bytes. Here the writer gathers what it appends, and writes it in blocks, each
 * with the transaction that begins the next block:
 *
 *   run    EVENT_KEYS_RUN event numbers: one row of `event_key_runs`
 *   chunk  EVENT_KEYS_CHUNK event numbers: the entries of its runs, in EVENT_KEYS_BUCKETS rows of
 *          `event_keys`. Its runs are removed
 *
 * An entry is 4 bytes: a part of the key's tag, and the event number within the block. The tag is a
 * hash of the text of the key, with a seed that only the file has. Entries are sorted, so keys that
 * partners choose cost no more than others. The tag does not say whose key it is: events of other
 * partners with the same key are candidates as well. On the disk one event costs 4 bytes in a
 * chunk, and 20 to 40 bytes of the WAL, since each run writes pages of its own.
 *
 * A look-up goes from the newest block to the oldest. It reads one row in each: a bucket of the
 * chunk, or a run. Its answers are candidates. The reader
 *   - reads each candidate, which may be gone, and compares the key, and the partner if it asks
 *   - reads the events of a block that is not indexed one by one, and passes over the gap behind
 *     it: numbers that were never used and chunks that have expired are answered run by run
 *   - looks at the clock after each answer, and begins at a number that is not behind the newest
 *   - asks and reads in one transaction
 *
 * How it fails. A block without a row is not indexed: the block that is not full yet, a row that is
 * damaged or of another seed, a chunk of which few events are left. No event is ever missed because
 * of this. After a start, and after a roll-back that took a block with it, the writer reads the
 * keys of the block from its events.
 *
 * Damage of a page is ERR_DAMAGED, and SQLite then takes no more writes in this transaction. The
 * index notes what it does without, so that a second try succeeds (event_keys_gave_way): one block,
 * if what it is made of cannot be read; all that is written until the next start, if its own tables
 * cannot be written. Nothing else fails because of the index, unless the disk does.
 *
 * The writer's functions belong to the journal's thread, within its transaction.
 */
#ifndef PENSTOCK_JOURNAL_EVENT_KEYS_H
#define PENSTOCK_JOURNAL_EVENT_KEYS_H

#include "base/hash.h"
#include "sqlite/sql.h"

/* A run is what a look-up may have to read event by event: about a millisecond. A chunk is what one
 * commit writes at once, about 75 KB. A bucket has about 128 entries: 7 rows fit in a page. */
#define EVENT_KEYS_RUN 512
#define EVENT_KEYS_CHUNK 16384
#define EVENT_KEYS_BUCKETS 128
/* A chunk with no more events than these is dropped by the expiry: to read them is about as cheap
 * as a bucket. Otherwise one dead delivery would keep the chunk of 16,384 events. */
#define EVENT_KEYS_FEW 64

/* The writer. */

enum event_keys_statement {
    EVENT_KEYS_LIST_EVENTS,
    EVENT_KEYS_COUNT_EVENTS,
    EVENT_KEYS_READ_RUN,
    EVENT_KEYS_WRITE_RUN,
    EVENT_KEYS_DROP_RUNS,
    EVENT_KEYS_WRITE_BUCKET,
    EVENT_KEYS_DROP_BUCKETS,
    EVENT_KEYS_STATEMENTS
};

struct event_keys {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[EVENT_KEYS_STATEMENTS];
    struct hash_seed seed;
    unsigned shard;
    bool given_up;                        /* nothing is written any more */
    bool gave_way;                        /* see event_keys_gave_way */
    int64_t left_out_run, left_out_chunk; /* their numbers, or -1 */
    int64_t end;        /* the first number behind all blocks that the file had at the start */
    int64_t run;        /* the number of the run that is not full yet */
    bool is_complete;   /* `entries` has all of the run. Otherwise its events are read */
    int64_t first_lost; /* the first run that this transaction has written, or -1 */
    unsigned count;
    uint32_t entries[EVENT_KEYS_RUN];
};

/* Reads the seed of the file, or makes it, and reads where its events end. Numbers before `end`
 * must not be given to new events: an old block would hide them. event_keys_done is due after a
 * failure as well. */
enum err event_keys_init(struct event_keys *keys, struct sqlite3 *db, unsigned shard) MUST_CHECK;
void event_keys_done(struct event_keys *keys);

/* Enters the event with this number. `key` may be empty. Numbers only grow. */
enum err event_keys_add(struct event_keys *keys, int64_t seq, struct slice key) MUST_CHECK;

/* Drops the chunk of an event that has been removed, if few of its events are left. */
enum err event_keys_expire(struct event_keys *keys, int64_t seq) MUST_CHECK;

/* Whether the index gives way to damage that it has met since the last call: what has failed with
 * ERR_DAMAGED, and was rolled back, should be tried again. */
bool event_keys_gave_way(struct event_keys *keys);

void event_keys_committed(struct event_keys *keys);
void event_keys_rolled_back(struct event_keys *keys);

/* The reader, with a connection of its own. */

struct event_keys_look_up {
    struct sqlite3_stmt *read_bucket, *read_run;
    struct hash_seed seed;
    bool has_seed; /* else nothing is indexed */
    uint32_t tag;  /* of the key */
};

/* Prepares to look for a key. event_keys_look_up_done is due after a failure as well. */
enum err event_keys_look_up_init(
    struct event_keys_look_up *look_up, struct sqlite3 *db, struct slice key) MUST_CHECK;
void event_keys_look_up_done(struct event_keys_look_up *look_up);

#define EVENT_KEYS_FOUND_MAX 64

struct event_keys_found {
    bool is_indexed; /* false: the events from `first` on may all have the key */
    int64_t first;   /* of the numbers that this answer is about; the next question ends before */
    unsigned count;
    int64_t seqs[EVENT_KEYS_FOUND_MAX]; /* candidates, newest first */
};

/* Looks into the block of event number `last`, up to this number. */
enum err event_keys_find(struct event_keys_look_up *look_up, int64_t last,
    struct event_keys_found *ret_found) MUST_CHECK;

#endif
