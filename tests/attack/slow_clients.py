# SPDX-License-Identifier: Apache-2.0
"""Clients of our own that are slow or odd, but legal. Each function is called with a job and a number of requests, and returns the statuses of the
answers and the number of requests without one. Each connection has a thread."""
import collections
import concurrent.futures
import re
import threading
import time

from attack import frames
from attack.wire import Cut, Peer, Wire

ANSWER_SECONDS = 20

CLIENTS = {}  # name -> (title, function, count, is long)


def slow(name, title, count, is_long=False, connections=20):
    """`function(job, state)` sends one request on a connection and returns the status. `state` is kept for the connection."""
    def add(function):
        def run(job, total):
            answers, lost, lock = collections.Counter(), [0], threading.Lock()

            def one(share):
                state = {}
                for _ in range(share):
                    try:
                        status = function(job, state)
                    except (Cut, OSError):
                        status, state = 0, {}
                    with lock:
                        answers[status] += 1
                        lost[0] += not status
                if "wire" in state:
                    state["wire"].close()

            shares = [total // connections + (number < total % connections) for number in range(connections)]
            with concurrent.futures.ThreadPoolExecutor(connections) as pool:
                for future in [pool.submit(one, share) for share in shares if share]:
                    future.result()
            answers.pop(0, None)
            return answers, lost[0]

        CLIENTS[name] = (title, run, count, is_long)
        return function

    return add


# --- HTTP/1.1 ---

def h1(job, state):
    if "wire" not in state:
        state["wire"] = Wire(job.target, "http/1.1")
    return state["wire"]


def h1_head(job, *lines, path=b"/v1/events", media=b"application/json"):
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: " + media, b"Authorization: Bearer " + job.key.encode(), *lines,
                         b"", b""])


def h1_answer(wire, pause=0, size=65536):
    answer, limit = b"", time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < limit:
        wire.wait(0.1)
        answer += wire.receive(size)
        time.sleep(pause)
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 100"):
            answer = body
            continue
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and length and len(body) >= int(length.group(1)):
            return int(head.split(None, 2)[1])
    return 0


def bit_by_bit(wire, data, pause, size=1):
    for at in range(0, len(data), size):
        wire.send_all(data[at:at + size])
        time.sleep(pause)


@slow("slow-h1-bytes", "HTTP/1.1, byte by byte", 60)
def h1_bytes(job, state):
    wire, event = h1(job, state), job.event()
    bit_by_bit(wire, h1_head(job, b"Content-Length: %d" % len(event)) + event, 0.002)
    return h1_answer(wire)


@slow("slow-h1-chunks", "HTTP/1.1, chunks of one byte", 200)
def h1_chunks(job, state):
    wire = h1(job, state)
    wire.send_all(h1_head(job, b"Transfer-Encoding: chunked") + b"".join(b"1\r\n%c\r\n" % byte for byte in job.event()) + b"0\r\n\r\n")
    return h1_answer(wire)


