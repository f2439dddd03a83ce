/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-ceiling: KIND, and options. */
#ifndef PENSTOCK_BENCH_CEILING_OPTIONS_H
#define PENSTOCK_BENCH_CEILING_OPTIONS_H

#include "ceiling/ceiling.h"

/* ERR_USAGE: the complaint is on stderr. --help ends the process (common/options.h). */
enum err ceiling_options_parse(int argc, char **argv, struct ceiling *ceiling) MUST_CHECK;

#endif
