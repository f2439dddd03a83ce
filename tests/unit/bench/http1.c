/* SPDX-License-Identifier: Apache-2.0 */
#include "load/http1.h"

#include <criterion/criterion.h>

static struct post post = {.method = "POST",
    .headers_count = 1,
    .headers = {{.name = "x-a"}},
    .id = {.kind = SELECTOR_HEADER, .name = "x-id"}};
static struct http1 http1;
static struct load_record record;
static struct sending sending;

static void begin(void)
{
    static bool has_begun;
    if (!has_begun)
        http1_init(&http1, &post);
    has_begun = true;
    buffer_clear(&sending.body);
    buffer_clear(&sending.answer);
    buffer_clear(&sending.head.text);
    sending.records = &record;
    sending.records_count = 1;
    sending.body_at = 0;
    sending.status = 0;
    memset(sending.id, 0, sizeof sending.id);
    buffer_add_string(&sending.body, "hello");
    buffer_add_string(&sending.head.text, "/pathvalue");
    sending.head.ends[0] = 5;
    sending.head.ends[1] = 10;
    http1_begin(&http1, "host:1", &sending);
}

static void give_all(void)
{
    uint8_t bytes[512];
    while (http1_give(&http1, bytes, sizeof bytes) > 0) {
    }
}

static enum http1_result take(const char *text, size_t step)
{
    enum http1_result result = HTTP1_GOING_ON;
    size_t len = strlen(text);
    for (size_t at = 0; at < len && result == HTTP1_GOING_ON; at += step)
        result = http1_take(&http1, (const uint8_t *)text + at, len - at < step ? len - at : step);
    return result;
}

static void end(void)
{
    http1_done(&http1);
    buffer_done(&sending.body);
    buffer_done(&sending.answer);
    buffer_done(&sending.head.text);
}

Test(http1, a_request_is_given_in_pieces_of_any_size)
{
    static const char expected[] =
        "POST /path HTTP/1.1\r\nhost: host:1\r\nx-a: value\r\ncontent-length: 5\r\n\r\nhello";
    for (size_t step = 1; step < sizeof expected + 1; step++) {
        uint8_t bytes[512];
        size_t len = 0, given;
        begin();
        while ((given = http1_give(&http1, bytes + len, step)) > 0)
            len += given;
        cr_assert(slice_equals_string(slice_of(bytes, len), expected), "%.*s", (int)len, bytes);
    }
    end();
}

Test(http1, answers_are_read_whatever_their_framing_and_pieces)
{
    unsigned char id[16];
    run_log_id(SLICE_LITERAL("i7"), id);
    static const struct {
        const char *text;
        int status;
        bool keep;
        const char *body;
    } cases[] = {
        {"HTTP/1.1 202 Accepted\r\nX-Id: i7\r\ncontent-length: 2\r\n\r\nok", 202, true, "ok"},
        {"HTTP/1.1 204 No\r\nx-id: i7\r\n\r\n", 204, true, ""},
        {"HTTP/1.1 200\r\nx-id: i7\r\ntransfer-encoding: "
         "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            200, true, "abc"},
        {"HTTP/1.1 200 OK\r\nconnection: close\r\nx-id: i7\r\ncontent-length: 1\r\n\r\nx", 200,
            false, "x"},
        {"HTTP/1.0 200 OK\r\nx-id: i7\r\ncontent-length: 1\r\n\r\nx", 200, false, "x"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-id: i7\r\ncontent-length: 0\r\n\r\n",
            200, true, ""},
        {"HTTP/1.1 200 OK\r\nx-empty:\r\nx-id: i7\r\ncontent-length: 0\r\n\r\n", 200, true, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            bool keep;
            begin();
            give_all();
            cr_assert_eq(take(cases[i].text, step), HTTP1_ANSWERED, "case %zu, step %zu", i, step);
            cr_assert_eq(http1_finish(&http1, &keep), &sending);
            cr_assert_eq(sending.status, cases[i].status);
            cr_assert_eq(keep, cases[i].keep, "case %zu", i);
            cr_assert(slice_equals_string(buffer_slice(&sending.answer), cases[i].body));
            cr_assert_arr_eq(sending.id, id, 16, "case %zu, step %zu", i, step);
            cr_assert(http1_is_idle(&http1));
        }
    }
    end();
}

Test(http1, an_answer_without_a_length_ends_with_the_connection)
{
    bool keep;
    begin();
    give_all();
    cr_assert_eq(take("HTTP/1.1 200 OK\r\n\r\nabc", 3), HTTP1_GOING_ON);
    cr_assert_eq(http1_take(&http1, NULL, 0), HTTP1_ANSWERED);
    http1_finish(&http1, &keep);
    cr_assert(!keep && slice_equals_string(buffer_slice(&sending.answer), "abc"));
    end();
}

Test(http1, malformed_cut_and_unasked_answers_fail)
{
    static const char *const wrong[] = {
        "garbage\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin();
        cr_assert_eq(take(wrong[i], 100), HTTP1_FAILED, "%s", wrong[i]);
    }
    begin();
    cr_assert_eq(take("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", 100), HTTP1_GOING_ON);
    cr_assert_eq(http1_take(&http1, NULL, 0), HTTP1_FAILED);
    http1_reset(&http1);
    cr_assert_eq(http1_take(&http1, (const uint8_t *)"x", 1), HTTP1_FAILED);
    end();
}

Test(http1, the_connection_is_not_kept_after_an_early_or_a_double_answer)
{
    static const char one[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    bool keep;
    begin(); /* the request is not sent yet */
    cr_assert_eq(take(one, 100), HTTP1_ANSWERED);
    http1_finish(&http1, &keep);
    cr_assert_not(keep);
    begin();
    give_all();
    char two[128];
    snprintf(two, sizeof two, "%s%s", one, one);
    cr_assert_eq(take(two, sizeof two), HTTP1_ANSWERED);
    http1_finish(&http1, &keep);
    cr_assert_not(keep);
    end();
}
