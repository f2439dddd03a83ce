/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that consumes the queue on a connection of its own and acks, many deliveries at once, so
 * that the queue stays near empty. */
#ifndef PENSTOCK_BENCH_CEILING_DRAIN_H
#define PENSTOCK_BENCH_CEILING_DRAIN_H

#include "ceiling/ceiling.h"

/* Of a kind's table: they keep the thread in the ceiling's `data`. The queue is emptied first. */
enum err drain_open(struct ceiling *ceiling);
void drain_cut(struct ceiling *ceiling, struct server *server);
void drain_close(struct ceiling *ceiling, struct server *server);

#endif
