/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which behaviour a request gets: that of the longest configured path that its path equals or
 * continues with '/' ("/" is the beginning of every path). What matches none gets the default
 * behaviour, whose number is 0; configured paths are numbered from 1 on, in the order in which they
 * first appear, and keep their numbers when they are replaced.
 *
 * Thread-safe from paths_share on. Readers take a pointer to a table that never changes; a change
 * publishes another table. Old tables and behaviours stay until paths_free, so that nobody needs to
 * count who still looks at them: their number is bounded.
 */
#ifndef PENSTOCK_BENCH_SINK_PATHS_H
#define PENSTOCK_BENCH_SINK_PATHS_H

#include "sink/behaviour.h"

#define PATHS_MAX 4096
#define PATH_BYTES_MAX 256
#define PATHS_CHANGES_MAX 1024 /* behind paths_share */

struct paths;

enum err paths_new(struct paths **ret_paths) MUST_CHECK;
void paths_free(struct paths *paths);
/* From now on other threads may read. */
void paths_share(struct paths *paths);

/* Adds or replaces. ERR_BAD_REQUEST (does not begin with '/', or is too long), ERR_OVERLOADED (too
 * many paths or changes), ERR_NO_MEMORY. `behaviour` is copied. */
enum err paths_put(
    struct paths *paths, struct slice path, const struct behaviour *behaviour) MUST_CHECK;

/* Never NULL; lives as long as the table. `path` is without the query. */
const struct behaviour *paths_find(const struct paths *paths, struct slice path);

/* Does any path read slowly? */
bool paths_read_slowly(const struct paths *paths);

#endif
