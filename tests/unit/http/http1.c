/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_stop(&fixture);
}

TestSuite(http1, .init = set_up, .fini = tear_down);

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

Test(http1, connection_answers_several_requests_in_turn)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    for (int i = 0; i < 3; i++) {
        client_ask(fd, GET("/now"), &answer);
        cr_assert_eq(answer.status, 200);
        cr_assert_str_eq(answer.body, "now");
        cr_assert(strstr(answer.head, "\r\nServer: Penstock\r\n"));
        cr_assert(strstr(answer.head, "\r\ncontent-type: text/plain\r\n"), "%s", answer.head);
    }
    cr_assert_eq(metrics_read(METRIC_HTTP_CONNECTIONS), 1);
}

Test(http1, pipelined_requests_are_answered_in_order)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_send(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab" GET("/now"));
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "later");
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "now");
}

Test(http1, request_may_arrive_byte_by_byte)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    /* The HTTP/2 preface begins with "PR" as well. */
    const char request[] = "PROPFIND /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
    for (size_t i = 0; request[i]; i++) {
        client_send_bytes(fd, request + i, 1);
        fixture_call(&fixture, fixture_do_nothing); /* the server reads them one by one */
    }
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 405);
}

Test(http1, bodies_have_a_length_or_are_chunked)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", &answer);
    cr_assert_eq(answer.status, 201);
    cr_assert_str_eq(answer.body, "hello");
    cr_assert(strstr(answer.head, "\r\nx-length: 5\r\n"));
    client_ask(fd,
        "POST /echo HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        &answer);
    cr_assert_eq(answer.status, 201);
    cr_assert_str_eq(answer.body, "abcde");
    client_ask(fd, "POST /echo HTTP/1.1\r\n" HOST "\r\n", &answer);
    cr_assert_eq(answer.status, 201);
    cr_assert_eq(answer.body_len, 0);
}

Test(http1, expect_is_answered_with_100_continue)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd,
        "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        &answer);
    cr_assert_eq(answer.status, 100);
    client_ask(fd, "ok", &answer);
    cr_assert_eq(answer.status, 201);
    cr_assert_str_eq(answer.body, "ok");
}

Test(http1, handler_sees_all_parts_of_the_request)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd,
        "GET /parts/one/then/t%20o?a=b&c=?d HTTP/1.1\r\nHost: example.org:80\r\nX-One: "
        "first\r\nX-One: second\r\n\r\n",
        &answer);
    cr_assert_str_eq(
        answer.body, "GET|/parts/one/then/t%20o|a=b&c=?d|one|t%20o||first|example.org:80|");
}

Test(http1, answer_without_a_body_keeps_the_connection)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET("/empty"), &answer);
    cr_assert_eq(answer.status, 204);
    cr_assert_not(strstr(answer.head, "ontent-"));
    client_send(fd, "HEAD /nowhere HTTP/1.1\r\n" HOST "\r\n");
    client_read_head(fd, &answer);
    cr_assert_eq(answer.status, 404);
    client_ask(fd, GET("/now"), &answer);
    cr_assert_eq(answer.status, 200);
}

Test(http1, offer_to_upgrade_is_ignored)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd,
        "GET /now HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert_str_eq(answer.body, "now");
}

Test(http1, ambiguous_request_is_rejected_and_the_connection_closed)
{
    static const struct {
        const char *headers, *body;
    } cases[] = {
        {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
        {"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"},
        {"Content-Length: 0\r\nContent-Length: 36\r\n", ""},
        {"Content-Length: 0\r\ncontent-length: 0\r\n", ""},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
        {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"},
        {"Content-Length: 0\r\nX-A: b\r\n Content-Length: 36\r\n", ""},
        {"X-A: b\r\n\tfolded\r\n", ""},
        {"X-A: b\nContent-Length: 0\nContent-Length: 36\n", ""},
        {"Content-Length: 0, 0\r\n", ""},
        {"Content-Length: +0\r\n", ""},
        {"Content-Length : 0\r\n", ""},
        {"Transfer-Encoding: xchunked\r\n", ""},
        {"Transfer-Encoding: chunked, identity\r\n", ""},
        {"Content-Length: 0\r\nX-A: b\rContent-Length: 36\r\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        AUTO_CLOSE int fd = client_connect(&fixture);
        char request[1024];
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\n" HOST "%s\r\n%s" GET("/now"),
            cases[i].headers, cases[i].body);
        struct answer answer;
        client_ask(fd, request, &answer);
        cr_assert_eq(answer.status, 400, "case %zu: %d", i, answer.status);
        cr_assert(strcasestr(answer.head, "\r\nConnection: close\r\n"), "case %zu", i);
        cr_assert(client_is_at_end(fd), "case %zu", i);
    }
    cr_assert_eq(fixture.requests, 0);
}

Test(http1, http_1_0_request_with_chunks_is_rejected)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd,
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        &answer);
    cr_assert_eq(answer.status, 400);
    cr_assert(client_is_at_end(fd));
}

