# SPDX-License-Identifier: Apache-2.0
"""Attacks over HTTP/2 that hold something, are slow, do not read, or send what a caller may send, but too much of it."""
import itertools
import time

from attack import frames
from attack.engine import Report, crowd, flood, hold_bodies, peers, streams
from attack.frames import END_STREAM, data, frame, headers, request_block, settings, window_update
from attack.h2_attacks import batch, get, post
from attack.registry import H1, attack
from attack.wire import Cut

START = frames.PREFACE + settings()
LARGE_ANSWERS = ((frames.INITIAL_WINDOW_SIZE, 1 << 24),)


# --- memory that is held ---

@attack("bodies-held", "100 batches of 1 MiB on each of 8 connections, without their last byte", seconds=6, is_short=True,
        bounded="bodies have a budget of memory")
def bodies_held(target):
    block = batch(target)
    return lambda: hold_bodies(target, 8, 100, 2 ** 20, lambda stream: headers(stream, block, False))


@attack("bodies-held-no-key", "the same without a key", seconds=6, bounded="refused before the body is kept")
def bodies_held_no_key(target):
    block = batch(target, False)
    return lambda: hold_bodies(target, 8, 100, 2 ** 20, lambda stream: headers(stream, block, False))


@attack("bodies-held-1000", "an unfinished batch of 1 MiB on each of 1000 connections", seconds=8,
        bounded="bodies have a budget of memory")
def bodies_held_1000(target):
    block = batch(target)
    return lambda: hold_bodies(target, 1000, 1, 2 ** 20, lambda stream: headers(stream, block, False), addresses=250)


@attack("streams-held", "100 posts without their bodies on each of 1000 connections", seconds=8,
        bounded="heads have a budget of memory")
def streams_held(target):
    block = post(target)
    opening = START + b"".join(headers(stream, block, False) for stream in range(1, 201, 2))
    return lambda: crowd(target, 1000, lambda number: [opening], "h2", addresses=250)


@attack("answers-held", "800 batches on 8 connections, with no window for their answers of 200 KB", seconds=16,
        cut_within=14.5, bounded="answers have a budget of memory; 10 s to read one, and 1 s for each 64 KiB")
def answers_held(target):
    block = batch(target)
    body = b"{}\n" * 1000
    opening = START + settings((frames.INITIAL_WINDOW_SIZE, 0))
    opening += b"".join(headers(stream, block, False) + data(stream, body, True) for stream in range(1, 41, 2))
    rest = [b"".join(headers(stream, block, False) + data(stream, body, True) for stream in range(at, at + 40, 2)) for at in range(41, 201, 40)]
    return lambda: crowd(target, 8, lambda number: [opening, *rest], "h2", streams_each=100)


@attack("heads-held", "16 KB of a header block that does not end on each of 1000 connections", seconds=7, cut_within=6.5,
        bounded="5 s for a head")
def heads_held(target):
    opening = START + frame(frames.HEADERS, END_STREAM, 1, get(target) + b"".join(frames.literal(b"a%d" % n, b"b" * 400) for n in range(18)))
    return lambda: crowd(target, 1000, lambda number: [opening], "h2", addresses=250)


@attack("silent", "1100 connections that say nothing, from one address", H1, files=1024, seconds=8, is_short=True,
        bounded="an address has a limit of connections")
def silent(target):
    return lambda: crowd(target, 1100, lambda number: [])


@attack("silent-addresses", "1100 connections that say nothing, from 250 addresses", H1, files=1024, seconds=8,
        bounded="10 s for a first request; a full table replaces the oldest")
def silent_addresses(target):
    return lambda: crowd(target, 1100, lambda number: [], addresses=250)


@attack("silent-prefaces", "1100 connections that say no more than the preface", files=1024, seconds=8, bounded="an address has a limit of connections")
def silent_prefaces(target):
    return lambda: crowd(target, 1100, lambda number: [START], "h2")


@attack("prefaces-1000", "the preface on each of 1000 connections from 250 addresses", seconds=4,
        bounded="idle connections cost little, and have 10 s for a first request")
