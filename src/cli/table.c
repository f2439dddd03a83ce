/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *table, const struct table_column *columns, size_t count)
{
    *table = (struct table){.columns = columns, .columns_count = count};
}

void table_done(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

static void add_cell(struct table *table, char *cell)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 256;
        table->cells = memory_resize(table->cells, table->capacity * sizeof *table->cells);
    }
    table->cells[table->count++] = cell;
}

void table_add(struct table *table, const char *text)
{
    add_cell(table, memory_copy_string(text));
}

void table_add_line(struct table *table)
{
    for (size_t i = 0; i < table->columns_count; i++)
        add_cell(table, NULL);
}

static void print_cell(
    const struct table *table, size_t column, const char *text, size_t width, FILE *out)
{
    bool is_last = column + 1 == table->columns_count;
    if (table->columns[column].is_number)
        fprintf(out, "%*s", (int)width, text);
    else
        fprintf(out, "%-*s", is_last ? 0 : (int)width, text);
    fputs(is_last ? "\n" : "  ", out);
}

static void print_hyphens(size_t width, bool is_last, FILE *out)
{
    while (width-- > 0)
        fputc('-', out);
    fputs(is_last ? "\n" : "  ", out);
}

void table_print(const struct table *table, FILE *out)
{
    size_t columns = table->columns_count;
    assert(columns > 0);
    size_t *widths = memory_new_array(columns, sizeof *widths);
    for (size_t i = 0; i < columns; i++)
        widths[i] = strlen(table->columns[i].title);
    for (size_t i = 0; i < table->count; i++) {
        size_t len = table->cells[i] ? strlen(table->cells[i]) : 0;
        widths[i % columns] = len > widths[i % columns] ? len : widths[i % columns];
    }
    for (size_t i = 0; i < columns; i++)
        print_cell(table, i, table->columns[i].title, widths[i], out);
    for (size_t i = 0; i < table->count; i++) {
        if (table->cells[i])
            print_cell(table, i % columns, table->cells[i], widths[i % columns], out);
        else
            print_hyphens(widths[i % columns], i % columns + 1 == columns, out);
    }
    free(widths);
}
