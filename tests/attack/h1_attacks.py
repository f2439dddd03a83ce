# SPDX-License-Identifier: Apache-2.0
"""Attacks over HTTP/1.1: heads, bodies and answers without end, and many connections that hold something."""
import itertools
import os

from attack.engine import crowd, flood, flood_again, repeat
from attack.h2_attacks import MISSING
from attack.registry import H1, attack

GET = b"GET " + MISSING + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def head(target, *lines, path=b"/v1/events", media=b"application/json", authorized=True):
    name, value = target.authorization()
    return b"".join(line + b"\r\n" for line in [b"POST " + path + b" HTTP/1.1", b"Host: a", b"Content-Type: " + media,
                                                *([name + b": " + value] if authorized else []), *lines]) + b"\r\n"


def batch_head(target, *lines, authorized=True):
    return head(target, *lines, path=b"/v1/events/batch", media=b"application/x-ndjson", authorized=authorized)


def h1(name, title, opening, piece, **how):
    """One connection that sends an opening, and then the same bytes without end."""
    @attack(name, title, H1, **how)
    def prepare(target):
        return lambda: flood(target, repeat(piece), "http/1.1", opening(target) if callable(opening) else opening)

    return prepare


# --- what has no end ---

h1("h1-head-endless", "header lines without end", b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: bcd\r\n", is_short=True)
h1("h1-value-endless", "one header value without end", b"GET / HTTP/1.1\r\nHost: a\r\nA: ", b"b" * 1000)
h1("h1-name-endless", "one header name without end", b"GET / HTTP/1.1\r\nHost: a\r\n", b"b" * 1000)
h1("h1-target-endless", "a request line without end", b"GET /", b"a" * 1000)
h1("h1-empty-lines", "empty lines before a request", b"", b"\r\n")
h1("h1-chunk-extension", "a chunk extension without end", lambda t: batch_head(t, b"Transfer-Encoding: chunked") + b"1;", b"a=b;", is_short=True)
h1("h1-chunk-extensions", "chunks of 1 byte with 200 bytes of extension", lambda t: batch_head(t, b"Transfer-Encoding: chunked"),
   b"1;" + b"a" * 200 + b"\r\n \r\n")
h1("h1-chunk-zeros", "a chunk size of zeros without end", lambda t: batch_head(t, b"Transfer-Encoding: chunked"), b"0" * 1000)
h1("h1-trailers", "trailers without end", lambda t: batch_head(t, b"Transfer-Encoding: chunked") + b"1\r\n \r\n0\r\n", b"A: bcd\r\n", is_short=True)
h1("h1-garbage", "random bytes", b"", os.urandom(65536))
h1("h1-body-after-401", "a body that continues after a 401", lambda t: batch_head(t, b"Content-Length: 1000000000", authorized=False), b" " * 1000)
h1("h1-body-after-404", "a body of a GET that continues after a 404",
   lambda t: GET[:-2] + b"Content-Length: 1000000000\r\n\r\n", b" " * 1000)
h1("h1-chunks-after-413", "chunks of 16 KB beyond every limit", lambda t: batch_head(t, b"Transfer-Encoding: chunked"),
   b"4000\r\n" + b" " * 16384 + b"\r\n")
h1("h1-connection-upgrade", "requests to upgrade to h2c", b"", GET[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
   b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", bounded="each is a request without an upgrade, or closes the connection")


@attack("h1-1-byte-chunks", "chunks of 1 byte, a partner's batches one after the other", H1, is_short=True)
def one_byte_chunks(target):
    request = batch_head(target, b"Transfer-Encoding: chunked") + b"1\r\n \r\n" * 60000 + b"0\r\n\r\n"
    return lambda: flood(target, repeat(request, 1), "http/1.1")


@attack("h1-header-count", "requests with 2000 header lines", H1)
def header_count(target):
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 2000 + b"\r\n"
    return lambda: flood(target, repeat(request), "http/1.1")


@attack("h1-pipelined-unread", "requests whose answers are never read", H1, seconds=13,
        bounded="refused requests are slowed down to one in a second, and the next ones wait with the client")
def pipelined_unread(target):
    return lambda: flood(target, repeat(GET), "http/1.1", reads=False, receive_buffer=4096)


@attack("h1-batches-unread", "batches with answers of 200 KB that are never read, on 50 connections", H1, seconds=13,
        bounded="10 s to read an answer; above the limit of the partner they are short, and fit into the kernel's buffers")
def batches_unread(target):
    request = batch_head(target, b"Content-Length: 3000") + b"{}\n" * 1000
    return lambda: crowd(target, 50, lambda number: [request] * 20, reads=False, receive_buffer=4096)


# --- held by many connections ---

@attack("h1-bodies-held", "300 batches of 1 MiB without their last byte", H1, seconds=6, bounded="bodies have a budget of memory")
def bodies_held(target):
    body = b" " * (2 ** 20 - 1)
    opening = batch_head(target, b"Content-Length: 1048576")
    return lambda: crowd(target, 300, lambda number: [opening, body])


@attack("h1-bodies-held-no-key", "the same without a key", H1, seconds=6, is_short=True,
        bounded="refused before the body is kept")
def bodies_held_no_key(target):
    body = b" " * (2 ** 20 - 1)
    opening = batch_head(target, b"Content-Length: 1048576", authorized=False)
    return lambda: crowd(target, 300, lambda number: [opening, body])


@attack("h1-heads-held", "400 KB of head on 500 connections", H1, seconds=6, cut_within=4.5, is_short=True,
        bounded="answered with 431, and then 2 s to read that")
def heads_held(target):
    opening = b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"A: " + b"b" * 4000 + b"\r\n") * 100
    return lambda: crowd(target, 500, lambda number: [opening])


@attack("h1-heads-held-small", "7 KB of head on 1000 connections", H1, seconds=7, cut_within=6.5,
        bounded="5 s for a head")
def heads_held_small(target):
    opening = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 7000
    return lambda: crowd(target, 1000, lambda number: [opening], addresses=250)


@attack("h1-expect-held", "300 requests with Expect: 100-continue whose bodies never come", H1, seconds=12, cut_within=11.5,
        bounded="10 s for a body")
def expect_held(target):
    opening = batch_head(target, b"Content-Length: 1048576", b"Expect: 100-continue")
    return lambda: crowd(target, 300, lambda number: [opening])


@attack("h1-slow-head", "100 heads at one byte a second", H1, seconds=15, cut_within=6.5, bounded="5 s for a head")
def slow_head(target):
    return lambda: crowd(target, 100, lambda number: iter([GET[at:at + 1] for at in range(len(GET))]), interval=1)


@attack("h1-slow-body", "100 bodies at one byte a second", H1, seconds=15, cut_within=11.5, bounded="10 s, and 1 s for each 64 KiB of body")
def slow_body(target):
    opening = head(target, b"Content-Length: 1000")
    return lambda: crowd(target, 100, lambda number: itertools.chain([opening], itertools.repeat(b" ", 900)), interval=1)


@attack("h1-slow-chunk", "100 chunk extensions at one byte a second", H1, seconds=15, cut_within=11.5, bounded="10 s, and 1 s for each 64 KiB of body")
def slow_chunk(target):
    opening = batch_head(target, b"Transfer-Encoding: chunked") + b"1;"
    return lambda: crowd(target, 100, lambda number: itertools.chain([opening], itertools.repeat(b"a", 900)), interval=1)


# --- callers ---

@attack("h1-wrong-keys", "posts with a wrong key on one connection", H1, bounded="each is answered 401; the address is slowed and then cut")
def wrong_keys(target):
    event = target.event()
    requests = b"".join(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer pk_%032d\r\n"
                        b"Content-Length: %d\r\n\r\n%b" % (number, len(event), event) for number in range(200))
    return lambda: flood(target, repeat(requests, 1), "http/1.1")


@attack("h1-not-found", "requests for nothing on one connection", H1, is_short=True,
        bounded="each is answered 404; the address is slowed and then cut")
def not_found(target):
    return lambda: flood(target, repeat(GET), "http/1.1")


@attack("h1-connect-flood", "a new connection for each wrong request", H1, bounded="the address has a limit of new connections")
def connect_flood(target):
    return lambda: flood_again(target, lambda: [b"x\r\n\r\n"], alpn="http/1.1")
