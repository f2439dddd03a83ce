/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/limits.h"
#include "broker/message_internal.h"
#include "model/name.h"

#define VALUE_DEPTH_MAX 4 /* of headers in headers, as JSON */

/* Encoding */

static amqp_bytes_t literal(const char *text)
{
    return (amqp_bytes_t){.len = strlen(text), .bytes = (void *)text};
}

static amqp_field_value_t *add_header(
    struct message_encoding *encoding, const char *name, uint8_t kind)
{
    amqp_table_entry_t *entry = &encoding->headers[encoding->properties.headers.num_entries++];
    entry->key = literal(name);
    entry->value.kind = kind;
    return &entry->value;
}

static void add_text(struct message_encoding *encoding, const char *name, struct slice text)
{
    if (text.len > 0)
        add_header(encoding, name, AMQP_FIELD_KIND_UTF8)->value.bytes = message_bytes(text);
}

static void begin_encoding(struct message_encoding *encoding, const struct event_id *id)
{
    encoding->properties = (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_APP_ID_FLAG,
        .headers.entries = encoding->headers,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .app_id = literal(MESSAGE_APP_ID),
    };
    event_id_format(id, encoding->id_text);
}

void message_encode(const struct event_parts *parts, struct message_encoding *ret_encoding)
{
    begin_encoding(ret_encoding, &parts->id);
    amqp_basic_properties_t *properties = &ret_encoding->properties;
    properties->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                          AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG;
    properties->content_type = literal("application/json");
    properties->message_id =
        (amqp_bytes_t){.len = EVENT_ID_TEXT_BYTES - 1, .bytes = ret_encoding->id_text};
    properties->timestamp = (uint64_t)(parts->accepted_us / US_PER_SECOND);
    properties->type = message_bytes(parts->type);
    add_header(ret_encoding, "format", AMQP_FIELD_KIND_I32)->value.i32 = MESSAGE_FORMAT;
    add_text(ret_encoding, "account", parts->account);
    add_text(ret_encoding, "partner", parts->partner);
    add_text(ret_encoding, "class", slice_from_string(class_name(parts->class)));
    add_header(ret_encoding, "received_us", AMQP_FIELD_KIND_I64)->value.i64 = parts->accepted_us;
    add_text(ret_encoding, "key", parts->key);
    if (parts->guarded)
        add_header(ret_encoding, "guarded", AMQP_FIELD_KIND_BOOLEAN)->value.boolean = 1;
    add_text(ret_encoding, "traceparent", parts->traceparent);
}

static struct slice cut(struct slice text, size_t len_max)
{
    return slice_of(text.data, text.len < len_max ? text.len : len_max);
}

void message_encode_refused(const struct event_id *id, struct slice content_type,
    struct slice message_id, const char *reason, struct message_encoding *ret_encoding)
{
    begin_encoding(ret_encoding, id);
    amqp_basic_properties_t *properties = &ret_encoding->properties;
    properties->_flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
    properties->correlation_id =
        (amqp_bytes_t){.len = EVENT_ID_TEXT_BYTES - 1, .bytes = ret_encoding->id_text};
    if (content_type.len > 0)
        properties->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
    if (message_id.len > 0)
        properties->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    properties->content_type = message_bytes(cut(content_type, UINT8_MAX));
    properties->message_id = message_bytes(cut(message_id, UINT8_MAX));
    if (reason)
        add_text(ret_encoding, MESSAGE_REASON_HEADER,
            cut(slice_from_string(reason), MESSAGE_REASON_BYTES_MAX));
}

/* Headers as JSON */

/* The encoding of the bytes is unknown, so each byte that is not printable ASCII is escaped. */
static void json_add_bytes(struct buffer *json, amqp_bytes_t bytes)
{
    const unsigned char *at = bytes.bytes;
    buffer_add_char(json, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        if (at[i] < 0x20 || at[i] > 0x7e)
            buffer_add_format(json, "\\u%04x", at[i]);
        else if (at[i] == '"' || at[i] == '\\')
            buffer_add_format(json, "\\%c", at[i]);
        else
            buffer_add_char(json, (char)at[i]);
    }
    buffer_add_char(json, '"');
}

