/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dedupe store has found behind the answer. With a broker an ingress thread answers from
 * what it has seen lately; the dedupe store judges when the event comes out of its queue. Then a
 * duplicate that was answered as accepted, with an id of its own, is an alias of the first one, and
 * other money under the same key is an event of its own that is parked as a conflict. Neither is a
 * fault: each 200 is accounted for. So an alias and such a conflict excuse an id of their key, and
 * the conflict an amount, which counts as accepted and as held beside the key's own.
 */
#ifndef PENSTOCK_BENCH_VERDICT_JOIN_LATE_H
#define PENSTOCK_BENCH_VERDICT_JOIN_LATE_H

#include "verdict/figures.h"

/* `was_answered`: a partner had been told its id. Behind that its id is the key's. */
void late_take_conflict(struct keys *keys, struct figures *figures, uint32_t place, int64_t micros,
    uint8_t currency, bool was_answered);
/* Behind the events of the same journal. One that leads to an event of another key excuses nothing.
 * */
void late_take_alias(struct keys *keys, struct figures *figures,
    const unsigned char id[EVENT_BYTES], const unsigned char first[EVENT_BYTES]);
/* When all journals are read: of the amounts of a key that has late conflicts the accepted one is
 * the journal's. */
void late_resolve(struct keys *keys);

#endif