def prefaces_1000(target):
    return lambda: crowd(target, 1000, lambda number: [START], "h2", addresses=250)


@attack("hostile-1000", "1000 connections that do the worst that each may", seconds=8,
        bounded="memory of all connections has one budget")
def hostile_1000(target):
    block = get(target)
    bombs = [headers(1, block + frames.literal_indexed(b"x", b"y" * 3900), False)]
    bombs += [headers(stream, block + frames.indexed(62) * 50, False) for stream in range(3, 201, 2)]
    opened = [headers(stream, batch(target), False) + data(stream, b" " * 600) for stream in range(1, 201, 2)]
    unread = [settings((frames.INITIAL_WINDOW_SIZE, 0))] + [headers(stream, block) for stream in range(1, 201, 2)]
    kinds = [START + b"".join(kind) for kind in (bombs, opened, unread)]
    kinds.append(START + frame(frames.HEADERS, END_STREAM, 1, block + frames.literal(b"a", b"b" * 7000)))
    return lambda: crowd(target, 1000, lambda number: [kinds[number % 4]], "h2", addresses=250)


# --- slow ---

def byte_by_byte(piece):
    return [piece[at:at + 1] for at in range(len(piece))]


@attack("slow-preface", "100 prefaces at one byte a second", seconds=15, cut_within=6.5, bounded="5 s for a preface")
def slow_preface(target):
    return lambda: crowd(target, 100, lambda number: byte_by_byte(START), "h2", interval=1)


@attack("slow-frame", "100 HEADERS frames at one byte a second", seconds=15, cut_within=6.5, bounded="5 s for a frame")
def slow_frame(target):
    request = headers(1, get(target))
    return lambda: crowd(target, 100, lambda number: itertools.chain([START], byte_by_byte(request)), "h2", interval=1)


@attack("slow-continuation", "100 header blocks, one CONTINUATION of one byte a second", seconds=15, cut_within=6.5, bounded="5 s for a head")
def slow_continuation(target):
    block = get(target)
    pieces = [START + frame(frames.HEADERS, END_STREAM, 1, block[:1])]
    pieces += [frame(frames.CONTINUATION, 0, 1, block[at:at + 1]) for at in range(1, len(block))]
    return lambda: crowd(target, 100, lambda number: pieces, "h2", interval=1)


@attack("slow-body", "100 bodies, one DATA of one byte a second", seconds=15, cut_within=11.5, bounded="10 s, and 1 s for each 64 KiB of body")
def slow_body(target):
    opening = START + headers(1, post(target), False)
    return lambda: crowd(target, 100, lambda number: itertools.chain([opening], itertools.repeat(data(1, b" "), 900)), "h2", interval=1, streams_each=1)


@attack("slow-body-with-pings", "the same, with a PING each second", seconds=15, cut_within=11.5, bounded="10 s, and 1 s for each 64 KiB of body")
def slow_body_with_pings(target):
    opening = START + headers(1, post(target), False)
    return lambda: crowd(target, 100, lambda number: itertools.chain([opening], itertools.repeat(frames.ping(), 900)), "h2", interval=1, streams_each=1)


# --- answers that are not read ---

@attack("window-zero", "2000 requests on 20 connections, with no window for their answers", seconds=13, cut_within=11.5,
        bounded="10 s to read an answer; then its stream is reset, or the connection cut")
def window_zero(target):
    opening = START + settings((frames.INITIAL_WINDOW_SIZE, 0)) + b"".join(headers(stream, get(target)) for stream in range(1, 201, 2))
    return lambda: crowd(target, 20, lambda number: [opening], "h2", streams_each=100)


@attack("window-trickle", "answers for which the window opens by one byte a second", seconds=15, cut_within=11.5,
        bounded="10 s to read an answer; then its stream is reset, or the connection cut")
def window_trickle(target):
    opening = START + settings((frames.INITIAL_WINDOW_SIZE, 0)) + headers(1, get(target))
    return lambda: crowd(target, 20, lambda number: itertools.chain([opening], itertools.repeat(window_update(1, 1), 900)), "h2", interval=1, streams_each=1)


