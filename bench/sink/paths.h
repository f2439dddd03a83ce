/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the behaviour of a request: that of the longest configured path that its path equals or
 * continues with '/'. Every path continues "/". Other requests get the default behaviour, number 0.
 * Configured paths are numbered from 1 in the order in which they first appear. They keep their
 * numbers when they are replaced.
 *
 * Thread-safe after paths_share. Readers take a pointer to a table that never changes; a change
 * publishes another table. Old tables and behaviours are kept until paths_free, so readers need no
 * lock. Their number is limited.
 */
#ifndef PENSTOCK_BENCH_SINK_PATHS_H
#define PENSTOCK_BENCH_SINK_PATHS_H

#include "sink/behaviour.h"

#define PATHS_MAX 4096
#define PATH_BYTES_MAX 256
#define PATHS_CHANGES_MAX 1024 /* after paths_share */

struct paths;

enum err paths_new(struct paths **ret_paths) MUST_CHECK;
void paths_free(struct paths *paths);
/* Allows other threads to read from now on. */
void paths_share(struct paths *paths);

/* Adds or replaces a path. ERR_BAD_REQUEST (it does not begin with '/', or is too long),
 * ERR_OVERLOADED (too many paths or changes), ERR_NO_MEMORY. `behaviour` is copied. */
/* Never returns NULL. The result lives as long as `paths`. `path` is without the query. */
enum err paths_put(
    struct paths *paths, struct slice path, const struct behaviour *behaviour) MUST_CHECK;
const struct behaviour *paths_find(const struct paths *paths, struct slice path);

/* Returns whether any path reads slowly. */
bool paths_read_slowly(const struct paths *paths);

#endif
