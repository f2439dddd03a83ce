# SPDX-License-Identifier: Apache-2.0
"""A client deployment for tests: an HTTP/1.1 server in a process of its own. It records requests
and behaves as the test orders.

Each path has a behaviour of its own, so that one sink can be several deployments:
    statuses  the statuses of the first answers to one webhook-id, in order
    status    the status of all other answers
    headers   more headers of the answer
    body      the body of the answer
    rate      how many requests in each second are answered so; the others of this second get 429
    mode      answer, hang (no answer), drop (close the connection), garbage (not HTTP) or raw; the
              request is recorded in each mode
    raw       the bytes of a raw answer
    then      what follows them: close, hang, or endless (writes without end)
    delay     seconds before the answer

A sink with a certificate (a pair of files) uses TLS.
"""
import asyncio
import collections
import contextlib
import dataclasses
import multiprocessing
import socket
import ssl
import time

from support.ports import free_port


@dataclasses.dataclass
class Delivery:
    path: str
    headers: dict
    body: bytes
    at: float  # time.monotonic() when the request was complete
    status: int  # of the answer; 0: none

    @property
    def id(self):
        return self.headers.get("webhook-id", "")

    @property
    def attempt(self):
        return int(self.headers.get("penstock-attempt", "0"))


class _Connection(asyncio.Protocol):
    def __init__(self, sink):
        self.sink = sink
        self.buffer = bytearray()
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.sink.connections.add(self)

    def connection_lost(self, exc):
        self.sink.connections.discard(self)

    def data_received(self, data):
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
            headers = dict((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
            total = end + 4 + int(headers.get("content-length", "0"))
            if len(self.buffer) < total:
                return
            body = bytes(self.buffer[end + 4:total])
            del self.buffer[:total]
            self.sink.request(self, lines[0].split(" ")[1], headers, body)

    def answer(self, path, status, behaviour):
        self.sink.unanswered[path] -= 1
        if self.transport.is_closing():
            return
        head = "".join(f"{name}: {value}\r\n" for name, value in behaviour.get("headers", {}).items())
        body = behaviour.get("body", "ok").encode()
        self.transport.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body)

    async def write_endlessly(self):
        while not self.transport.is_closing():
            if self.transport.get_write_buffer_size() < 65536:
                self.transport.write(b"x" * 65536)
            await asyncio.sleep(0.001)


class _Server:
    def __init__(self, pipe, tls):
        self.pipe = pipe
        self.tls = tls
        self.log = []
        self.seen = {}
        self.behaviours = {}
        self.connections = set()
        self.unanswered = collections.Counter()  # by path, in the mode answer
        self.most_unanswered = collections.Counter()
        self.second = {}  # by path: its number, and the requests in it
        self.listener = None
        self.port = free_port()
        self.done = asyncio.Event()

    def request(self, connection, path, headers, body):
        behaviour = self.behaviours.get(path, {})
        event = (path, headers.get("webhook-id"))
        before = self.seen.get(event, 0)
        self.seen[event] = before + 1
        statuses, mode = behaviour.get("statuses", []), behaviour.get("mode", "answer")
        status = statuses[before] if before < len(statuses) else behaviour.get("status", 200)
        if self.is_above_rate(path, behaviour):
            status = 429
        self.log.append((path, headers, body, time.monotonic(), status if mode == "answer" else 0))
        if mode == "hang":
            return
        if mode == "drop":
            connection.transport.abort()
        elif mode == "garbage":
            connection.transport.write(b"this is not HTTP\r\n\r\n")
            connection.transport.close()
        elif mode == "raw":
            connection.transport.write(behaviour["raw"])
            if behaviour.get("then") == "endless":
                asyncio.ensure_future(connection.write_endlessly())
            elif behaviour.get("then") != "hang":
                connection.transport.close()
        else:
            self.unanswered[path] += 1
            self.most_unanswered[path] = max(self.most_unanswered[path], self.unanswered[path])
            if behaviour.get("delay"):
                asyncio.get_running_loop().call_later(behaviour["delay"], connection.answer, path, status, behaviour)
            else:
                connection.answer(path, status, behaviour)

    def is_above_rate(self, path, behaviour):
        now, (second, count) = int(time.monotonic()), self.second.get(path, (0, 0))
        count = count + 1 if second == now else 1
        self.second[path] = (now, count)
        return "rate" in behaviour and count > behaviour["rate"]

    async def up(self):
        loop = asyncio.get_running_loop()
        # No SO_REUSEPORT: two sinks must never share a port.
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(1024)
        self.listener = await loop.create_server(lambda: _Connection(self), sock=listening, ssl=self.context())

    def context(self):
        if not self.tls:
            return None
        certificate, key, newest, *client_ca = self.tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if newest:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        for file in client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(file)
        return context

    async def down(self):
        if self.listener:
            self.listener.close()
            self.listener = None
        for connection in list(self.connections):
            connection.transport.abort()

    async def order(self, verb, *arguments):
        if verb == "behave":
            self.behaviours[arguments[0]] = arguments[1]
        elif verb == "log":
            return self.log[arguments[0]:]
        elif verb == "quiet":
            while self.connections:
                await asyncio.sleep(0.005)
        elif verb == "count":
            return len(self.log)
        elif verb == "connections":
            return len(self.connections)
        elif verb == "most":
            return self.most_unanswered[arguments[0]]
        elif verb == "tls":
            self.tls = arguments
        elif verb == "up":
            await self.up()
        elif verb == "down":
            await self.down()
        elif verb == "stop":
            self.done.set()
        return self.port

    def on_order(self):
        try:
            order = self.pipe.recv()
        except EOFError:  # the test's process has ended
            self.done.set()
            return
        asyncio.ensure_future(self.order(*order)).add_done_callback(lambda done: self.pipe.send(done.result()))

    async def run(self):
        await self.up()
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self.on_order)
        self.pipe.send(self.port)
        await self.done.wait()
        await asyncio.sleep(0)


