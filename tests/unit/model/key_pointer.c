/* SPDX-License-Identifier: Apache-2.0 */
#include "model/key_pointer.h"

#include "base/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(key_pointer, valid_pointer_has_a_slash_and_a_name_per_part)
{
    static const char *const good[] = {"/id", "/data/order", "/", "//", "/a/", "/0",
        "/data/items/0/id", "/a~0b", "/a~1b", "/~0", "/~01", "/a b", "/a\"b", "/-",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        cr_expect(key_pointer_is_valid(slice_from_string(good[i])), "%s", good[i]);
    static const char *const bad[] = {"", "id", "id/", "#/id", "/a~", "/~", "/~2", "/a~b", "/a\nb",
        "/caf\xc3\xa9", "/a\x7f",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/"
        "33"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        cr_expect_not(key_pointer_is_valid(slice_from_string(bad[i])), "%s", bad[i]);
    cr_expect_not(key_pointer_is_valid(SLICE_LITERAL("/a\0b")));
    char text[KEY_POINTER_BYTES_MAX + 1];
    memset(text, '/', 1);
    memset(text + 1, 'x', sizeof text - 1);
    cr_expect(key_pointer_is_valid(slice_of(text, KEY_POINTER_BYTES_MAX)));
    cr_expect_not(key_pointer_is_valid(slice_of(text, KEY_POINTER_BYTES_MAX + 1)));
}

/* Walks a text of one-letter names, one-digit scalars, braces and brackets like a parser. Returns
 * the digit that is found, '{' or '[' for a container, or '-'. */
static char find(const char *pointer, const char *json)
{
    struct key_search search;
    key_search_begin(&search, slice_from_string(pointer));
    unsigned depth = 0;
    char found = '-';
    for (; *json; json++) {
        if (*json == ',')
            continue;
        if (*json == '}' || *json == ']') {
            key_search_on_end(&search, depth--);
        } else if (json[1] == ':') {
            key_search_on_name(&search, depth, slice_of(json++, 1));
        } else {
            enum json_kind kind = *json == '{'   ? JSON_OBJECT
                                  : *json == '[' ? JSON_ARRAY
                                                 : JSON_SCALAR;
            if (key_search_on_value(&search, depth, kind)) {
                cr_expect_eq(found, '-', "%s: found twice", pointer);
                found = *json;
            }
            depth += kind != JSON_SCALAR;
        }
    }
    return found;
}

Test(key_pointer, finds_only_the_value_of_the_pointer)
{
    static const struct {
        const char *pointer, *json;
        char found;
    } cases[] = {
        {"", "{a:1}", '-'},
        {"/a", "{a:1}", '1'},
        {"/a", "{b:1,a:2,c:3}", '2'},
        {"/b", "{a:1}", '-'},
        {"/a", "{}", '-'},
        {"/a", "{b:{a:1}}", '-'},
        {"/a", "{b:{a:1},a:2}", '2'},
        {"/a/b", "{b:{b:1},a:{a:2,b:3}}", '3'},
        {"/a/b", "{a:{a:1},b:2}", '-'},
        {"/a/b", "{a:1,b:2}", '-'},
        {"/a/b", "{a:[1,2],b:2}", '-'},
        {"/a/b", "{a:{c:{b:1},b:2}}", '2'},
        {"/a", "{a:{a:1}}", '{'},
        {"/a", "{a:[1]}", '['},
        {"/a/0", "{a:[1,2]}", '1'},
        {"/a/1", "{a:[1,2]}", '2'},
        {"/a/2", "{a:[1,2]}", '-'},
        {"/a/-", "{a:[1,2]}", '-'},
        {"/a/01", "{a:[1,2]}", '-'},
        {"/a/", "{a:[1,2]}", '-'},
        {"/a/1", "{a:{1:7}}", '7'},
        {"/a/1", "{a:[{1:1},{0:2}]}", '{'},
        {"/a/1/b", "{a:[{b:1},{c:2,b:3},{b:4}]}", '3'},
        {"/a/1/1", "{a:[[1,2],[3,4],[5,6]]}", '4'},
        {"/a/0/0/0", "{a:[[[1]]]}", '1'},
        {"/a/1/b", "{a:[{b:1},2,{b:3}]}", '-'},
        {"/a/999999999999999999999999", "{a:[1]}", '-'},
        {"/~0", "{~:1}", '1'},
        {"/~1", "{/:1}", '1'},
        {"/~01", "{/:1,~:2}", '-'},
        {"/aa", "{a:1}", '-'},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        cr_expect_eq(find(cases[i].pointer, cases[i].json), cases[i].found, "%s in %s",
            cases[i].pointer, cases[i].json);
}
