/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/match.h"

#include <criterion/criterion.h>

static struct slice header(const void *request, const char *name)
{
    return strcmp(name, "x-id") == 0 ? slice_from_string(request) : slice_of(NULL, 0);
}

static struct selector selector(const char *text)
{
    struct selector found = {0};
    cr_assert(selector_parse(text, &found), "%s", text);
    return found;
}

static struct sink_record fill(
    const char *key, const char *id, const char *due, const char *header_value, const char *body)
{
    struct match match = {
        .run = "r1", .key = selector(key), .id = selector(id), .due = selector(due)};
    struct sink_record record = {.number = 5};
    match_fill(&match, header, header_value, slice_from_string(body), &record);
    return record;
}

Test(match, our_key_is_found_where_the_selector_says)
{
    const struct {
        const char *key, *header, *body;
        uint64_t number;
    } cases[] = {
        {"body", "", "xx r1-17\"", 17},
        {"body", "", "{\"a\":\"r1-x r12-3 xr1-4 r1-5\"}", 5},
        {"body", "", "r1-", RUN_NO_NUMBER},
        {"body", "", "", RUN_NO_NUMBER},
        {"body", "r1-4", "", RUN_NO_NUMBER},
        {"header:X-Id", "r1-4", "r1-5", 4},
        {"header:x-other", "r1-4", "r1-5", RUN_NO_NUMBER},
        {"json:/a/1/b~1c", "", "{\"a\":[\"r1-1\",{\"b/c\":\"r1-2\"}]}", 2},
        {"json:/a/01/b", "", "{\"a\":[\"r1-1\",{\"b\":\"r1-2\"}]}", RUN_NO_NUMBER},
        {"json:/a", "", "{\"a\":{\"b\":\"r1-2\"}}", RUN_NO_NUMBER},
        {"json:/a", "", "not JSON r1-2", RUN_NO_NUMBER},
        {"none", "r1-4", "r1-5", RUN_NO_NUMBER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sink_record record =
            fill(cases[i].key, "none", "none", cases[i].header, cases[i].body);
        cr_assert_eq(record.number, cases[i].number, "case %zu", i);
    }
}

Test(match, the_targets_id_and_the_due_time_are_found)
{
    static const unsigned char none[16];
    unsigned char id[16];
    run_log_id(SLICE_LITERAL("abc"), id);
    struct sink_record record =
        fill("none", "header:x-id", "json:/at", "abc", "{\"at\":1700000000000000}");
    cr_assert_arr_eq(record.event, id, 16);
    cr_assert_eq(record.due_us, 1700000000000000);
    record = fill("none", "json:/id", "json:/at", "", "{\"id\":\"abc\",\"at\":\"17\"}");
    cr_assert_arr_eq(record.event, id, 16);
    cr_assert_eq(record.due_us, 17);
    record = fill("none", "json:/id", "json:/at", "", "{\"id\":null,\"at\":\"x\"}");
    cr_assert_arr_eq(record.event, none, 16);
    cr_assert_eq(record.due_us, 0);
}

Test(match, a_wrong_selector_is_refused)
{
    struct selector found;
    static const char *const wrong[] = {
        "", "header:", "header:a b", "json:", "json:a", "Body", "query:x"};
    char name[400] = "json:/";
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not(selector_parse(wrong[i], &found), "%s", wrong[i]);
    memset(name + 6, 'x', 300);
    cr_assert_not(selector_parse(name, &found));
}