@attack("window-zero-reuse", "requests whose answers wait for a window, each reset, then the next", seconds=6)
def window_zero_reuse(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block) + (frames.rst_stream(stream - 160) if stream > 160 else b""), ready=20000)
    return lambda: flood(target, blobs, settings=((frames.INITIAL_WINDOW_SIZE, 0),))


@attack("answers-unread", "requests on one connection whose answers stay in the socket", seconds=13, cut_within=11.5,
        bounded="reads no more while answers wait; cut when they wait too long")
def answers_unread(target):
    block = get(target)
    blobs = streams(lambda stream: headers(stream, block))
    return lambda: flood(target, blobs, reads=False, receive_buffer=4096, settings=((frames.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX),))


# --- callers ---

def requests(target, make, connections=1, width=100):
    """As many requests as are answered, `width` of them in flight on each connection."""
    report = Report()
    held = peers(target, connections, LARGE_ANSWERS, report=report)
    report.started = time.monotonic()
    deadline = report.started + target.seconds
    open_streams = {peer: set() for peer in held}
    while open_streams and time.monotonic() < deadline:
        for peer in list(open_streams):
            mine = open_streams[peer]
            try:
                blob = b"".join(make(mine.add(stream := peer.new_stream()) or stream) for _ in range(min(width, peer.streams_max) - len(mine)))
                if blob:
                    peer.wire.send_all(blob, deadline - time.monotonic())
                peer.step(0.005)
            except Cut:
                report.add_peer(peer)
                report.add_wire(peer.wire)
                del open_streams[peer]
                continue
            mine -= peer.ended
            mine -= peer.resets.keys()
            for stream in peer.ended:
                report.answers[peer.answers.pop(stream, 0)] += 1
            peer.ended.clear()
    for peer in open_streams:
        report.add_peer(peer)
        report.add_wire(peer.wire)
    return report


@attack("wrong-keys", "posts with a wrong key on one connection", is_short=True,
        bounded="each is answered 401; the address is slowed and then cut")
def wrong_keys(target):
    event = target.event()

    def make(stream):
        block = request_block(frames.POST, b"/v1/events", [(b"content-type", b"application/json"), (b"authorization", b"Bearer pk_%032d" % stream)],
                              scheme=target.scheme)
        return headers(stream, block, False) + data(stream, event, True)

    return lambda: requests(target, make)


@attack("wrong-keys-fast", "the same, built before and sent without a look at the answers",
        bounded="each is answered 401; the address is slowed and then cut")
def wrong_keys_fast(target):
    event = target.event()
    block = request_block(frames.POST, b"/v1/events", [(b"content-type", b"application/json"), (b"authorization", b"Bearer pk_" + b"0" * 32)],
                          scheme=target.scheme)
    blobs = streams(lambda stream: headers(stream, block, False) + data(stream, event, True), ready=40000)
    return lambda: flood(target, blobs)


@attack("not-found", "requests for nothing on one connection", bounded="each is answered 404; the address is slowed and then cut")
def not_found(target):
    block = get(target, b"/nothing")
    return lambda: requests(target, lambda stream: headers(stream, block))


@attack("not-found-fast", "the same, sent without a look at the answers", bounded="each is answered 404; the address is slowed and then cut")
def not_found_fast(target):
    block = get(target, b"/nothing")
    blobs = streams(lambda stream: headers(stream, block))
    return lambda: flood(target, blobs)


@attack("partner-flood", "one partner posts as fast as it is answered, on 4 connections", is_short=True,
        bounded="a partner has a limit of events; the others do not feel it")
def partner_flood(target):
    block = post(target)
    return lambda: requests(target, lambda stream: headers(stream, block, False) + data(stream, target.event(), True), 4)


@attack("wrong-signatures", "posts of 60 KB whose signature is wrong, as fast as they are answered",
        bounded="each is answered 401; the address is slowed and then cut")
