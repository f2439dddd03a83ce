/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yajl reports every value of the body, and only the one at the pointer is compared, while it is
 * valid. The answer is the client's own JSON, so it is read less strictly than an event: names that
 * occur twice, and bytes that are not UTF-8, are no reason to send it again. The first value at the
 * pointer counts.
 */
#include "model/success_rule.h"

#include "base/limits.h"
#include "model/key_pointer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define SHOWN_BYTES 24 /* of a text, in a reason */

const struct success_rule success_rule_default = {
    /* 200 to 299 are the bits 100 to 199. */
    .statuses.bits = {[1] = UINT64_MAX << 36, [2] = UINT64_MAX, [3] = (UINT64_C(1) << 8) - 1},
};

bool success_rule_wants_body(const struct success_rule *rule)
{
    return rule && (rule->contains_count > 0 || rule->contains_not_count > 0 || rule->pointer.len);
}

static enum success judge(char ret_why[SUCCESS_WHY_BYTES], enum success success, const char *format,
    ...) __attribute__((format(printf, 3, 4)));
static enum success judge(
    char ret_why[SUCCESS_WHY_BYTES], enum success success, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_why, SUCCESS_WHY_BYTES, format, args);
    va_end(args);
    return success;
}

/* A part of a text that is safe to show. */
struct shown {
    char text[SHOWN_BYTES + 4];
};

static struct shown show(struct slice text)
{
    struct shown shown = {{0}};
    size_t len = text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES;
    for (size_t i = 0; i < len; i++)
        shown.text[i] = text.data[i] >= 0x20 && text.data[i] <= 0x7e && text.data[i] != '"'
                            ? text.data[i]
                            : '?';
    if (len < text.len)
        memcpy(shown.text + len, "...", 3);
    return shown;
}

static bool contains(struct slice body, struct slice text)
{
    return body.len > 0 && memmem(body.data, body.len, text.data, text.len) != NULL;
}

/* The value at the pointer. */

enum found { FOUND_NOTHING, FOUND_CONTAINER, FOUND_OTHER, FOUND_EQUAL };

struct search {
    const struct success_rule *rule;
    struct key_search key;
    unsigned depth; /* open objects and arrays */
    bool too_deep;
    enum found found;
    char is[SHOWN_BYTES + 16]; /* the value that is found, in words */
};

/* Reads a number that is no integer. Returns false for an integer: those are compared as texts. */
static bool read_fraction(struct slice text, double *ret_number)
{
    char copy[SUCCESS_TEXT_BYTES_MAX + 1];
    if (text.len >= sizeof copy ||
        (!memchr(text.data, '.', text.len) && !memchr(text.data, 'e', text.len) &&
            !memchr(text.data, 'E', text.len)))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *ret_number = strtod(copy, NULL);
    return true;
}

static bool numbers_are_equal(struct slice a, struct slice b)
{
    double number_a, number_b;
    return slice_equal(a, b) ||
           (read_fraction(a, &number_a) && read_fraction(b, &number_b) && number_a == number_b);
}

static bool equals(const struct success_rule *rule, enum json_value value, struct slice text)
{
    if (value != rule->equals)
        return false;
    if (value == JSON_VALUE_NUMBER)
        return numbers_are_equal(text, rule->equals_text);
    return value != JSON_VALUE_STRING || slice_equal(text, rule->equals_text);
}

static void put_in_words(char ret_words[SHOWN_BYTES + 16], enum json_value value, struct slice text)
{
    static const char *const words[] = {
        [JSON_VALUE_TRUE] = "true", [JSON_VALUE_FALSE] = "false", [JSON_VALUE_NULL] = "null"};
    if (value == JSON_VALUE_STRING)
        snprintf(ret_words, SHOWN_BYTES + 16, "\"%s\"", show(text).text);
    else
        snprintf(ret_words, SHOWN_BYTES + 16, "%s",
            value == JSON_VALUE_NUMBER ? show(text).text : words[value]);
}

static int on_scalar(struct search *search, enum json_value value, struct slice text)
{
    if (!key_search_on_value(&search->key, search->depth, JSON_SCALAR))
        return 1;
    search->found = equals(search->rule, value, text) ? FOUND_EQUAL : FOUND_OTHER;
    put_in_words(search->is, value, text);
    return 1;
}

static int on_container(struct search *search, enum json_kind kind)
{
    if (key_search_on_value(&search->key, search->depth, kind)) {
        search->found = FOUND_CONTAINER;
        snprintf(
            search->is, sizeof search->is, "%s", kind == JSON_OBJECT ? "an object" : "an array");
    }
    search->too_deep = ++search->depth > EVENT_JSON_DEPTH_MAX;
    return !search->too_deep;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    return on_scalar(context, JSON_VALUE_STRING, slice_of(text, len));
}

