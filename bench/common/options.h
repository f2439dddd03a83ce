/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's command line as one table. The parser, the complaints and --help come from it. A row
 * cannot express every rule: an option may be required, or may need another one. The program checks
 * such rules after options_parse, and reports them by options_refuse.
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
    const char *value; /* the name of the value in --help; "": a flag */
    /* Called each time the option is given. Returns NULL, or what the value should be (a static
     * text). `value` is in the caller's argv; "" for a flag. */
    const char *(*set)(void *options, const char *value);
    const char *doc;
};

struct option_table {
    const char *program;
    const char *usage;  /* what follows the program's name in --help */
    const char *before; /* text before the rows of --help */
    const struct option_row *rows;
    size_t rows_count;
    void (*print_after)(FILE *file); /* prints text after the rows of --help */
};

/* Parses the arguments from argv[1] on. ERR_USAGE: the complaint is on stderr. --help prints to
 * stdout and ends the process with 0. */
/* Prints "PROGRAM: ARGUMENT: PROBLEM (see --help)" to stderr. Returns ERR_USAGE. */
enum err options_parse(
    const struct option_table *table, int argc, char **argv, void *options) MUST_CHECK;
/* ERR_USAGE, with a complaint, when only one of the two files is given. */
enum err options_refuse(
    const struct option_table *table, const char *argument, const char *problem) MUST_CHECK;
enum err options_check_tls(const struct option_table *table, const char *certificate_file,
    const char *key_file) MUST_CHECK;

/* For setters. Return NULL, or what the value should be. */
const char *option_set_number(const char *value, int64_t min, int64_t max, int64_t *ret_number);
const char *option_set_unsigned(
    const char *value, unsigned min, unsigned max, unsigned *ret_number);
const char *option_set_text(const char *value, const char **ret_text);

#endif
