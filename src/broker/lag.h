/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long events wait in the broker, as a gateway that publishes and consumes sees it: of each
 * partition, each ingress thread marks one event that it publishes, and the delivery thread says so
 * once its journal has received it from the broker. Then the next one is marked. Both read the same
 * monotonic clock, so no two machines' clocks are compared.
 *
 * A mark whose event never comes (it was not confirmed, another gateway had it) is replaced or
 * forgotten by its thread.
 *
 * Memory: 16 bytes for each partition and thread. Nothing waits, and there is no lock.
 */
#ifndef PENSTOCK_BROKER_LAG_H
#define PENSTOCK_BROKER_LAG_H

#include "base/err.h"
#include "model/event_id.h"

struct broker_lag;

enum err broker_lag_new(
    unsigned partitions, unsigned threads, struct broker_lag **ret_lag) MUST_CHECK;
void broker_lag_free(struct broker_lag *lag); /* takes NULL */

/* The ingress thread `thread`, about its own marks. An event is of the partition that its id names.
 * */
bool broker_lag_is_marked(const struct broker_lag *lag, unsigned thread, unsigned partition);
/* In place of an earlier one that has not come. */
void broker_lag_mark(
    struct broker_lag *lag, unsigned thread, const struct event_id *id, int64_t now_mono_us);
/* As if nothing had ever been marked. */
void broker_lag_forget(struct broker_lag *lag, unsigned thread, unsigned partition);
/* How old the marked one is, or how long the last one took; 0: there was none. */
int64_t broker_lag_us(
    const struct broker_lag *lag, unsigned thread, unsigned partition, int64_t now_mono_us);

/* A delivery thread: its journal has received this event from the broker. */
void broker_lag_arrived(struct broker_lag *lag, const struct event_id *id, int64_t now_mono_us);

#endif
