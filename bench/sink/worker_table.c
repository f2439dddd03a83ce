/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/worker_table.h"

#include <stdlib.h>
#include <string.h>

struct path_workers {
    const struct behaviour *of; /* the behaviour that they work by */
    struct workers workers;
};

struct workers *worker_table_find(struct worker_table *table, const struct behaviour *behaviour)
{
    if (behaviour->workers == 0)
        return NULL;
    if (behaviour->path >= table->count) {
        size_t count = behaviour->path + 1;
        struct path_workers *paths = realloc(table->paths, count * sizeof *paths);
        if (!paths)
            abort(); /* like h2o */
        memset(paths + table->count, 0, (count - table->count) * sizeof *paths);
        table->paths = paths;
        table->count = count;
    }
    struct path_workers *path = &table->paths[behaviour->path];
    if (path->of != behaviour)
        *path = (struct path_workers){.of = behaviour};
    return &path->workers;
}

void worker_table_done(struct worker_table *table)
{
    free(table->paths);
    *table = (struct worker_table){0};
}
