/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event_fields.h"

#include "base/buffer.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define MINIMAL "\"type\":\"lead\",\"account\":\"acc_42\""

static const struct hash_seed seed = {{3, 1, 4, 1, 5}};

static enum err parse_slice(struct slice json, const char *key_pointer, struct event_fields *fields,
    struct refusal *refusal)
{
    /* An exact copy on the heap, so that AddressSanitizer detects a read beyond the end. */
    char *exact = malloc(json.len ? json.len : 1);
    if (json.len)
        memcpy(exact, json.data, json.len);
    enum err result = event_fields_parse(
        &seed, slice_of(exact, json.len), slice_from_string(key_pointer), fields, refusal);
    free(exact);
    cr_assert(result == OK || (refusal->error == result && refusal->detail[0]));
    return result;
}

static enum err parse(const char *json, struct event_fields *fields, struct refusal *refusal)
{
    return parse_slice(slice_from_string(json), "", fields, refusal);
}

static bool names_place_and_remedy(const struct refusal *refusal)
{
    return refusal->detail[0] >= 'A' && refusal->detail[0] <= 'Z' &&
           strstr(refusal->detail, " byte ") &&
           strstr(refusal->detail, ". Correct it and send it again.");
}

Test(event_fields, reads_a_whole_event)
{
    struct event_fields fields;
    struct refusal refusal;
    cr_assert_eq(parse("{\"id\": \"order-17\", \"type\": \"purchase\", \"account\": \"acc_42\", "
                       "\"occurred_at\": "
                       "\"2026-01-31T12:00:00Z\", \"amount\": \"129.90\", \"currency\": \"EUR\", "
                       "\"data\": {\"sku\": [1, 2]}}",
                     &fields, &refusal),
        OK);
    cr_expect(slice_equals_string(FIELD_SLICE(fields.id), "order-17"));
    cr_expect(slice_equals_string(FIELD_SLICE(fields.type), "purchase"));
    cr_expect(slice_equals_string(FIELD_SLICE(fields.account), "acc_42"));
    cr_expect(slice_equals_string(FIELD_SLICE(fields.amount), "129.90"));
    cr_expect(slice_equals_string(FIELD_SLICE(fields.currency), "EUR"));
    cr_expect(fields.has_occurred_at);
    cr_expect_eq(fields.occurred_us, 1769860800000000);
    cr_expect_eq(refusal.problems.count, 0);
}

Test(event_fields, keeps_the_amount_as_it_was_sent)
{
    static const char *const amounts[][2] = {{"1.10", "1.10"}, {"\"1.10\"", "1.10"}, {"-0", "-0"},
        {"123456789012345678.123456789", "123456789012345678.123456789"}, {"0.1", "0.1"},
        {"\"\\u0031.5\"", "1.5"}};
    for (size_t i = 0; i < ARRAY_LENGTH(amounts); i++) {
        char json[200];
        snprintf(
            json, sizeof json, "{" MINIMAL ",\"amount\":%s,\"currency\":\"USD\"}", amounts[i][0]);
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse(json, &fields, &refusal), OK, "%s", json);
        cr_expect(slice_equals_string(FIELD_SLICE(fields.amount), amounts[i][1]), "%s", json);
    }
}

Test(event_fields, good_bodies)
{
    static const char *const good[] = {
        "{" MINIMAL "}", " \t\r\n{" MINIMAL "}\n", "{" MINIMAL ",\"currency\":\"EUR\"}",
        "{" MINIMAL ",\"data\":null}",
        "{" MINIMAL ",\"id\":null,\"occurred_at\":null,\"amount\":null,\"currency\":null}",
        "{" MINIMAL ",\"amount\":null,\"currency\":\"EUR\"}",
        "{" MINIMAL ",\"data\":[1,2.5e3,true,null,\"x\"]}",
        "{" MINIMAL ",\"data\":{\"type\":7,\"account\":null,\"amount\":\"lots\",\"id\":[]}"
        "}", /* not members of the event itself */
        "{" MINIMAL ",\"extra\":{\"deep\":[[[]]]},\"Type\":1}",
        "{" MINIMAL ",\"data\":\"\\ud83d\\ude00 caf\xc3\xa9 \xf0\x9f\x98\x80\"}",
        "{\"t\\u0079pe\":\"lead\",\"account\":\"a\"}", /* an escaped name is the same name */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse(good[i], &fields, &refusal), OK, "%s: %s", good[i], refusal.detail);
    }
}

