# SPDX-License-Identifier: Apache-2.0
"""What RFC 9113 asks of a server, as cases: what is sent and what must follow. `conformance.py` runs them."""
import dataclasses
import struct
import typing

from attack import frames
from attack.frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, HAS_PRIORITY, HEADERS, PADDED, POST, PRIORITY,
                           RST_STREAM, SETTINGS, WINDOW_UPDATE, data, frame, headers, literal, ping, priority, request_block, rst_stream, settings,
                           window_update)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR = 1, 3, 5, 6, 7, 9


@dataclasses.dataclass
class Case:
    section: str
    text: str  # what is sent
    wants: str  # what the RFC asks for
    send: typing.Any  # bytes, or a function (session) -> bytes or None
    expect: typing.Callable  # (session) -> "" or how it deviates
    consequence: str  # of a deviation
    has_preface: bool = True
    has_probe: bool = True  # a PING and a request follow


CASES = []


def case(section, text, expect, send, consequence="", **how):
    CASES.append(Case(section, text, expect.wants, send, expect, consequence or expect.consequence, **how))


def expectation(wants, consequence=""):
    def named(function):
        function.wants, function.consequence = wants, consequence
        return function

    return named


# --- what may be expected ---

def connection_error(*codes):
    names = " or ".join(frames.error_name(code) for code in codes)

    @expectation(f"connection error {names}", "a faulty client is served on")
    def expect(session):
        if not session.closed:
            return "GOAWAY, but the connection stays open" if session.goaway is not None else f"no error: {session.told()}"
        if session.goaway is not None and session.goaway not in codes:
            return f"GOAWAY says {frames.error_name(session.goaway)}"
        return ""

    return expect


def stream_error(*codes, stream=1, answers=()):
    """A connection error is as good (5.4.1). `answers`: statuses that do as well."""
    names = " or ".join(frames.error_name(code) for code in codes)

    @expectation(f"stream error {names}" + (f", or {' or '.join(map(str, answers))}" if answers else ""), "a faulty request is served")
    def expect(session):
        if session.closed or session.goaway is not None:
            return "" if session.goaway in (None, *codes) else f"GOAWAY says {frames.error_name(session.goaway)}"
        if stream in session.resets:
            code = session.resets[stream]
            return "" if code in codes or code == 0 and session.answers.get(stream) in answers else f"RST_STREAM says {frames.error_name(code)}"
        return "" if session.answers.get(stream) in answers else f"no error: {session.told()}"

    return expect


@expectation("it is ignored or taken", "a correct client loses its connection")
def accepted(session):
    if session.closed or session.goaway is not None:
        return f"the connection ends: {session.told()}"
    return "" if session.probe_answered else f"the next request has no answer: {session.told()}"


def not_served(*codes, answers=0):
    """RFC 9113 permits to drop it (5.1, closed). `answers`: how many stream 1 may have."""
    @expectation("it is dropped, or an error", "a request is served twice")
    def expect(session):
        if session.closed or session.goaway is not None:
            return "" if session.goaway in (None, *codes) else f"GOAWAY says {frames.error_name(session.goaway)}"
        count = sum(1 for kind, _, stream, _ in session.frames if kind == HEADERS and stream == 1)
        return f"{count} answers" if count > answers else accepted(session)

    return expect


def answered(*streams):
    """Each of these requests has an answer, and the connection continues."""
    @expectation("the request is answered", "a correct request fails")
    def expect(session):
        deviation = accepted(session)
        for stream in streams:
            if not deviation and (stream in session.resets and stream not in session.answers or not session.answers.get(stream)):
                deviation = f"no answer: {session.told()}"
        return deviation

    return expect


def checked(wants, function, consequence):
    """`function(session)` says how the answer deviates."""
    return expectation(wants, consequence)(function)


# --- what is sent ---

def get(session, *fields):
    return request_block(GET, b"/v1/events/none", fields, scheme=session.target.scheme)