static void post_body_to(int fd, const char *path, size_t len, struct answer *ret_answer)
{
    char head[256];
    char *body = calloc(1, len);
    snprintf(
        head, sizeof head, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", path, len);
    client_send(fd, head);
    client_send_bytes(fd, body, len);
    free(body);
    client_read_answer(fd, ret_answer);
}

Test(http1, slightly_too_large_body_is_answered_with_413_and_the_connection_stays)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    post_body_to(fd, "/echo", FIXTURE_BODY_BYTES_MAX, &answer);
    cr_assert_eq(answer.status, 201);
    post_body_to(fd, "/echo", FIXTURE_BODY_BYTES_MAX + 1, &answer);
    cr_assert_eq(answer.status, 413);
    cr_assert(strstr(answer.head, "\r\ncontent-type: application/problem+json\r\n"));
    cr_assert(strstr(answer.body, "\"urn:penstock:problem:too-large\""));
    client_ask(fd, GET("/now"), &answer);
    cr_assert_eq(answer.status, 200);
    cr_assert_eq(fixture.requests, 2);
}

Test(http1, route_may_allow_larger_bodies_than_the_others)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    post_body_to(fd, "/large", FIXTURE_LARGE_BODY_BYTES_MAX, &answer);
    cr_assert_eq(answer.status, 200);
    post_body_to(fd, "/large", FIXTURE_LARGE_BODY_BYTES_MAX + 1, &answer);
    cr_assert_eq(answer.status, 413);
    post_body_to(fd, "/echo", FIXTURE_LARGE_BODY_BYTES_MAX, &answer);
    cr_assert_eq(answer.status, 413);
    post_body_to(fd, "/nowhere", FIXTURE_LARGE_BODY_BYTES_MAX, &answer);
    cr_assert_eq(answer.status, 404);
    cr_assert_eq(fixture.requests, 1);
}

Test(http1, route_may_require_other_credentials)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET("/challenge/unauthenticated"), &answer);
    cr_assert_eq(answer.status, 401);
    cr_assert(strstr(answer.head, "\r\nwww-authenticate: Riddle\r\n"), "%s", answer.head);
}

Test(http1, much_too_large_body_ends_the_connection)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    /* Only the head: the length is enough. */
    client_ask(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n", &answer);
    cr_assert_eq(answer.status, 413);
    cr_assert(strstr(answer.head, "\r\ncontent-type: application/problem+json\r\n"));
    cr_assert(strstr(answer.body, "\"urn:penstock:problem:too-large\""));
    cr_assert(client_is_at_end(fd));
    cr_assert_eq(fixture.requests, 0);
}

Test(http1, earlier_request_is_answered_before_a_much_too_large_one)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(
        fd, GET("/now") "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n", &answer);
    cr_assert_eq(answer.status, 200);
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 413);
    cr_assert(client_is_at_end(fd));
}

Test(http1, answers_arrive_through_the_mailbox)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    for (int i = 0; i < 300; i++) {
        client_ask(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", &answer);
        cr_assert_str_eq(answer.body, "later");
    }
    cr_assert_eq(fixture.requests, 300);
}

Test(http1, thread_is_online_in_handlers_and_offline_while_it_waits)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET("/now"), &answer);
    cr_assert_not(fixture.was_offline_in_handler);
    rcu_wait_for_readers(); /* would otherwise never return */
}

