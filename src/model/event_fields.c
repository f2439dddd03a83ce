/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yajl reports every value. Only the members of the outermost object and the value at the key
 * pointer are used. Strings are copied at once, because yajl may return its own decode buffer. A
 * value that is too long for its field is a problem of the field; it is never cut.
 */
#include "model/event_fields.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/json_names.h"
#include "model/json_text.h"
#include "model/key_pointer.h"
#include "model/money.h"
#include "model/name.h"

#include <stdarg.h>
#include <stdio.h>
#include <yajl/yajl_parse.h>

enum field {
    FIELD_TYPE,
    FIELD_ACCOUNT,
    FIELD_ID,
    FIELD_OCCURRED_AT,
    FIELD_AMOUNT,
    FIELD_CURRENCY,
    FIELDS,
    FIELD_OTHER
};

static const struct slice field_names[FIELDS] = {SLICE_LITERAL("type"), SLICE_LITERAL("account"),
    SLICE_LITERAL("id"), SLICE_LITERAL("occurred_at"), SLICE_LITERAL("amount"),
    SLICE_LITERAL("currency")};

enum value { VALUE_STRING, VALUE_NUMBER, VALUE_NULL, VALUE_BOOLEAN, VALUE_OBJECT, VALUE_ARRAY };

struct reader {
    struct event_fields *fields;
    struct field_problems *problems;
    struct slice key_pointer;
    struct key_search key_search;
    struct json_names names;
    unsigned depth; /* open objects and arrays */
    uint64_t objects;
    uint64_t object_at[EVENT_JSON_DEPTH_MAX + 1]; /* the number of the open object, by depth */
    enum field current;
    unsigned seen; /* bits of enum field */
    enum err stopped;
    char stop_reason[EVENT_TYPE_BYTES_MAX + 64];
};

static void complain(struct reader *reader, enum field field, const char *detail)
{
    char pointer[32];
    snprintf(pointer, sizeof pointer, "/%s", field_names[field].data);
    field_problems_add(reader->problems, pointer, detail);
}

static int stop(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int stop(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reader->stop_reason, sizeof reader->stop_reason, format, args);
    va_end(args);
    reader->stopped = ERR_MALFORMED_JSON;
    return 0;
}

#define STORE(field, value)                                  \
    ({                                                       \
        bool fits_ = (value).len <= sizeof(field).text;      \
        if (fits_) {                                         \
            memcpy((field).text, (value).data, (value).len); \
            (field).len = (value).len;                       \
        }                                                    \
        fits_;                                               \
    })

static void take_amount(struct reader *reader, struct slice value)
{
    const char *problem = NULL;
    if (!money_check_amount(value, &problem))
        complain(reader, FIELD_AMOUNT, problem);
    else if (!STORE(reader->fields->amount, value))
        complain(reader, FIELD_AMOUNT, "is too long");
}

static void take_text(struct reader *reader, struct slice value)
{
    struct event_fields *fields = reader->fields;
    switch (reader->current) {
    case FIELD_TYPE:
        if (!name_is_valid_type(value) || !STORE(fields->type, value))
            complain(reader, FIELD_TYPE, TYPE_RULE);
        break;
    case FIELD_ACCOUNT:
        if (!name_is_valid(value) || !STORE(fields->account, value))
            complain(reader, FIELD_ACCOUNT, NAME_RULE);
        break;
    case FIELD_ID:
        if (!name_is_valid_key(value) || !STORE(fields->id, value))
            complain(reader, FIELD_ID, KEY_RULE);
        break;
    case FIELD_OCCURRED_AT:
        fields->has_occurred_at = clock_parse_rfc3339(value, &fields->occurred_us);
        if (!fields->has_occurred_at)
            complain(
                reader, FIELD_OCCURRED_AT, "must be an RFC 3339 time such as 2026-01-31T12:00:00Z");
        break;
    case FIELD_AMOUNT:
        take_amount(reader, value);
        break;
    case FIELD_CURRENCY:
        if (!money_check_currency(value) || !STORE(fields->currency, value))
            complain(reader, FIELD_CURRENCY, "must be three capital letters (ISO 4217)");
        break;
    default:
        break;
    }
}