def post(session, *fields):
    return request_block(POST, b"/v1/events", [(b"content-type", b"application/json"), session.target.authorization(), *fields],
                         scheme=session.target.scheme)


def opened(more):
    """A post on stream 1 whose body is awaited, then `more`."""
    return lambda session: headers(1, post(session), False) + (more(session) if callable(more) else more)


def ended(more):
    """A request on stream 1 whose sender has ended it; its answer may still be under way."""
    return lambda session: headers(1, get(session)) + (more(session) if callable(more) else more)


def closed(more):
    """A request on stream 1 that has its answer; then `more`."""
    def send(session):
        session.send(headers(1, get(session)))
        session.wait_for(lambda: 1 in session.peer.ended or 1 in session.peer.resets)
        return more(session) if callable(more) else more

    return send


def was_reset(more):
    """A post on stream 1 that we have reset, then `more`."""
    return lambda session: headers(1, post(session), False) + rst_stream(1) + (more(session) if callable(more) else more)


# --- 3 and 4: the preface, frames, header blocks ---

case("3.4", "bytes that are no preface", connection_error(PROTOCOL_ERROR), frames.PREFACE[:-2] + b"XX" + settings(), has_preface=False, has_probe=False)
case("3.4", "a preface whose first frame is a PING", connection_error(PROTOCOL_ERROR), frames.PREFACE + ping(), has_preface=False, has_probe=False)
case("3.4", "a preface", checked("its first frame is SETTINGS without ACK", lambda s: "" if s.first == (SETTINGS, 0) else f"{s.first}",
                                 "clients end the connection"), b"")
case("4.1", "a request with the reserved bit before its stream", answered(1), lambda s: frame(HEADERS, END_HEADERS | END_STREAM, 1 | 1 << 31, get(s)))
case("4.1", "HEADERS and PING with flags that have no meaning", answered(1),
     lambda s: frame(HEADERS, END_HEADERS | END_STREAM | 0xd2 & ~HAS_PRIORITY, 1, get(s)) + frame(frames.PING, 0xfe, 0, bytes(8)))
case("4.2", "DATA of 16385 bytes", stream_error(FRAME_SIZE_ERROR, answers=(413,)), opened(data(1, b" " * 16385)))
case("4.2", "HEADERS of 16385 bytes", connection_error(FRAME_SIZE_ERROR),
     lambda s: frame(HEADERS, END_HEADERS | END_STREAM, 1, get(s) + literal(b"a", b"b" * 16385)))
case("4.2", "DATA of 16384 bytes", answered(1), opened(data(1, b" " * 16384, True)))
case("4.3", "a header block with an index beyond the table", connection_error(COMPRESSION_ERROR), lambda s: headers(1, get(s) + b"\xff\xff\xff\x7f"))
case("4.3", "a header block with index 0", connection_error(COMPRESSION_ERROR), lambda s: headers(1, get(s) + b"\x80"))
case("4.3", "a header block that ends inside a field", connection_error(COMPRESSION_ERROR), lambda s: headers(1, get(s) + b"\0\5a"))
case("4.3", "a Huffman code with EOS inside", connection_error(COMPRESSION_ERROR), lambda s: headers(1, get(s) + b"\0\1a\x84\xff\xff\xff\xff"))
case("4.3", "a header block, interrupted by a PING", connection_error(PROTOCOL_ERROR), lambda s: frame(HEADERS, END_STREAM, 1, get(s)) + ping())
case("4.3", "a header block, interrupted by HEADERS of another stream", connection_error(PROTOCOL_ERROR),
     lambda s: frame(HEADERS, END_STREAM, 1, get(s)) + headers(3, get(s)))
case("4.3", "a header block, interrupted by DATA of its stream", connection_error(PROTOCOL_ERROR), lambda s: frame(HEADERS, 0, 1, get(s)) + data(1, b"x"))
case("4.3.1", "a size update beyond the limit of the table", connection_error(COMPRESSION_ERROR), lambda s: headers(1, frames.size_update(1 << 20) + get(s)))
case("4.3.1", "a size update after a field", connection_error(COMPRESSION_ERROR), lambda s: headers(1, get(s) + frames.size_update(0)))

