/* SPDX-License-Identifier: Apache-2.0 */
/* Complaints about a configuration, a line each: the place, the subject, and the remedy. Only
 * config/ includes this. */
#ifndef PENSTOCK_CONFIG_COMPLAINT_H
#define PENSTOCK_CONFIG_COMPLAINT_H

#include "base/buffer.h"

#define COMPLAINT_OPTIONS_MAX 128

/* Where an option got its value. */
struct complaint_source {
    size_t line, column; /* in the file; 0: not in the file */
    bool is_variable;    /* set by the environment, over the file */
};

struct complaints {
    struct buffer *text;
    size_t count;
    const char *file;
    bool file_has_content;                                  /* sections, with options or without */
    struct complaint_source sources[COMPLAINT_OPTIONS_MAX]; /* by the option's row */
};

/* What a complaint is about: `file:line:column: subject`, or the subject alone (a variable, an
 * argument). Line 0: the file as a whole. */
struct complaint_place {
    const char *file;    /* NULL: not a file */
    size_t line, column; /* from 1 */
    const char *subject; /* may be NULL */
};

void complaint_add(struct complaints *complaints, const struct complaint_place *place,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends a value in quotes, fit for a terminal: cut when long, control characters written out. */
void complaint_quote(struct buffer *text, struct slice value);

#endif