static int on_number(void *context, const char *text, size_t len)
{
    return on_scalar(context, JSON_VALUE_NUMBER, slice_of(text, len));
}

static int on_boolean(void *context, int value)
{
    return on_scalar(context, value ? JSON_VALUE_TRUE : JSON_VALUE_FALSE, slice_of(NULL, 0));
}

static int on_null(void *context)
{
    return on_scalar(context, JSON_VALUE_NULL, slice_of(NULL, 0));
}

static int on_start_map(void *context)
{
    return on_container(context, JSON_OBJECT);
}

static int on_start_array(void *context)
{
    return on_container(context, JSON_ARRAY);
}

static int on_map_key(void *context, const unsigned char *name, size_t len)
{
    struct search *search = context;
    key_search_on_name(&search->key, search->depth, slice_of(name, len));
    return 1;
}

static int on_end(void *context)
{
    struct search *search = context;
    key_search_on_end(&search->key, search->depth--);
    return 1;
}

static const yajl_callbacks callbacks = {.yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end};

/* Returns true if the body is one JSON text that is not nested too deep. */
static bool search_body(struct search *search, struct slice body)
{
    if (slice_starts_with(body, "\xef\xbb\xbf"))
        body = slice_of(body.data + 3, body.len - 3);
    yajl_handle parser = yajl_alloc(&callbacks, NULL, search);
    if (!parser)
        return false;
    yajl_config(parser, yajl_dont_validate_strings, 1);
    bool good = yajl_parse(parser, (const unsigned char *)body.data, body.len) == yajl_status_ok &&
                yajl_complete_parse(parser) == yajl_status_ok;
    yajl_free(parser);
    return good;
}

static enum success judge_pointer(
    const struct success_rule *rule, struct slice body, char ret_why[SUCCESS_WHY_BYTES])
{
    struct search search = {.rule = rule};
    key_search_begin(&search.key, rule->pointer);
    struct shown pointer = show(rule->pointer);
    if (!search_body(&search, body))
        return judge(ret_why, SUCCESS_UNKNOWN, "the answer is %s, so it has no value at %s",
            search.too_deep ? "nested too deep" : "not JSON", pointer.text);
    if (search.found == FOUND_EQUAL)
        return judge(ret_why, SUCCESS_YES, "the rule is met");
    if (search.found == FOUND_NOTHING)
        return judge(ret_why, SUCCESS_NO, "the answer has no value at %s", pointer.text);
    char wanted[SHOWN_BYTES + 16];
    put_in_words(wanted, rule->equals, rule->equals_text);
    return judge(
        ret_why, SUCCESS_NO, "the value at %s is %s, not %s", pointer.text, search.is, wanted);
}

static enum success judge_body(
    const struct success_rule *rule, struct slice body, bool cut, char ret_why[SUCCESS_WHY_BYTES])
{
    bool in_doubt = cut && rule->pointer.len > 0;
    for (unsigned i = 0; i < rule->contains_count; i++) {
        if (contains(body, rule->contains[i]))
            continue;
        if (!cut)
            return judge(ret_why, SUCCESS_NO, "the answer does not contain \"%s\"",
                show(rule->contains[i]).text);
        in_doubt = true;
    }
    for (unsigned i = 0; i < rule->contains_not_count; i++) {
        if (contains(body, rule->contains_not[i]))
            return judge(ret_why, SUCCESS_NO, "the answer contains \"%s\"",
                show(rule->contains_not[i]).text);
        in_doubt |= cut;
    }
    if (in_doubt)
        return judge(
            ret_why, SUCCESS_UNKNOWN, "the answer was cut or is too long, so it cannot be judged");
    return rule->pointer.len ? judge_pointer(rule, body, ret_why)
                             : judge(ret_why, SUCCESS_YES, "the rule is met");
}

enum success success_rule_judge(const struct success_rule *rule, int status, struct slice body,
    bool cut, char ret_why[SUCCESS_WHY_BYTES])
{
    if (!rule)
        rule = &success_rule_default;
    if (!status_set_has(&rule->statuses, status))
        return judge(ret_why, SUCCESS_NO, "the status %d is not a success", status);
    if (success_rule_wants_body(rule))
        return judge_body(rule, body, cut, ret_why);
    bool is_default =
        memcmp(&rule->statuses, &success_rule_default.statuses, sizeof rule->statuses) == 0;
    return judge(ret_why, SUCCESS_YES, "%s", is_default ? "" : "the rule is met");
}
