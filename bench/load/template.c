/* SPDX-License-Identifier: Apache-2.0 */
#include "load/template.h"

#include <stdlib.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_:"

static const struct {
    const char *name, *does;
} fields[TEMPLATE_FIELDS] = {
    [FIELD_KEY] = {"key", "our key, RUN-NUMBER: the sink finds the event by it"},
    [FIELD_TYPE] = {"type", "the event's type"},
    [FIELD_ACCOUNT] = {"account", "the event's account"},
    [FIELD_AMOUNT] = {"amount", "such as 129.90; 0.00 for an event without money"},
    [FIELD_CURRENCY] = {"currency", "such as EUR"},
    [FIELD_DUE_US] = {"due_us", "when it was due: microseconds of the wall clock"},
    [FIELD_FILLING] = {"filling", "letters, up to the size of --size; once"},
    [FIELD_BODY] = {"body", "the event as Penstock takes it; once"},
};

void template_print_fields(FILE *file)
{
    for (unsigned i = 0; i < TEMPLATE_FIELDS; i++)
        fprintf(file, "  {%s}%*s%s\n", fields[i].name, 10 - (int)strlen(fields[i].name), "",
            fields[i].does);
}

static enum template_field find_field(struct slice name)
{
    for (unsigned i = 0; i < TEMPLATE_FIELDS; i++)
        if (slice_equals_string(name, fields[i].name))
            return (enum template_field)i;
    return FIELD_LITERAL;
}

/* Returns the name in the braces that begin at `at`; an empty slice when it is no placeholder. */
static struct slice name_at(const char *at)
{
    size_t len = strspn(at + 1, NAME_CHARACTERS);
    return slice_of(at + 1, at[1 + len] == '}' ? len : 0);
}

static bool add_part(struct template *template, enum template_field field, struct slice literal)
{
    if (field == FIELD_LITERAL && literal.len == 0)
        return true;
    if (template->parts_count == TEMPLATE_PARTS_MAX)
        return false;
    template->parts[template->parts_count++] =
        (struct template_part){.field = field, .literal = literal};
    if (field != FIELD_LITERAL)
        template->fields |= 1u << field;
    return true;
}

static bool complain(char *ret_complaint, const char *format, struct slice name)
{
    snprintf(ret_complaint, TEMPLATE_COMPLAINT_BYTES, format, (int)(name.len < 40 ? name.len : 40),
        name.data);
    return false;
}

/* Compiles the copy of the text that the template owns. */
static bool compile(struct template *template, unsigned allowed, char *ret_complaint)
{
    const char *literal = template->text;
    bool fits = true;
    for (const char *at = literal; (at = strchr(at, '{')) && fits;) {
        struct slice name = name_at(at);
        if (name.len == 0) {
            at++;
            continue;
        }
        enum template_field field = find_field(name);
        if (field == FIELD_LITERAL)
            return complain(ret_complaint, "{%.*s} is not a placeholder", name);
        if (!(allowed >> field & 1))
            return complain(ret_complaint, "{%.*s} is not allowed here", name);
        bool is_long = field == FIELD_BODY || field == FIELD_FILLING;
        if (is_long && (template->fields & (1u << FIELD_BODY | 1u << FIELD_FILLING)))
            return complain(ret_complaint, "{%.*s}: only one of {body} and {filling}, once", name);
        fits = add_part(template, FIELD_LITERAL, slice_of(literal, (size_t)(at - literal))) &&
               add_part(template, field, slice_of(NULL, 0));
        at = literal = name.data + name.len + 1;
    }
    fits = fits && add_part(template, FIELD_LITERAL, slice_from_string(literal));
    if (!fits)
        snprintf(ret_complaint, TEMPLATE_COMPLAINT_BYTES, "it has more than %d parts",
            TEMPLATE_PARTS_MAX);
    return fits;
}

bool template_compile(const char *text, unsigned allowed, struct template *ret_template,
    char ret_complaint[TEMPLATE_COMPLAINT_BYTES])
{
    if (strlen(text) > TEMPLATE_BYTES_MAX) {
        snprintf(ret_complaint, TEMPLATE_COMPLAINT_BYTES, "it has more than %d bytes",
            TEMPLATE_BYTES_MAX);
        return false;
    }
    struct template template = {.text = strdup(text)};
    if (!template.text)
        abort(); /* at the start, without memory for 16 KiB */
    if (!compile(&template, allowed, ret_complaint)) {
        template_done(&template);
        return false;
    }
    *ret_template = template;
    return true;
}

void template_done(struct template *template)
{
    free(template->text);
    *template = (struct template){0};
}

size_t template_bare_length(const struct template *template, const struct template_values *values)
{
    size_t len = 0;
    for (unsigned i = 0; i < template->parts_count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->field != FIELD_FILLING)
            len += part->field == FIELD_LITERAL ? part->literal.len : values->of[part->field].len;
    }
    return len;
}

void template_render(
    const struct template *template, const struct template_values *values, struct buffer *buffer)
{
    for (unsigned i = 0; i < template->parts_count; i++) {
        const struct template_part *part = &template->parts[i];
        buffer_add_slice(
            buffer, part->field == FIELD_LITERAL ? part->literal : values->of[part->field]);
    }
}
