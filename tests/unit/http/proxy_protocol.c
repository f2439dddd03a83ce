/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy_protocol.h"

#include "base/cleanup.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP_4 "\x21\x11\0\x0c\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb" /* 192.0.2.7:4711 */
#define TCP_6                                                                                    \
    "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" \
    "\xff\xff\x01\xbb" /* [2001:db8::7]:65535 */
#define LOCAL "\x20\0\0\0"

static enum proxy_protocol_step walk(struct proxy_protocol *proxy, struct slice bytes, size_t piece,
    size_t *ret_used, const char **ret_fault)
{
    enum proxy_protocol_step step = PROXY_PROTOCOL_MORE;
    *proxy = (struct proxy_protocol){0};
    *ret_used = 0;
    *ret_fault = NULL;
    for (size_t at = 0; at < bytes.len && step == PROXY_PROTOCOL_MORE; at += piece) {
        size_t used, len = bytes.len - at < piece ? bytes.len - at : piece;
        step = proxy_protocol_walk(proxy, bytes.data + at, len, &used, ret_fault);
        *ret_used += used;
        cr_assert(used <= len && (step != PROXY_PROTOCOL_MORE || used == len));
    }
    return step;
}

static const struct {
    struct slice bytes;
    const char *source;   /* NULL: the peer itself */
    unsigned port, after; /* bytes that follow the header */
} headers[] = {
    {SLICE_LITERAL(SIGNATURE TCP_4), "::ffff:192.0.2.7", 4711, 0},
    {SLICE_LITERAL(SIGNATURE TCP_4 "GET / HTTP/1.1\r\n"), "::ffff:192.0.2.7", 4711, 16},
    {SLICE_LITERAL(SIGNATURE TCP_6 "x"), "2001:db8::7", 65535, 1},
    {SLICE_LITERAL(SIGNATURE LOCAL), NULL, 0, 0},
    {SLICE_LITERAL(SIGNATURE LOCAL SIGNATURE), NULL, 0, 12},
    {SLICE_LITERAL(SIGNATURE "\x20\x11\0\x0c"
                             "abcdefghijkl"),
        NULL, 0, 0}, /* LOCAL with addresses */
    {SLICE_LITERAL(SIGNATURE "\x20\x99\0\3"
                             "abcd"),
        NULL, 0, 1},
    {SLICE_LITERAL(SIGNATURE "\x21\0\0\0"), NULL, 0, 0}, /* the proxy does not know it */
    {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x10\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb"
                             "\1\0\1h"),
        "::ffff:192.0.2.7", 4711, 0}, /* one TLV */
    {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x15\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb"
                             "\1\0\0\2\0\3xyz!"),
        "::ffff:192.0.2.7", 4711, 1}, /* two, one is empty */
};

Test(proxy_protocol, source_is_read_in_pieces_of_any_size)
{
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++)
        for (size_t piece = 1; piece <= headers[i].bytes.len; piece++) {
            struct proxy_protocol proxy;
            struct in6_addr address, expected;
            uint16_t port = 0;
            size_t used;
            const char *fault;
            cr_expect_eq(walk(&proxy, headers[i].bytes, piece, &used, &fault), PROXY_PROTOCOL_DONE,
                "%zu: %s", i, fault ? fault : "more");
            cr_expect_eq(used, headers[i].bytes.len - headers[i].after, "%zu: %zu", i, used);
            bool has_source = proxy_protocol_source(&proxy, &address, &port);
            cr_expect_eq(has_source, headers[i].source != NULL, "%zu", i);
            if (!headers[i].source)
                continue;
            cr_assert(inet_pton(AF_INET6, headers[i].source, &expected) == 1);
            cr_expect(memcmp(&address, &expected, sizeof address) == 0, "%zu", i);
            cr_expect_eq(port, headers[i].port, "%zu: %u", i, port);
        }
}

Test(proxy_protocol, incomplete_header_needs_more)
{
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++)
        for (size_t len = 0; len < headers[i].bytes.len - headers[i].after; len++) {
            struct proxy_protocol proxy;
            size_t used;
            const char *fault;
            cr_expect_eq(walk(&proxy, slice_of(headers[i].bytes.data, len), 7, &used, &fault),
                PROXY_PROTOCOL_MORE, "%zu %zu", i, len);
            cr_expect_eq(used, len);
        }
}

