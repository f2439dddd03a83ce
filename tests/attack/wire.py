# SPDX-License-Identifier: Apache-2.0
"""Connections of attackers and of other clients: raw bytes over TCP or TLS, never blocking after they are open."""
import collections
import dataclasses
import itertools
import os
import select
import socket
import ssl
import struct
import time

from attack import frames

CUT_EVENTS = select.POLLRDHUP | select.POLLHUP | select.POLLERR
_numbers = itertools.count()


@dataclasses.dataclass
class Target:
    """The gateway, as an attacker has it."""
    host: str
    port: int
    tls: bool = False
    key: str = ""  # a partner's valid key, for attacks that come from a partner
    account: str = ""
    seconds: float = 4
    source: int = 1  # the second half of the attacker's address, 127.SOURCE: each attack has its own

    def address(self, number=0):
        """An address to connect from: `number` tells attackers with several of them apart."""
        return f"127.{self.source}.{number >> 8 & 255}.{(number & 255) or 1}"

    @property
    def scheme(self):
        return frames.HTTPS if self.tls else frames.HTTP

    def authorization(self):
        return b"authorization", f"Bearer {self.key}".encode()

    def event(self, size=0):
        """An event that differs from all others."""
        text = (f'{{"id":"a-{os.getpid()}-{time.monotonic_ns()}-{next(_numbers)}","type":"status_update","account":"{self.account}","data":"')
        return (text + "x" * max(0, size - len(text) - 2) + '"}').encode()


def tls_context(alpn, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Cut(Exception):
    """The gateway has closed the connection."""


class Wire:
    """One connection. `alpn`: None speaks cleartext even to a TLS port."""

    contexts = {}

    def __init__(self, target, alpn, number=0, receive_buffer=0, connect_seconds=3):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.cut_at = None
        self.sent = 0
        self.received = 0
        self.tail = b""  # the last bytes that were received
        self.is_tls = target.tls and alpn is not None
        try:
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.settimeout(connect_seconds)
            self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            self.socket.bind((target.address(number), 0))
            self.socket.connect((target.host, target.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.is_tls:
                context = self.contexts.setdefault(alpn, tls_context(alpn))
                self.socket = context.wrap_socket(self.socket, suppress_ragged_eofs=True)
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def fileno(self):
        return self.socket.fileno()

    def _is_cut(self):
        self.cut_at = self.cut_at or time.monotonic()

    def send(self, data):
        """Returns how many bytes were taken; 0 when the gateway does not read."""
        try:
            taken = self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            self._is_cut()
            raise Cut(str(error)) from error
        self.sent += taken
        return taken

    def receive(self, size=262144):
        """Returns what is there, b"" if there is nothing."""
        try:
            data = self.socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            self._is_cut()
            raise Cut(str(error)) from error
        if not data:
            self._is_cut()
            raise Cut("end of the connection")
        self.received += len(data)
        self.tail = (self.tail + data)[-4096:]
        return data

    def send_all(self, data, seconds=5):
        view, limit = memoryview(data), time.monotonic() + seconds
        while view and time.monotonic() < limit:
            taken = self.send(view[:262144])
            view = view[taken:]
            if not taken:
                self.wait(0.05, writes=True)
        return not view

    def wait(self, seconds, reads=True, writes=False):
        """Waits for an event of the connection. Returns the events of poll()."""
        if reads and self.is_tls and self.socket.pending():
            return select.POLLIN
        poll = select.poll()
        poll.register(self.socket, (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0) | CUT_EVENTS)
        found = poll.poll(max(0, seconds) * 1000)
        return found[0][1] if found else 0

    def close(self, reset=False):
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        except OSError:
            pass


class Peer:
    """The client's half of HTTP/2 on a wire: answers SETTINGS and PING, keeps windows, collects answers. It does what RFC 9113 asks for;
    what an attack adds is sent through `wire`."""

    def __init__(self, wire, settings=(), big_window=True):
        self.wire = wire
        self.buffer = bytearray()
        self.is_open = False  # the server's SETTINGS are here
        self.window, self.initial_window = 65535, 65535
        self.windows = {}  # stream -> how far its window is from the initial one
        self.streams_max = 100
        self.next_stream = 1
        self.answers = {}  # stream -> status
        self.ended = set()
        self.resets = {}  # stream -> error code
        self.goaway = None  # error code
        self.counts = collections.Counter()  # frames by kind
        self.keeps_answers = True
        self.acks_settings = True
        self.opening = frames.PREFACE + frames.settings((frames.HEADER_TABLE_SIZE, 0), (frames.ENABLE_PUSH, 0), *settings)
        if big_window:
            self.opening += frames.window_update(0, frames.WINDOW_MAX - 65535)

    def open(self, seconds=3):
        """Sends the preface and waits for the server's SETTINGS."""
        self.wire.send_all(self.opening)
        limit = time.monotonic() + seconds
        while not self.is_open and time.monotonic() < limit:
            self.step(0.05)
        return self

    def step(self, seconds=0):
        """Reads once, after at most `seconds`. Returns the frames."""
        if not self.wire.wait(seconds):
            return []
        return self.take(self.wire.receive())

    def take(self, received):
        self.buffer += received
        found = frames.split_frames(self.buffer)
        for kind, flags, stream, payload in found:
            self.counts[kind] += 1
            if kind == frames.SETTINGS and not flags & frames.ACK:
                self._take_settings(payload)
            elif kind == frames.PING and not flags & frames.ACK:
                self.wire.send_all(frames.ping(True, payload))
            elif kind == frames.WINDOW_UPDATE:
                increment = int.from_bytes(payload, "big") & frames.WINDOW_MAX
                if stream:
                    self.windows[stream] = self.windows.get(stream, 0) + increment
                else:
                    self.window += increment
            elif kind == frames.HEADERS and self.keeps_answers:
                self.answers.setdefault(stream, frames.status_of(payload))
            elif kind == frames.RST_STREAM:
                self.resets[stream] = int.from_bytes(payload, "big")
            elif kind == frames.GOAWAY:
                self.goaway = int.from_bytes(payload[4:8], "big")
            if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM and self.keeps_answers:
                self.ended.add(stream)
        return found

    def _take_settings(self, payload):
        for at in range(0, len(payload), 6):
            key, value = struct.unpack(">HI", payload[at:at + 6])
            if key == frames.INITIAL_WINDOW_SIZE:
                self.initial_window = value
            elif key == frames.MAX_CONCURRENT_STREAMS:
                self.streams_max = value
        if self.acks_settings:
            self.wire.send_all(frames.frame(frames.SETTINGS, frames.ACK))
        self.is_open = True

    def new_stream(self):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        return stream

    def room(self, stream):
        """How many bytes of DATA may be sent on a stream."""
        return min(self.window, self.initial_window + self.windows.get(stream, 0))

    def take_room(self, stream, size):
        self.window -= size
        self.windows[stream] = self.windows.get(stream, 0) - size

    def is_answered(self, stream):
        return stream in self.ended or stream in self.resets