Test(event_fields, absent_fields_are_empty_when_the_struct_was_used_before)
{
    struct event_fields fields;
    struct refusal refusal;
    memset(&fields, 0x55, sizeof fields);
    cr_assert_eq(parse("{" MINIMAL "}", &fields, &refusal), OK);
    cr_assert_eq(fields.id.len, 0);
    cr_assert_eq(fields.amount.len, 0);
    cr_assert_eq(fields.currency.len, 0);
    cr_assert_not(fields.has_occurred_at);
    cr_assert_eq(fields.occurred_us, 0);
}

Test(event_fields, problems_name_their_field_by_pointer)
{
    static const struct {
        const char *json;
        const char *pointers; /* in order, separated by spaces */
    } cases[] = {
        {"{}", "/type /account"},
        {"{\"type\":\"lead\"}", "/account"},
        {"{\"account\":\"a\"}", "/type"},
        {"{\"type\":\"\",\"account\":\"a\"}", "/type"},
        {"{\"type\":\"a b\",\"account\":\"a\"}", "/type"},
        {"{\"type\":7,\"account\":\"a\"}", "/type"},
        {"{\"type\":null,\"account\":\"a\"}", "/type"},
        {"{\"type\":[\"lead\"],\"account\":{}}", "/type /account"},
        {"{\"type\":\"lead\",\"account\":\"-a\"}", "/account"},
        {"{\"type\":\"lead\",\"account\":\"caf\xc3\xa9\"}", "/account"},
        {"{" MINIMAL ",\"id\":\"\"}", "/id"},
        {"{" MINIMAL ",\"id\":17}", "/id"},
        {"{" MINIMAL ",\"id\":\"a\\r\\nb\"}", "/id"},
        {"{" MINIMAL ",\"id\":\"\\u00e4\"}", "/id"},
        {"{" MINIMAL ",\"id\":true}", "/id"},
        {"{" MINIMAL ",\"occurred_at\":\"yesterday\"}", "/occurred_at"},
        {"{" MINIMAL ",\"occurred_at\":1769860800}", "/occurred_at"},
        {"{" MINIMAL ",\"amount\":\"1\"}", "/currency"},
        {"{" MINIMAL ",\"amount\":1}", "/currency"},
        {"{" MINIMAL ",\"amount\":\"1e3\",\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":1e3,\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":1e9999,\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":\"NaN\",\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":\"\",\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":1234567890123456789012345678901234567890,\"currency\":\"EUR\"}",
            "/amount"},
        {"{" MINIMAL ",\"amount\":1,\"currency\":null}", "/currency"},
        {"{\"type\":\"lead\",\"account\":null}", "/account"},
        {"{" MINIMAL ",\"amount\":true,\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":[1],\"currency\":\"EUR\"}", "/amount"},
        {"{" MINIMAL ",\"amount\":\"1\",\"currency\":\"eur\"}", "/currency"},
        {"{" MINIMAL ",\"amount\":\"1\",\"currency\":978}", "/currency"},
        {"{\"id\":1,\"type\":1,\"account\":1,\"occurred_at\":1,\"amount\":true,\"currency\":1}",
            "/id /type /account /occurred_at /amount /currency"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse(cases[i].json, &fields, &refusal), ERR_INVALID, "%s", cases[i].json);
        char pointers[FIELD_PROBLEMS_MAX * 65] = "";
        for (unsigned k = 0; k < refusal.problems.count; k++) {
            if (k > 0)
                strcat(pointers, " ");
            strcat(pointers, refusal.problems.list[k].pointer);
            cr_expect_neq(refusal.problems.list[k].detail[0], '\0');
        }
        cr_expect_str_eq(pointers, cases[i].pointers, "%s: %s", cases[i].json, pointers);
    }
}