# --- 5.1: states of streams ---

case("5.1", "idle: DATA", connection_error(PROTOCOL_ERROR), data(1, b"x"))
case("5.1", "idle: RST_STREAM", connection_error(PROTOCOL_ERROR), rst_stream(1))
case("5.1", "idle: WINDOW_UPDATE", connection_error(PROTOCOL_ERROR), window_update(1, 100))
case("5.1", "idle: CONTINUATION", connection_error(PROTOCOL_ERROR), lambda s: frame(CONTINUATION, END_HEADERS, 1, get(s)))
case("5.1", "idle: PRIORITY, then a request on that stream", answered(1), lambda s: priority(1) + headers(1, get(s)))
case("5.1", "half-closed (remote): DATA", stream_error(STREAM_CLOSED), ended(data(1, b"x")), "none if it is dropped: the request is complete")
case("5.1", "half-closed (remote): HEADERS", stream_error(STREAM_CLOSED, PROTOCOL_ERROR), ended(headers(1, literal(b"a", b"b"))),
     "none if they are dropped: the request is complete")
case("5.1", "half-closed (remote): CONTINUATION", connection_error(PROTOCOL_ERROR, STREAM_CLOSED), ended(frame(CONTINUATION, END_HEADERS, 1, literal(b"a", b"b"))))
case("5.1", "half-closed (remote): WINDOW_UPDATE and PRIORITY", answered(1), ended(window_update(1, 100) + priority(1)))
case("5.1", "half-closed (remote): RST_STREAM", accepted, ended(rst_stream(1)))
case("6.1", "closed by our RST_STREAM: DATA", stream_error(STREAM_CLOSED), was_reset(data(1, b"x")), "none if it is dropped")
case("5.1", "closed by our RST_STREAM: HEADERS", not_served(STREAM_CLOSED, PROTOCOL_ERROR), was_reset(lambda s: headers(1, get(s))))
case("6.1", "closed by END_STREAM of both: DATA", stream_error(STREAM_CLOSED), closed(data(1, b"x")), "none if it is dropped")
case("5.1", "closed by END_STREAM of both: HEADERS", not_served(STREAM_CLOSED, PROTOCOL_ERROR, answers=1), closed(lambda s: headers(1, get(s))))
case("5.1", "closed: WINDOW_UPDATE, RST_STREAM and PRIORITY", accepted, closed(window_update(1, 100) + rst_stream(1) + priority(1)))
case("5.1", "after the server's reset: HEADERS, whose table entry is used", answered(3),
     lambda s: headers(1, post(s), False) + window_update(1, frames.WINDOW_MAX) + headers(1, frames.literal_indexed(b"x-a", b"b")) +
     headers(3, get(s) + frames.indexed(62)), "a client whose trailers cross a reset of the server loses its connection, or its fields are read wrongly")
case("5.1.1", "a request on stream 2", connection_error(PROTOCOL_ERROR), lambda s: headers(2, get(s)))
case("5.1.1", "a request on stream 5, then one on stream 3", connection_error(PROTOCOL_ERROR, STREAM_CLOSED), lambda s: headers(5, get(s)) + headers(3, get(s)),
     "none if it is dropped: the client waits for an answer that never comes")
case("5.1.1", "a request on stream 2^31-1", checked("the request is answered", lambda s: "" if s.answers.get(frames.WINDOW_MAX) else s.told(),
                                                    "a correct request fails"), lambda s: headers(frames.WINDOW_MAX, get(s)), has_probe=False)


def too_many(session):
    """One stream more than the server's limit."""
    return b"".join(headers(1 + 2 * number, post(session), False) for number in range(session.peer.streams_max + 1))


