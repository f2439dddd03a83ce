/* SPDX-License-Identifier: Apache-2.0 */
#include "support/framing_walk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Walks the bytes at once and byte by byte: both must give the same result. */
static struct framing_walk walk(const char *text, size_t len)
{
    struct framing_walk whole = {0}, bytes = {0};
    framing_walk(&whole, text, len);
    for (size_t i = 0; i < len; i++)
        framing_walk(&bytes, text + i, 1);
    cr_assert_eq(whole.fault, bytes.fault, "%s: %s, in pieces: %s", text,
        whole.fault ? whole.fault : "taken", bytes.fault ? bytes.fault : "taken");
    cr_assert(whole.heads == bytes.heads && whole.ends == bytes.ends, "%s", text);
    cr_assert_eq(whole.body_bytes, bytes.body_bytes, "%s", text);
    if (!whole.fault)
        cr_assert_eq(framing_phase(&whole.framing), framing_phase(&bytes.framing));
    return whole;
}

#define HOST "Host: a.example:80\r\n"
#define POST "POST /v1/events HTTP/1.1\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST "\r\n"
#define CHUNKED POST HOST "Transfer-Encoding: chunked\r\n\r\n"

Test(framing, valid_requests_end_at_the_right_byte)
{
    static const char *const cases[] = {
        GET,
        GET GET GET,
        "\r\n" GET "\r\n" GET,
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\n" HOST "\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a/b?c=d HTTP/1.1\r\nhOsT:[::1]:80\r\n\r\n",
        POST HOST "X: \t a b\xc3\xa9 \t\r\nY:\r\nZ:z\r\n\r\n",
        POST HOST "Content-Length: 4\r\n\r\nGET " GET,
        POST HOST "content-length:0004  \r\n\r\nGET " GET,
        POST HOST "Content-Length: 0\r\n\r\n" GET,
        CHUNKED "0\r\n\r\n" GET,
        CHUNKED "4\r\nGET \r\n00A\r\n0123456789\r\n000\r\n\r\n" GET,
        CHUNKED "4;a=b\r\nGET \r\n4;a=\"b; c\";d;e=f\r\n\r\n\r\n\r\n0;z\r\n\r\n" GET,
        CHUNKED "1\r\n\n\r\n0\r\nAuthorization: Bearer x\r\nY:\r\n\r\n" GET,
        POST HOST "TRANSFER-ENCODING: Chunked \r\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct framing_walk walked = walk(cases[i], strlen(cases[i]));
        cr_assert_null(walked.fault, "case %zu: %s", i, walked.fault);
        cr_assert(walked.heads > 0 && walked.heads == walked.ends, "case %zu", i);
        cr_assert_eq(framing_phase(&walked.framing), FRAMING_IDLE, "case %zu", i);
    }
}

#define REFUSED(text, why)          \
    {                               \
        text, sizeof(text) - 1, why \
    }

/* Other readers reject them, or read them differently. */
#define REFUSED_TABS_EXTENSIONS_TRAILERS                                                          \
    REFUSED(CHUNKED "0\r\nA: b\r\ncontent-Length: 1\r\n\r\n", "as trailers"),                     \
        REFUSED(CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", "as trailers"),                \
        REFUSED(CHUNKED "0\r\nhost: b\r\n\r\n", "as trailers"),                                   \
        REFUSED(POST HOST "Content-Length: 4\t\r\n\r\n", "tabs"),                                 \
        REFUSED(POST HOST "Content-Length:\t4\r\n\r\n", "tabs"),                                  \
        REFUSED(POST HOST "Transfer-Encoding: chunked\t\r\n\r\n", "tabs"),                        \
        REFUSED(POST HOST "Transfer-Encoding:\tchunked\r\n\r\n", "tabs"),                         \
        REFUSED("GET / HTTP/1.1\r\nHost:\ta\r\n\r\n", "tabs"), REFUSED(CHUNKED "4 \r\n", "size"), \
        REFUSED(CHUNKED "4 ;a\r\n", "size"), REFUSED(CHUNKED "4;\r\n", "extension"),              \
        REFUSED(CHUNKED "4; a\r\n", "extension"), REFUSED(CHUNKED "4;a;\r\n", "extension"),       \
        REFUSED(CHUNKED "4;a=\r\n", "extension"), REFUSED(CHUNKED "4;a= b\r\n", "extension"),     \
        REFUSED(CHUNKED "4;a=b c\r\n", "extension"),                                              \
        REFUSED(CHUNKED "4;a=\"b\"c\r\n", "extension"),                                           \
        REFUSED(CHUNKED "4;a=\"b\r\n", "extension"),                                              \
        REFUSED(CHUNKED "4;a=\"b\\\"\"\r\n", "extension"),                                        \
        REFUSED(CHUNKED "4;a=b\"c\"\r\n", "extension"), REFUSED(CHUNKED "4;a\n", "CR LF")

