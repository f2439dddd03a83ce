/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 connections that cause work and bring nothing are cut. Others do not notice. */
#include "fixture.h"

#include "base/cleanup.h"

#include <stdio.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture = (struct fixture){0};
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_stop(&fixture);
}

TestSuite(floods, .init = set_up, .fini = tear_down);

#define UNITS 20000

static void empty_settings(int fd, unsigned i)
{
    h2_send_frame(fd, H2_SETTINGS, 0, 0, NULL, 0);
}

static void settings_acks(int fd, unsigned i)
{
    h2_send_frame(fd, H2_SETTINGS, 1, 0, NULL, 0);
}

static void pings(int fd, unsigned i)
{
    h2_send_frame(fd, H2_PING, 0, 0, "12345678", 8);
}

static void ping_acks(int fd, unsigned i)
{
    h2_send_frame(fd, H2_PING, 1, 0, "12345678", 8);
}

static void window_updates(int fd, unsigned i)
{
    h2_send_frame(fd, H2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void priorities(int fd, unsigned i)
{
    h2_send_frame(fd, H2_PRIORITY, 0, 2 * i + 1, "\0\0\0\0\20", 5);
}

static void unknown_types(int fd, unsigned i)
{
    h2_send_frame(fd, 77, 0, 0, "x", 1);
}

static void goaways(int fd, unsigned i)
{
    h2_send_frame(fd, H2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
}

static void rapid_resets(int fd, unsigned i)
{
    h2_send_request(fd, 2 * i + 1, "GET", "/now", false);
    h2_send_rst(fd, 2 * i + 1);
}

/* The server is made to reset each stream. */
static void invalid_requests(int fd, unsigned i)
{
    h2_send_request_with(fd, 2 * i + 1, "GET", "/now", false,
        (const struct h2_field[]){{"connection", "close"}, {0}});
}

static void empty_data(int fd, unsigned i)
{
    if (i == 0)
        h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_frame(fd, H2_DATA, 0, 1, NULL, 0);
}

static void padding_only(int fd, unsigned i)
{
    static const unsigned char padding[1 + 255] = {255};
    if (i == 0)
        h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_frame(fd, H2_DATA, 0x8, 1, padding, sizeof padding);
}

static void small_data(int fd, unsigned i)
{
    if (i == 0)
        h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_frame(fd, H2_DATA, 0, 1, "x", 1);
}

static void late_data(int fd, unsigned i)
{
    static const char some[512];
    if (i == 0)
        h2_send_request(fd, 1, "POST", "/nowhere", true);
    h2_send_frame(fd, H2_DATA, 0, 1, some, sizeof some);
}

static void empty_continuations(int fd, unsigned i)
{
    if (i == 0)
        h2_send_frame(fd, H2_HEADERS, 0, 1, "\x86", 1);
    h2_send_frame(fd, H2_CONTINUATION, 0, 1, NULL, 0);
}

static void long_heads(int fd, unsigned i)
{
    static unsigned char field[4096] = {0x00, 1, 'a', 0x7f, 0xf6, 0x1e}; /* a value of 4085 bytes */
    if (i == 0)
        h2_send_frame(fd, H2_HEADERS, 0, 1, "\x86", 1);
    h2_send_frame(fd, H2_CONTINUATION, 0, 1, field, 6 + 4085);
}

/* Heads for a stream that is closed: the library decodes and drops them. */
static void old_heads(int fd, unsigned i)
{
    static unsigned char block[1024];
    if (i == 0) {
        h2_send_request(fd, 101, "GET", "/now", false);
        memset(block, 0x82, sizeof block);
    }
    h2_send_frame(fd, H2_HEADERS, 0x5, 1, block, sizeof block);
}

static void one_byte_and_padding(int fd, unsigned i)
{
    static const unsigned char padded[1 + 1 + 255] = {255, 'x'};
    if (i == 0)
        h2_send_request(fd, 1, "POST", "/echo", true);
    h2_send_frame(fd, H2_DATA, 0x8, 1, padded, sizeof padded);
}

/* One large field in the table, and then references of one byte each. */
static void header_bomb(int fd, unsigned i)
{
    static unsigned char block[16384];
    if (i > 0)
        return;
    size_t len = 0;
    block[len++] = 0x40;
    block[len++] = 1;
    block[len++] = 'a';
    block[len++] = 0x7f; /* 3900 = 127 + 3773 */
    block[len++] = 0xbd;
    block[len++] = 0x1d;
    memset(block + len, 'v', 3900);
    len += 3900;
    memset(block + len, 0xbe, sizeof block - len);
    h2_send_frame(fd, H2_HEADERS, 0x5, 1, block, sizeof block);
}

static const struct {
    const char *name;
    void (*send)(int fd, unsigned i);
} floods[] = {{"empty settings", empty_settings}, {"settings acks", settings_acks},
    {"pings", pings}, {"ping acks", ping_acks}, {"window updates", window_updates},
    {"priorities", priorities}, {"unknown types", unknown_types}, {"goaways", goaways},
    {"rapid resets", rapid_resets}, {"invalid requests", invalid_requests},
    {"empty data", empty_data}, {"padding only", padding_only}, {"small data", small_data},
    {"late data", late_data}, {"empty continuations", empty_continuations},
    {"old heads", old_heads}, {"one byte and padding", one_byte_and_padding},
    {"long heads", long_heads}, {"header bomb", header_bomb}};

Test(floods, each_kind_is_cut)
{
    AUTO_CLOSE int partner = h2_connect(&fixture);
    for (unsigned kind = 0; kind < ARRAY_LENGTH(floods); kind++) {
        AUTO_CLOSE int fd = h2_connect(&fixture);
        for (unsigned i = 0; i < UNITS; i++)
            floods[kind].send(fd, i);
        struct h2_frame frame;
        while (h2_read_frame(fd, &frame)) /* to the end of the connection */
            ;
        cr_expect_eq(metrics_read(METRIC_REFUSED_DEADLINE), 0, "%s", floods[kind].name);
        h2_send_request(partner, 2 * kind + 1, "GET", "/now", false);
        cr_assert_eq(h2_read_status(partner, 2 * kind + 1), 200, "%s", floods[kind].name);
    }
}

Test(floods, requests_that_are_answered_are_no_flood)
{
    AUTO_CLOSE int fd = h2_connect(&fixture);
    static const struct h2_field friend[] = {{"x-one", "friend"}, {0}};
    for (unsigned i = 0; i < 3000; i++) {
        h2_send_request_with(fd, 2 * i + 1, "POST", "/friend", true, friend);
        h2_send_data(fd, 2 * i + 1, "a", 1, false);
        h2_send_data(fd, 2 * i + 1, "b", 1, true);
        h2_send_frame(fd, H2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
        h2_send_frame(fd, H2_PRIORITY, 0, 2 * i + 1, "\0\0\0\0\20", 5);
        cr_assert_eq(h2_read_status(fd, 2 * i + 1), 201, "%u", i);
    }
}

Test(floods, caller_is_judged_before_the_body)
{
    static const char body[FIXTURE_LARGE_BODY_BYTES_MAX];
    AUTO_CLOSE int fd = h2_connect(&fixture), http1 = client_connect(&fixture);
    h2_send_request(fd, 1, "POST", "/friend", true);
    cr_assert_eq(h2_read_status(fd, 1), 401);
    struct h2_frame frame;
    cr_assert(h2_read_until(fd, H2_RST_STREAM, 1, &frame));
    cr_assert_eq(frame.payload[3], 0, "without an error: the answer is complete");
    h2_send_data(fd, 1, body, sizeof body, true); /* was on its way */
    struct answer answer;
    client_ask(http1, "POST /friend HTTP/1.1\r\nHost: a\r\nContent-Length: 8192\r\n\r\n", &answer);
    cr_assert_eq(answer.status, 401);
    client_send_bytes(http1, body, 8192);
    client_ask(http1, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    cr_assert_eq(answer.status, 200, "the connection stays usable");
    cr_assert_eq(fixture.heads, 2);
    cr_assert_eq(fixture.requests, 1);
}

Test(floods, large_body_gets_a_window_when_its_head_was_admitted)
{
    static char body[FIXTURE_HUGE_BODY_BYTES_MAX];
    static const struct h2_field friend[] = {{"x-one", "friend"}, {0}};
    AUTO_CLOSE int fd = h2_connect(&fixture);
    struct h2_frame frame;
    h2_send_request_with(fd, 1, "POST", "/friend/huge", true, friend);
    cr_assert(h2_read_until(fd, H2_WINDOW_UPDATE, 1, &frame));
    h2_send_data(fd, 1, body, sizeof body, true);
    cr_assert_eq(h2_read_status(fd, 1), 200);
    h2_send_request_with(fd, 3, "POST", "/friend/huge", true, friend);
    h2_send_data(fd, 3, body, sizeof body, false);
    h2_send_data(fd, 3, "x", 1, true);
    cr_assert_eq(h2_read_status(fd, 3), 413);
}

Test(floods, heads_that_are_too_large_are_answered_or_cut)
{
    AUTO_CLOSE int fd = h2_connect(&fixture), http1 = client_connect(&fixture);
    struct h2_field fields[66] = {{0}};
    for (unsigned i = 0; i < 65; i++)
        fields[i] = (struct h2_field){"a", "b"};
    h2_send_request_with(fd, 1, "GET", "/now", false, fields);
    cr_assert_eq(h2_read_status(fd, 1), 431);
    static char head[64 * 1024];
    size_t len = (size_t)snprintf(head, sizeof head, "GET /now HTTP/1.1\r\nHost: a\r\n");
    while (len < 17 * 1024)
        len += (size_t)snprintf(head + len, sizeof head - len, "X: aaaaaaaaaaaaaaaaaaaaaaaa\r\n");
    struct answer answer;
    client_ask(http1, head, &answer);
    cr_assert_eq(answer.status, 431);
    cr_assert(client_is_at_end(http1));
    cr_assert_eq(fixture.requests, 0);
}

/* One field of 3000 bytes, and 30 times its index, which is one byte. */
Test(floods, head_that_becomes_large_by_its_indexes_is_cut)
{
    static unsigned char block[4096];
    size_t len = 0;
    block[len++] = 0x82; /* :method: GET */
    block[len++] = 0x86; /* :scheme: http */
    block[len++] = 0x84; /* :path: / */
    block[len++] = 0x41; /* :authority, which takes an index */
    block[len++] = 1;
    block[len++] = 'a';
    const unsigned char field[] = {0x40, 1, 'x', 0x7f, 0xb9, 0x16}; /* 3000 bytes follow */
    memcpy(block + len, field, sizeof field);
    memset(block + len + sizeof field, 'y', 3000);
    len += sizeof field + 3000;
    memset(block + len, 0xbe, 30); /* the newest entry of the table */
    len += 30;
    AUTO_CLOSE int fd = h2_connect(&fixture);
    h2_send_frame(fd, H2_HEADERS, 0x5, 1, block, len);
    cr_assert_eq(h2_read_status(fd, 1), 0, "the connection has ended");
    cr_assert_eq(fixture.requests, 0);
}
