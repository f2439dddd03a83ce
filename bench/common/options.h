/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's command line as one table: the parser, the complaints and --help come from it. What
 * no row can say (an option that is required, or needs another one) the program checks behind
 * options_parse, and says by options_refuse.
 *
 *   penstock-load: --threads "99": should be a number from 1 to 16 (see --help)
 *   penstock-load: --url: is missing (see --help)
 */
#ifndef PENSTOCK_BENCH_COMMON_OPTIONS_H
#define PENSTOCK_BENCH_COMMON_OPTIONS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct option_row {
    const char *name;  /* with its dashes */
    const char *value; /* what --help calls it; "": a flag */
    /* NULL, or what the value should be (static). `value` is the caller's argv, "" for a flag; an
     * option that is given again comes again. */
    const char *(*set)(void *options, const char *value);
    const char *doc;
};

struct option_table {
    const char *program;
    const char *usage;  /* what follows its name */
    const char *before; /* the rows, in --help */
    const struct option_row *rows;
    size_t rows_count;
    void (*print_after)(FILE *file); /* the rows, in --help */
};

/* Arguments from argv[1] on. ERR_USAGE: the complaint is on stderr. --help is printed to stdout,
 * and ends the process with 0. */
enum err options_parse(
    const struct option_table *table, int argc, char **argv, void *options) MUST_CHECK;

/* "PROGRAM: ARGUMENT: PROBLEM (see --help)" on stderr; ERR_USAGE. */
enum err options_refuse(
    const struct option_table *table, const char *argument, const char *problem) MUST_CHECK;

/* ERR_USAGE with a complaint when only one of the two is given. */
enum err options_check_tls(const struct option_table *table, const char *certificate_file,
    const char *key_file) MUST_CHECK;

/* For setters, and as they: NULL, or what the value should be. */
const char *option_set_number(const char *value, int64_t min, int64_t max, int64_t *ret_number);
const char *option_set_unsigned(
    const char *value, unsigned min, unsigned max, unsigned *ret_number);
const char *option_set_text(const char *value, const char **ret_text);

#endif