/* Takes the value of a member of the outermost object. */
static void take_member(struct reader *reader, enum value value, struct slice text)
{
    bool may_be_number = reader->current == FIELD_AMOUNT;
    if (value == VALUE_NULL)
        reader->seen &= ~(1u << reader->current); /* as if the field were absent */
    else if (value == VALUE_STRING || (value == VALUE_NUMBER && may_be_number))
        take_text(reader, text);
    else
        complain(reader, reader->current,
            may_be_number ? "must be a string or a number" : "must be a string");
}

static void take_key(struct reader *reader, enum value value, struct slice text)
{
    const char *problem = NULL;
    if (value == VALUE_NULL)
        return; /* as if it were absent */
    if (value != VALUE_STRING && value != VALUE_NUMBER)
        problem = "must be a string or a number, because it is the key of the event";
    else if (!name_is_valid_key(text) || !STORE(reader->fields->pointed_key, text))
        problem = KEY_RULE ", because it is the key of the event";
    if (!problem)
        return;
    char pointer[KEY_POINTER_BYTES_MAX + 1];
    snprintf(pointer, sizeof pointer, "%.*s", SLICE_ARGS(reader->key_pointer));
    field_problems_add(reader->problems, pointer, problem);
}

static int on_value(struct reader *reader, enum value value, struct slice text)
{
    if (reader->depth == 0 && value != VALUE_OBJECT)
        return stop(reader, "the event must be a JSON object");
    enum json_kind kind = value == VALUE_OBJECT  ? JSON_OBJECT
                          : value == VALUE_ARRAY ? JSON_ARRAY
                                                 : JSON_SCALAR;
    if (key_search_on_value(&reader->key_search, reader->depth, kind))
        take_key(reader, value, text);
    if (reader->depth == 1 && reader->current != FIELD_OTHER)
        take_member(reader, value, text);
    if (kind != JSON_SCALAR && ++reader->depth > EVENT_JSON_DEPTH_MAX)
        return stop(reader, "the JSON is nested deeper than %d levels", EVENT_JSON_DEPTH_MAX);
    if (kind == JSON_OBJECT)
        reader->object_at[reader->depth] = ++reader->objects;
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    return on_value(context, VALUE_STRING, slice_of(text, len));
}

static int on_number(void *context, const char *text, size_t len)
{
    return on_value(context, VALUE_NUMBER, slice_of(text, len));
}

static int on_null(void *context)
{
    return on_value(context, VALUE_NULL, slice_of(NULL, 0));
}

static int on_boolean(void *context, int value)
{
    return on_value(context, VALUE_BOOLEAN, slice_of(NULL, 0));
}

static int on_start_map(void *context)
{
    return on_value(context, VALUE_OBJECT, slice_of(NULL, 0));
}

static int on_start_array(void *context)
{
    return on_value(context, VALUE_ARRAY, slice_of(NULL, 0));
}

static int on_end(void *context)
{
    struct reader *reader = context;
    key_search_on_end(&reader->key_search, reader->depth--);
    return 1;
}

static int stop_at_repeated(struct reader *reader, struct slice name)
{
    /* The characters of a valid type are safe to show. */
    if (name_is_valid_type(name))
        return stop(reader, "the name \"%.*s\" occurs twice in one object", SLICE_ARGS(name));
    return stop(reader, "a name occurs twice in one object");
}

