/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text with placeholders, such as {"order":"{key}","amount":{amount}}. It is compiled once into
 * literals and fields. Rendering copies them, so the generator stays fast.
 *
 * A placeholder is a name of lower-case letters, digits, "_" and ":" in braces. An unknown one is
 * an error: it is a typing mistake. All other braces are part of the text, so JSON needs no
 * escapes.
 *
 * Bounds: TEMPLATE_BYTES_MAX of text, TEMPLATE_PARTS_MAX parts. The long fields, {body} and
 * {filling}, may occur once. So a rendered text has at most TEMPLATE_RENDERED_BYTES_MAX bytes.
 */
#ifndef PENSTOCK_BENCH_LOAD_TEMPLATE_H
#define PENSTOCK_BENCH_LOAD_TEMPLATE_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdio.h>

#define TEMPLATE_BYTES_MAX 16384
#define TEMPLATE_PARTS_MAX 128
#define TEMPLATE_FIELD_BYTES_MAX 96   /* of a field that is not long */
#define TEMPLATE_LONG_BYTES_MAX 65536 /* of {body} or {filling} */
#define TEMPLATE_COMPLAINT_BYTES 160
#define TEMPLATE_RENDERED_BYTES_MAX \
    (TEMPLATE_BYTES_MAX + TEMPLATE_PARTS_MAX * TEMPLATE_FIELD_BYTES_MAX + TEMPLATE_LONG_BYTES_MAX)

enum template_field {
    FIELD_KEY,
    FIELD_TYPE,
    FIELD_ACCOUNT,
    FIELD_AMOUNT,
    FIELD_CURRENCY,
    FIELD_DUE_US,
    FIELD_FILLING,
    FIELD_BODY,
    TEMPLATE_FIELDS,
    FIELD_LITERAL = TEMPLATE_FIELDS
};

struct template_part {
    enum template_field field;
    struct slice literal; /* in the template's text */
};

struct template
{
    char *text; /* malloc'd */
    unsigned parts_count;
    struct template_part parts[TEMPLATE_PARTS_MAX];
    unsigned fields; /* bits: 1 << enum template_field */
};

/* A text for each field. Fields that the template does not have are not read. */
struct template_values {
    struct slice of[TEMPLATE_FIELDS];
};

/* `allowed`: bits of the fields that may occur. Returns false, with a complaint, when the text is
 * malformed or too long. */
bool template_compile(const char *text, unsigned allowed, struct template *ret_template,
    char ret_complaint[TEMPLATE_COMPLAINT_BYTES]);
void template_done(struct template *template);

static inline bool template_has(const struct template *template, enum template_field field)
{
    return template->fields >> field & 1;
}

/* Returns the length of the text without {filling}. */
size_t template_bare_length(const struct template *template, const struct template_values *values);
/* Appends the text. */
void template_render(
    const struct template *template, const struct template_values *values, struct buffer *buffer);

/* Prints the placeholders, for --help. */
void template_print_fields(FILE *file);

#endif
