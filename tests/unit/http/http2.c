/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <stdio.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_stop(&fixture);
}

TestSuite(http2, .init = set_up, .fini = tear_down);

Test(http2, prior_knowledge_of_a_raw_client_works)
{
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    struct h2_frame data;
    cr_assert(h2_read_until(fd, H2_DATA, 1, &data));
    cr_assert(slice_equals_string(slice_of(data.payload, data.len), "now"));
}

Test(http2, prior_knowledge_of_curl_works)
{
    char base_url[64], command[256], text[64] = "";
    http_base_url(&fixture.address, false, base_url);
    snprintf(command, sizeof command,
        "curl -sS --max-time 20 --http2-prior-knowledge --data-binary abc -w ' %%{http_version} "
        "%%{response_code}' "
        "%s/echo",
        base_url);
    FILE *curl = popen(command, "r");
    cr_assert(fgets(text, sizeof text, curl));
    pclose(curl);
    cr_assert_str_eq(text, "abc 2 201");
}

Test(http2, preface_may_arrive_byte_by_byte)
{
    AUTO_CLOSE int fd = client_connect(&fixture);
    const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (size_t i = 0; preface[i]; i++) {
        client_send_bytes(fd, preface + i, 1);
        fixture_call(&fixture, fixture_do_nothing);
    }
    client_send_bytes(fd, (unsigned char[9]){0, 0, 0, H2_SETTINGS}, 9);
    h2_send_request(fd, 1, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 1), 200);
}

Test(http2, hundred_streams_are_answered_together)
{
    AUTO_CLOSE int fd = h2_connect(&fixture);
    for (unsigned i = 0; i < 100; i++)
        h2_send_request(fd, 2 * i + 1, "GET", "/hold", false);
    WAIT_UNTIL(fixture.held_seen == 100);
    fixture_call(&fixture, fixture_answer_broker_owned);
    cr_assert_eq(fixture.answered_present, 100);
    unsigned answered = 0;
    struct h2_frame frame;
    while (answered < 100 && h2_read_frame(fd, &frame))
        answered += frame.status == 200;
    cr_assert_eq(answered, 100);
}

Test(http2, size_of_bodies_is_limited)
{
    static const char body[4 * FIXTURE_BODY_BYTES_MAX];
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_data(fd, 1, body, FIXTURE_BODY_BYTES_MAX, true);
    cr_assert_eq(h2_read_status(fd, 1), 201);
    h2_send_request(fd, 3, "POST", "/echo", true);
    h2_send_data(fd, 3, body, FIXTURE_BODY_BYTES_MAX + 1, true);
    cr_assert_eq(h2_read_status(fd, 3), 413);
    h2_send_request(fd, 5, "POST", "/echo", true);
    h2_send_data(fd, 5, body, sizeof body, true);
    cr_assert_eq(h2_read_status(fd, 5), 413);
    h2_send_request(fd, 7, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 7), 200);
    cr_assert_eq(fixture.requests, 2);
}

Test(http2, stream_reset_before_its_answer_is_counted_and_harmless)
{
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/hold", true);
    h2_send_data(fd, 1, "abc", 3, true);
    h2_send_request(fd, 3, "GET", "/hold", false);
    h2_send_rst(fd, 1);
    h2_send_request(fd, 5, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 5), 200); /* then the reset was read */
    fixture_call(&fixture, fixture_answer_broker_owned);
    cr_assert_eq(fixture.answered_gone, 1);
    cr_assert_eq(fixture.answered_present, 1);
    cr_assert_eq(metrics_read(METRIC_ANSWERS_ORPHANED), 1);
    cr_assert_eq(h2_read_status(fd, 3), 200);
}

Test(http2, stream_reset_while_its_answer_is_in_the_mailbox_is_harmless)
{
    AUTO_CLOSE int fd = h2_connect(&fixture);
    for (unsigned i = 0; i < 100; i++) {
        h2_send_request(fd, 2 * i + 1, "POST", "/later", false);
        h2_send_rst(fd, 2 * i + 1);
    }
    h2_send_request(fd, 201, "GET", "/now", false);
    cr_assert_eq(h2_read_status(fd, 201), 200);
}

