/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's answer says, as far as the log wants it: accepted or duplicate, and the
 * event's id. */
#ifndef PENSTOCK_BENCH_LOAD_ANSWER_H
#define PENSTOCK_BENCH_LOAD_ANSWER_H

#include "load/sending.h"

/* Fills status, answer and event of all records of the sending. A batch's answer has a result for
 * each item, in order: {"status": 200, "result": "accepted", "event": ...}; one that is cut off
 * leaves the rest without. */
void answer_read(struct sending *sending, bool is_batch);

#endif
