/* SPDX-License-Identifier: Apache-2.0 */
#include "main/manage.h"

#include "model/name.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Words become parts of a path: they must be names. */
static bool words_are_names(const struct invocation *call)
{
    for (unsigned i = 0; i < call->words_count; i++) {
        if (name_is_valid(slice_from_string(call->words[i])))
            continue;
        command_fail(ERR_USAGE, "\"%s\" " NAME_RULE, call->words[i]);
        return false;
    }
    return true;
}

int manage_call(const struct invocation *call, const char *method, json_t *body,
    void (*print)(const json_t *answer), const char *format, ...)
{
    char path[512];
    if (!words_are_names(call)) {
        json_decref(body);
        return err_exit_code(ERR_USAGE);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return remote_show(call, method, path, body, print);
}

/* An object's texts, side by side; a text by itself. */
static void print_item(const json_t *item)
{
    const char *name, *gap = "";
    json_t *value;
    if (json_is_string(item))
        fputs(json_string_value(item), stdout);
    json_object_foreach((json_t *)item, name, value)
    {
        if (json_is_string(value) && json_string_length(value) > 0) {
            printf("%s%s", gap, json_string_value(value));
            gap = "  ";
        }
    }
}

/* A line each, below each other. An endpoint without types gets all. */
static void print_array(const char *name, const json_t *array)
{
    size_t i;
    json_t *item;
    if (json_array_size(array) == 0)
        printf("%-12s %s\n", name, strcmp(name, "types") == 0 ? "all" : "none");
    json_array_foreach(array, i, item)
    {
        printf("%-12s ", i == 0 ? name : "");
        print_item(item);
        putchar('\n');
    }
}

void manage_print_members(const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_string(value))
            printf("%-12s %s\n", name,
                json_string_length(value) > 0 ? json_string_value(value) : "none");
        else if (json_is_boolean(value))
            printf("%-12s %s\n", name, json_is_true(value) ? "true" : "false");
        else if (json_is_integer(value))
            printf("%-12s %lld\n", name, (long long)json_integer_value(value));
        else if (json_is_array(value))
            print_array(name, value);
    }
}

/* Flags only where they are not as usual: enabled, and nothing else. */
static void print_unusual(const json_t *item)
{
    const char *name;
    json_t *value, *pattern;
    size_t i;
    json_object_foreach((json_t *)item, name, value)
    {
        if (json_is_boolean(value) && (strcmp(name, "enabled") == 0) != json_is_true(value))
            printf("  %s%s", json_is_true(value) ? "" : "not ", name);
        json_array_foreach(value, i, pattern)
            printf("%s%s", i == 0 ? "  " : ",", json_string_value(pattern));
    }
}

void manage_print_list(const json_t *answer)
{
    json_t *items = json_object_iter_value(json_object_iter((json_t *)answer)), *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        print_item(item);
        print_unusual(item);
        putchar('\n');
    }
    if (json_array_size(items) == 0)
        fputs("none\n", stderr);
}

void manage_add_text(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body)
{
    if (call->flags[flag])
        json_object_set_new(body, name, json_string(call->flags[flag]));
}

void manage_add_list(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body)
{
    const char *rest = call->flags[flag];
    if (!rest)
        return;
    json_t *list = json_array();
    while (*rest) {
        size_t len = strcspn(rest, ",");
        json_array_append_new(list, json_stringn(rest, len));
        rest += len + (rest[len] == ',');
    }
    json_object_set_new(body, name, list);
}

bool manage_add_boolean(
    const struct invocation *call, enum command_flag flag, const char *name, json_t *body)
{
    const char *text = call->flags[flag];
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
        command_fail(ERR_USAGE, "%s takes true or false, not \"%s\"", name, text);
        return false;
    }
    if (text)
        json_object_set_new(body, name, json_boolean(strcmp(text, "true") == 0));
    return true;
}