Test(http2, disconnect_before_the_answers_is_harmless)
{
    int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "GET", "/hold", false);
    h2_send_request(fd, 3, "POST", "/hold", true);
    h2_send_data(fd, 3, "abc", 3, true);
    WAIT_UNTIL(fixture.held_seen == 2);
    close(fd);
    WAIT_UNTIL(metrics_read(METRIC_HTTP_CONNECTIONS) == 0);
    cr_assert_not(fixture_is_idle(&fixture));
    fixture_call(&fixture, fixture_answer_broker_owned);
    cr_assert_eq(fixture.answered_gone, 2);
    cr_assert_eq(metrics_read(METRIC_ANSWERS_ORPHANED), 2);
    cr_assert(fixture_is_idle(&fixture));
}

static unsigned goaway_last_stream(const struct h2_frame *frame)
{
    uint32_t last;
    memcpy(&last, frame->payload, sizeof last);
    return ntohl(last);
}

Test(http2, drain_sends_goaway_finishes_requests_and_ends_idle)
{
    AUTO_CLOSE int fd = h2_connect(&fixture), waiting = h2_connect(&fixture);
    h2_send_request(fd, 1, "GET", "/hold", false);
    h2_send_request(waiting, 1, "GET", "/now", false);
    cr_assert_eq(h2_read_status(waiting, 1), 200);
    WAIT_UNTIL(fixture.held_seen == 1);
    fixture_call(&fixture, fixture_drain);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_GOAWAY, 0, &frame));
    cr_assert_eq(goaway_last_stream(&frame), 0x7fffffff);
    /* The second one is final. It closes the connection when no request is open. */
    cr_assert(h2_read_until(waiting, H2_GOAWAY, 0, &frame));
    cr_assert(h2_read_until(waiting, H2_GOAWAY, 0, &frame));
    cr_assert_eq(goaway_last_stream(&frame), 1);
    cr_assert_not(h2_read_frame(waiting, &frame));
    cr_assert_not(fixture_is_idle(&fixture));
    fixture_call(&fixture, fixture_answer_broker_owned);
    cr_assert_eq(fixture.answered_present, 1);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    cr_assert_not(h2_read_until(fd, H2_GOAWAY, 1, &frame)); /* reads to the end of the connection */
    WAIT_UNTIL(fixture_is_idle(&fixture));
}

Test(http2, trailer_fields_are_not_headers)
{
    static const struct h2_field fields[] = {{"x-one", "in a trailer"}, {0}};
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/parts/a/then/b", true);
    h2_send_data(fd, 1, "abc", 3, false);
    h2_send_trailer(fd, 1, fields);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    struct h2_frame data;
    cr_assert(h2_read_until(fd, H2_DATA, 1, &data));
    cr_assert(slice_equals_string(
                  slice_of(data.payload, data.len), "POST|/parts/a/then/b||a|b|||localhost|"),
        "%.*s", (int)data.len, (const char *)data.payload);
    h2_send_request_with(fd, 3, "POST", "/parts/a/then/b", false, fields);
    cr_assert_eq(h2_read_status(fd, 3), 200);
    cr_assert(h2_read_until(fd, H2_DATA, 3, &data));
    cr_assert(slice_equals_string(
        slice_of(data.payload, data.len), "POST|/parts/a/then/b||a|b||in a trailer|localhost|"));
}

Test(http2, wrong_content_length_is_rejected)
{
    static const struct {
        const char *told, *body;
        bool has_trailer, is_taken;
    } cases[] = {
        {"3", "abc", false, true},
        {"3", "abc", true, true},
        {"0", NULL, false, true},
        {"3", NULL, false, false},
        {"0", "abc", false, false},
        {"2", "abc", false, false},
        {"4", "abc", false, false},
        {"4", "abc", true, false},
        {"18446744073709551615", "abc", false, false},
    };
    unsigned taken = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        AUTO_CLOSE int fd = h2_connect(&fixture);
        const struct h2_field fields[] = {{"content-length", cases[i].told}, {0}};
        const struct h2_field trailer[] = {{"x-sum", "3"}, {0}};
        h2_send_request_with(fd, 1, "POST", "/echo", cases[i].body, fields);
        if (cases[i].body)
            h2_send_data(fd, 1, cases[i].body, strlen(cases[i].body), !cases[i].has_trailer);
        if (cases[i].has_trailer)
            h2_send_trailer(fd, 1, trailer);
        int status = 0;
        struct h2_frame frame;
        while (!status && h2_read_frame(fd, &frame) && frame.type != H2_RST_STREAM &&
               frame.type != H2_GOAWAY)
            status = frame.status;
        cr_assert_eq(status == 201, cases[i].is_taken, "case %u: %d", i, status);
        taken += cases[i].is_taken;
    }
    cr_assert_eq(fixture.requests, taken);
}
