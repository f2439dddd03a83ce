/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that consumes the queue on a connection of its own, so that the queue stays nearly
 * empty. One ack covers many deliveries. */
#ifndef PENSTOCK_BENCH_CEILING_DRAIN_H
#define PENSTOCK_BENCH_CEILING_DRAIN_H

#include "ceiling/ceiling.h"

/* For a kind's table. They keep the thread in the ceiling's `data`. drain_open empties the
 * queue. */
enum err drain_open(struct ceiling *ceiling);
void drain_cut(struct ceiling *ceiling, struct server *server);
void drain_close(struct ceiling *ceiling, struct server *server);

#endif