@expectation("one of them is refused", "memory is not bounded by the number of streams")
def one_refused(session):
    refused = {session.resets[stream] for stream in session.resets if not session.answers.get(stream)}
    if session.closed:
        return ""
    return "" if refused & {PROTOCOL_ERROR, REFUSED_STREAM} else f"none is refused: {session.told()}"


case("5.1.2", "one stream more than SETTINGS_MAX_CONCURRENT_STREAMS", one_refused, too_many)

# --- 5.2 and 6.9: flow control ---


def data_bytes(session, stream=1):
    return sum(len(payload) for kind, _, of, payload in session.frames if kind == DATA and of == stream)


def with_window(size, *steps):
    """A request whose answer has a window of `size`; then steps (bytes, how many bytes of the answer are expected afterwards)."""
    def check(session):
        session.send(settings((frames.INITIAL_WINDOW_SIZE, size)) + headers(1, get(session)))
        session.catch_up()
        got = [(size, data_bytes(session))]
        for piece, expected in steps:
            session.send(piece)
            session.catch_up()
            got.append((expected, data_bytes(session)))
        session.window_steps = got

    return check


@expectation("as much DATA as the window has", "clients end the connection with FLOW_CONTROL_ERROR, or wait forever")
def exact_windows(session):
    got = session.window_steps
    return "" if all(expected == seen for expected, seen in got) else f"expected and seen: {got}"


case("5.2.1", "a request whose answer has no window", exact_windows, with_window(0))
case("5.2.1", "a request whose answer has a window of 1 byte", exact_windows, with_window(1))
case("6.9", "a window that is opened by 10 bytes, and again by 5", exact_windows, with_window(0, (window_update(1, 10), 10), (window_update(1, 5), 15)))
case("6.9.2", "SETTINGS that open the windows of open streams", exact_windows, with_window(0, (settings((frames.INITIAL_WINDOW_SIZE, 3)), 3)))
case("6.9.2", "SETTINGS that make a window negative, then WINDOW_UPDATE", exact_windows,
     with_window(10, (settings((frames.INITIAL_WINDOW_SIZE, 5)), 10), (window_update(1, 5), 10), (window_update(1, 1), 11)))
case("6.9.2", "SETTINGS with two initial windows: the last one counts", exact_windows,
     with_window(0, (settings((frames.INITIAL_WINDOW_SIZE, 50), (frames.INITIAL_WINDOW_SIZE, 2)), 2)))
