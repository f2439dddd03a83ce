/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-sink. */
#ifndef PENSTOCK_BENCH_SINK_OPTIONS_H
#define PENSTOCK_BENCH_SINK_OPTIONS_H

#include "sink/match.h"
#include "sink/paths.h"

struct sink_options {
    const char *address; /* NULL: 127.0.0.1 */
    unsigned port, threads;
    struct match match;
    int64_t seed;
    struct paths *paths;                                             /* what --behave fills */
    const char *log_file, *ready_file, *certificate_file, *key_file; /* NULL: not given */
};

/* Puts the paths of --behave into `paths`. ERR_USAGE: the complaint is on stderr. --help ends the
 * process (common/options.h). */
enum err sink_options_parse(
    int argc, char **argv, struct paths *paths, struct sink_options *ret_options) MUST_CHECK;

#endif
