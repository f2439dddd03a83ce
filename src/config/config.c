/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three sources, each over the one before: the table's defaults, the file, the environment. All are
 * read to the end, so that one run shows all problems. The result is built in a copy: the
 * caller's configuration changes as a whole or not at all.
 */
#include "config/config.h"

#include "base/cleanup.h"
#include "base/memory.h"
#include "config/config_check.h"
#include "config/config_file.h"
#include "config/value.h"

#include <assert.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static_assert(OPTION_COUNT <= COMPLAINT_OPTIONS_MAX, "each option has a place in complaints");

void config_defaults(struct config *ret_config)
{
    struct buffer text = BUFFER_EMPTY;
    struct complaints complaints = {.text = &text};
    *ret_config = (struct config){0};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct complaint_place place = {.subject = option_rows[i].key};
        value_set_flat(&option_rows[i], slice_from_string(option_rows[i].default_text), ret_config,
            &place, &complaints);
    }
    assert(complaints.count == 0);
    buffer_done(&text);
}

static void take_named(struct slice name, enum option_form form, struct slice value,
    struct config *config, struct complaints *complaints)
{
    const struct option *option = option_find(name, form);
    if (!option) {
        struct complaint_place nowhere = {0};
        option_complain_unknown(name, form, &nowhere, complaints);
        return;
    }
    char subject[OPTION_NAME_BYTES];
    option_write_name(option, form, subject);
    struct complaint_place place = {.subject = subject};
    value_set_flat(option, value, config, &place, complaints);
    complaints->sources[option - option_rows].is_variable = form == OPTION_FORM_VARIABLE;
}

/* A variable that begins with PENSTOCK_ and has a double underscore is an option, known or
 * mistyped. Others, such as PENSTOCK_HOME, are not ours, unless an option without a section has
 * that name. */
static void take_variable(
    const char *variable, struct config *config, struct complaints *complaints)
{
    size_t prefix_len = sizeof OPTION_VARIABLE_PREFIX - 1;
    const char *equals = strchr(variable, '=');
    if (!equals || strncmp(variable, OPTION_VARIABLE_PREFIX, prefix_len) != 0)
        return;
    struct slice name = slice_of(variable, (size_t)(equals - variable));
    /* The last underscore of the prefix counts: PENSTOCK__X is a typo as well. */
    bool is_ours = memmem(name.data + prefix_len - 1, name.len - prefix_len + 1, "__", 2) != NULL;
    if (!is_ours && !option_find(name, OPTION_FORM_VARIABLE))
        return;
    take_named(name, OPTION_FORM_VARIABLE, slice_from_string(equals + 1), config, complaints);
}

void config_complain(struct complaints *complaints, const char *key, const char *format, ...)
{
    char subject[OPTION_NAME_BYTES], message[1024];
    const struct option *option = option_find(slice_from_string(key), OPTION_FORM_KEY);
    struct complaint_place place = {.subject = key};
    if (option) {
        const struct complaint_source *source = &complaints->sources[option - option_rows];
        if (source->is_variable) {
            option_write_name(option, OPTION_FORM_VARIABLE, subject);
            place.subject = subject;
        } else if (source->line) {
            place = (struct complaint_place){.file = complaints->file,
                .line = source->line,
                .column = source->column,
                .subject = key};
        }
    }
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    complaint_add(complaints, &place, "%s", message);
}

static void check_to_run(const char *file, const struct config *config,
    void (*more)(const struct config *config, struct complaints *complaints),
    struct complaints *complaints)
{
    struct complaint_place place = {.file = file};
    if (file && !complaints->file_has_content)
        complaint_add(complaints, &place,
            "is empty: choose another file, or fill it with the output of \"penstock check "
            "--sample\"");
    if (file) /* else an argument names the directory */
        config_check_data_directory(config, complaints);
    config_check_files(config, complaints);
    if (more)
        more(config, complaints);
}

static enum err load(const char *file, char *const *environment, bool to_run,
    void (*more)(const struct config *config, struct complaints *complaints),
    struct config *ret_config, struct buffer *complaints_text)
{
    AUTO_FREE struct config *fresh = memory_new_raw(sizeof *fresh);
    struct complaints complaints = {.text = complaints_text, .file = file};
    config_defaults(fresh);
    if (file)
        config_file_load(file, fresh, &complaints);
    for (char *const *variable = environment; variable && *variable; variable++)
        take_variable(*variable, fresh, &complaints);
    if (complaints.count == 0) { /* else these checks would be about wrong values */
        config_check(fresh, &complaints);
        if (to_run)
            check_to_run(file, fresh, more, &complaints);
    }
    if (complaints.count > 0)
        return ERR_CONFIG;
    *ret_config = *fresh;
    return OK;
}

enum err config_load(const char *file, char *const *environment, struct config *ret_config,
    struct buffer *complaints_text)
{
    return load(file, environment, false, NULL, ret_config, complaints_text);
}

enum err config_load_to_run(const char *file, char *const *environment,
    void (*more)(const struct config *config, struct complaints *complaints),
    struct config *ret_config, struct buffer *complaints_text)
{
    return load(file, environment, true, more, ret_config, complaints_text);
}

enum err config_set(
    struct config *config, const char *key, const char *value, struct buffer *complaints_text)
{
    struct complaints complaints = {.text = complaints_text};
    take_named(
        slice_from_string(key), OPTION_FORM_KEY, slice_from_string(value), config, &complaints);
    return complaints.count > 0 ? ERR_CONFIG : OK;
}

void config_reload(struct config *config, const struct config *fresh, struct buffer *needs_restart)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_rows[i];
        void *field = option_field(option, config);
        const void *fresh_field = option_field_const(option, fresh);
        if (memcmp(field, fresh_field, option->size) == 0)
            continue;
        if (option->when == OPTION_WHEN_reload) {
            memcpy(field, fresh_field, option->size);
            continue;
        }
        if (needs_restart->len > 0)
            buffer_add_char(needs_restart, ' ');
        buffer_add_string(needs_restart, option->key);
    }
}

void config_dev_directory(char *ret_path, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state) {
        snprintf(ret_path, size, "%s/penstock", state);
        return;
    }
    if (!home || !*home) {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : "/";
    }
    snprintf(ret_path, size, "%s/.local/state/penstock", home);
}
