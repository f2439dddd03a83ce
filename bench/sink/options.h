/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-sink. */
#ifndef PENSTOCK_BENCH_SINK_OPTIONS_H
#define PENSTOCK_BENCH_SINK_OPTIONS_H

#include "sink/paths.h"

struct sink_options {
    unsigned port, threads;
    uint64_t seed;
    const char *log_file, *ready_file, *certificate_file, *key_file; /* NULL: not given */
    bool help;
};

/* The paths of --behave go into `paths`. ERR_USAGE when a complaint has been printed to stderr. */
enum err options_parse(int argc, char **argv, struct paths *paths, struct sink_options *ret_options) MUST_CHECK;
void options_print_help(FILE *file);

#endif
