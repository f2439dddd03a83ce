/* SPDX-License-Identifier: Apache-2.0 */
/* A table for people: cells that are gathered, and printed in aligned columns. Texts are ASCII. */
#ifndef PENSTOCK_MAIN_TABLE_H
#define PENSTOCK_MAIN_TABLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
    const char *title;
    bool is_number; /* to the right */
};

struct table {
    const struct table_column *columns;
    size_t columns_count;
    char **cells; /* row by row; all NULL in a row: a line of hyphens */
    size_t count, capacity;
    bool failed; /* no memory: table_print says so */
};

void table_init(struct table *table, const struct table_column *columns, size_t count);
void table_done(struct table *table);
void table_add(struct table *table, const char *text); /* the next cell, copied; NULL: of a line */
void table_add_line(struct table *table);
/* ERR_NO_MEMORY when a cell could not be kept; then nothing is printed. */
enum err table_print(const struct table *table, FILE *out) MUST_CHECK;

#endif
