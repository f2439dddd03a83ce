/* SPDX-License-Identifier: Apache-2.0 */
#include "config/option.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdio.h>

#define FIELD(field) (((struct config *)0)->field)

/* A row's type and its field in struct config must fit: said to the compiler, since the parsers
 * write through an offset. */
#define IS_INTEGER(field) _Generic(FIELD(field), int64_t : 1, default : 0)
#define IS_TEXT(field, max) \
    (_Generic(FIELD(field), char * : 1, default : 0) && sizeof FIELD(field) > (max))
#define FITS_TEXT(field, max) IS_TEXT(field, max)
#define FITS_PATH(field, max) IS_TEXT(field, max)
#define FITS_ADDRESS(field, max) IS_TEXT(field, max)
#define FITS_INTEGER(field, max) IS_INTEGER(field)
#define FITS_BYTES(field, max) IS_INTEGER(field)
#define FITS_DURATION(field, max) IS_INTEGER(field)
#define FITS_LEVEL(field, max) IS_INTEGER(field)
#define FITS_QUEUE_KIND(field, max) IS_INTEGER(field)
#define FITS_BOOLEAN(field, max) _Generic(FIELD(field), bool : 1, default : 0)
#define FITS_DURATIONS(field, max) \
    (_Generic(FIELD(field), struct retry_schedule : 1, default : 0) && (max) <= RETRY_STEPS_MAX)
#define FITS_NETWORKS(field, max)                                       \
    (_Generic(FIELD(field), struct config_networks : 1, default : 0) && \
        (max) <= CONFIG_NETWORKS_MAX)

#define FITS_TYPES(field, max) \
    (_Generic(FIELD(field), struct type_list : 1, default : 0) && (max) <= TYPE_LIST_MAX)
#define FITS_ADDRESSES(field, max)                                       \
    (_Generic(FIELD(field), struct config_addresses : 1, default : 0) && \
        (max) <= CONFIG_ADDRESSES_MAX)
#define FITS_ROLES(field, max) _Generic(FIELD(field), struct config_roles : 1, default : 0)

#define X(key, type, field, min, max, default_text, when, doc)                        \
    _Static_assert(FITS_##type(field, max), key ": the field does not fit the type"); \
    _Static_assert(                                                                   \
        sizeof key + sizeof OPTION_VARIABLE_PREFIX < OPTION_NAME_BYTES, key ": too long");
OPTION_TABLE(X)
#undef X

const struct option option_rows[OPTION_COUNT] = {
#define X(key_, type_, field_, min_, max_, default_, when_, doc_) \
    {.key = key_,                                                 \
        .type = OPTION_##type_,                                   \
        .offset = offsetof(struct config, field_),                \
        .size = sizeof FIELD(field_),                             \
        .min = min_,                                              \
        .max = max_,                                              \
        .default_text = default_,                                 \
        .when = OPTION_WHEN_##when_,                              \
        .doc = doc_},
    OPTION_TABLE(X)
#undef X
};

static void write_variable(const char *key, char ret_name[OPTION_NAME_BYTES])
{
    char *at = ret_name + sprintf(ret_name, OPTION_VARIABLE_PREFIX);
    for (; *key; key++) {
        if (*key == '.') {
            *at++ = '_';
            *at++ = '_';
        } else {
            *at++ = (char)toupper((unsigned char)*key);
        }
    }
    *at = '\0';
}

void option_write_name(
    const struct option *option, enum option_form form, char ret_name[OPTION_NAME_BYTES])
{
    const char *dot = strchr(option->key, '.');
    switch (form) {
    case OPTION_FORM_KEY:
        snprintf(ret_name, OPTION_NAME_BYTES, "%s", option->key);
        break;
    case OPTION_FORM_SECTION:
        snprintf(ret_name, OPTION_NAME_BYTES, "%.*s",
            dot ? (int)(dot - option->key) : OPTION_NAME_BYTES, option->key);
        break;
    case OPTION_FORM_VARIABLE:
        write_variable(option->key, ret_name);
        break;
    case OPTION_FORM_NAME:
        snprintf(ret_name, OPTION_NAME_BYTES, "%s", dot ? dot + 1 : option->key);
        break;
    }
}

const struct option *option_find(struct slice name, enum option_form form)
{
    char known[OPTION_NAME_BYTES];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        option_write_name(&option_rows[i], form, known);
        if (slice_equals_string(name, known))
            return &option_rows[i];
    }
    return NULL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, row by row; both are shorter than OPTION_NAME_BYTES. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[OPTION_NAME_BYTES];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t replaced = diagonal + (a.data[i] != b.data[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(replaced, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[b.len];
}

/* Finds the known name nearest to a mistyped one; false when none is near enough. */
static bool find_nearest(
    struct slice wrong, enum option_form form, char ret_name[OPTION_NAME_BYTES])
{
    if (wrong.len >= OPTION_NAME_BYTES)
        return false;
    /* One mistake, and one more for every four letters: with more, a suggestion is a guess. */
    size_t given = form == OPTION_FORM_VARIABLE ? sizeof OPTION_VARIABLE_PREFIX - 1 : 0;
    size_t best = (wrong.len - given) / 4 + 2;
    const struct option *nearest = NULL;
    char known[OPTION_NAME_BYTES];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        option_write_name(&option_rows[i], form, known);
        size_t distance = edit_distance(wrong, slice_from_string(known));
        if (distance < best) {
            best = distance;
            nearest = &option_rows[i];
        }
    }
    if (nearest)
        option_write_name(nearest, form, ret_name);
    return nearest != NULL;
}

/* Options of earlier versions, and what replaces them. */
static const struct {
    const char *key, *remedy;
} removed[] = {
    {"delivery.paused", "was removed: remove it from the configuration, and use \"penstock "
                        "switch deliveries off --reason TEXT\" instead"}};

static const char *find_removed(struct slice name, enum option_form form)
{
    char known[OPTION_NAME_BYTES];
    for (size_t i = 0; i < ARRAY_LENGTH(removed); i++) {
        option_write_name(&(struct option){.key = removed[i].key}, form, known);
        if (form != OPTION_FORM_SECTION && slice_equals_string(name, known))
            return removed[i].remedy;
    }
    return NULL;
}

void option_complain_unknown(struct slice wrong, enum option_form form,
    const struct complaint_place *place, struct complaints *complaints)
{
    static const char *const nouns[] = {[OPTION_FORM_KEY] = "an option",
        [OPTION_FORM_SECTION] = "a section",
        [OPTION_FORM_VARIABLE] = "a variable of Penstock",
        [OPTION_FORM_NAME] = "an option"};
    struct buffer message = BUFFER_EMPTY;
    char nearest[OPTION_NAME_BYTES];
    complaint_quote(&message, wrong);
    const char *remedy = find_removed(wrong, form);
    if (remedy)
        buffer_add_format(&message, " %s", remedy);
    else
        buffer_add_format(&message, " is not %s", nouns[form]);
    if (!remedy && find_nearest(wrong, form, nearest))
        buffer_add_format(&message, ": did you mean %s?", nearest);
    complaint_add(complaints, place, "%s", message.data ? message.data : "unknown");
    buffer_done(&message);
}