@slow("slow-h1-trailers", "HTTP/1.1, chunks with extensions, and trailers", 200)
def h1_trailers(job, state):
    wire, event = h1(job, state), job.event(2000)
    pieces = [event[at:at + 500] for at in range(0, len(event), 500)]
    wire.send_all(h1_head(job, b"Transfer-Encoding: chunked", b"Trailer: X-Sum") +
                  b"".join(b"%x;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-Sum: 1\r\n\r\n")
    return h1_answer(wire)


@slow("slow-h1-60k", "HTTP/1.1, 60 KB in 8 s", 20)
def h1_60k(job, state):
    wire, event = h1(job, state), job.event(60000)
    wire.send_all(h1_head(job, b"Content-Length: %d" % len(event)))
    bit_by_bit(wire, event, 0.13, 1000)
    return h1_answer(wire)


@slow("slow-h1-expect", "HTTP/1.1, Expect: 100-continue, body after 1 s", 20)
def h1_expect(job, state):
    wire, event = h1(job, state), job.event(5000)
    wire.send_all(h1_head(job, b"Content-Length: %d" % len(event), b"Expect: 100-continue"))
    time.sleep(1)
    wire.send_all(event)
    return h1_answer(wire)


@slow("slow-h1-pipelined", "HTTP/1.1, two requests in one piece", 200)
def h1_pipelined(job, state):
    """Each call sends two requests, and reads the first answer of those; the second is read by the next call, which sends nothing."""
    wire = h1(job, state)
    if state.pop("open", False):
        return state.pop("second")
    one = [h1_head(job, b"Content-Length: %d" % len(event)) + event for event in (job.event(), job.event())]
    wire.send_all(b"".join(one))
    statuses, buffer, limit = [], b"", time.monotonic() + ANSWER_SECONDS
    while len(statuses) < 2 and time.monotonic() < limit:
        wire.wait(0.1)
        buffer += wire.receive()
        while match := re.match(rb"(?is)HTTP/1.1 (\d+).*?\r\ncontent-length: *(\d+).*?\r\n\r\n", buffer):
            if len(buffer) < match.end() + int(match.group(2)):
                break
            statuses.append(int(match.group(1)))
            buffer = buffer[match.end() + int(match.group(2)):]
    statuses += [0] * (2 - len(statuses))
    state["open"], state["second"] = True, statuses[1]
    return statuses[0]


# --- HTTP/2 ---

def h2(job, state):
    if "wire" not in state:
        state["wire"] = Wire(job.target, "h2")
        state["peer"] = Peer(state["wire"]).open()
    return state["peer"]


def h2_block(job, *fields, path=b"/v1/events", media=b"application/json"):
    return frames.request_block(frames.POST, path, [(b"content-type", media), job.target.authorization(), *fields], b"localhost", job.target.scheme)


def h2_answer(peer, stream):
    limit = time.monotonic() + ANSWER_SECONDS
    while not peer.is_answered(stream) and time.monotonic() < limit:
        peer.step(0.1)
    return peer.answers.get(stream, 0) if stream in peer.ended else 0


@slow("slow-h2-bytes", "HTTP/2, byte by byte", 60)
def h2_bytes(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    bit_by_bit(peer.wire, frames.headers(stream, h2_block(job), False) + frames.data(stream, job.event(), True), 0.002)
    return h2_answer(peer, stream)


@slow("slow-h2-small-data", "HTTP/2, DATA of one byte, and an empty one at the end", 400)
def h2_small_data(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    peer.wire.send_all(frames.headers(stream, h2_block(job), False) + b"".join(frames.data(stream, b"%c" % byte) for byte in job.event()) +
                       frames.data(stream, b"", True))
    return h2_answer(peer, stream)


@slow("slow-h2-continuation", "HTTP/2, header blocks in pieces of 60 bytes", 400)
def h2_continuation(job, state):
    peer, block = h2(job, state), h2_block(job)
    stream, pieces = peer.new_stream(), [block[at:at + 60] for at in range(0, len(block), 60)]
    peer.wire.send_all(frames.frame(frames.HEADERS, 0, stream, pieces[0]) +
                       b"".join(frames.frame(frames.CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]) +
                       frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream, pieces[-1]) + frames.data(stream, job.event(), True))
    return h2_answer(peer, stream)


@slow("slow-h2-padded", "HTTP/2, padding in HEADERS and DATA", 400)
def h2_padded(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    peer.wire.send_all(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.PADDED, stream, b"\x64" + h2_block(job) + bytes(100)) +
                       frames.padded_data(stream, job.event(), 255, True))
    return h2_answer(peer, stream)


@slow("slow-h2-60k", "HTTP/2, 60 KB in 8 s", 20)
def h2_60k(job, state):
    peer, event = h2(job, state), job.event(60000)
    stream = peer.new_stream()
    peer.wire.send_all(frames.headers(stream, h2_block(job), False))
    for at in range(0, len(event), 1000):
        while peer.room(stream) < 1000 and not peer.is_answered(stream):
            peer.step(0.1)
        peer.step(0)
        peer.wire.send_all(frames.data(stream, event[at:at + 1000], at + 1000 >= len(event)))
        peer.take_room(stream, 1000)
        time.sleep(0.13)
    return h2_answer(peer, stream)


@slow("slow-h2-trailers", "HTTP/2, trailers", 400)
def h2_trailers(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    peer.wire.send_all(frames.headers(stream, h2_block(job), False) + frames.data(stream, job.event()) + frames.headers(stream, frames.literal(b"x-sum", b"1")))
    return h2_answer(peer, stream)


@slow("slow-h2-fields", "HTTP/2, 40 fields of 100 bytes, as browsers and proxies add them", 400)
def h2_fields(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    fields = [(b"x-field-%d" % number, b"v" * 90) for number in range(40)]
    peer.wire.send_all(frames.headers(stream, h2_block(job, *fields), False) + frames.data(stream, job.event(), True))
    return h2_answer(peer, stream)


@slow("slow-h2-chatty", "HTTP/2, with PING, SETTINGS, WINDOW_UPDATE, PRIORITY and an unknown frame for each request", 2000)
def h2_chatty(job, state):
    peer = h2(job, state)
    stream = peer.new_stream()
    peer.wire.send_all(frames.ping() + frames.headers(stream, h2_block(job), False) + frames.priority(stream) + frames.window_update(stream, 100) +
                       (frames.settings((frames.MAX_HEADER_LIST_SIZE, 65536)) + frames.frame(0x42) if stream % 20 == 1 else b"") +
                       frames.data(stream, job.event(), True) + frames.window_update(stream, 500))
    return h2_answer(peer, stream)


@slow("slow-h2-cancels", "HTTP/2, every third request is cancelled at once, as after a timeout", 2000)
def h2_cancels(job, state):
    peer = h2(job, state)
    state["number"] = state.get("number", 0) + 1
    if state["number"] % 2 == 0:
        cancelled = peer.new_stream()
        peer.wire.send_all(frames.headers(cancelled, h2_block(job), False) + frames.rst_stream(cancelled))
    stream = peer.new_stream()
    peer.wire.send_all(frames.headers(stream, h2_block(job), False) + frames.data(stream, job.event(), True))
    return h2_answer(peer, stream)


# --- those that wait long ---

@slow("slow-h1-idle", "HTTP/1.1, 50 s between two requests", 40, is_long=True)
def h1_idle(job, state):
    if "wire" in state:
        time.sleep(50)
    wire, event = h1(job, state), job.event()
    wire.send_all(h1_head(job, b"Content-Length: %d" % len(event)) + event)
    return h1_answer(wire)


@slow("slow-h2-idle", "HTTP/2, 50 s between two requests", 40, is_long=True)
def h2_idle(job, state):
    if "wire" in state:
        time.sleep(50)
    peer = h2(job, state)
    stream = peer.new_stream()
    peer.wire.send_all(frames.headers(stream, h2_block(job), False) + frames.data(stream, job.event(), True))
    return h2_answer(peer, stream)


@slow("slow-h2-keepalive", "HTTP/2, a PING each 3 s for 45 s between two requests", 20, is_long=True, connections=10)
def h2_keepalive(job, state):
    if "wire" in state:
        for _ in range(15):
            time.sleep(3)
            state["wire"].send_all(frames.ping())
            state["peer"].step(0)
    return h2_small_data(job, state)


@slow("slow-h1-batch", "HTTP/1.1, a batch of 1 MiB in 16 s", 5, is_long=True, connections=5)
def h1_batch(job, state):
    wire, body = h1(job, state), job.batch(2 ** 20)
    wire.send_all(h1_head(job, b"Content-Length: %d" % len(body), path=b"/v1/events/batch", media=b"application/x-ndjson"))
    bit_by_bit(wire, body, 0.5, 32768)
    return h1_answer(wire)


@slow("slow-h1-reader", "HTTP/1.1, the answer of a batch, read in 5 s", 5, is_long=True, connections=5)
def h1_reader(job, state):
    wire, body = h1(job, state), job.batch(200000)
    wire.send_all(h1_head(job, b"Content-Length: %d" % len(body), path=b"/v1/events/batch", media=b"application/x-ndjson") + body)
    return h1_answer(wire, pause=0.1, size=4096)
