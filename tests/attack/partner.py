#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A well-behaved partner: partner.py TARGET PROTOCOL, with the target as JSON and "h2" or "h1". It posts 200 events a second over 4
connections, whether answers come or not, and each half second one over a new connection. A line on stdin ends it. Then it prints its posts
as JSON: [[when the post was due, latency or null, status], ...], those over new connections apart."""
import json
import pathlib
import re
import select
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from attack import frames  # noqa: E402
from attack.wire import Cut, Peer, Target, Wire  # noqa: E402

PER_SECOND, CONNECTIONS, NEWCOMER_SECONDS = 200, 4, 0.5
PATIENCE_SECONDS = 5  # for answers, at the end


class H2:
    def __init__(self, target):
        self.wire = Wire(target, "h2", connect_seconds=2)
        self.peer = Peer(self.wire).open()
        self.block = frames.request_block(frames.POST, b"/v1/events", [(b"content-type", b"application/json"), target.authorization()],
                                          scheme=target.scheme)
        self.waiting = {}  # stream -> its entry

    def post(self, body, entry):
        stream = self.peer.new_stream()
        self.waiting[stream] = entry
        self.wire.send_all(frames.headers(stream, self.block, False) + frames.data(stream, body, True))

    def receive(self):
        self.peer.step(0)
        now, answered = time.monotonic(), [stream for stream in self.waiting if self.peer.is_answered(stream)]
        for stream in answered:
            entry = self.waiting.pop(stream)
            entry[1], entry[2] = now - entry[0], self.peer.answers.pop(stream, 0)
            self.peer.ended.discard(stream)
        return bool(answered)


class H1:
    def __init__(self, target):
        self.wire = Wire(target, "http/1.1", connect_seconds=2)
        name, value = target.authorization()
        self.head = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + name + b": " + value + b"\r\nContent-Length: %d\r\n\r\n"
        self.waiting = []  # entries; the first one is sent
        self.bodies = []
        self.buffer = b""

    def post(self, body, entry):
        self.waiting.append(entry)
        self.bodies.append(body)
        if len(self.waiting) == 1:
            self._send()

    def _send(self):
        self.wire.send_all(self.head % len(self.bodies[0]) + self.bodies[0])

    def receive(self):
        self.buffer += self.wire.receive()
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not end or not self.waiting or len(body) < int(length.group(1) if length else 0):
            return False
        entry = self.waiting.pop(0)
        self.bodies.pop(0)
        self.buffer = body[int(length.group(1) if length else 0):]
        entry[1], entry[2] = time.monotonic() - entry[0], int(head.split(None, 2)[1])
        if self.waiting:
            self._send()
        return True


class Partner:
    def __init__(self, target, protocol):
        self.target, self.protocol = target, {"h2": H2, "h1": H1}[protocol]
        self.posts, self.newcomers = [], []
        self.connections = [None] * CONNECTIONS
        self.guests = []
        self.lost = 0

    def connection(self, number):
        if not self.connections[number]:
            self.connections[number] = self.protocol(self.target)
        return self.connections[number]

    def post(self, number, due):
        entry = [due, None, 0]
        self.posts.append(entry)
        try:
            self.connection(number).post(self.target.event(), entry)
        except (OSError, Cut):
            self.drop(number)

    def drop(self, number):
        self.lost += 1
        self.connections[number] = None

    def newcomer(self, due):
        entry = [due, None, 0]
        self.newcomers.append(entry)
        try:
            guest = self.protocol(self.target)
            guest.post(self.target.event(), entry)
            self.guests.append(guest)
        except (OSError, Cut):
            pass

    def serve(self, until):
        """Reads answers until it is time for the next post."""
        while (left := until - time.monotonic()) > 0:
            poll, readers = select.poll(), {}
            for number, connection in enumerate(self.connections):
                if connection:
                    readers[connection.wire.fileno()] = (number, connection)
            for guest in self.guests:
                readers[guest.wire.fileno()] = (None, guest)
            for fd in readers:
                poll.register(fd, select.POLLIN)
            for fd, _ in poll.poll(max(0, left * 1000)):
                number, connection = readers[fd]
                try:
                    answered = connection.receive()
                except Cut:
                    answered = True
                    if number is not None:
                        self.drop(number)
                if number is None and answered:
                    self.guests.remove(connection)
                    connection.wire.close()

    def run(self):
        for number in range(CONNECTIONS):
            self.connection(number)
        print("ready", flush=True)
        stop, started, number, newcomer_at = select.poll(), time.monotonic(), 0, time.monotonic() + 0.1
        stop.register(sys.stdin, select.POLLIN | select.POLLHUP)
        while not stop.poll(0):
            due = started + number / PER_SECOND
            self.serve(due)
            self.post(number % CONNECTIONS, due)
            number += 1
            if time.monotonic() >= newcomer_at:
                self.newcomer(time.monotonic())
                newcomer_at += NEWCOMER_SECONDS
        limit = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < limit and any(guest.waiting for guest in [*self.guests, *filter(None, self.connections)]):
            self.serve(time.monotonic() + 0.05)
        print(json.dumps({"posts": self.posts, "newcomers": self.newcomers, "lost": self.lost}), flush=True)


Partner(Target(**json.loads(sys.argv[1])), sys.argv[2]).run()
