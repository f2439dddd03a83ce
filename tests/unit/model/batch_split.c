/* SPDX-License-Identifier: Apache-2.0 */
#include "model/batch_split.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <criterion/criterion.h>

static struct slice items[BATCH_ITEMS_MAX];
static unsigned count;
static struct refusal refusal;

static enum err split(struct slice body, enum batch_form form)
{
    /* An exact copy on the heap, so that AddressSanitizer detects a read beyond the end. */
    static char *exact;
    free(exact);
    exact = malloc(body.len ? body.len : 1);
    if (body.len)
        memcpy(exact, body.data, body.len);
    count = 4711;
    refusal.detail[0] = '\0';
    return batch_split(slice_of(exact, body.len), form, items, &count, &refusal);
}

/* Returns the items, separated by bars. */
static const char *joined(void)
{
    static char text[1000];
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        strcat(text, i ? "|" : "");
        strncat(text, items[i].data, items[i].len);
    }
    return text;
}

Test(batch_split, lines_end_in_lf_or_cr_lf_and_blank_ones_are_skipped)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"\n", ""},
        {"\r\n \n\t\r\n\n", ""},
        {"{}", "{}"},
        {"{}\n", "{}"},
        {"{}\r\n", "{}"},
        {"{\"a\":1}\n{\"b\":2}", "{\"a\":1}|{\"b\":2}"},
        {"1\r\n\r\n2\n\n3\n", "1|2|3"},
        {"{\nx\n", "{|x"},
        {"[1,\n2]", "[1,|2]"},
        {"1\r", "1\r"},
        {" 1 \n", " 1 "},
        {"\"a\nb\"", "\"a|b\""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(split(slice_from_string(cases[i][0]), BATCH_LINES), OK);
        cr_expect_str_eq(joined(), cases[i][1]);
    }
}

Test(batch_split, array_is_split_at_its_own_commas_only)
{
    static const char *const cases[][2] = {
        {"[]", ""}, {" [ \n] ", ""}, {"[1]", "1"}, {"[ 1 , 2 ]\r\n", "1|2"},
        {"[{\"a\":[1,2]},{\"b\":{}}]", "{\"a\":[1,2]}|{\"b\":{}}"},
        {"[\"]\",\"[\",\",\",\"}\"]", "\"]\"|\"[\"|\",\"|\"}\""}, {"[\"\\\"]\",2]", "\"\\\"]\"|2"},
        {"[\"\\\\\",2]", "\"\\\\\"|2"}, {"[x,{y},nul,{\"a\" 1}]", "x|{y}|nul|{\"a\" 1}"},
        {"[{],2]", "{]|2"}, {"[[[]],[]]", "[[]]|[]"},
        {"[1 2]", "1 2"}, /* an event is an object, so this is one wrong item */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        cr_expect_eq(split(slice_from_string(cases[i][0]), BATCH_ARRAY), OK, "%s: %s", cases[i][0],
            refusal.detail);
        cr_expect_str_eq(joined(), cases[i][1]);
    }
}

Test(batch_split, malformed_text_outside_of_the_items_fails_the_batch)
{
    static const char *const bad[] = {"", " ", "{}", "1", "\"[]\"", "{\"a\":[1]}", "[", "[1", "[1,",
        "[1,]", "[,]", "[,1]", "[1,,2]", "[1, ,2]", "[\"a]", "[\"a\\\"]", "[\"a\\", "[{]", "[{},{]",
        "[}", "[1}", "[{]},2]", "[{}{}]", "[{} {}]", "[{}\n{},{}]", "[{} 1]", "[{}x,2]", "[1 {}]",
        "[\"a\" \"b\"]", "[\"a\"b]", "[1[]]", "[1]]", "[1] 2", "[1],", "[][]", "\xef\xbb\xbf[]",
        "\f[]", "[]\v"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        cr_expect_eq(
            split(slice_from_string(bad[i]), BATCH_ARRAY), ERR_MALFORMED_JSON, "%s", bad[i]);
        cr_expect_not_null(strstr(refusal.detail, "At byte "), "%s: %s", bad[i], refusal.detail);
        cr_expect_eq(count, 4711);
    }
    cr_expect_eq(split(SLICE_LITERAL("[1]\0"), BATCH_ARRAY), ERR_MALFORMED_JSON);
}

Test(batch_split, more_than_a_thousand_items_are_rejected)
{
    struct buffer lines = BUFFER_EMPTY, array = BUFFER_EMPTY;
    for (int i = 0; i < BATCH_ITEMS_MAX; i++) {
        buffer_add_string(&lines, "{}\n");
        buffer_add_string(&array, i ? ",{}" : "[{}");
    }
    cr_assert_eq(split(buffer_slice(&lines), BATCH_LINES), OK);
    cr_assert_eq(count, BATCH_ITEMS_MAX);
    buffer_add_string(&lines, "\n\n");
    cr_assert_eq(split(buffer_slice(&lines), BATCH_LINES), OK);
    buffer_add_string(&lines, "x");
    cr_assert_eq(split(buffer_slice(&lines), BATCH_LINES), ERR_TOO_LARGE);
    buffer_add_char(&array, ']');
    cr_assert_eq(split(buffer_slice(&array), BATCH_ARRAY), OK);
    cr_assert_eq(count, BATCH_ITEMS_MAX);
    array.data[array.len - 1] = ',';
    buffer_add_string(&array, "{}]");
    cr_assert_eq(split(buffer_slice(&array), BATCH_ARRAY), ERR_TOO_LARGE);
    buffer_done(&lines);
    buffer_done(&array);
}

Test(batch_split, deep_nesting_needs_no_stack)
{
    struct buffer array = BUFFER_EMPTY;
    for (int i = 0; i < BATCH_BYTES_MAX / 2; i++)
        buffer_add_char(&array, '[');
    for (int i = 0; i < BATCH_BYTES_MAX / 2; i++)
        buffer_add_char(&array, ']');
    cr_assert_eq(split(buffer_slice(&array), BATCH_ARRAY), OK);
    cr_assert_eq(count, 1);
    buffer_done(&array);
}
