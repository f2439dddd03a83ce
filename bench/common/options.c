/* SPDX-License-Identifier: Apache-2.0 */
#include "common/options.h"

#include "common/quantity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HELP_OPTION "--help"

/* Prints names, values and descriptions in columns, each as wide as its widest text. */
static void print_rows(const struct option_table *table, FILE *file)
{
    int name_width = (int)strlen(HELP_OPTION), value_width = 0;
    for (size_t i = 0; i < table->rows_count; i++) {
        int name = (int)strlen(table->rows[i].name), value = (int)strlen(table->rows[i].value);
        name_width = name > name_width ? name : name_width;
        value_width = value > value_width ? value : value_width;
    }
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct option_row *row = &table->rows[i];
        fprintf(
            file, "  %-*s %-*s  %s\n", name_width, row->name, value_width, row->value, row->doc);
    }
    fprintf(file, "  %-*s %-*s  this text\n", name_width, HELP_OPTION, value_width, "");
}

static void print_help(const struct option_table *table, FILE *file)
{
    fprintf(file, "Usage: %s %s\n\n%s\n", table->program, table->usage, table->before);
    print_rows(table, file);
    fputc('\n', file);
    table->print_after(file);
}

enum err options_refuse(const struct option_table *table, const char *argument, const char *problem)
{
    fprintf(stderr, "%s: %s: %s (see --help)\n", table->program, argument, problem);
    return ERR_USAGE;
}

static const struct option_row *find_row(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->rows_count; i++)
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    return NULL;
}

enum err options_parse(const struct option_table *table, int argc, char **argv, void *options)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = "";
        if (strcmp(name, HELP_OPTION) == 0) {
            print_help(table, stdout);
            exit(EXIT_SUCCESS);
        }
        const struct option_row *row = find_row(table, name);
        if (!row)
            return options_refuse(table, name, "is not an option");
        if (*row->value) {
            if (++i == argc)
                return options_refuse(table, name, "needs a value");
            value = argv[i];
        }
        const char *should_be = row->set(options, value);
        if (should_be) {
            fprintf(stderr, "%s: %s \"%s\": should be %s (see --help)\n", table->program, name,
                value, should_be);
            return ERR_USAGE;
        }
    }
    return OK;
}

enum err options_check_tls(
    const struct option_table *table, const char *certificate_file, const char *key_file)
{
    if (certificate_file && !key_file)
        return options_refuse(table, "--tls-key", "is missing: --tls-cert needs it");
    if (key_file && !certificate_file)
        return options_refuse(table, "--tls-cert", "is missing: --tls-key needs it");
    return OK;
}

const char *option_set_number(const char *value, int64_t min, int64_t max, int64_t *ret_number)
{
    static char should_be[80];
    if (quantity_parse_between(value, min, max, ret_number))
        return NULL;
    snprintf(should_be, sizeof should_be, "a number from %" PRId64 " to %" PRId64, min, max);
    return should_be;
}

const char *option_set_unsigned(const char *value, unsigned min, unsigned max, unsigned *ret_number)
{
    int64_t number;
    const char *should_be = option_set_number(value, min, max, &number);
    if (!should_be)
        *ret_number = (unsigned)number;
    return should_be;
}

const char *option_set_text(const char *value, const char **ret_text)
{
    if (!*value)
        return "some text";
    *ret_text = value;
    return NULL;
}
