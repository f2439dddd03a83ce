/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yajl tells of every value; only members of the outermost object matter. Strings are copied at once, since yajl may
 * hand out its own decode buffer. A value that is too long for its field is a problem of that field, not a cut.
 */
#include "model/event_fields.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/class.h"
#include "model/json_text.h"
#include "model/money.h"
#include "model/name.h"

#include <stdio.h>
#include <yajl/yajl_parse.h>

enum field {
    FIELD_TYPE,
    FIELD_ACCOUNT,
    FIELD_ID,
    FIELD_OCCURRED_AT,
    FIELD_AMOUNT,
    FIELD_CURRENCY,
    FIELD_DATA,
    FIELDS,
    FIELD_OTHER
};

static const char *const field_names[FIELDS] = {"type", "account", "id", "occurred_at", "amount", "currency", "data"};

struct reader {
    struct event_fields *fields;
    struct field_problems *problems;
    unsigned depth;
    bool outer_is_object;
    enum field current;
    unsigned seen; /* bits of enum field */
    const char *stop_reason;
};

void field_problems_add(struct field_problems *problems, const char *pointer, const char *detail)
{
    if (problems->count == FIELD_PROBLEMS_MAX)
        return;
    struct field_problem *problem = &problems->list[problems->count++];
    snprintf(problem->pointer, sizeof problem->pointer, "%s", pointer);
    snprintf(problem->detail, sizeof problem->detail, "%s", detail);
}

static void complain(struct reader *reader, enum field field, const char *detail)
{
    char pointer[32];
    snprintf(pointer, sizeof pointer, "/%s", field_names[field]);
    field_problems_add(reader->problems, pointer, detail);
}

static int stop(struct reader *reader, const char *reason)
{
    reader->stop_reason = reason;
    return 0;
}

/* True when a scalar that just came is the value of a field of the event itself. */
static bool is_member(const struct reader *reader)
{
    return reader->depth == 1 && reader->outer_is_object;
}

static int on_wrong_type(struct reader *reader)
{
    if (reader->depth == 0)
        return stop(reader, "the event must be a JSON object");
    if (is_member(reader) && reader->current < FIELDS && reader->current != FIELD_DATA)
        complain(reader, reader->current,
            reader->current == FIELD_AMOUNT ? "must be a string or a number" : "must be a string");
    return 1;
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

static void take_string(struct reader *reader, struct slice value)
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
            complain(reader, FIELD_OCCURRED_AT, "must be an RFC 3339 time such as 2026-01-31T12:00:00Z");
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

static int on_string(void *context, const unsigned char *text, size_t len)
{
    struct reader *reader = context;
    if (!is_member(reader))
        return reader->depth == 0 ? on_wrong_type(reader) : 1;
    take_string(reader, slice_of(text, len));
    return 1;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct reader *reader = context;
    if (!is_member(reader) || reader->current != FIELD_AMOUNT)
        return on_wrong_type(reader);
    take_amount(reader, slice_of(text, len));
    return 1;
}

static int on_null(void *context)
{
    return on_wrong_type(context);
}

static int on_boolean(void *context, int value)
{
    return on_wrong_type(context);
}

static int on_start(struct reader *reader)
{
    if (reader->depth > 0 && !on_wrong_type(reader))
        return 0;
    if (++reader->depth > EVENT_JSON_DEPTH_MAX)
        return stop(reader, "it is nested deeper than 32 levels");
    return 1;
}

static int on_start_map(void *context)
{
    struct reader *reader = context;
    if (reader->depth == 0)
        reader->outer_is_object = true;
    return on_start(reader);
}

static int on_start_array(void *context)
{
    struct reader *reader = context;
    return reader->depth == 0 ? on_wrong_type(reader) : on_start(reader);
}

static int on_end(void *context)
{
    ((struct reader *)context)->depth--;
    return 1;
}

static int on_map_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *reader = context;
    if (!is_member(reader))
        return 1;
    reader->current = FIELD_OTHER;
    for (int i = 0; i < FIELDS; i++)
        if (slice_equals_string(slice_of(text, len), field_names[i]))
            reader->current = (enum field)i;
    if (reader->current == FIELD_OTHER)
        return 1;
    if (reader->seen & 1u << reader->current)
        return stop(reader, "a field of the event occurs twice");
    reader->seen |= 1u << reader->current;
    return 1;
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

/* What no single value can show: absent fields, and fields that need each other. */
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

static void describe_malformed(struct reader *reader, yajl_handle parser, struct slice body)
{
    char *out = reader->problems->malformed;
    size_t size = sizeof reader->problems->malformed, at = yajl_get_bytes_consumed(parser);
    if (reader->stop_reason) {
        snprintf(out, size, "%s (at byte %zu)", reader->stop_reason, at);
        return;
    }
    unsigned char *text = yajl_get_error(parser, 0, (const unsigned char *)body.data, body.len);
    const char *reason = text ? (const char *)text : "out of memory";
    int len = (int)strcspn(reason, "\n");
    snprintf(out, size, "%.*s (at byte %zu)", len > 100 ? 100 : len, reason, at);
    if (text)
        yajl_free_error(parser, text);
}

enum err event_fields_parse(struct slice body, struct event_fields *ret_fields, struct field_problems *ret_problems)
{
    *ret_problems = (struct field_problems){0};
    /* Only what says whether a field is there: the text arrays are 500 bytes that nobody reads beyond `len`. */
    ret_fields->type.len = ret_fields->account.len = ret_fields->id.len = 0;
    ret_fields->amount.len = ret_fields->currency.len = 0;
    ret_fields->has_occurred_at = false;
    ret_fields->occurred_us = 0;

    size_t at = 0;
    const char *problem = NULL;
    if (!json_text_check(body, &at, &problem)) {
        snprintf(ret_problems->malformed, sizeof ret_problems->malformed, "%s (at byte %zu)", problem, at);
        return ERR_MALFORMED_JSON;
    }
    struct reader reader = {.fields = ret_fields, .problems = ret_problems, .current = FIELD_OTHER};
    yajl_handle parser = yajl_alloc(&callbacks, NULL, &reader);
    if (!parser)
        return ERR_NO_MEMORY;
    enum err result = OK;
    if (yajl_parse(parser, (const unsigned char *)body.data, body.len) != yajl_status_ok ||
        yajl_complete_parse(parser) != yajl_status_ok) {
        describe_malformed(&reader, parser, body);
        result = ERR_MALFORMED_JSON;
    } else {
        check_together(&reader);
        if (ret_problems->count > 0)
            result = ERR_INVALID;
    }
    yajl_free(parser);
    return result;
}