Test(event_fields, malformed_body_is_rejected_with_reason_and_position)
{
    static const char *const bad[] = {"", " ", "{", "}", "{" MINIMAL, "{" MINIMAL "}}",
        "{" MINIMAL "} x", "{" MINIMAL ",}", "{" MINIMAL "}{" MINIMAL "}", "[]", "[{" MINIMAL "}]",
        "\"lead\"", "7", "null", "true", "{'type':'lead'}", "{type:1}",
        "\xef\xbb\xbf{" MINIMAL "}", /* byte order mark */
        "{" MINIMAL ",\"amount\":NaN}", "{" MINIMAL ",\"amount\":+1}",
        "{" MINIMAL ",\"amount\":01}", "{" MINIMAL ",\"amount\":.5}", "{" MINIMAL ",\"amount\":1.}",
        "{" MINIMAL ",\"data\":\"\t\"}", "{" MINIMAL ",\"data\":\"\\x\"}",
        "{" MINIMAL ",\"data\":\"\\u12\"}", "{" MINIMAL ",\"data\":\"\xff\"}",
        "{" MINIMAL ",\"data\":\"\xc3\"}", "{" MINIMAL ",\"data\":[1,]}",
        "{" MINIMAL ",\"data\":[1 2]}", "{" MINIMAL ",\"data\":/* c */1}",
        "{" MINIMAL ",\"type\":\"lead\"}", "{" MINIMAL ",\"t\\u0079pe\":\"lead\"}", /* twice */
        "{" MINIMAL ",\"data\":1,\"data\":2}"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse(bad[i], &fields, &refusal), ERR_MALFORMED_JSON, "%s", bad[i]);
        cr_expect(names_place_and_remedy(&refusal), "%s: %s", bad[i], refusal.detail);
    }
    struct event_fields fields;
    struct refusal refusal;
    static const char with_nul[] = "{" MINIMAL "}\0";
    cr_expect_eq(parse_slice(slice_of(with_nul, sizeof with_nul), "", &fields, &refusal),
        ERR_MALFORMED_JSON);
}

/* Texts that yajl accepts but Penstock must reject: two keys must never become equal, and bytes
 * must be valid UTF-8. */
Test(event_fields, rejects_texts_that_the_parser_accepts)
{
    static const char *const bad[] = {
        "{" MINIMAL ",\"id\":\"a\\ud800\"}", /* yajl reads a lone surrogate as `?` */
        "{" MINIMAL ",\"id\":\"a\\udc00\"}",
        "{" MINIMAL ",\"id\":\"a\\ud800\\ud800\"}",
        "{" MINIMAL ",\"id\":\"a\\ud800x\"}",
        "{" MINIMAL ",\"data\":\"\\udead\"}",
        "{" MINIMAL ",\"data\":{\"\\ud800\":1}}",
        "{" MINIMAL ",\"data\":\"\\u0000\"}",
        "{" MINIMAL ",\"data\":\"\xc0\xaf\"}", /* overlong */
        "{" MINIMAL ",\"data\":\"\xe0\x80\xaf\"}",
        "{" MINIMAL ",\"data\":\"\xf0\x80\x80\xaf\"}",
        "{" MINIMAL ",\"data\":\"\xed\xa0\x80\"}",     /* an encoded surrogate */
        "{" MINIMAL ",\"data\":\"\xf4\x90\x80\x80\"}", /* beyond U+10FFFF */
        "{" MINIMAL ",\"data\":\"\xf5\x80\x80\x80\"}",
        "{" MINIMAL ",\f\"data\":1}",
        "{" MINIMAL ",\v\"data\":1}",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse(bad[i], &fields, &refusal), ERR_MALFORMED_JSON, "case %zu", i);
        cr_expect(names_place_and_remedy(&refusal), "case %zu: %s", i, refusal.detail);
    }
}

