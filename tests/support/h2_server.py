#!/usr/bin/python3 -P
# SPDX-License-Identifier: Apache-2.0
"""A client deployment that supports HTTP/2 over TLS, as a program of its own for the unit tests of
the HTTP client. It says on stdout what it sees, one line each:

    port N              where it listens
    connection          accepted
    http_1              a connection without HTTP/2
    plaintext           bytes of a request arrived before the TLS handshake
    handled ID          a request was processed; ID is its webhook-id
    refused ID          a stream was reset with REFUSED_STREAM
    ignored ID          a stream above the last one of a GOAWAY: not processed

Started with -P, because support/h2.py would hide the library of that name. Options are NAME=VALUE:
    certificate, key    PEM files
    alpn                protocols, in order: h2,http/1.1
    streams             MAX_CONCURRENT_STREAMS: 100
    delay               seconds before an answer: 0
    body                of the answers: ok
    silent              1: no answers
    goaway              after so many requests of a connection GOAWAY is sent, with the highest of them as
                        the last stream. The connection ends when all up to that are answered.
    refuse              so many requests are refused, over all connections
    refuse_delay        seconds before that
    hint                1: the status 103 is sent before a refusal
    drop                a connection is closed when it has so many requests, without answers
    drops               so many connections are dropped; others are served
    window_after        so many requests later, INITIAL_WINDOW_SIZE is 0
    updates             0: windows are never opened again
    handshake_delay     seconds before the TLS handshake of the second and later connections
    accepts             so many connections are accepted, later ones are refused
"""
import heapq
import socket
import ssl
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

DEFAULTS = {"alpn": "h2,http/1.1", "streams": 100, "delay": 0.0, "body": "ok", "silent": 0, "goaway": 0, "refuse": 0, "refuse_delay": 0.0, "hint": 0, "drop": 0, "drops": 1000000,
            "window_after": 0, "updates": 1, "handshake_delay": 0.0, "accepts": 0, "certificate": "", "key": ""}
MAX_CONCURRENT_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
INITIAL_WINDOW_SIZE = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


class Server:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.refusals, self.drops, self.accepted = options["refuse"], options["drops"], 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(options["certificate"], options["key"])
        self.tls.set_alpn_protocols(options["alpn"].split(","))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def say(self, *words):
        with self.lock:
            print(*words, flush=True)

    def take(self, name):
        """Returns whether one is left of what may happen only so often."""
        with self.lock:
            left = getattr(self, name)
            setattr(self, name, max(left - 1, 0))
            return left > 0

    def run(self):
        self.say("port", self.listener.getsockname()[1])
        while self.options["accepts"] == 0 or self.accepted < self.options["accepts"]:
            raw, _ = self.listener.accept()
            self.accepted += 1
            self.say("connection")
            if self.accepted == self.options["accepts"]:
                self.listener.close()
            delay = self.options["handshake_delay"] if self.accepted > 1 else 0
            threading.Thread(target=self.serve, args=(raw, delay), daemon=True).start()

    def serve(self, raw, delay):
        time.sleep(delay)
        raw.settimeout(20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if b"HTTP/" in raw.recv(65536, socket.MSG_PEEK):
                self.say("plaintext")
            tls = self.tls.wrap_socket(raw, server_side=True)
            if tls.selected_alpn_protocol() == "h2":
                Connection(self, tls).run()
            else:
                self.say("http_1")
                serve_http_1(self, tls)
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            raw.close()


def serve_http_1(server, tls):
    data = b""
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        length = int(fields.get(b"content-length", b"0"))
        if end and len(rest) >= length:
            data = rest[length:]
            server.say("handled", fields.get(b"webhook-id", b"").decode())
            body = server.options["body"].encode()
            time.sleep(server.options["delay"])
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            continue
        more = tls.recv(65536)
        if not more:
            return
        data += more


class Connection:
    def __init__(self, server, tls):
        self.server, self.options, self.tls = server, server.options, tls
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={MAX_CONCURRENT_STREAMS: self.options["streams"]})
        self.requests, self.highest, self.last_stream = 0, 0, None
        self.ids = {}  # stream -> webhook-id
        self.answers = []  # heap of (due, stream)
        self.unsent = {}  # stream -> bytes of a body
        self.drops = self.options["drop"] > 0 and server.take("drops")

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while self.step():
            self.flush()
        self.flush()
        self.close()

    def close(self):
        """Reads what is still sent: otherwise the peer gets a reset, which destroys answers that it has not read."""
        if self.last_stream is not None:
            self.tls.settimeout(5)
            self.tls.shutdown(socket.SHUT_WR)
            while self.tls.recv(65536):
                pass
        self.tls.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.tls.sendall(data)

    def step(self):
        """Returns False at the end of the connection."""
        now = time.monotonic()
        while self.answers and self.answers[0][0] <= now:
            self.answer(heapq.heappop(self.answers)[1])
        if self.last_stream is not None and not self.answers and not self.unsent and not self.is_expecting():
            return False
        self.flush()
        self.tls.settimeout(max(self.answers[0][0] - now, 0.001) if self.answers else 20)
        try:
            data = self.tls.recv(65536)
        except TimeoutError:
            return bool(self.answers)
        if not data:
            return False
        return all([self.take(event) for event in self.h2.receive_data(data)])

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.ids[event.stream_id] = dict(event.headers).get("webhook-id", "")
        elif isinstance(event, h2.events.DataReceived) and self.options["updates"]:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            return self.take_request(event.stream_id, self.ids.pop(event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            self.ids.pop(event.stream_id, None)
            self.answers = sorted(answer for answer in self.answers if answer[1] != event.stream_id)
            self.unsent.pop(event.stream_id, None)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self.unsent):
                self.send_body(stream)
        return True

    def take_request(self, stream, name):
        if self.last_stream is not None and stream > self.last_stream:
            self.server.say("ignored", name)
            return True
        if self.server.take("refusals"):
            if self.options["hint"]:
                self.h2.send_headers(stream, [(":status", "103")])
                self.flush()
            time.sleep(self.options["refuse_delay"])
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            self.server.say("refused", name)
            return True
        self.requests += 1
        self.server.say("handled", name)
        if self.drops:
            return self.requests < self.options["drop"]
        if not self.options["silent"]:
            heapq.heappush(self.answers, (time.monotonic() + self.options["delay"], stream))
        self.highest = max(self.highest, stream)
        if self.requests == self.options["goaway"]:
            self.go_away(self.highest)
        if self.requests == self.options["window_after"]:
            self.h2.update_settings({INITIAL_WINDOW_SIZE: 0})
        return True

    def is_expecting(self):
        return any(stream <= self.last_stream for stream in self.ids)

    def go_away(self, last_stream):
        """The library cannot answer after its own GOAWAY, so the frame is made by hand."""
        self.flush()
        self.last_stream = last_stream
        self.tls.sendall(hyperframe.frame.GoAwayFrame(0, last_stream_id=last_stream).serialize())

    def answer(self, stream):
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])
        self.unsent[stream] = self.options["body"].encode()
        self.send_body(stream)

    def send_body(self, stream):
        body = self.unsent.pop(stream)
        room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
        self.h2.send_data(stream, body[:room], end_stream=room == len(body))
        if room < len(body):
            self.unsent[stream] = body[room:]


def main():
    options = dict(DEFAULTS)
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        options[name] = type(DEFAULTS[name])(value)
    Server(options).run()
    threading.Event().wait()


if __name__ == "__main__":
    main()
