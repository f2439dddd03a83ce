/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-verdict. */
#ifndef PENSTOCK_BENCH_VERDICT_OPTIONS_H
#define PENSTOCK_BENCH_VERDICT_OPTIONS_H

#include "verdict/levels.h"

#include <stdio.h>

#define OPTIONS_FILES_MAX 64

struct options {
    const char *load_files[OPTIONS_FILES_MAX], *sink_files[OPTIONS_FILES_MAX];
    size_t load_files_count, sink_files_count;
    const char *data; /* directory; NULL: without the gateway's account */
    const char *usage_file;
    struct levels levels;
    bool json, help;
};

/* Texts stay the caller's. ERR_USAGE: what is wrong has been said on `talk`. */
enum err options_parse(int argc, char **argv, FILE *talk, struct options *ret_options) MUST_CHECK;
void options_print_help(FILE *out);

#endif
