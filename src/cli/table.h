/* SPDX-License-Identifier: Apache-2.0 */
/* A table for people: cells are gathered, then printed in aligned columns. Texts are ASCII. */
#ifndef PENSTOCK_CLI_TABLE_H
#define PENSTOCK_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
    const char *title;
    bool is_number; /* aligned to the right */
};

struct table {
    const struct table_column *columns;
    size_t columns_count;
    char **cells; /* row by row; a row of NULLs is a line of hyphens */
    size_t count, capacity;
};

void table_init(struct table *table, const struct table_column *columns, size_t count);
void table_done(struct table *table);
void table_add(struct table *table, const char *text); /* the next cell, copied */
void table_add_line(struct table *table);              /* a row of hyphens */
void table_print(const struct table *table, FILE *out);

#endif
