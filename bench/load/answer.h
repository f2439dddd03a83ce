/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the answer of the gateway or the target, as far as the log needs it: accepted or duplicate,
 * and the event's id. */
#ifndef PENSTOCK_BENCH_LOAD_ANSWER_H
#define PENSTOCK_BENCH_LOAD_ANSWER_H

#include "load/sending.h"

/* Fills status, answer and event of all records of the sending. `post` is how a target is posted
 * to; NULL: Penstock. A target's answer without an id, where one is expected, is LOAD_SAID_OTHER.
 *
 * A batch's answer has one result for each item, in order: {"status": 200, "result": "accepted",
 * "event": ...}. When it is cut off, the records of the other items stay empty. */
void answer_read(struct sending *sending, const struct post *post, bool is_batch);

#endif