case("6.9", "WINDOW_UPDATE of 0 on a stream", stream_error(PROTOCOL_ERROR), opened(window_update(1, 0)), "a faulty client is served on")
case("6.9", "WINDOW_UPDATE of 0 on the connection", connection_error(PROTOCOL_ERROR), window_update(0, 0))
case("6.9", "WINDOW_UPDATE of 3 bytes", connection_error(FRAME_SIZE_ERROR), frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"))
case("6.9", "WINDOW_UPDATE of 5 bytes", connection_error(FRAME_SIZE_ERROR), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1\0"))
case("6.9.1", "a window of a stream beyond 2^31-1", stream_error(FLOW_CONTROL_ERROR), opened(window_update(1, frames.WINDOW_MAX)))
case("6.9.1", "the window of the connection beyond 2^31-1", connection_error(FLOW_CONTROL_ERROR), window_update(0, frames.WINDOW_MAX) * 2)
case("6.9.2", "SETTINGS that make a window larger than 2^31-1", connection_error(FLOW_CONTROL_ERROR),
     lambda s: headers(1, post(s), False) + window_update(1, 1 << 20) + settings((frames.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)))


def beyond_window(padded):
    """More DATA than the windows permit at that time. A server may open them while it reads: then nothing was wrong."""
    def send(session):
        session.send(headers(1, post(session), False))
        blob, room = b"", min(session.peer.room(1), session.peer.window)
        piece = frames.padded_data(1, b" " * 1000, 255) if padded else data(1, b" " * 16000)
        while len(blob) <= room + (1 << 20):
            blob += piece
            session.peer.take_room(1, len(piece) - 9)
        return blob

    return send


@expectation("an error, unless it opens the windows", "memory is not bounded by the windows")
def bounded_by_window(session):
    if session.peer.room(1) >= 0:
        return ""
    if session.closed or session.goaway is not None:
        return "" if session.goaway in (None, FLOW_CONTROL_ERROR) else f"GOAWAY says {frames.error_name(session.goaway)}"
    refused = session.answers.get(1) in (413, 503) or session.resets.get(1) == FLOW_CONTROL_ERROR
    return "" if refused else f"no error, {-session.peer.room(1)} bytes beyond the window: {session.told()}"


case("6.9.1", "DATA, 1 MiB beyond the window", bounded_by_window, beyond_window(False))
case("6.1", "DATA, 1 MiB beyond the window, most of it padding", bounded_by_window, beyond_window(True))


@expectation("the window is given back", "the connection cannot post any more")
def window_is_returned(session):
    return session.window_left


def data_to_reset_streams(session):
    """More than a connection's window of DATA, to streams that the server resets. Then the window must have room again."""
    session.window_left = ""
    stream = 1
    for _ in range(400):
        session.send(headers(stream, post(session), False) + window_update(stream, 0))
        if session.peer.window < 1000:
            session.wait_for(lambda: session.peer.window >= 1000)
        if session.peer.window < 1000:
            session.window_left = f"{session.peer.window} bytes are left"
            return b""
        session.send(data(stream, b"x" * 1000))
        session.peer.window -= 1000
        stream += 2
        if session.closed:
            break
    return b""


case("6.9.1", "DATA on streams that the server has reset, 400 KB in all", window_is_returned, data_to_reset_streams, has_probe=False)

# --- 5.4 and 5.5: errors and extensions ---


@expectation("the connection is closed after the GOAWAY", "faulty connections stay")
def goaway_and_end(session):
    return "" if session.closed else f"it stays open: {session.told()}"


case("5.4.1", "a connection error", goaway_and_end, data(0, b"x"))
case("5.4.2", "RST_STREAM on an open stream", checked("no RST_STREAM in return", lambda s: "RST_STREAM" if 1 in s.resets else accepted(s), "two ends can loop"),
     was_reset(b""))
case("5.5", "frames of unknown type, on the connection and on a stream", answered(3),
     lambda s: frame(0x42, 0xff, 0, bytes(20)) + headers(1, post(s), False) + frame(0xf0, 0, 1, bytes(9)) + headers(3, get(s)))
case("5.5", "a frame of unknown type inside a header block", connection_error(PROTOCOL_ERROR), lambda s: frame(HEADERS, END_STREAM, 1, get(s)) + frame(0x42))

# --- 6.1: DATA ---

case("6.1", "DATA on stream 0", connection_error(PROTOCOL_ERROR), data(0, b"x"))
case("6.1", "DATA with a padding that is as long as the frame", connection_error(PROTOCOL_ERROR), opened(frame(DATA, PADDED, 1, b"\5abcd")))
case("6.1", "DATA with the flag of padding and no byte", connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR), opened(frame(DATA, PADDED, 1, b"")))
case("6.1", "an event in DATA with padding", answered(1), opened(lambda s: frames.padded_data(1, s.target.event(), 200, True)))
case("6.1", "an event and an empty DATA with END_STREAM", answered(1), opened(lambda s: data(1, s.target.event()) + data(1, b"", True)))

# --- 6.2: HEADERS ---

case("6.2", "HEADERS on stream 0", connection_error(PROTOCOL_ERROR), lambda s: headers(0, get(s)))
case("6.2", "HEADERS with a padding that is longer than the frame", connection_error(PROTOCOL_ERROR),
     lambda s: frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + get(s)))
case("6.2", "HEADERS with padding and priority", answered(1),
     lambda s: frame(HEADERS, END_HEADERS | END_STREAM | PADDED | HAS_PRIORITY, 1, b"\6" + struct.pack(">IB", 0, 15) + get(s) + bytes(6)))