static bool integer_of(const amqp_field_value_t *value, int64_t *ret_number)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8:
        *ret_number = (int)value->value.i8;
        return true;
    case AMQP_FIELD_KIND_U8:
        *ret_number = value->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *ret_number = value->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *ret_number = value->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *ret_number = value->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *ret_number = value->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *ret_number = value->value.i64;
        return true;
    default:
        return false;
    }
}

static void json_add_table(struct buffer *json, const amqp_table_t *table, int depth);

static void json_add_value(struct buffer *json, const amqp_field_value_t *value, int depth)
{
    int64_t number;
    if (integer_of(value, &number)) {
        buffer_add_format(json, "%lld", (long long)number);
        return;
    }
    switch (value->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        buffer_add_string(json, value->value.boolean ? "true" : "false");
        break;
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        buffer_add_format(json, "%llu", (unsigned long long)value->value.u64);
        break;
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        json_add_bytes(json, value->value.bytes);
        break;
    case AMQP_FIELD_KIND_TABLE:
        json_add_table(json, &value->value.table, depth + 1);
        break;
    case AMQP_FIELD_KIND_ARRAY:
        buffer_add_char(json, '[');
        for (int i = 0; depth < VALUE_DEPTH_MAX && i < value->value.array.num_entries; i++) {
            if (i > 0)
                buffer_add_char(json, ',');
            json_add_value(json, &value->value.array.entries[i], depth + 1);
        }
        buffer_add_char(json, ']');
        break;
    default:
        buffer_add_string(json, "null");
    }
}

/* Entries beyond the limit are left out, beginning with the first that does not fit. Entries of an
 * inner table are left out with their table. */
static void json_add_table(struct buffer *json, const amqp_table_t *table, int depth)
{
    size_t begin = json->len;
    buffer_add_char(json, '{');
    for (int i = 0; depth < VALUE_DEPTH_MAX && i < table->num_entries; i++) {
        size_t len_before = json->len;
        if (i > 0)
            buffer_add_char(json, ',');
        json_add_bytes(json, table->entries[i].key);
        buffer_add_char(json, ':');
        json_add_value(json, &table->entries[i].value, depth);
        if (json->len - begin >= MESSAGE_HEADERS_JSON_BYTES_MAX) {
            json->len = len_before;
            break;
        }
    }
    buffer_add_char(json, '}');
}

/* Decoding */

static const amqp_field_value_t *find_header(const amqp_table_t *headers, struct slice name)
{
    for (int i = 0; i < headers->num_entries; i++)
        if (slice_equal(message_slice(headers->entries[i].key), name))
            return &headers->entries[i].value;
    return NULL;
}

/* Returns an empty slice if the header is absent or not text. */
static struct slice find_text(const amqp_table_t *headers, struct slice name)
{
    const amqp_field_value_t *value = find_header(headers, name);
    return value && value->kind == AMQP_FIELD_KIND_UTF8 ? message_slice(value->value.bytes)
                                                        : (struct slice){0};
}

static bool find_integer(const amqp_table_t *headers, struct slice name, int64_t *ret_number)
{
    const amqp_field_value_t *value = find_header(headers, name);
    return value && integer_of(value, ret_number);
}

static bool find_class(const amqp_table_t *headers, enum event_class *ret_class)
{
    struct slice name = find_text(headers, SLICE_LITERAL("class"));
    for (unsigned class = CLASS_CRITICAL; class <= CLASS_OPTIONAL; class ++) {
        if (slice_equals_string(name, class_name(class))) {
            *ret_class = class;
            return true;
        }
    }
    return false;
}