static void nest(char *json, int levels)
{
    char *at = json + sprintf(json, "{" MINIMAL ",\"data\":");
    for (int i = 1; i < levels; i++)
        *at++ = '[';
    for (int i = 1; i < levels; i++)
        *at++ = ']';
    strcpy(at, "}");
}

Test(event_fields, depth_is_limited_to_32)
{
    static char json[300000];
    struct event_fields fields;
    struct refusal refusal;
    nest(json, 32);
    cr_assert_eq(parse(json, &fields, &refusal), OK);
    nest(json, 33);
    cr_assert_eq(parse(json, &fields, &refusal), ERR_MALFORMED_JSON);
    cr_assert_not_null(strstr(refusal.detail, "32"));
    nest(json, 100000);
    cr_assert_eq(parse(json, &fields, &refusal), ERR_MALFORMED_JSON);
}

Test(event_fields, too_long_values_are_rejected_and_never_cut)
{
    static const struct {
        const char *field;
        size_t bytes_max;
    } cases[] = {{"type", 64}, {"account", 64}, {"id", 256}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (size_t len = cases[i].bytes_max - 1; len <= cases[i].bytes_max + 1; len++) {
            char text[300], json[600], pointer[20];
            memset(text, 'x', len);
            text[len] = '\0';
            snprintf(json, sizeof json, "{%s%s\"%s\":\"%s\"}", i == 0 ? "" : "\"type\":\"lead\",",
                i == 1 ? "" : "\"account\":\"a\",", cases[i].field, text);
            struct event_fields fields;
            struct refusal refusal;
            cr_expect_eq(parse(json, &fields, &refusal),
                len > cases[i].bytes_max ? ERR_INVALID : OK, "%s", json);
            snprintf(pointer, sizeof pointer, "/%s", cases[i].field);
            if (len > cases[i].bytes_max)
                cr_expect_str_eq(refusal.problems.list[0].pointer, pointer);
        }
    }
}

Test(event_fields, every_truncation_of_a_valid_body_is_malformed)
{
    static const char whole[] =
        "{" MINIMAL
        ",\"amount\":1.5,\"currency\":\"EUR\",\"data\":{\"x\":[\"\\ud83d\\ude00\xc3\xa4\"]}}";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(parse_slice(slice_of(whole, len), "", &fields, &refusal), ERR_MALFORMED_JSON,
            "%zu", len);
    }
}

