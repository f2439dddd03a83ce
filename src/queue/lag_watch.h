/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which partitions are behind, as an ingress thread sees it. Part of its publish breaker.
 *
 * A partition is behind while its events wait in the broker for longer than `lag_us_max`
 * (broker/lag.h): the broker, the link or the consumer is overloaded or broken. A new event would
 * queue behind those that wait. The direct path costs less, and delivers it at once.
 *
 *   in time --its marked event waits too long--> behind --a lag probe takes half of it--> in time
 *
 * A lag probe is a probe that is marked. The first one is sent after 1 s. While lag probes are
 * slow, or the partition falls behind again within 30 s, the next one is sent after twice the time,
 * up to 30 s: a few events cost an overloaded broker almost as much as many. A partition without a
 * lag probe for another 30 s counts as in time. Being behind is no state of the connection. It is
 * logged at most once in 10 s.
 */
#ifndef PENSTOCK_QUEUE_LAG_WATCH_H
#define PENSTOCK_QUEUE_LAG_WATCH_H

#include "broker/lag.h"

/* Of one partition. */
struct partition_lag {
    bool behind, probing; /* probing: a lag probe was sent */
    int64_t probe_due_us, probe_gap_us, caught_up_us;
};

struct lag_watch {
    struct broker_lag *lag; /* NULL: how long events wait does not matter */
    unsigned number;        /* of the thread */
    int64_t lag_us_max;
    unsigned partitions_count, behind_count;
    int64_t logged_us;
    struct partition_lag *partitions;
};

void lag_watch_init(struct lag_watch *watch, struct broker_lag *lag, unsigned number,
    unsigned partitions_count, int64_t lag_us_max, int64_t now_us);
void lag_watch_stop(struct lag_watch *watch); /* the thread is about to end */
void lag_watch_done(struct lag_watch *watch);

/* An event was published. It is marked if the partition has no mark that is valid. */
void lag_watch_mark(struct lag_watch *watch, const struct event_id *id, int64_t now_us);
/* Looks at the mark of the partition. Returns whether it is behind. */
bool lag_watch_is_behind(struct lag_watch *watch, unsigned partition, int64_t now_us);
/* The marked event was published on a connection that is gone: the partition counts as in time. */
void lag_watch_forget(struct lag_watch *watch, unsigned partition, int64_t now_us);
void lag_watch_forget_all(struct lag_watch *watch, int64_t now_us);
/* Partitions without a lag probe for long count as in time. There are no events, or guarded ones
 * only. */
void lag_watch_expire(struct lag_watch *watch, int64_t now_us);

/* Returns whether a lag probe of the partition is due. */
bool lag_watch_wants_probe(const struct lag_watch *watch, unsigned partition, int64_t now_us);
/* It was published. */
void lag_watch_on_probe(
    struct lag_watch *watch, unsigned partition, const struct event_id *id, int64_t now_us);

#endif