Test(http1, unknown_path_is_404_and_unknown_method_is_405)
{
    static const struct {
        const char *request;
        int status;
        const char *allow;
    } cases[] = {
        {GET("/nowhere"), 404, NULL},
        {GET("/"), 404, NULL},
        {GET("/now/"), 404, NULL},
        {GET("//now"), 404, NULL},
        {GET("/parts//then/x"), 404, NULL},
        {GET("/parts/x/then/"), 404, NULL},
        {GET("http://localhost/now"), 200, NULL},
        {GET("http://localhost/now?x=/y"), 200, NULL},
        {GET("http://localhost"), 404, NULL},
        {GET("ftp://localhost/now"), 404, NULL},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 404, NULL},
        {"DELETE /now HTTP/1.1\r\n" HOST "\r\n", 405, "\r\nallow: GET\r\n"},
        {"get /now HTTP/1.1\r\n" HOST "\r\n", 405, "\r\nallow: GET\r\n"},
        {"PUT /hold HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405,
            "\r\nallow: POST, GET\r\n"},
        {GET("/now?x=/nowhere"), 200, NULL},
        {GET("/now?"), 200, NULL},
    };
    AUTO_CLOSE int fd = client_connect(&fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct answer answer;
        client_ask(fd, cases[i].request, &answer);
        cr_assert_eq(answer.status, cases[i].status, "%s: %d", cases[i].request, answer.status);
        if (answer.status >= 400)
            cr_assert(strstr(answer.head, "\r\ncontent-type: application/problem+json\r\n"), "%s",
                answer.head);
        cr_assert_eq(cases[i].allow != NULL, strstr(answer.head, "allow:") != NULL);
        if (cases[i].allow)
            cr_assert(strstr(answer.head, cases[i].allow), "%s", answer.head);
    }
}

Test(http1, problem_has_title_detail_and_errors)
{
    static const struct {
        const char *name;
        int status;
        const char *header, *body;
    } cases[] = {
        {"invalid", 422, NULL,
            "{\"type\":\"urn:penstock:problem:invalid\",\"title\":\"Unprocessable "
            "Content\",\"status\":422,"
            "\"detail\":\"Do better.\",\"errors\":[{\"pointer\":\"/amount\",\"detail\":\"must be a "
            "\\\"decimal\\\"\"},"
            "{\"pointer\":\"/currency\",\"detail\":\"is required\"}]}"},
        {"unauthenticated", 401, "\r\nwww-authenticate: Bearer\r\n",
            "{\"type\":\"urn:penstock:problem:unauthenticated\",\"title\":\"Unauthorized\","
            "\"status\":401,"
            "\"detail\":\"Do better.\"}"},
        {"overloaded", 503, "\r\nretry-after: ",
            "{\"type\":\"urn:penstock:problem:overloaded\",\"title\":\"Service Unavailable\","
            "\"status\":503,\"detail\":\"Do better.\"}"},
    };
    AUTO_CLOSE int fd = client_connect(&fixture);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char request[256];
        struct answer answer;
        snprintf(
            request, sizeof request, "GET /problem/%s HTTP/1.1\r\n" HOST "\r\n", cases[i].name);
        client_ask(fd, request, &answer);
        cr_assert_eq(answer.status, cases[i].status);
        cr_assert_str_eq(answer.body, cases[i].body);
        if (cases[i].header)
            cr_assert(strstr(answer.head, cases[i].header), "%s", answer.head);
        const char *retry_after = strstr(answer.head, "\r\nretry-after: ");
        cr_assert_eq(retry_after != NULL, answer.status == 503);
        if (retry_after) {
            long seconds = strtol(strchr(retry_after, ':') + 1, NULL, 10);
            cr_assert(seconds >= 1 && seconds <= 5, "%ld", seconds);
        }
    }
}

Test(http1, disconnect_before_the_answer_is_harmless)
{
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hold"));
    WAIT_UNTIL(fixture.held_seen == 1);
    close(fd);
    fixture_call(&fixture, fixture_answer_broker_owned);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == 0);
    /* h2o does not read meanwhile, so it does not notice. */
    cr_assert_eq(fixture.answered_present, 1);
}

