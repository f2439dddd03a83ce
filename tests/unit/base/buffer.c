/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>

Test(buffer, starts_empty_without_failure)
{
    struct buffer buffer = BUFFER_EMPTY;
    cr_assert_eq(buffer_status(&buffer), OK);
    cr_assert_eq(buffer_slice(&buffer).len, 0);
    buffer_done(&buffer);
}

Test(buffer, joins_all_additions_and_ends_with_a_nul)
{
    struct buffer buffer = BUFFER_EMPTY;
    buffer_add_string(&buffer, "one");
    buffer_add_char(&buffer, ',');
    buffer_add_slice(&buffer, SLICE_LITERAL("two"));
    buffer_add_format(&buffer, ",%d-%s", 3, "x");
    buffer_add(&buffer, "\0z", 2);
    cr_assert_eq(buffer_status(&buffer), OK);
    cr_assert(slice_equal(buffer_slice(&buffer), SLICE_LITERAL("one,two,3-x\0z")));
    cr_assert_eq(buffer.data[buffer.len], '\0');
    buffer_done(&buffer);
}

Test(buffer, grows_past_each_capacity_byte_by_byte)
{
    struct buffer buffer = BUFFER_EMPTY;
    for (int i = 0; i < 10000; i++) {
        buffer_add_char(&buffer, (char)('a' + i % 26));
        cr_assert_eq(buffer.data[buffer.len], '\0');
    }
    cr_assert_eq(buffer.len, 10000);
    for (int i = 0; i < 10000; i++)
        cr_assert_eq(buffer.data[i], 'a' + i % 26);
    buffer_done(&buffer);
}

Test(buffer, formats_texts_shorter_and_longer_than_its_scratch_space)
{
    for (int len = 250; len <= 260; len++) {
        struct buffer buffer = BUFFER_EMPTY;
        buffer_add_string(&buffer, "<");
        buffer_add_format(&buffer, "%*s|", len - 1, "end");
        cr_assert_eq(buffer_status(&buffer), OK);
        cr_assert_eq(buffer.len, (size_t)len + 1);
        cr_assert_str_eq(buffer.data + buffer.len - 4, "end|");
        buffer_done(&buffer);
    }
}

Test(buffer, clear_keeps_the_memory_and_drops_the_content)
{
    struct buffer buffer = BUFFER_EMPTY;
    buffer_add_string(&buffer, "some text");
    char *memory = buffer.data;
    buffer_clear(&buffer);
    cr_assert_eq(buffer.len, 0);
    cr_assert_str_eq(buffer.data, "");
    buffer_add_string(&buffer, "other");
    cr_assert_eq(buffer.data, memory);
    cr_assert_str_eq(buffer.data, "other");
    buffer_done(&buffer);
}

Test(buffer, stays_failed_until_it_is_cleared)
{
    struct buffer buffer = BUFFER_EMPTY;
    buffer_add_string(&buffer, "before");
    buffer.failed = true;
    buffer_add_string(&buffer, "lost");
    buffer_add_format(&buffer, "%300s", "lost as well");
    cr_assert_eq(buffer_status(&buffer), ERR_NO_MEMORY);
    cr_assert_str_eq(buffer.data, "before");
    buffer_clear(&buffer);
    cr_assert_eq(buffer_status(&buffer), OK);
    buffer_add_string(&buffer, "after");
    cr_assert_str_eq(buffer.data, "after");
    buffer_done(&buffer);
}

Test(buffer, json_strings_are_quoted_and_escaped)
{
    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {SLICE_LITERAL(""), "\"\""},
        {SLICE_LITERAL("plain"), "\"plain\""},
        {SLICE_LITERAL("a\"b"), "\"a\\\"b\""},
        {SLICE_LITERAL("\\"), "\"\\\\\""},
        {SLICE_LITERAL("line\nbreak\ttab"), "\"line\\nbreak\\ttab\""},
        {SLICE_LITERAL("\r\b\f"), "\"\\u000d\\u0008\\u000c\""},
        {SLICE_LITERAL("a\0b\x1f"), "\"a\\u0000b\\u001f\""},
        {SLICE_LITERAL("\x7f"), "\"\x7f\""},
        {SLICE_LITERAL("\xc3\xa4 \xe2\x82\xac"), "\"\xc3\xa4 \xe2\x82\xac\""},
        {SLICE_LITERAL("\"\"\""), "\"\\\"\\\"\\\"\""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer buffer = BUFFER_EMPTY;
        buffer_add_json_string(&buffer, cases[i].text);
        cr_assert_eq(buffer_status(&buffer), OK);
        cr_expect_str_eq(buffer.data, cases[i].json);
        buffer_done(&buffer);
    }
}