static int on_map_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *reader = context;
    struct slice name = slice_of(text, len);
    enum err failed = json_names_add(&reader->names, reader->object_at[reader->depth], name);
    if (failed == ERR_EXISTS)
        return stop_at_repeated(reader, name);
    reader->stopped = failed;
    key_search_on_name(&reader->key_search, reader->depth, name);
    if (reader->depth != 1)
        return !failed;
    reader->current = FIELD_OTHER;
    for (int i = 0; i < FIELDS; i++)
        if (slice_equal(name, field_names[i]))
            reader->current = (enum field)i;
    if (reader->current != FIELD_OTHER)
        reader->seen |= 1u << reader->current;
    return !failed;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* Checks what no single value shows: absent fields, and fields that need each other. */
static void check_together(struct reader *reader)
{
    const struct event_fields *fields = reader->fields;
    unsigned seen = reader->seen;
    if (!(seen & 1u << FIELD_TYPE))
        complain(reader, FIELD_TYPE, "is required");
    if (!(seen & 1u << FIELD_ACCOUNT))
        complain(reader, FIELD_ACCOUNT, "is required");
    if (fields->amount.len && !(seen & 1u << FIELD_CURRENCY))
        complain(reader, FIELD_CURRENCY, "is required with an amount");
}

static enum err refuse_malformed(
    const struct reader *reader, size_t at, struct refusal *ret_refusal)
{
    if (reader->stopped == ERR_NO_MEMORY)
        return refuse(ret_refusal, ERR_NO_MEMORY, "Send the event again later.");
    if (reader->stopped)
        return refuse_json_at(ret_refusal, at, reader->stop_reason);
    return refuse(ret_refusal, ERR_MALFORMED_JSON,
        "The body is not valid JSON near byte %zu. Correct it and send it again.", at);
}

static enum err read_body(
    struct reader *reader, yajl_handle parser, struct slice body, struct refusal *ret_refusal)
{
    yajl_config(parser, yajl_dont_validate_strings, 1); /* json_text_check is stricter */
    if (yajl_parse(parser, (const unsigned char *)body.data, body.len) != yajl_status_ok)
        return refuse_malformed(reader, yajl_get_bytes_consumed(parser), ret_refusal);
    if (yajl_complete_parse(parser) != yajl_status_ok)
        return refuse_malformed(reader, body.len, ret_refusal);
    check_together(reader);
    if (ret_refusal->problems.count == 0)
        return OK;
    ret_refusal->error = ERR_INVALID;
    snprintf(ret_refusal->detail, sizeof ret_refusal->detail, CORRECT_THE_FIELDS);
    return ERR_INVALID;
}

enum err event_fields_parse(const struct hash_seed *seed, struct slice body,
    struct slice key_pointer, struct event_fields *ret_fields, struct refusal *ret_refusal)
{
    /* Clears only what says whether a field is there. Nobody reads the 700 bytes of text beyond
     * `len`. */
    ret_fields->type.len = ret_fields->account.len = ret_fields->id.len =
        ret_fields->pointed_key.len = 0;
    ret_fields->amount.len = ret_fields->currency.len = 0;
    ret_fields->has_occurred_at = false;
    ret_fields->occurred_us = 0;

    size_t at = 0;
    const char *problem = NULL;
    if (!json_text_check(body, &at, &problem))
        return refuse_json_at(ret_refusal, at, problem);
    struct reader reader;
    reader.fields = ret_fields;
    reader.problems = &ret_refusal->problems;
    reader.key_pointer = key_pointer;
    reader.depth = 0;
    reader.objects = 0;
    reader.current = FIELD_OTHER;
    reader.seen = 0;
    reader.stopped = OK;
    key_search_begin(&reader.key_search, key_pointer);
    ret_refusal->problems.count = 0;
    yajl_handle parser = yajl_alloc(&callbacks, NULL, &reader);
    if (!parser)
        return refuse(ret_refusal, ERR_NO_MEMORY, "Send the event again later.");
    json_names_init(&reader.names, seed);
    enum err result = read_body(&reader, parser, body, ret_refusal);
    json_names_done(&reader.names);
    yajl_free(parser);
    return result;
}
