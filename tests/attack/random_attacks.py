# SPDX-License-Identifier: Apache-2.0
"""Connections whose bytes are random or damaged: what must not happen is that the gateway ends or does not serve others. The seed is in the note."""
import os
import random
import time

from attack import frames
from attack.engine import Report
from attack.h1_attacks import batch_head, head
from attack.h2_attacks import batch, get, post
from attack.registry import H1, attack
from attack.wire import Cut, Wire

LENGTHS = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}  # those that are fixed
PIECES_MAX = 8


def random_frame(rng, target):
    kind = rng.choice([*range(10), frames.DATA, frames.HEADERS, frames.CONTINUATION, rng.randrange(256)])
    stream = rng.choice([0, 1, 1, 3, 5, rng.randrange(1, 60), rng.randrange(2 ** 31)])
    flags = rng.choice([0, frames.END_STREAM, frames.END_HEADERS, frames.END_HEADERS | frames.END_STREAM, rng.randrange(256)])
    if kind == frames.SETTINGS and rng.random() < 0.8:
        return frames.settings(*[(rng.randrange(10), rng.choice([0, 1, 65535, 2 ** 31 - 1, rng.randrange(2 ** 32)])) for _ in range(rng.randrange(4))])
    if kind in (frames.HEADERS, frames.CONTINUATION) and rng.random() < 0.7:
        block = rng.choice([get(target), post(target), batch(target)])
        cut = rng.choice([len(block), len(block), rng.randrange(len(block))])
        return frames.frame(kind, flags & ~(frames.PADDED | frames.HAS_PRIORITY), stream, block[:cut])
    size = LENGTHS.get(kind, rng.choice([0, 1, 5, 9, 100, 2000])) if rng.random() < 0.9 else rng.randrange(40)
    return frames.frame(kind, flags, stream, rng.randbytes(size))


def damaged(rng, data):
    """The data with a few bytes changed, inserted, removed or repeated."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data))
        change = rng.randrange(4)
        if change == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            data[at:at] = rng.choice([b"\r\n", b"\0", b" ", b":", rng.randbytes(3)])
        elif change == 2:
            del data[at:at + rng.randrange(1, 5)]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 60)]
    return bytes(data) or b"x"


def again_and_again(target, alpn, make):
    """A new connection for each `make(rng)`, which is sent in pieces of random sizes."""
    def run():
        seed = int.from_bytes(os.urandom(4), "big")
        rng, report = random.Random(seed), Report()
        limit = time.monotonic() + target.seconds
        while time.monotonic() < limit:
            data = make(rng)
            try:
                wire = Wire(target, alpn, rng.randrange(200), connect_seconds=1)
            except OSError:
                report.refused += 1
                time.sleep(0.005)
                continue
            try:
                ends = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(PIECES_MAX))) + [len(data)]
                at = 0
                for end in ends:
                    wire.send_all(data[at:end], 1)
                    at = end
                    if wire.wait(0.0005):
                        wire.receive()
                wire.wait(0.005)
                wire.receive()
            except Cut:
                pass
            report.connections += 1
            report.sent += wire.sent
            report.cuts += bool(wire.cut_at)
            wire.close(reset=rng.random() < 0.3)
        report.note = f"seed {seed}, {report.connections} connections, {report.cuts} cut, {report.refused} refused"
        report.cuts = 0
        return report

    return run


@attack("random-frames", "random frames of all types and flags, again and again", is_short=True, bounded="each connection is an error of its own")
def random_frames(target):
    return again_and_again(target, "h2", lambda rng: frames.PREFACE + frames.settings() + b"".join(random_frame(rng, target) for _ in range(rng.randrange(1, 60))))


@attack("damaged-frames", "posts over HTTP/2 with a few bytes damaged, again and again", bounded="each connection is an error of its own")
def damaged_frames(target):
    def make(rng):
        posts = b"".join(frames.headers(stream, post(target), False) + frames.data(stream, target.event(rng.choice([0, 500])), True) for stream in range(1, 9, 2))
        return frames.PREFACE + frames.settings() + damaged(rng, posts)

    return again_and_again(target, "h2", make)


@attack("damaged-h1", "posts over HTTP/1.1 with a few bytes damaged, again and again", H1, is_short=True, bounded="each connection is an error of its own")
def damaged_h1(target):
    def make(rng):
        event = target.event(rng.choice([0, 500]))
        request = head(target, b"Content-Length: %d" % len(event)) + event
        chunked = batch_head(target, b"Transfer-Encoding: chunked", b"Trailer: A") + b"%x;a=b\r\n%b\r\n0\r\nA: b\r\n\r\n" % (len(event), event)
        return damaged(rng, b"".join(rng.choice([request, chunked]) for _ in range(rng.randrange(1, 4))))

    return again_and_again(target, "http/1.1", make)