case("6.2", "HEADERS whose priority is cut off", connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR),
     frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, b"\0\0"))
case("6.2", "HEADERS, an empty CONTINUATION and two more", answered(1),
     lambda s: frame(HEADERS, END_STREAM, 1, get(s)[:5]) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, 0, 1, get(s)[5:9]) +
     frame(CONTINUATION, END_HEADERS, 1, get(s)[9:]))

# --- 6.3: PRIORITY ---

case("6.3", "PRIORITY on stream 0", connection_error(PROTOCOL_ERROR), priority(0))
case("6.3", "PRIORITY of 4 bytes", stream_error(FRAME_SIZE_ERROR), opened(frame(PRIORITY, 0, 1, bytes(4))))

# --- 6.4: RST_STREAM ---

case("6.4", "RST_STREAM on stream 0", connection_error(PROTOCOL_ERROR), rst_stream(0))
case("6.4", "RST_STREAM of 3 bytes", connection_error(FRAME_SIZE_ERROR), opened(frame(RST_STREAM, 0, 1, bytes(3))))
case("6.4", "RST_STREAM of 5 bytes", connection_error(FRAME_SIZE_ERROR), opened(frame(RST_STREAM, 0, 1, bytes(5))))
case("7", "RST_STREAM with an unknown error code", accepted, opened(rst_stream(1, 0xdeadbeef)))

# --- 6.5: SETTINGS ---

case("6.5", "SETTINGS ACK with a payload", connection_error(FRAME_SIZE_ERROR), frame(SETTINGS, ACK, 0, bytes(6)))
case("6.5", "SETTINGS on stream 1", connection_error(PROTOCOL_ERROR), frame(SETTINGS, 0, 1, bytes(0)))
case("6.5", "SETTINGS of 5 bytes", connection_error(FRAME_SIZE_ERROR), frame(SETTINGS, 0, 0, bytes(5)))
case("6.5.2", "SETTINGS_ENABLE_PUSH of 2", connection_error(PROTOCOL_ERROR), settings((frames.ENABLE_PUSH, 2)))
case("6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE of 2^31", connection_error(FLOW_CONTROL_ERROR), settings((frames.INITIAL_WINDOW_SIZE, 2 ** 31)))
case("6.5.2", "SETTINGS_MAX_FRAME_SIZE of 16383", connection_error(PROTOCOL_ERROR), settings((frames.MAX_FRAME_SIZE, 16383)))
case("6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24", connection_error(PROTOCOL_ERROR), settings((frames.MAX_FRAME_SIZE, 2 ** 24)))
case("6.5.2", "unknown SETTINGS", accepted, settings((0xff, 1), (0xabcd, 2 ** 32 - 1)))
case("6.5.2", "the server's SETTINGS", checked("no SETTINGS_ENABLE_PUSH of 1", lambda s: "it is 1" if struct.pack(">HI", 2, 1) in s.first_payload else "",
                                               "clients end the connection"), b"")
case("6.5.3", "SETTINGS", checked("SETTINGS ACK", lambda s: "" if s.settings_acks >= 2 else f"{s.settings_acks} ACKs for 2 frames",
                                  "clients end the connection with SETTINGS_TIMEOUT"), settings((frames.INITIAL_WINDOW_SIZE, 70000)))


def big_answer(session):
    """A batch of 300 items that are all refused, for an answer of more than 16 KiB."""
    block = request_block(POST, b"/v1/events/batch", [(b"content-type", b"application/x-ndjson"), session.target.authorization()],
                          scheme=session.target.scheme)
    session.send(settings((frames.INITIAL_WINDOW_SIZE, 1 << 24)) + headers(1, block, False) + data(1, b"{}\n" * 300, True))
    session.wait_for(lambda: 1 in session.peer.ended)


