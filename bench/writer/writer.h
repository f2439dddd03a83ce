/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a gateway's journal through the gateway's own code (src/journal), without its threads and
 * network. The gateway that owns the data directory must not run. writer.c is the only file of
 * bench/ that includes the journal: a change of its format changes what is written here as well.
 *
 * What fails is printed, and ends the process with EX_SOFTWARE. Everything but writer_open and
 * writer_close is called between writer_begin and writer_commit.
 */
#ifndef PENSTOCK_BENCH_WRITER_WRITER_H
#define PENSTOCK_BENCH_WRITER_WRITER_H

#include "model/delivery_state.h"
#include "model/event.h"

struct writer;

/* Opens journal-<shard>.db of a directory, and makes it if it is not there. */
struct writer *writer_open(const char *directory, unsigned shard);
void writer_close(struct writer *writer); /* takes NULL */

/* Begins a transaction that appends at most `deliveries_max` deliveries. */
void writer_begin(struct writer *writer, unsigned deliveries_max);
void writer_commit(struct writer *writer);

/* Gives an event an id of its time of acceptance. */
void writer_make_id(struct writer *writer, struct event_parts *parts);

/* Enters the event's key into the dedupe store, and writes nothing else of the event. The id is
 * the one that a duplicate is answered with. */
void writer_add_key(struct writer *writer, const struct event_parts *parts);

/* Appends an event with a delivery for each of the endpoints 1, 2, ...; returns its number. */
int64_t writer_append(
    struct writer *writer, const struct event_parts *parts, unsigned endpoints_count);
/* The same with one delivery, for this endpoint. */
int64_t writer_append_to(struct writer *writer, const struct event_parts *parts, uint64_t endpoint);
/* Records the first attempt of a delivery of the event: the client answered 200. */
void writer_deliver(struct writer *writer, int64_t seq, unsigned index);
/* Records the first attempt of a delivery of the event: its connection was refused, and it is dead.
 */
void writer_die(struct writer *writer, int64_t seq, unsigned index);
/* Lets a delivery of the event wait that is pending: since `began_us`, for `wait_us`. */
void writer_wait(struct writer *writer, int64_t seq, unsigned index, enum wait_cause cause,
    int64_t began_us, int64_t wait_us);
/* Makes a delivery of the event that is pending one that an operator replays. */
void writer_replay(struct writer *writer, int64_t seq, unsigned index);
/* Parks a delivery of the event that is pending. */
void writer_park(struct writer *writer, int64_t seq, unsigned index, enum park_reason reason);
/* Records that event `id` is a duplicate of event `first`. */
void writer_add_alias(
    struct writer *writer, const struct event_id *id, const struct event_id *first, int64_t at_us);

/* What a load looks for: pending ones (of all lanes but replays), replays, what is due because the
 * endpoint has recovered, what is due by its time, candidates for a probe. */
enum writer_load {
    WRITER_LOAD_PENDING,
    WRITER_LOAD_REPLAYS,
    WRITER_LOAD_RECOVERED,
    WRITER_LOAD_DUE,
    WRITER_LOAD_PROBE,
    WRITER_LOADS
};
/* Loads up to `count_max` deliveries behind the cursor (a delivery's number; a due time of those
 * that are due), as a delivery thread does, and frees them. Returns how many. */
unsigned writer_load(struct writer *writer, enum writer_load load, uint64_t endpoint, int64_t after,
    unsigned count_max);

/* One step of new rules that make up to `count_max` waiting deliveries due a microsecond earlier,
 * behind a due time. Returns how many. */
unsigned writer_redue(
    struct writer *writer, uint64_t endpoint, int64_t after_due_us, unsigned count_max);

/* Whether expiry has something to do, and one step of it. Events expire after 90 days, and their
 * bodies after 7. */
bool writer_expiry_is_due(const struct writer *writer, int64_t now_us);
void writer_expire_step(struct writer *writer, int64_t now_us);

#endif
