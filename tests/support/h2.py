# SPDX-License-Identifier: Apache-2.0
"""A partner that uses HTTP/2 in cleartext by prior knowledge: many streams on few connections, in
one thread.

`H2Connection` is one connection. `H2Sender` keeps many requests in flight over several connections,
connects again after a restart of the gateway, and records which requests were answered."""
import collections
import selectors
import socket
import time
import urllib.parse

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

STREAMS = 100  # h2o's limit


class Lost(Exception):
    """The connection has ended. Requests in flight get no answer."""


class H2Connection:
    def __init__(self, base_url, api_key):
        parts = urllib.parse.urlsplit(base_url)
        self.authority = parts.netloc
        self.api_key = api_key
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8",
                                                                       validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.streams = {}  # stream -> [tag, status, body]
        self.unsent = {}  # stream -> bytes that wait for the window
        self.closing = False  # GOAWAY: no new streams
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            try:
                self.socket.sendall(data)
            except OSError as error:
                raise Lost(str(error)) from error

    def request(self, tag, method, path, headers=(), body=None, flush=True):
        """Sends a request and returns its stream. `receive` returns the answer with `tag`."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", self.authority),
                  ("authorization", f"Bearer {self.api_key}"), *headers]
        self.h2.send_headers(stream, fields, end_stream=not body)
        self.streams[stream] = [tag, None, b""]
        if body:
            self.unsent[stream] = body
            self._send_body(stream)
        if flush:
            self.flush()
        return stream

    def post(self, tag, body, headers=(), flush=True):
        return self.request(tag, "POST", "/v1/events", [("content-type", "application/json"), *headers], body, flush)

    def reset(self, stream):
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self.streams.pop(stream, None)
        self.unsent.pop(stream, None)
        self.flush()

    def close(self):
        self.socket.close()

    def _send_body(self, stream):
        body = self.unsent[stream]
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                break
            self.h2.send_data(stream, body[:room], end_stream=len(body) <= room)
            body = body[room:]
        if body:
            self.unsent[stream] = body
        else:
            del self.unsent[stream]

    def receive(self, timeout=10):
        """Reads once. Returns the answers [(tag, status, body)]; status 0: the server reset the
        stream."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(262144)
        except (socket.timeout, BlockingIOError):
            return []
        except OSError as error:
            raise Lost(str(error)) from error
        if not data:
            raise Lost("closed by the gateway")
        return self._work_off(data)

    def _work_off(self, data):
        answered = []
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            raise Lost(f"protocol error: {error}") from error
        for event in events:
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived) and stream:
                stream[1] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if stream:
                    stream[2] += event.data
            elif isinstance(event, h2.events.StreamEnded) and stream:
                answered.append(tuple(self.streams.pop(event.stream_id)))
            elif isinstance(event, h2.events.StreamReset) and stream:
                answered.append((self.streams.pop(event.stream_id)[0], 0, b""))
            elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
                for waiting in list(self.unsent):
                    self._send_body(waiting)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.closing = True
        try:
            self.flush()
        except Lost:
            if not answered:
                raise  # otherwise return the answers first: the next read fails again
        return answered

    def receive_all(self, seconds=30):
        """Waits until every stream has its answer."""
        answered, limit = [], time.monotonic() + seconds
        while self.streams:
            assert time.monotonic() < limit, f"{len(self.streams)} streams without an answer"
            answered += self.receive(1)
        return answered


class H2Sender:
    """Posts `bodies` ({tag: bytes}) until each is answered 200. Sends again after a 503 or no
    answer."""

    def __init__(self, gateway, bodies, connections=4, streams=STREAMS):
        self.gateway = gateway
        self.bodies = bodies
        self.waiting = collections.deque(bodies)
        self.wanted, self.streams = connections, streams
        self.connections = []
        self.answers = {}  # tag -> (status, body) of the first 200
        self.refused = {}  # tag -> (status, body) of answers other than 200 and 503
        self.sends = 0
        self.lost = 0  # requests that had no answer
        self.unavailable = 0  # 503s

    def is_done(self):
        return len(self.answers) + len(self.refused) == len(self.bodies)

    def _connect(self):
        while len(self.connections) < self.wanted:
            try:
                self.connections.append(H2Connection(self.gateway.ingress, self.gateway.ready["api_key"]))
            except (OSError, Lost):
                return

    def _drop(self, connection):
        self.connections.remove(connection)
        tags = [stream[0] for stream in connection.streams.values()]
        self.lost += len(tags)
        self.waiting.extend(tags)
        connection.close()

    def _take(self, tag, status, body):
        if status == 200:
            self.answers.setdefault(tag, (status, body))
        elif status in (0, 503):
            self.unavailable += status == 503
            self.lost += status == 0
            self.waiting.append(tag)
        else:
            self.refused[tag] = (status, body)

    def _fill(self, connection):
        while self.waiting and not connection.closing and len(connection.streams) < self.streams:
            tag = self.waiting.popleft()
            connection.post(tag, self.bodies[tag], flush=False)
            self.sends += 1
        connection.flush()

    def step(self):
        """Serves all connections once. Waits for at most 50 ms."""
        self._connect()
        for connection in list(self.connections):
            try:
                self._fill(connection)
                if connection.closing and not connection.streams:
                    raise Lost("GOAWAY")
            except Lost:
                self._drop(connection)
        with selectors.DefaultSelector() as selector:
            for connection in self.connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            ready = [key.data for key, _ in selector.select(0.05)]
        for connection in ready:
            try:
                for tag, status, body in connection.receive():
                    self._take(tag, status, body)
            except Lost:
                self._drop(connection)

    def run(self, until=None, seconds=600, stall_seconds=40):
        """Runs until all is answered, or until `until()`. Fails when it takes too long or when the
        answers stop."""
        now = time.monotonic()
        limit, answered, moved_at = now + seconds, len(self.answers), now
        while not self.is_done() and not (until and until()):
            self.gateway.assert_has_not_failed()
            now = time.monotonic()
            if len(self.answers) > answered:
                answered, moved_at = len(self.answers), now
            assert now < limit and now - moved_at < stall_seconds, \
                f"{len(self.bodies) - len(self.answers)} of {len(self.bodies)} events have no 200: {self.describe()}"
            self.step()

    def describe(self):
        return (f"waiting={len(self.waiting)} sends={self.sends} lost={self.lost} unavailable={self.unavailable} connections="
                f"{[(c.socket.getsockname()[1], len(c.streams), len(c.unsent), c.closing) for c in self.connections]}")

    def close(self):
        for connection in list(self.connections):
            self._drop(connection)
