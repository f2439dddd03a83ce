/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of option_table.h as data, and finding them by name. Only config/ includes this. */
#ifndef PENSTOCK_CONFIG_OPTION_H
#define PENSTOCK_CONFIG_OPTION_H

#include "base/slice.h"
#include "config/complaint.h"
#include "config/config.h"
#include "config/option_table.h"

#include <string.h>

enum option_type {
    OPTION_TEXT,
    OPTION_PATH,
    OPTION_ADDRESS,
    OPTION_INTEGER,
    OPTION_BYTES,
    OPTION_DURATION,
    OPTION_BOOLEAN,
    OPTION_LEVEL,
    OPTION_QUEUE_KIND,
    OPTION_DURATIONS,
    OPTION_NETWORKS,
    OPTION_TYPES,
    OPTION_ADDRESSES,
    OPTION_ROLES,
    OPTION_TYPE_COUNT
};

enum option_when { OPTION_WHEN_reload, OPTION_WHEN_restart };

struct option {
    const char *key; /* section.name, or a name alone */
    enum option_type type;
    enum option_when when;
    size_t offset, size; /* of its field in struct config */
    int64_t min, max;
    const char *default_text;
    const char *doc;
};

#define X(...) +1
enum { OPTION_COUNT = OPTION_TABLE(X) };
#undef X

extern const struct option option_rows[OPTION_COUNT];

static inline bool option_has_section(const struct option *option)
{
    return strchr(option->key, '.') != NULL;
}

static inline void *option_field(const struct option *option, struct config *config)
{
    return (char *)config + option->offset;
}

static inline const void *option_field_const(
    const struct option *option, const struct config *config)
{
    return (const char *)config + option->offset;
}

/*
 * The forms of an option's name: the key ingress.threads, its section ingress, the variable
 * PENSTOCK_INGRESS__THREADS, and the name threads in the section. An option without a section has
 * its name as its section as well, since both are at the top level of a file.
 */
enum option_form { OPTION_FORM_KEY, OPTION_FORM_SECTION, OPTION_FORM_VARIABLE, OPTION_FORM_NAME };

#define OPTION_NAME_BYTES 96
#define OPTION_VARIABLE_PREFIX "PENSTOCK_"

void option_write_name(
    const struct option *option, enum option_form form, char ret_name[OPTION_NAME_BYTES]);

/* Returns the first row that has this name in this form, or NULL. */
const struct option *option_find(struct slice name, enum option_form form);

/* Complains that the name `wrong` does not exist, and suggests the nearest one. */
void option_complain_unknown(struct slice wrong, enum option_form form,
    const struct complaint_place *place, struct complaints *complaints);

#endif
