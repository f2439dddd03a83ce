/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct head head;

static void begin(void)
{
    head_begin(&head);
}

static void end(void)
{
    head_done(&head);
}

TestSuite(head, .init = begin, .fini = end);

static bool equals(struct slice slice, const char *text)
{
    return slice_equals_string(slice, text);
}

Test(head, parts_are_copied_and_found)
{
    char name[] = "X-Name", value[] = "one";
    head_set_method(&head, slice_from_string("POST"));
    head_set_target(&head, slice_from_string("/v1/events?a=b?c"));
    head_set_authority(&head, slice_from_string("localhost"));
    head_add_field(&head, slice_from_string(name), slice_from_string(value));
    memset(name, '?', sizeof name - 1);
    memset(value, '?', sizeof value - 1);
    head_add_field(&head, slice_from_string("x-name"), slice_from_string("two"));
    head_add_field(&head, slice_from_string("Empty"), slice_from_string(""));
    cr_assert(equals(head_slice(&head, head.method), "POST"));
    cr_assert(equals(head_path(&head), "/v1/events"));
    cr_assert(equals(head_query(&head), "a=b?c"));
    cr_assert(equals(head_slice(&head, head.authority), "localhost"));
    cr_assert(equals(head_find(&head, "x-name"), "one"), "the first one counts");
    cr_assert_not_null(head_find(&head, "empty").data);
    cr_assert_eq(head_find(&head, "empty").len, 0);
    cr_assert_null(head_find(&head, "x-nam").data);
    cr_assert_null(head_find(&head, "x-names").data);
}

Test(head, absolute_target_gives_authority_and_path)
{
    static const struct {
        const char *target, *authority, *path, *query;
    } cases[] = {
        {"http://a.example:80/b/c?d", "a.example:80", "/b/c", "d"},
        {"https://a.example", "a.example", "/", ""},
        {"http:///b", "", "/b", ""},
        {"/http://a/b", "", "/http://a/b", ""},
        {"ftp://a/b", "", "ftp://a/b", ""},
        {"*", "", "*", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head_done(&head);
        head_begin(&head);
        head_set_target(&head, slice_from_string(cases[i].target));
        cr_expect(equals(head_slice(&head, head.authority), cases[i].authority), "%zu", i);
        cr_expect(equals(head_path(&head), cases[i].path), "%zu", i);
        cr_expect(equals(head_query(&head), cases[i].query), "%zu", i);
    }
}

Test(head, number_of_fields_is_limited)
{
    for (int i = 0; i < HEAD_FIELDS_MAX; i++)
        head_add_field(&head, slice_from_string("a"), slice_from_string("b"));
    cr_assert_not(head.is_too_large);
    head_add_field(&head, slice_from_string("a"), slice_from_string("b"));
    cr_assert(head.is_too_large);
    cr_assert_eq(head.fields_count, HEAD_FIELDS_MAX);
}

Test(head, bytes_are_limited_and_nothing_is_stored_beyond)
{
    static char value[HEAD_BYTES_MAX];
    memset(value, 'v', sizeof value);
    head_add_field(&head, slice_from_string("a"), slice_of(value, HEAD_BYTES_MAX - 1 - 32));
    cr_assert_not(head.is_too_large);
    cr_assert_eq(head.counted_bytes, HEAD_BYTES_MAX);
    head_add_field(&head, slice_from_string(""), slice_from_string(""));
    cr_assert(head.is_too_large, "an empty field counts as well");
    uint32_t len = head.text_len;
    for (int i = 0; i < 1000; i++)
        head_add_field(&head, slice_from_string("a"), slice_of(value, sizeof value));
    head_set_target(&head, slice_of(value, sizeof value));
    head_set_method(&head, slice_of(value, sizeof value));
    cr_assert_eq(head.text_len, len);
    cr_assert_leq(head.text_capacity, 2 * HEAD_BYTES_MAX);
}