/* Returns NULL, or what is missing or wrong. */
static const char *decode_headers(const amqp_table_t *headers, struct event_parts *parts)
{
    int64_t format;
    if (!find_integer(headers, SLICE_LITERAL("format"), &format))
        return "it has no format";
    if (format != MESSAGE_FORMAT)
        return "its format is not known";
    parts->account = find_text(headers, SLICE_LITERAL("account"));
    if (!name_is_valid(parts->account))
        return "its account is missing or not valid";
    parts->partner = find_text(headers, SLICE_LITERAL("partner"));
    if (!name_is_valid(parts->partner))
        return "its partner is missing or not valid";
    if (!find_class(headers, &parts->class))
        return "its class is missing or not known";
    if (!find_integer(headers, SLICE_LITERAL("received_us"), &parts->accepted_us) ||
        parts->accepted_us <= 0)
        return "its received_us is missing or not a time";
    parts->key = find_text(headers, SLICE_LITERAL("key"));
    if (find_header(headers, SLICE_LITERAL("key")) && !name_is_valid_key(parts->key))
        return "its key is not valid";
    const amqp_field_value_t *guarded = find_header(headers, SLICE_LITERAL("guarded"));
    if (guarded && guarded->kind != AMQP_FIELD_KIND_BOOLEAN)
        return "its header guarded is not a boolean";
    parts->guarded = guarded && guarded->value.boolean;
    /* As in ingress: an invalid one is left out, and the event is still valid. */
    parts->traceparent = find_text(headers, SLICE_LITERAL("traceparent"));
    if (!name_is_valid_traceparent(parts->traceparent))
        parts->traceparent = (struct slice){0};
    return NULL;
}

static const char *decode_event(const amqp_table_t *headers, struct slice app_id,
    const struct message *message, struct event_parts *ret_parts)
{
    *ret_parts = (struct event_parts){.type = message->type, .body = message->body};
    if (!slice_equals_string(app_id, MESSAGE_APP_ID))
        return "its app_id is not penstock";
    if (!event_id_parse(message->message_id, &ret_parts->id))
        return "its message_id is missing or not the id of an event";
    if (!name_is_valid_type(message->type))
        return "its type is missing or not valid";
    if (message->body_bytes == 0)
        return "it has no body";
    if (message->body_bytes > EVENT_BYTES_MAX || message->body.len != message->body_bytes)
        return "its body is too large";
    return decode_headers(headers, ret_parts);
}

static struct slice property(
    const amqp_basic_properties_t *properties, amqp_flags_t flag, amqp_bytes_t bytes)
{
    return properties->_flags & flag ? message_slice(bytes) : (struct slice){0};
}

void message_decode(const amqp_basic_properties_t *properties, struct slice body,
    uint64_t body_bytes, bool redelivered, struct buffer *scratch, struct message *ret_message)
{
    *ret_message = (struct message){
        .body = body,
        .body_bytes = body_bytes,
        .redelivered = redelivered,
        .message_id = property(properties, AMQP_BASIC_MESSAGE_ID_FLAG, properties->message_id),
        .type = property(properties, AMQP_BASIC_TYPE_FLAG, properties->type),
        .content_type =
            property(properties, AMQP_BASIC_CONTENT_TYPE_FLAG, properties->content_type),
    };
    amqp_table_t headers = {0};
    if (properties->_flags & AMQP_BASIC_HEADERS_FLAG)
        headers = properties->headers;
    ret_message->death_reason = find_text(&headers, SLICE_LITERAL("x-first-death-reason"));
    if (!find_integer(&headers, SLICE_LITERAL("x-stream-offset"), &ret_message->stream_offset))
        ret_message->stream_offset = -1;
    ret_message->death_queue = find_text(&headers, SLICE_LITERAL("x-first-death-queue"));
    struct slice app_id = property(properties, AMQP_BASIC_APP_ID_FLAG, properties->app_id);
    ret_message->why_not = decode_event(&headers, app_id, ret_message, &ret_message->parts);
    ret_message->is_event = !ret_message->why_not;
    if (ret_message->is_event)
        return;
    buffer_clear(scratch);
    json_add_table(scratch, &headers, 0);
    if (!buffer_status(scratch))
        ret_message->headers_json = buffer_slice(scratch);
}