Test(framing, ambiguous_requests_are_rejected)
{
    static const struct {
        const char *text;
        size_t len;
        const char *why;
    } cases[] = {
        REFUSED("GET / HTTP/1.1\n" HOST "\r\n", "CR LF"),
        REFUSED("GET / HTTP/1.1\r\nHost: a\n\r\n", "CR LF"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "\n", "CR LF"),
        REFUSED("\n" GET, "CR LF"),
        REFUSED("\r\n\r\n" GET, "single spaces"),
        REFUSED("GET / HTTP/1.1\r" HOST "\r\n", "CR LF"),
        REFUSED("GET  / HTTP/1.1\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET\t/ HTTP/1.1\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET / HTTP/1.1 \r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET / HTTP/1.2\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET / http/1.1\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET /a b HTTP/1.1\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET /\0 HTTP/1.1\r\n" HOST "\r\n", "single spaces"),
        REFUSED("GET /\r\n", "single spaces"),
        REFUSED("GET / HTTP/1.1\r\n\r\n", "Host is missing"),
        REFUSED("GET / HTTP/1.1\r\n" HOST HOST "\r\n", "Host must be sent only once"),
        REFUSED("GET / HTTP/1.0\r\n" HOST HOST "\r\n", "Host must be sent only once"),
        REFUSED("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "Host must be one"),
        REFUSED("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "Host must be one"),
        REFUSED("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "Host must be one"),
        REFUSED("GET / HTTP/1.1\r\n " HOST "\r\n", "continued"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", "continued"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n", "header name"),
        REFUSED("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", "header name"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", "header name"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X\0: a\r\n\r\n", "header name"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n", "control"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", "CR LF"),
        REFUSED("GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n", "control"),
        REFUSED(POST HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "together"),
        REFUSED(POST HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "together"),
        REFUSED(POST HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "Content-Length must be sent only once"),
        REFUSED(POST HOST "Content-Length: 1, 1\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Content-Length: 1 1\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Content-Length: +1\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Content-Length: 0x1\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Content-Length:\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Content-Length: 1000000000000000000\r\n\r\n", "must be a number"),
        REFUSED(POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding must be sent only once"),
        REFUSED(POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "must be chunked"),
        REFUSED(POST HOST "Transfer-Encoding: chunke\r\n\r\n", "must be chunked"),
        REFUSED(POST HOST "Transfer-Encoding: chunkedd\r\n\r\n", "must be chunked"),
        REFUSED(POST HOST "Transfer-Encoding:\r\n\r\n", "must be chunked"),
        REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"),
        REFUSED(CHUNKED "0x4\r\nabcd\r\n0\r\n\r\n", "hexadecimal"),
        REFUSED(CHUNKED "-1\r\n", "hexadecimal"),
        REFUSED(CHUNKED " 4\r\n", "hexadecimal"),
        REFUSED(CHUNKED "\r\n", "hexadecimal"),
        REFUSED(CHUNKED ";a\r\n", "hexadecimal"),
        REFUSED(CHUNKED "4 \r\n", "hexadecimal"),
        REFUSED(CHUNKED "0000000000000004\r\n", "hexadecimal"),
        REFUSED(CHUNKED "4\nabcd\r\n0\r\n\r\n", "CR LF"),
        REFUSED(CHUNKED "4\rabcd\r\n0\r\n\r\n", "extension"),
        REFUSED(CHUNKED "4\r\nabcd\n0\r\n\r\n", "followed by CR LF"),
        REFUSED(CHUNKED "4\r\nabcd\r0\r\n\r\n", "followed by CR LF"),
        REFUSED(CHUNKED "4\r\nabcde\r\n0\r\n\r\n", "followed by CR LF"),
        REFUSED(CHUNKED "4;a\0b\r\nabcd\r\n", "extension"),
        REFUSED(CHUNKED "4;a\rb\r\nabcd\r\n", "extension"),
        REFUSED(CHUNKED "4;a\nabcd\r\n", "CR LF"),
        REFUSED(CHUNKED "0\r\n\n", "CR LF"),
        REFUSED(CHUNKED "0\r\nA: b\n\r\n", "CR LF"),
        REFUSED(CHUNKED "0\r\nA: b\r\n c\r\n\r\n", "trailer"),
        REFUSED(CHUNKED "0\r\nA b\r\n\r\n", "trailer"),
        REFUSED(CHUNKED "0\r\nA : b\r\n\r\n", "trailer"),
        REFUSED(CHUNKED "0\r\n: b\r\n\r\n", "trailer"),
        REFUSED(CHUNKED "0\r\nA: b\0\r\n\r\n", "trailer"),
        REFUSED_TABS_EXTENSIONS_TRAILERS,
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct framing_walk walked = walk(cases[i].text, cases[i].len);
        cr_assert_not_null(walked.fault, "case %zu was taken: %s", i, cases[i].text);
        cr_assert_not_null(strstr(walked.fault, cases[i].why), "case %zu: %s", i, walked.fault);
        cr_assert_eq(walked.ends, 0);

        /* After two valid requests, the third one is rejected. */
        static char text[4096];
        size_t before =
            (size_t)snprintf(text, sizeof text, "%s", GET POST HOST "Content-Length: 2\r\n\r\nab");
        memcpy(text + before, cases[i].text, cases[i].len);
        struct framing_walk third = walk(text, before + cases[i].len);
        cr_assert_eq(third.fault, walked.fault, "case %zu", i);
        cr_assert_eq(third.ends, 2);
    }
}

Test(framing, size_of_extensions_and_trailers_is_limited)
{
    static const char *const begins[] = {CHUNKED "4;", CHUNKED "0\r\nA:", CHUNKED "0\r\nA"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        struct framing_walk walked = {0};
        framing_walk(&walked, begins[i], strlen(begins[i]));
        size_t len = 0;
        for (; !walked.fault; len++) {
            framing_walk(&walked, "a", 1);
            cr_assert_lt(len, 9000);
        }
        cr_assert_gt(len, 1000);
    }
}

Test(framing, phase_names_the_part_that_is_being_read)
{
    static const struct {
        const char *text;
        enum framing_phase phase;
    } steps[] = {{"P", FRAMING_IN_HEAD},
        {"OST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r", FRAMING_IN_HEAD},
        {"\n", FRAMING_IN_BODY}, {"a", FRAMING_IN_BODY}, {"b", FRAMING_IDLE},
        {"\r\n", FRAMING_IDLE}, {CHUNKED, FRAMING_IN_BODY}, {"0\r\n", FRAMING_IN_BODY},
        {"\r\n", FRAMING_IDLE}};
    struct framing_walk walked = {0};
    cr_assert_eq(framing_phase(&walked.framing), FRAMING_IDLE);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        framing_walk(&walked, steps[i].text, strlen(steps[i].text));
        cr_assert_null(walked.fault);
        cr_assert_eq(framing_phase(&walked.framing), steps[i].phase, "step %zu", i);
    }
    cr_assert_eq(walked.ends, 2);
}

Test(framing, length_of_the_body_is_known_when_the_head_ends)
{
    static const struct {
        const char *head;
        uint64_t length;
    } cases[] = {{GET, 0}, {POST HOST "Content-Length: 0017\r\n\r\n", 17},
        {POST HOST "Content-Length: 0\r\n\r\n", 0}, {CHUNKED, FRAMING_CHUNKED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct framing framing = {0};
        struct slice data;
        size_t used, len = strlen(cases[i].head);
        cr_assert_eq(
            framing_next(&framing, slice_of(cases[i].head, len), &used, &data), FRAMING_HEAD);
        cr_assert_eq(used, len);
        cr_assert_eq(framing_body_length(&framing), cases[i].length, "case %zu", i);
    }
}
