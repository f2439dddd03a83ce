/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each event is sent. This is decided before the run and does not depend on the server (an
 * open loop). A timetable is a list of parts, written as text and separated by commas:
 *
 *   constant:RATE:DURATION       RATE events a second, evenly spaced
 *   ramp:FROM:TO:DURATION        the rate changes linearly
 *   step:FROM:TO:BY:DURATION     constant parts of DURATION each, BY apart
 *   burst:COUNT:EVERY:DURATION   COUNT events at once, every EVERY
 *   pause:DURATION               no events
 *   replay:FILE                  a recorded timetable: a line for each event, in microseconds since
 *                                the part's start, ascending
 *   closed:COUNT:DURATION        a closed loop: COUNT requests are kept in flight, to find the
 *                                server's maximum; only as the last part, because its number of
 *                                events is not known before
 *   import:EVENTS:COUNT:DURATION a closed loop that ends after EVENTS events (whole batches), or
 *                                after DURATION; only as the last part
 *
 * Events are numbered from 0 in the order of their times. Each thread walks through the whole
 * timetable and takes the numbers that are its own, so that nothing is shared.
 */
#ifndef PENSTOCK_BENCH_LOAD_TIMETABLE_H
#define PENSTOCK_BENCH_LOAD_TIMETABLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMETABLE_PARTS_MAX 64
#define TIMETABLE_COMPLAINT_BYTES 256

enum timetable_kind {
    TIMETABLE_STEADY,
    TIMETABLE_BURST,
    TIMETABLE_PAUSE,
    TIMETABLE_REPLAY,
    TIMETABLE_CLOSED
};

struct timetable_part {
    enum timetable_kind kind;
    int64_t start_us, duration_us; /* since the run's start */
    double rate_from, rate_to;     /* events per second: STEADY */
    int64_t count;      /* STEADY, REPLAY: events; BURST: events at once; CLOSED: in flight */
    int64_t every_us;   /* BURST */
    int64_t events_max; /* CLOSED: 0 without a limit */
    int64_t *times_us;  /* REPLAY: malloc'd */
};

struct timetable {
    unsigned parts_count;
    struct timetable_part parts[TIMETABLE_PARTS_MAX];
    int64_t duration_us;
    int64_t events; /* without a closed part, whose number is not known before */
};

/* ERR_USAGE, with a complaint that names the part. Call timetable_done in this case too. */
enum err timetable_parse(const char *text, struct timetable *ret_timetable,
    char ret_complaint[TIMETABLE_COMPLAINT_BYTES]) MUST_CHECK;
void timetable_done(struct timetable *timetable);

/* One walk through a timetable. */
struct timetable_walk {
    const struct timetable *timetable;
    unsigned part;
    int64_t index;  /* of the next event within the part */
    int64_t number; /* of the next event */
};

enum timetable_next {
    TIMETABLE_EVENT,     /* *ret_us is its time since the run's start */
    TIMETABLE_IN_FLIGHT, /* the closed part begins at *ret_us, with the walk's number */
    TIMETABLE_END
};

void timetable_walk_init(struct timetable_walk *walk, const struct timetable *timetable);
/* Returns the kind of the next step, and its time. Does not move. */
enum timetable_next timetable_walk_peek(struct timetable_walk *walk, int64_t *ret_us);
/* Moves past the event that peek returned. */
void timetable_walk_step(struct timetable_walk *walk);
/* Returns the closed part that peek found. */
const struct timetable_part *timetable_walk_closed(const struct timetable_walk *walk);

#endif