Test(proxy_protocol, everything_else_is_a_fault_with_its_reason)
{
    static const struct {
        struct slice bytes;
        const char *reason;
        size_t at; /* bytes that are read until then */
    } faults[] = {
        {SLICE_LITERAL("GET / HTTP/1.1\r\n"), "does not begin", 1},
        {SLICE_LITERAL("POST / HTTP/1.1\r\n"), "does not begin", 2},
        {SLICE_LITERAL("PRI * HTTP/2.0\r\n"), "does not begin", 3},
        {SLICE_LITERAL("PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"), "version 1", 6},
        {SLICE_LITERAL("PROXYTCP"), "does not begin", 6},
        {SLICE_LITERAL("\x16\3\1"), "does not begin", 1},
        {SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\r"), "does not begin", 12},
        {SLICE_LITERAL(SIGNATURE "\x11\x11\0\x0c"), "version", 13},
        {SLICE_LITERAL(SIGNATURE "\x31\x11\0\x0c"), "version", 13},
        {SLICE_LITERAL(SIGNATURE "\x22\x11\0\x0c"), "command", 13},
        {SLICE_LITERAL(SIGNATURE "\x2f\x11\0\x0c"), "command", 13},
        {SLICE_LITERAL(SIGNATURE "\x21\x12\0\x0c"), "TCP", 14}, /* UDP */
        {SLICE_LITERAL(SIGNATURE "\x21\x22\0\x24"), "TCP", 14},
        {SLICE_LITERAL(SIGNATURE "\x21\x31\0\xd8"), "TCP", 14}, /* a local socket */
        {SLICE_LITERAL(SIGNATURE "\x21\x01\0\x0c"), "TCP", 14},
        {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x0b"), "too short", 16},
        {SLICE_LITERAL(SIGNATURE "\x21\x21\0\x23"), "too short", 16},
        {SLICE_LITERAL(SIGNATURE "\x21\x11\x07\xf1"), "2048", 16},
        {SLICE_LITERAL(SIGNATURE "\x20\0\xff\xff"), "2048", 16},
        {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x0d\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb\1"), "TLV",
            29},
        {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x0e\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb\1\0"), "TLV",
            30},
        {SLICE_LITERAL(SIGNATURE "\x21\x11\0\x10\xc0\0\2\7\x0a\0\0\1\x12\x67\x01\xbb\1\0\2h"),
            "TLV", 31},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
        for (size_t piece = 1; piece <= faults[i].bytes.len; piece++) {
            struct proxy_protocol proxy;
            size_t used;
            const char *fault;
            cr_expect_eq(walk(&proxy, faults[i].bytes, piece, &used, &fault), PROXY_PROTOCOL_FAULT,
                "%zu", i);
            cr_assert(fault != NULL, "%zu", i);
            cr_expect(strstr(fault, faults[i].reason) != NULL, "%zu: %s", i, fault);
            cr_expect_eq(used, faults[i].at, "%zu: %zu", i, used);
        }
    }
}

Test(proxy_protocol, longest_header_is_read)
{
    static char bytes[PROXY_PROTOCOL_BYTES_MAX + 1];
    memcpy(bytes, SIGNATURE TCP_4, 28);
    bytes[14] = (PROXY_PROTOCOL_BYTES_MAX - 16) >> 8;
    bytes[15] = (char)((PROXY_PROTOCOL_BYTES_MAX - 16) & 0xff);
    unsigned value = PROXY_PROTOCOL_BYTES_MAX - 28 - 3;
    bytes[29] = (char)(value >> 8);
    bytes[30] = (char)(value & 0xff);
    struct proxy_protocol proxy;
    size_t used;
    const char *fault;
    cr_expect_eq(
        walk(&proxy, slice_of(bytes, sizeof bytes), 100, &used, &fault), PROXY_PROTOCOL_DONE);
    cr_expect_eq(used, PROXY_PROTOCOL_BYTES_MAX);
}