def wrong_signatures(target):
    event = target.event(60000)
    block = request_block(frames.POST, b"/v1/partners/attacker/events", [
        (b"content-type", b"application/json"), (b"webhook-id", b"msg_1"), (b"webhook-timestamp", b"%d" % time.time()),
        (b"webhook-signature", b"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")], scheme=target.scheme)
    pieces = [event[at:at + 16000] for at in range(0, len(event), 16000)]

    def make(stream):
        return headers(stream, block, False) + b"".join(data(stream, piece, piece is pieces[-1]) for piece in pieces)

    return lambda: requests(target, make, width=1)


@attack("event-lookups", "a partner asks for events that do not exist, as fast as it is answered",
        bounded="each is answered 404; the others do not feel it")
def event_lookups(target):
    def make(stream):
        path = b"/v1/events/evt_01a22b7b-ff5d-7002-8000-%012x" % stream
        return headers(stream, request_block(frames.GET, path, [target.authorization()], scheme=target.scheme))

    return lambda: requests(target, make)


@attack("bad-batches", "a partner posts batches of 1000 wrong items as fast as they are answered",
        bounded="a partner has a limit of events; the others do not feel it")
def bad_batches(target):
    block, body = batch(target), b"{}\n" * 1000
    return lambda: requests(target, lambda stream: headers(stream, block, False) + data(stream, body, True), width=8)


@attack("partner-batches", "one partner posts batches of 1000 events as fast as they are answered",
        bounded="a partner has a limit of events; the others do not feel it")
def partner_batches(target):
    def run():
        report = Report()
        held = peers(target, 4, LARGE_ANSWERS, report=report)
        report.started = time.monotonic()
        deadline = report.started + target.seconds
        block = batch(target)
        state = {}  # peer -> [stream, rest of the body]
        while held and time.monotonic() < deadline:
            for peer in list(held):
                try:
                    if peer not in state or peer.is_answered(state[peer][0]):
                        stream = peer.new_stream()
                        state[peer] = [stream, b"\n".join(target.event(180) for _ in range(1000))]
                        peer.wire.send_all(headers(stream, block, False))
                    stream, body = state[peer]
                    room = min(peer.room(stream), len(body), frames.FRAME_BYTES)
                    if room > 0:
                        peer.wire.send_all(data(stream, body[:room], room == len(body)))
                        peer.take_room(stream, room)
                        state[peer][1] = body[room:]
                    peer.step(0 if room > 0 else 0.002)
                except Cut:
                    report.add_peer(peer)
                    report.add_wire(peer.wire)
                    held.remove(peer)
        for peer in held:
            report.add_peer(peer)
            report.add_wire(peer.wire)
        return report

    return run


@attack("connect-flood", "a connection, a preface and a reset of the connection, as fast as possible",
        bounded="the address has a limit of new connections")
def connect_flood(target):
    from attack.wire import Wire  # pylint: disable=import-outside-toplevel

    def run():
        report, limit = Report(), time.monotonic() + target.seconds
        while time.monotonic() < limit:
            try:
                wire = Wire(target, "h2", connect_seconds=1)
                wire.send_all(START)
                report.connections += 1
                wire.close(reset=True)
            except (OSError, Cut):
                report.refused += 1
        report.note = f"{report.connections} connections, {report.refused} refused"
        report.cuts = 0
        return report

    return run


# --- the log ---

@attack("stalled-log", "unknown frames on 6 connections, while nobody reads the stderr", stalls_stderr=True, is_short=True)
def stalled_log(target):
    blob = frame(0x42, payload=bytes(20)) * 5600
    return lambda: crowd(target, 6, lambda number: itertools.chain([START], itertools.repeat(blob, 50)), "h2", addresses=6)


@attack("stalled-log-requests", "the same with refused requests", stalls_stderr=True, bounded="lines that cannot be written are dropped")
def stalled_log_requests(target):
    block = get(target, b"/nothing")
    blobs = streams(lambda stream: headers(stream, block))
    return lambda: flood(target, blobs)