@expectation("no frame of more than 16384 bytes", "clients end the connection with FRAME_SIZE_ERROR")
def frames_are_small(session):
    largest = max((len(payload) for kind, _, stream, payload in session.frames if stream == 1), default=0)
    if data_bytes(session) <= frames.FRAME_BYTES:
        return f"the answer has only {data_bytes(session)} bytes: {session.told()}"
    return f"a frame of {largest} bytes" if largest > frames.FRAME_BYTES else ""


case("6.5.2", "a request with an answer of more than 16 KiB", frames_are_small, big_answer)


def smaller_table(session):
    """An answer with the usual table; then SETTINGS with a table of 0, and another answer."""
    session.send(frames.PREFACE + settings())
    session.wait_for(lambda: session.peer.is_open)
    for stream, more in ((1, b""), (3, settings((frames.HEADER_TABLE_SIZE, 0)))):
        session.send(more + headers(stream, get(session)))
        session.wait_for(lambda stream=stream: stream in session.peer.ended)


@expectation("the next block begins with a size update", "clients end the connection with COMPRESSION_ERROR")
def begins_with_update(session):
    blocks = {stream: payload for kind, _, stream, payload in session.frames if kind == HEADERS}
    return "" if blocks.get(3, b"")[:1] == b"\x20" else f"it begins with {blocks.get(3, b'')[:4].hex() or 'nothing'}"


case("6.5.3", "SETTINGS with a table of 0 after an answer", begins_with_update, smaller_table, has_preface=False, has_probe=False)

# --- 6.6: PUSH_PROMISE ---

case("6.6", "PUSH_PROMISE from a client", connection_error(PROTOCOL_ERROR),
     opened(lambda s: frame(frames.PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + get(s))))

# --- 6.7: PING ---

case("6.7", "PING", checked("PING ACK with the same bytes", lambda s: "" if (frames.PING, ACK, 0, b"12345678") in s.frames else "none", "clients end the connection"),
     ping(data=b"12345678"))
case("6.7", "PING ACK", checked("no answer", lambda s: "it is answered" if any(f[0] == frames.PING and f[3] == b"abcdefgh" for f in s.frames) else accepted(s),
                                "two ends can loop"), ping(True, b"abcdefgh"))
case("6.7", "PING on stream 1", connection_error(PROTOCOL_ERROR), frame(frames.PING, 0, 1, bytes(8)))
case("6.7", "PING of 7 bytes", connection_error(FRAME_SIZE_ERROR), frame(frames.PING, 0, 0, bytes(7)))
case("6.7", "PING of 9 bytes", connection_error(FRAME_SIZE_ERROR), frame(frames.PING, 0, 0, bytes(9)))

# --- 6.8: GOAWAY ---

case("6.8", "GOAWAY on stream 1", connection_error(PROTOCOL_ERROR), frame(frames.GOAWAY, 0, 1, bytes(8)))


@expectation("streams that are open get their answers", "a client that ends in order loses answers")
def answered_after_goaway(session):
    return "" if session.answers.get(1) else f"no answer: {session.told()}"


case("6.8", "GOAWAY while a post is open, then its body", answered_after_goaway, opened(lambda s: frames.goaway() + data(1, s.target.event(), True)), has_probe=False)

# --- 6.10: CONTINUATION ---

case("6.10", "CONTINUATION on stream 0", connection_error(PROTOCOL_ERROR), lambda s: frame(HEADERS, END_STREAM, 1, get(s)) + frame(CONTINUATION, END_HEADERS, 0))
case("6.10", "CONTINUATION of another stream", connection_error(PROTOCOL_ERROR), lambda s: frame(HEADERS, END_STREAM, 1, get(s)) + frame(CONTINUATION, END_HEADERS, 3))
case("6.10", "CONTINUATION after HEADERS with END_HEADERS", connection_error(PROTOCOL_ERROR), opened(frame(CONTINUATION, END_HEADERS, 1, literal(b"a", b"b"))))
case("6.10", "CONTINUATION after CONTINUATION with END_HEADERS", connection_error(PROTOCOL_ERROR),
     lambda s: frame(HEADERS, 0, 1, post(s)) + frame(CONTINUATION, END_HEADERS, 1) + frame(CONTINUATION, END_HEADERS, 1, literal(b"a", b"b")))
