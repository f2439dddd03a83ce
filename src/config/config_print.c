/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the option table: the sample file and the help text. */
#include "config/config.h"
#include "config/value.h"

#define SAMPLE_COLUMNS 100

/* Words of `text` in lines of at most SAMPLE_COLUMNS, each after `prefix`. */
static void add_wrapped(struct buffer *out, const char *prefix, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > SAMPLE_COLUMNS) {
            buffer_add_char(out, '\n');
            column = 0;
        }
        buffer_add_string(out, column == 0 ? prefix : " ");
        buffer_add(out, text, len);
        column += (column == 0 ? strlen(prefix) : 1) + len;
        text += len;
        text += strspn(text, " ");
    }
    buffer_add_char(out, '\n');
}

static const char *takes_effect(const struct option *option)
{
    return option->when == OPTION_WHEN_reload ? "reload" : "restart";
}

/* As the file has it: texts in quotes, since *:8080 would be an alias and an empty text a null. */
static void add_default(struct buffer *out, const struct option *option)
{
    const char *quote = value_is_text(option) ? "\"" : "";
    buffer_add_format(out, "%s%s%s", quote, option->default_text, quote);
}

/* One option, commented out; the first one of a section follows the line of the section. */
static void add_sample(struct buffer *text, const struct option *option, bool is_first_of_section)
{
    char section[OPTION_NAME_BYTES], name[OPTION_NAME_BYTES];
    const char *indent = option_has_section(option) ? "  " : "";
    option_write_name(option, OPTION_FORM_SECTION, section);
    option_write_name(option, OPTION_FORM_NAME, name);
    buffer_add_char(text, '\n');
    if (is_first_of_section && option_has_section(option))
        buffer_add_format(text, "%s:\n", section);
    struct buffer doc = BUFFER_EMPTY;
    buffer_add_format(&doc, "%s (%s)", option->doc, takes_effect(option));
    add_wrapped(text, *indent ? "  # " : "# ", doc.data ? doc.data : option->doc);
    buffer_done(&doc);
    buffer_add_format(text, "%s#%s: ", indent, name);
    add_default(text, option);
    buffer_add_char(text, '\n');
}

void config_print_sample(struct buffer *text)
{
    add_wrapped(text, "# ",
        "The configuration of Penstock. Every option is here with its default, commented out: "
        "uncomment the line to change it.");
    buffer_add_string(text, "#\n");
    add_wrapped(text, "# ",
        "The environment overrides this file: PENSTOCK_SECTION__NAME sets section.name, such as "
        "PENSTOCK_INGRESS__LISTEN=127.0.0.1:8080. Commas separate the items of lists.");
    buffer_add_string(text, "#\n");
    add_wrapped(text, "# ",
        "SIGHUP applies changes of options marked (reload); those marked (restart) need a restart. "
        "`penstock check -c FILE` checks a file.");
    char section[OPTION_NAME_BYTES], previous[OPTION_NAME_BYTES] = "";
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        option_write_name(&option_rows[i], OPTION_FORM_SECTION, section);
        add_sample(text, &option_rows[i], strcmp(section, previous) != 0);
        memcpy(previous, section, sizeof previous);
    }
}

void config_print_help(struct buffer *text)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        buffer_add_format(text, "  %s: ", option_rows[i].key);
        add_default(text, &option_rows[i]);
        buffer_add_format(text, " (%s)\n", takes_effect(&option_rows[i]));
        add_wrapped(text, "      ", option_rows[i].doc);
    }
}