/* Asserts that the request is answered with one 400 and a close, although h2o would accept it. */
static void assert_is_refused(const char *request, size_t len)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    client_send_bytes(fd, request, len);
    struct answer answer;
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 400, "%s: %d", request, answer.status);
    cr_assert(strstr(answer.head, "\r\nConnection: close\r\n"), "%s", answer.head);
    cr_assert(strstr(answer.head, "application/problem+json"), "%s", answer.head);
    cr_assert(strstr(answer.body, "\"detail\":\""), "%s", answer.body);
    cr_assert(client_is_at_end(fd), "%s", request);
}

#define CHUNKED "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CASE(text)                                     \
    {                                                  \
        text GET("/now"), sizeof(text GET("/now")) - 1 \
    }

Test(http1, ambiguous_bytes_are_rejected_before_h2o_reads_them)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        CASE(CHUNKED "3\nabc\r\n0\r\n\r\n"),
        CASE(CHUNKED "3\r\nabc\n0\r\n\r\n"),
        CASE(CHUNKED "3\r\nabc\r\n0\n\r\n"),
        CASE(CHUNKED "3\r\nabc\r\n0\r\n\n"),
        CASE(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"),
        CASE(CHUNKED "3;a\0b\r\nabc\r\n0\r\n\r\n"),
        CASE(CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        CASE(CHUNKED "3\r\nabc\r\n0\r\nno trailer\r\n\r\n"),
        CASE(CHUNKED "3\r\nabc\r\n0\r\nA: b\n\r\n"),
        CASE("GET /now HTTP/1.1\n" HOST "\r\n"),
        CASE("GET /now HTTP/1.1\r\nHost: localhost\n\r\n"),
        CASE("GET /now HTTP/1.1\r\n" HOST "\n"),
        CASE("GET /now HTTP/1.1\r\n\r\n"),
        CASE("GET /now HTTP/1.1\r\n" HOST HOST "\r\n"),
        CASE("GET /now HTTP/1.1\r\n" HOST "Host: other\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_is_refused(cases[i].text, cases[i].len);
    cr_assert_eq(fixture.requests, 0);
}

Test(http1, requests_before_a_rejected_one_are_answered)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_send(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab" GET("/now")
                        CHUNKED "0x1\r\na\r\n0\r\n\r\n" GET("/now"));
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "later");
    client_read_answer(fd, &answer);
    cr_assert_str_eq(answer.body, "now");
    client_read_answer(fd, &answer);
    cr_assert_eq(answer.status, 400);
    cr_assert(client_is_at_end(fd));
    cr_assert_eq(fixture.requests, 2);
}

Test(http1, request_with_an_error_in_later_bytes_is_rejected)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd, GET("/now"), &answer);
    const char *const pieces[] = {CHUNKED, "3\r\nab", "c\r\n", "0"};
    for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
        client_send(fd, pieces[i]);
        fixture_call(&fixture, fixture_do_nothing);
    }
    client_ask(fd, "\n\r\n" GET("/now"), &answer);
    cr_assert_eq(answer.status, 400);
    cr_assert(client_is_at_end(fd));
    cr_assert_eq(fixture.requests, 1);
}

Test(http1, many_requests_in_random_pieces_are_all_answered)
{
    static const char requests[] =
        GET("/now") CHUNKED "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
                            "POST /later HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /"
                            "\r\n" GET("/now?a");
    static const int statuses[] = {200, 201, 200, 200};
    for (size_t piece = 1; piece < sizeof requests; piece = piece * 2 + 1) {
        AUTO_CLOSE int fd = client_connect(&fixture);
        for (size_t at = 0; at < sizeof requests - 1; at += piece) {
            size_t left = sizeof requests - 1 - at;
            client_send_bytes(fd, requests + at, left < piece ? left : piece);
            fixture_call(&fixture, fixture_do_nothing);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(statuses); i++) {
            struct answer answer;
            client_read_answer(fd, &answer);
            cr_assert_eq(answer.status, statuses[i], "in pieces of %zu, answer %zu: %d", piece, i,
                answer.status);
        }
    }
}

Test(http1, trailer_fields_are_not_headers)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    struct answer answer;
    client_ask(fd,
        "POST /parts/a/then/b HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX-One: in a trailer\r\n\r\n",
        &answer);
    cr_assert_str_eq(answer.body, "POST|/parts/a/then/b||a|b|||localhost|");
}