case("6.10", "CONTINUATION after DATA", connection_error(PROTOCOL_ERROR), opened(data(1, b" ") + frame(CONTINUATION, END_HEADERS, 1, literal(b"a", b"b"))))

# --- 8: messages, as far as a server must refuse them ---

MALFORMED = stream_error(PROTOCOL_ERROR, answers=(400,))


def malformed(section, text, block, **how):
    case(section, text, MALFORMED, lambda s: headers(1, block(s)), **how)


def parts(method=GET, scheme=frames.HTTP, path=literal(4, b"/v1/events/none"), authority=literal(1, b"a"), more=b""):
    return lambda s: method + scheme + path + authority + more


malformed("8.2.1", "a field name in capitals", lambda s: get(s, (b"X-Bad", b"y")))
malformed("8.2.1", "a field name with a space", lambda s: get(s, (b"x bad", b"y")))
malformed("8.2.1", "an empty field name", lambda s: get(s, (b"", b"y")))
malformed("8.2.1", "a field value with a NUL", lambda s: get(s, (b"x-bad", b"y\0z")))
malformed("8.2.1", "a field value with a line feed", lambda s: get(s, (b"x-bad", b"y\nz: 1")))
malformed("8.2.1", "a field value that begins with a space", lambda s: get(s, (b"x-bad", b" y")))
malformed("8.2.2", "the field connection", lambda s: get(s, (b"connection", b"close")))
malformed("8.2.2", "the field transfer-encoding", lambda s: get(s, (b"transfer-encoding", b"chunked")))
malformed("8.2.2", "te with another value than trailers", lambda s: get(s, (b"te", b"gzip")))
malformed("8.3", "an unknown pseudo-field", lambda s: get(s, (b":bad", b"y")))
malformed("8.3", "a pseudo-field of answers", lambda s: get(s, (b":status", b"200")))
malformed("8.3", "a pseudo-field after a field", parts(path=literal(b"a", b"b") + literal(4, b"/")))
malformed("8.3.1", "no :method", parts(method=b""))
malformed("8.3.1", "no :scheme", parts(scheme=b""))
malformed("8.3.1", "no :path", parts(path=b""))
malformed("8.3.1", "an empty :path", parts(path=literal(4, b"")))
malformed("8.3.1", "two :method", parts(method=GET + POST))
malformed("8.3.1", "two :path", parts(path=literal(4, b"/a") + literal(4, b"/b")))
case("8.1", "trailers without END_STREAM", MALFORMED, opened(lambda s: data(1, s.target.event()) + headers(1, literal(b"a", b"b"), False)))
case("8.1", "a pseudo-field in trailers", MALFORMED, opened(lambda s: data(1, s.target.event()) + headers(1, frames.literal(b":method", b"GET"))))
case("8.1.1", "a content-length that is larger than the body", MALFORMED,
     lambda s: headers(1, post(s, (b"content-length", b"5000")), False) + data(1, s.target.event(), True))
case("8.1.1", "a content-length that is smaller than the body", MALFORMED,
     lambda s: headers(1, post(s, (b"content-length", b"5")), False) + data(1, s.target.event(), True))
case("8.1.1", "a content-length with HEADERS that end the stream", MALFORMED, lambda s: headers(1, post(s, (b"content-length", b"5"))))
case("8.3.1", "a request with trailers", answered(1), opened(lambda s: data(1, s.target.event()) + headers(1, literal(b"a", b"b"))))
case("8.5", "CONNECT", stream_error(PROTOCOL_ERROR, answers=(400, 404, 405, 501)),
     lambda s: headers(1, literal(2, b"CONNECT") + literal(1, b"a:443"), False), "the gateway is no proxy: nothing is forwarded")
