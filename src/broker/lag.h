/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures how long events wait in the broker, in a gateway that publishes and consumes. For each
 * partition, each ingress thread marks one event that it publishes. The delivery thread reports
 * when its journal has received that event from the broker. Then the next one is marked. Both use
 * the same monotonic clock, so clocks of two machines are never compared.
 *
 * If the marked event never arrives (it was not confirmed, or another gateway received it), the
 * thread replaces or forgets the mark.
 *
 * Memory: 16 bytes for each partition and thread. There is no lock, and no function waits.
 */
#ifndef PENSTOCK_BROKER_LAG_H
#define PENSTOCK_BROKER_LAG_H

#include "base/err.h"
#include "model/event_id.h"

struct broker_lag;

struct broker_lag *broker_lag_new(unsigned partitions, unsigned threads);
void broker_lag_free(struct broker_lag *lag); /* takes NULL */

/* For the ingress thread `thread` and its own marks. The event's id gives the partition. */
bool broker_lag_is_marked(const struct broker_lag *lag, unsigned thread, unsigned partition);
/* Replaces an earlier mark that has not arrived. */
void broker_lag_mark(
    struct broker_lag *lag, unsigned thread, const struct event_id *id, int64_t now_mono_us);
/* Resets the mark, as if no event had been marked. */
void broker_lag_forget(struct broker_lag *lag, unsigned thread, unsigned partition);
/* Returns the age of the marked event, or how long the last one took; 0: there was none. */
int64_t broker_lag_us(
    const struct broker_lag *lag, unsigned thread, unsigned partition, int64_t now_mono_us);

/* For a delivery thread: its journal has received this event from the broker. */
void broker_lag_arrived(struct broker_lag *lag, const struct event_id *id, int64_t now_mono_us);

#endif
