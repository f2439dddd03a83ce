/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overload of an ingress thread, and which classes of events it refuses: optional ones first, then
 * important ones, critical ones last. Three signs, and each has its levels:
 *
 *   sign      what is measured                                     optional  important  critical
 *   memory    part of the byte budget that is in use, of the         80 %      90 %      100 %
 *             fullest shard
 *   turns     how late the loop is, on average over about 1 s       500 ms    1500 ms    never
 *   answers   from a request to its durable event, on average      1000 ms    2000 ms    never
 *             over about 64 answers
 *
 * A partner gets 503 when its answer takes 3 s, so the times leave half of that for what is
 * accepted. They never refuse critical events: these are late then, but are not lost. Memory is
 * taken from the budget of one shard, exactly and event by event (byte_budget.h). Its level here is
 * for the metric and the status only, so that a full shard refuses nothing for others.
 *
 * A level rises at once and falls one step for each second below it. Without answers their average
 * decreases by half in each second, so that a level that stops all answers ends.
 *
 * What the disk refuses is decided by the journal (journal/disk_reserve.h). No clock: times are
 * monotonic.
 */
#ifndef PENSTOCK_MODEL_OVERLOAD_H
#define PENSTOCK_MODEL_OVERLOAD_H

#include "model/class.h"

#include <stdint.h>

enum overload_sign { OVERLOAD_MEMORY, OVERLOAD_TURNS, OVERLOAD_ANSWERS, OVERLOAD_SIGNS };

/* How many classes are refused. */
enum overload_level { OVERLOAD_NONE, OVERLOAD_OPTIONAL, OVERLOAD_IMPORTANT, OVERLOAD_CRITICAL };

struct overload {
    enum overload_level levels[OVERLOAD_SIGNS];
    int64_t above_us[OVERLOAD_SIGNS]; /* the last time that the level held */
    double turn_us, answer_us;        /* averages */
    int64_t answered_us;              /* the last answer */
};

/* A zeroed struct is no overload. */
void overload_note_answer(struct overload *overload, int64_t took_us, int64_t now_us);
/* Called about every 100 ms. `late_us`: how much later than that. */
void overload_tick(
    struct overload *overload, int64_t late_us, unsigned memory_percent, int64_t now_us);

/* Whether a class is refused because of the times; *ret_sign: by which. */
bool overload_refuses(
    const struct overload *overload, enum event_class class, enum overload_sign *ret_sign);

static inline enum overload_level overload_level_of(enum event_class class)
{
    return (enum overload_level)(CLASS_OPTIONAL - class + OVERLOAD_OPTIONAL);
}

const char *overload_sign_name(enum overload_sign sign); /* "memory" */

#endif
