/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of each path, for one loop: which requests a client works on is decided by its own
 * loop. They are all free again when the path's behaviour is replaced. */
#ifndef PENSTOCK_BENCH_SINK_WORKER_TABLE_H
#define PENSTOCK_BENCH_SINK_WORKER_TABLE_H

#include "sink/behaviour.h"

/* All zeros at first. */
struct worker_table {
    struct path_workers *paths; /* by the path's number */
    size_t count;
};

/* Returns the workers of the behaviour's path, valid until the next call. NULL when their number is
 * not limited. */
struct workers *worker_table_find(struct worker_table *table, const struct behaviour *behaviour);
void worker_table_done(struct worker_table *table);

#endif
