/* SPDX-License-Identifier: Apache-2.0 */
#include "common/selector.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER "header:"
#define JSON "json:"
#define TOKEN_CHARACTERS \
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool set_name(const char *name, enum selector_kind kind, struct selector *ret_selector)
{
    if (strlen(name) >= SELECTOR_NAME_BYTES)
        return false;
    struct selector selector = {.kind = kind};
    for (size_t i = 0; name[i]; i++)
        selector.name[i] =
            kind == SELECTOR_HEADER ? (char)tolower((unsigned char)name[i]) : name[i];
    *ret_selector = selector;
    return true;
}

bool selector_parse(const char *text, struct selector *ret_selector)
{
    if (strcmp(text, "none") == 0)
        return set_name("", SELECTOR_NONE, ret_selector);
    if (strcmp(text, "body") == 0)
        return set_name("", SELECTOR_BODY, ret_selector);
    if (strncmp(text, HEADER, sizeof HEADER - 1) == 0) {
        const char *name = text + sizeof HEADER - 1;
        return *name && strspn(name, TOKEN_CHARACTERS) == strlen(name) &&
               set_name(name, SELECTOR_HEADER, ret_selector);
    }
    if (strncmp(text, JSON "/", sizeof JSON) == 0)
        return set_name(text + sizeof JSON - 1, SELECTOR_JSON, ret_selector);
    return false;
}

json_t *selector_read_json(struct slice body)
{
    return body.len > 0 ? json_loadb(body.data, body.len, 0, NULL) : NULL;
}

/* Copies the part of a pointer up to the next slash, without its escapes. Returns what follows. */
static const char *take_part(const char *at, char ret_part[SELECTOR_NAME_BYTES])
{
    size_t len = 0;
    for (; *at && *at != '/'; at++) {
        bool is_escape = *at == '~' && (at[1] == '0' || at[1] == '1');
        ret_part[len++] = !is_escape ? *at : at[1] == '0' ? '~' : '/';
        at += is_escape;
    }
    ret_part[len] = '\0';
    return at;
}

static const json_t *item_of(const json_t *array, const char *part)
{
    char *end;
    size_t index = strtoul(part, &end, 10);
    bool is_index = *part >= '0' && *part <= '9' && *end == '\0' && (*part != '0' || !part[1]);
    return is_index ? json_array_get(array, index) : NULL;
}

static bool write_scalar(const json_t *value, char ret_text[SELECTOR_TEXT_BYTES])
{
    int len = -1;
    if (json_is_string(value) && json_string_length(value) < SELECTOR_TEXT_BYTES)
        len = snprintf(ret_text, SELECTOR_TEXT_BYTES, "%s", json_string_value(value));
    else if (json_is_integer(value))
        len = snprintf(
            ret_text, SELECTOR_TEXT_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        len = snprintf(ret_text, SELECTOR_TEXT_BYTES, "%.15g", json_real_value(value));
    return len > 0;
}

bool selector_find_json(const json_t *root, const char *pointer, char ret_text[SELECTOR_TEXT_BYTES])
{
    char part[SELECTOR_NAME_BYTES];
    const json_t *value = root;
    *ret_text = '\0';
    for (const char *at = pointer; value && *at == '/';) {
        at = take_part(at + 1, part);
        value = json_is_array(value) ? item_of(value, part) : json_object_get(value, part);
    }
    return value && write_scalar(value, ret_text);
}
