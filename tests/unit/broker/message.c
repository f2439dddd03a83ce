/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/message_internal.h"
#include "unit/broker/peer.h"

static unsigned char wire[8192];
static amqp_pool_t pool;
static struct buffer scratch;

static void begin(void)
{
    init_amqp_pool(&pool, 4096);
    scratch = BUFFER_EMPTY;
}

static void end(void)
{
    empty_amqp_pool(&pool);
    buffer_done(&scratch);
}

TestSuite(message, .init = begin, .fini = end);

static struct message decode(
    amqp_basic_properties_t *properties, struct slice body, uint64_t body_bytes)
{
    int len = amqp_encode_properties(
        AMQP_BASIC_CLASS, properties, (amqp_bytes_t){.len = sizeof wire, .bytes = wire});
    cr_assert_gt(len, 0);
    void *decoded;
    len = amqp_decode_properties(
        AMQP_BASIC_CLASS, &pool, (amqp_bytes_t){.len = (size_t)len, .bytes = wire}, &decoded);
    cr_assert_eq(len, AMQP_STATUS_OK);
    struct message message;
    message_decode(decoded, body, body_bytes, true, &scratch, &message);
    return message;
}

static void expect_text(struct slice text, const char *expected)
{
    cr_assert(slice_equals_string(text, expected), "%.*s, not %s", SLICE_ARGS(text), expected);
}

Test(message, decode_returns_the_encoded_event)
{
    struct event_parts parts = some_event(7);
    struct message_encoding encoding;
    message_encode(&parts, &encoding);
    struct message message = decode(&encoding.properties, parts.body, parts.body.len);
    cr_assert(message.is_event, "%s", message.why_not);
    cr_assert_null(message.why_not);
    cr_assert(message.redelivered);
    cr_assert_eq(memcmp(&message.parts.id, &parts.id, sizeof parts.id), 0);
    cr_assert_eq(message.parts.accepted_us, parts.accepted_us);
    cr_assert_eq(message.parts.class, CLASS_CRITICAL);
    cr_assert(message.parts.guarded);
    expect_text(message.parts.partner, "shop");
    expect_text(message.parts.account, "acc_42");
    expect_text(message.parts.type, "payout");
    expect_text(message.parts.key, "order 4711");
    cr_assert(slice_equal(message.parts.traceparent, parts.traceparent));
    cr_assert(slice_equal(message.parts.body, parts.body));
    expect_text(message.content_type, "application/json");
    cr_assert_eq(message.headers_json.len, 0);
}

Test(message, absent_fields_are_not_encoded)
{
    struct event_parts parts = some_event(7);
    parts.class = CLASS_OPTIONAL;
    parts.guarded = false;
    parts.key = parts.traceparent = (struct slice){0};
    struct message_encoding encoding;
    message_encode(&parts, &encoding);
    cr_assert_eq(encoding.properties.headers.num_entries, 5);
    struct message message = decode(&encoding.properties, parts.body, parts.body.len);
    cr_assert(message.is_event, "%s", message.why_not);
    cr_assert_eq(message.parts.class, CLASS_OPTIONAL);
    cr_assert_not(message.parts.guarded);
    cr_assert_eq(message.parts.key.len, 0);
    cr_assert_eq(message.parts.traceparent.len, 0);
}

static amqp_table_entry_t *header(struct message_encoding *encoding, const char *name)
{
    for (int i = 0; i < encoding->properties.headers.num_entries; i++)
        if (slice_equals_string(message_slice(encoding->headers[i].key), name))
            return &encoding->headers[i];
    cr_assert_fail("no header %s", name);
    return NULL;
}

struct fault {
    const char *why_not;
    amqp_flags_t without; /* this property */
    const char *app_id, *message_id, *type;
    const char *header; /* is gone, or has this text or number instead */
    const char *text;
    bool has_number;
    int64_t number;
};