Test(event_fields, key_pointer_finds_a_string_or_the_text_of_a_number)
{
    static const struct {
        const char *pointer, *json, *key;
    } cases[] = {
        {"/data/order", "{" MINIMAL ",\"data\":{\"order\":\"o-1\"}}", "o-1"},
        {"/data/order", "{\"data\":{\"x\":{\"order\":1},\"order\":17.50},\"order\":2," MINIMAL "}",
            "17.50"},
        {"/data/order", "{" MINIMAL ",\"data\":{\"order\":-1e3}}", "-1e3"},
        {"/data/items/1/id",
            "{" MINIMAL ",\"data\":{\"items\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]}}",
            "b"},
        {"/data/a~1b", "{" MINIMAL ",\"data\":{\"a/b\":\"x y\"}}", "x y"},
        {"/data/a~1b", "{" MINIMAL ",\"data\":{\"a\\/\\u0062\":\"\\u0041\"}}", "A"},
        {"/id", "{" MINIMAL ",\"id\":\"i-1\"}", "i-1"},
        {"/order", "{" MINIMAL ",\"order\":\"o\"}", "o"},
        {"/data/order", "{" MINIMAL ",\"id\":\"i-1\"}", ""},
        {"/data/order", "{" MINIMAL ",\"data\":{}}", ""},
        {"/data/order", "{" MINIMAL ",\"data\":[\"order\"]}", ""},
        {"/data/order", "{" MINIMAL ",\"data\":\"order\"}", ""},
        {"", "{" MINIMAL ",\"\":\"x\"}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct event_fields fields;
        struct refusal refusal;
        cr_expect_eq(
            parse_slice(slice_from_string(cases[i].json), cases[i].pointer, &fields, &refusal), OK,
            "%s: %s", cases[i].json, refusal.detail);
        cr_expect(slice_equals_string(FIELD_SLICE(fields.pointed_key), cases[i].key), "%s in %s",
            cases[i].pointer, cases[i].json);
    }
}

Test(event_fields, value_at_the_key_pointer_must_be_a_valid_key)
{
    static const char *const values[] = {"true", "{}", "[]", "[\"a\"]", "\"\"", "\" a\"",
        "\"a\\n\"", "\"caf\xc3\xa9\"", "\"\\u00e9\""};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char json[200];
        struct event_fields fields;
        struct refusal refusal;
        snprintf(json, sizeof json, "{" MINIMAL ",\"data\":{\"order\":%s}}", values[i]);
        cr_expect_eq(parse_slice(slice_from_string(json), "/data/order", &fields, &refusal),
            ERR_INVALID, "%s", json);
        cr_expect_eq(refusal.problems.count, 1);
        cr_expect_str_eq(refusal.problems.list[0].pointer, "/data/order");
    }
    for (int len = 255; len <= 257; len++) {
        char json[400];
        struct event_fields fields;
        struct refusal refusal;
        snprintf(json, sizeof json, "{" MINIMAL ",\"data\":1%0*d}", len - 1, 0);
        enum err result = parse_slice(slice_from_string(json), "/data", &fields, &refusal);
        cr_expect_eq(result, len <= 256 ? OK : ERR_INVALID, "%d digits", len);
    }
}

Test(event_fields, repeated_name_is_rejected_by_name)
{
    struct event_fields fields;
    struct refusal refusal;
    cr_assert_eq(parse("{" MINIMAL ",\"data\":{\"sku\":1,\"sku\":2}}", &fields, &refusal),
        ERR_MALFORMED_JSON);
    cr_assert_str_eq(refusal.detail,
        "At byte 55: the name \"sku\" occurs twice in one object. Correct it and send it again.");
    cr_assert_eq(parse("{" MINIMAL ",\"\\n\":1,\"\\n\":2}", &fields, &refusal), ERR_MALFORMED_JSON);
    cr_assert(strstr(refusal.detail, "a name occurs twice"), "%s", refusal.detail);
}

Test(event_fields, thousands_of_different_names_are_accepted)
{
    struct buffer json = BUFFER_EMPTY;
    struct event_fields fields;
    struct refusal refusal;
    buffer_add_string(&json, "{" MINIMAL ",\"data\":{\"\":0");
    for (int i = 0; i < 6000; i++)
        buffer_add_format(&json, ",\"%x\":0", (unsigned)i);
    buffer_add_string(&json, "}}");
    cr_assert(json.len < EVENT_BYTES_MAX);
    cr_assert_eq(parse_slice(buffer_slice(&json), "", &fields, &refusal), OK, "%s", refusal.detail);
    json.len -= 2;
    buffer_add_string(&json, ",\"7ff\":0}}");
    cr_assert_eq(parse_slice(buffer_slice(&json), "", &fields, &refusal), ERR_MALFORMED_JSON);
    cr_assert(strstr(refusal.detail, "\"7ff\""), "%s", refusal.detail);
    buffer_done(&json);
}
