/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dedupe store finds after the answer. With a broker an ingress thread answers from its
 * recent keys. The dedupe store judges when the event arrives from its queue. It may find:
 *
 *   alias           a duplicate that was answered as accepted, with an id of its own
 *   late conflict   another amount under the same key: an event of its own, parked as a conflict
 *
 * Neither is a fault: each 200 is accounted for. So an alias and a late conflict each excuse one
 * more id of their key. A late conflict also excuses an amount. That amount counts as accepted and
 * as held, beside the key's own.
 */
#ifndef PENSTOCK_BENCH_VERDICT_JOIN_LATE_H
#define PENSTOCK_BENCH_VERDICT_JOIN_LATE_H

#include "verdict/figures.h"

/* `was_answered`: a partner got its id. After the call the id belongs to the key. */
void late_take_conflict(struct keys *keys, struct figures *figures, uint32_t place, int64_t micros,
    uint8_t currency, bool was_answered);
/* Called after the events of the same journal. An alias of another key's event excuses nothing. */
void late_take_alias(struct keys *keys, struct figures *figures,
    const unsigned char id[EVENT_BYTES], const unsigned char first[EVENT_BYTES]);
/* Called once all journals are read. For a key with late conflicts, the accepted amount is the one
 * in the journal. */
void late_resolve(struct keys *keys);

#endif