static void spoil(struct message_encoding *encoding, const struct fault *fault)
{
    amqp_basic_properties_t *properties = &encoding->properties;
    properties->_flags &= ~fault->without;
    if (fault->app_id)
        properties->app_id = amqp_cstring_bytes(fault->app_id);
    if (fault->message_id)
        properties->message_id = amqp_cstring_bytes(fault->message_id);
    if (fault->type)
        properties->type = amqp_cstring_bytes(fault->type);
    if (!fault->header)
        return;
    amqp_table_entry_t *entry = header(encoding, fault->header);
    if (fault->text)
        entry->value = (amqp_field_value_t){
            .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(fault->text)};
    else if (fault->has_number)
        entry->value =
            (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = fault->number};
    else
        entry->key = amqp_cstring_bytes("x-other");
}

Test(message, incomplete_or_wrong_message_is_not_an_event)
{
    static const struct fault faults[] = {
        {"its app_id is not penstock", .app_id = "pensTock"},
        {"its app_id is not penstock", .without = AMQP_BASIC_APP_ID_FLAG},
        {"its message_id is missing or not the id of an event", .message_id = "evt_1"},
        {"its message_id is missing or not the id of an event",
            .without = AMQP_BASIC_MESSAGE_ID_FLAG},
        {"its type is missing or not valid", .type = "a b"},
        {"its type is missing or not valid", .without = AMQP_BASIC_TYPE_FLAG},
        {"it has no format", .without = AMQP_BASIC_HEADERS_FLAG},
        {"it has no format", .header = "format"},
        {"it has no format", .header = "format", .text = "1"},
        {"its format is not known", .header = "format", .has_number = true, .number = 2},
        {"its account is missing or not valid", .header = "account"},
        {"its account is missing or not valid", .header = "account", .text = "-a"},
        {"its partner is missing or not valid", .header = "partner"},
        {"its partner is missing or not valid", .header = "partner", .text = "a\nb"},
        {"its class is missing or not known", .header = "class"},
        {"its class is missing or not known", .header = "class", .text = "unknown"},
        {"its received_us is missing or not a time", .header = "received_us"},
        {"its received_us is missing or not a time", .header = "received_us", .has_number = true,
            .number = 0},
        {"its key is not valid", .header = "key", .text = ""},
        {"its key is not valid", .header = "key", .text = "\x01"},
        {"its key is not valid", .header = "key", .has_number = true, .number = 1},
        {"its header guarded is not a boolean", .header = "guarded", .has_number = true,
            .number = 1},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(faults); i++) {
        struct event_parts parts = some_event(7);
        struct message_encoding encoding;
        message_encode(&parts, &encoding);
        spoil(&encoding, &faults[i]);
        struct message message = decode(&encoding.properties, parts.body, parts.body.len);
        cr_assert_not(message.is_event, "fault %u", i);
        cr_assert_str_eq(message.why_not, faults[i].why_not, "fault %u: %s", i, message.why_not);
        cr_assert(slice_equal(message.body, parts.body));
        cr_assert_gt(message.headers_json.len, 1);
    }
}

Test(message, body_must_be_complete_and_within_its_limit)
{
    static char large[EVENT_BYTES_MAX + 1];
    struct event_parts parts = some_event(7);
    struct message_encoding encoding;
    message_encode(&parts, &encoding);
    cr_assert(
        decode(&encoding.properties, slice_of(large, EVENT_BYTES_MAX), EVENT_BYTES_MAX).is_event);
    struct message message =
        decode(&encoding.properties, slice_of(large, EVENT_BYTES_MAX + 1), EVENT_BYTES_MAX + 1);
    cr_assert_str_eq(message.why_not, "its body is too large");
    message = decode(&encoding.properties, slice_of(large, 10), 11);
    cr_assert_str_eq(message.why_not, "its body is too large");
    message = decode(&encoding.properties, slice_of("", 0), 0);
    cr_assert_str_eq(message.why_not, "it has no body");
}

Test(message, invalid_traceparent_is_dropped)
{
    struct event_parts parts = some_event(7);
    parts.traceparent = SLICE_LITERAL("somewhere");
    struct message_encoding encoding;
    message_encode(&parts, &encoding);
    struct message message = decode(&encoding.properties, parts.body, parts.body.len);
    cr_assert(message.is_event);
    cr_assert_eq(message.parts.traceparent.len, 0);
}

