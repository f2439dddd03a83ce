/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each event is to be sent, decided before the run and whatever the server does: an open loop.
 * A timetable is a list of parts, written as text and separated by commas:
 *
 *   constant:RATE:DURATION         RATE events a second, evenly spaced
 *   ramp:FROM:TO:DURATION          the rate goes up (or down) in a straight line
 *   step:FROM:TO:BY:DURATION       constant parts of DURATION each, BY apart
 *   burst:COUNT:EVERY:DURATION     COUNT events at once, every EVERY
 *   pause:DURATION
 *   replay:FILE                    a recorded one: a line for each event, microseconds since the part's start,
 * ascending closed:COUNT:DURATION          not an open loop: COUNT requests are kept in flight, to
 * find the most a server can do; only as the last part, since nobody knows before how many events
 * it has
 *
 * Events are numbered from 0 in the order of their times. Every thread walks the whole timetable
 * and takes the numbers that are its own, so that nothing is shared.
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
    int64_t count;     /* of events (STEADY, REPLAY); at once (BURST); in flight (CLOSED) */
    int64_t every_us;  /* BURST */
    int64_t *times_us; /* REPLAY: malloc'd */
};

struct timetable {
    unsigned parts_count;
    struct timetable_part parts[TIMETABLE_PARTS_MAX];
    int64_t duration_us;
    int64_t events; /* without the closed parts, whose count nobody knows before */
};

/* ERR_USAGE with a complaint that names the part; the timetable is then to be thrown away by
 * timetable_done as well. */
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
/* The next event's time, or what comes instead; does not move. */
enum timetable_next timetable_walk_peek(struct timetable_walk *walk, int64_t *ret_us);
/* Behind the event that peek showed. */
void timetable_walk_step(struct timetable_walk *walk);
/* The closed part that peek showed. */
const struct timetable_part *timetable_walk_closed(const struct timetable_walk *walk);

#endif
