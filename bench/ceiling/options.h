/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one table of options, from which the parser, the complaints and --help come. */
#ifndef PENSTOCK_BENCH_CEILING_OPTIONS_H
#define PENSTOCK_BENCH_CEILING_OPTIONS_H

#include "ceiling/ceiling.h"

/* ERR_USAGE with a complaint on stderr that names the argument; *ret_help: print the help and do nothing else. */
enum err options_parse(int argc, char **argv, struct ceiling *ceiling, bool *ret_help) MUST_CHECK;
void options_print_help(void);

#endif