def _run(pipe, tls):
    with contextlib.suppress(KeyboardInterrupt):
        async def serve():
            await _Server(pipe, tls).run()
        asyncio.run(serve())


class Sink:
    def __init__(self, tls=None):
        """tls: (certificate file, key file, newest version of TLS that it supports, or None); with a fourth item, a file with CA certificates, it
        asks for the certificate of the gateway."""
        self.scheme = "https" if tls else "http"
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_run, args=(other, tls), daemon=True)
        self.process.start()
        other.close()
        self.port = self.pipe.recv()
        self.known = []

    def _order(self, *order):
        self.pipe.send(order)
        assert self.pipe.poll(60), f"the sink does not answer the order {order[0]}"
        return self.pipe.recv()

    def url(self, path="/hook"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def behave(self, path="/hook", **behaviour):
        self._order("behave", path, behaviour)

    def down(self):
        """Closes the listener and every connection. New connections are refused."""
        self._order("down")

    def up(self):
        self._order("up")

    def wait_until_all_left(self):
        """Called after the gateway was killed: waits until all that it sent is read and every
        connection has ended."""
        self._order("quiet")

    def use_tls(self, certificate, key, newest=None):
        """Holds from the next up() on."""
        self._order("tls", certificate, key, newest)

    def count(self):
        return self._order("count")

    def connections(self):
        """Returns the number of open connections."""
        return self._order("connections")

    def most_unanswered(self, path="/hook"):
        """Returns how many requests to the path had no answer yet at the same time, at most. Those that are never answered do not count."""
        return self._order("most", path)

    def deliveries(self, path=None):
        """Returns all requests so far, in order."""
        self.known += [Delivery(*entry) for entry in self._order("log", len(self.known))]
        return [d for d in self.known if path in (None, d.path)]

    def of(self, event):
        return [d for d in self.deliveries() if d.id == event]

    def stop(self):
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError, EOFError, OSError):
                self._order("stop")
            self.process.join(10)
        if self.process.is_alive():
            self.process.kill()

    close = stop  # for contextlib.closing