static amqp_table_entry_t entry(const char *name, uint8_t kind)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name), .value.kind = kind};
}

Test(message, headers_of_poison_are_shown_as_json)
{
    amqp_field_value_t items[2] = {{.kind = AMQP_FIELD_KIND_I8, .value.i8 = -3},
        {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 0}};
    amqp_table_entry_t inner = entry("deep", AMQP_FIELD_KIND_U64);
    inner.value.value.u64 = UINT64_MAX;
    amqp_table_entry_t entries[] = {entry("a\"b", AMQP_FIELD_KIND_UTF8),
        entry("list", AMQP_FIELD_KIND_ARRAY), entry("table", AMQP_FIELD_KIND_TABLE),
        entry("none", AMQP_FIELD_KIND_VOID)};
    entries[0].value.value.bytes = amqp_cstring_bytes("x\\\n\xc3\xa4");
    entries[1].value.value.array = (amqp_array_t){.num_entries = 2, .entries = items};
    entries[2].value.value.table = (amqp_table_t){.num_entries = 1, .entries = &inner};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
        .headers = {.num_entries = ARRAY_LENGTH(entries), .entries = entries}};
    struct message message = decode(&properties, SLICE_LITERAL("x"), 1);
    expect_text(message.headers_json,
        "{\"a\\\"b\":\"x\\\\\\u000a\\u00c3\\u00a4\",\"list\":[-3,false],"
        "\"table\":{\"deep\":18446744073709551615},\"none\":null}");
}

Test(message, long_headers_are_cut_at_an_entry)
{
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    amqp_table_entry_t entries[] = {
        entry("a", AMQP_FIELD_KIND_UTF8), entry("b", AMQP_FIELD_KIND_TABLE)};
    amqp_table_entry_t inner[2] = {
        entry("c", AMQP_FIELD_KIND_UTF8), entry("d", AMQP_FIELD_KIND_BYTES)};
    entries[0].value.value.bytes = inner[0].value.value.bytes = inner[1].value.value.bytes =
        amqp_cstring_bytes(text);
    entries[1].value.value.table = (amqp_table_t){.num_entries = 2, .entries = inner};
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {.num_entries = 2, .entries = entries}};
    struct message message;
    message_decode(&properties, SLICE_LITERAL("x"), 1, false, &scratch, &message);
    cr_assert_eq(message.headers_json.len, strlen("{\"a\":\"\"}") + sizeof text - 1);
    static char long_text[8000];
    memset(long_text, 'x', sizeof long_text - 1);
    inner[1].value.value.bytes = amqp_cstring_bytes(long_text);
    message_decode(&properties, SLICE_LITERAL("x"), 1, false, &scratch, &message);
    cr_assert_eq(message.headers_json.len,
        strlen("{\"a\":\"\",\"b\":{\"c\":\"\"}}") + 2 * (sizeof text - 1));
}

Test(message, refused_message_keeps_its_message_id)
{
    static char reason[2 * MESSAGE_REASON_BYTES_MAX];
    memset(reason, 'r', sizeof reason - 1);
    struct event_parts parts = some_event(9);
    char id_text[EVENT_ID_TEXT_BYTES];
    event_id_format(&parts.id, id_text);
    struct message_encoding encoding;
    message_encode_refused(
        &parts.id, SLICE_LITERAL("text/plain"), SLICE_LITERAL("mine-1"), reason, &encoding);
    cr_assert_eq(encoding.properties.headers.num_entries, 1);
    expect_text(message_slice(encoding.headers[0].key), MESSAGE_REASON_HEADER);
    cr_assert_eq(encoding.headers[0].value.value.bytes.len, MESSAGE_REASON_BYTES_MAX);
    expect_text(message_slice(encoding.properties.correlation_id), id_text);
    struct message message = decode(&encoding.properties, SLICE_LITERAL("x"), 1);
    expect_text(message.message_id, "mine-1");
    expect_text(message.content_type, "text/plain");
    cr_assert_not(message.is_event);
}
