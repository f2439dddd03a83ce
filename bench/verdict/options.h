/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-verdict. */
#ifndef PENSTOCK_BENCH_VERDICT_OPTIONS_H
#define PENSTOCK_BENCH_VERDICT_OPTIONS_H

#include "verdict/levels.h"

#define OPTIONS_FILES_MAX 64

struct options {
    const char *load_files[OPTIONS_FILES_MAX], *sink_files[OPTIONS_FILES_MAX];
    size_t load_files_count, sink_files_count;
    const char *data; /* directory; NULL: without journals */
    const char *usage_file;
    enum figures_target target;
    struct levels levels;
    struct subset_spec subsets[SUBSETS_MAX];
    unsigned subsets_count;
    bool json;
    bool details; /* the text without the summary */
};

/* The texts stay in argv. ERR_USAGE: the complaint is on stderr. --help ends the process
 * (common/options.h). */
enum err verdict_options_parse(int argc, char **argv, struct options *ret_options) MUST_CHECK;

#endif
