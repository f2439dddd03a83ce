# SPDX-License-Identifier: Apache-2.0
"""Client deployments that never end their answers, each in a way of its own, as a process of its own. Each flood has a port. A connection reads
one request and then floods until it is closed.

    floods = Floods(certificate, key)
    floods.url("h1/hints"), floods.url("h1s/hints"), floods.url("h2/ping")
"""
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

BLOCK = 64 * 1024
CHUNKED = b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n"

# What is sent once, and what is repeated.
HTTP_1 = {
    "chunk-extension": (CHUNKED + b"1;", b"x" * BLOCK),
    "chunk-size-digits": (CHUNKED, b"0" * BLOCK),
    "small-chunks": (CHUNKED, b"1\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n"),
    "trailer-line": (CHUNKED + b"0\r\na: ", b"x" * BLOCK),
    "hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "hints-with-fields": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
    "header-lines": (b"HTTP/1.1 500 X\r\n", b"a: b\r\n"),
    "header-line": (b"HTTP/1.1 500 X\r\na: ", b"x" * BLOCK),
    "blank-lines": (b"", b"\r\n"),
    "body": (b"HTTP/1.1 500 X\r\n\r\n", b"x" * BLOCK),
}


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


DATA, HEADERS, PRIORITY, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 4, 6, 7, 8, 9
ACK, END_HEADERS, PADDED = 1, 4, 8
BEGIN = frame(HEADERS, END_HEADERS, 1, b"\x8e")  # :status 500
FIELD = b"\x00\x01a\x01b"  # a: b
HTTP_2 = {
    "ping": (b"", frame(PING, 0, 0, bytes(8))),
    "ping-ack": (b"", frame(PING, ACK, 0, bytes(8))),
    "settings": (b"", frame(SETTINGS)),
    "window-update": (b"", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")),
    "priority": (b"", frame(PRIORITY, 0, 1, b"\0\0\0\0\1")),
    "unknown-frames": (b"", frame(0x42, 0, 0, b"x" * 16)),
    "large-unknown-frames": (b"", frame(0x42, 0, 0, b"x" * 16384)),
    "goaway": (b"", frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")),
    "empty-data": (BEGIN, frame(DATA, 0, 1)),
    "padded-data": (BEGIN, frame(DATA, PADDED, 1, b"\xff" + bytes(255))),
    "data": (BEGIN, frame(DATA, 0, 1, b"x" * 16384)),
    "hints": (b"", frame(HEADERS, END_HEADERS, 1, b"\x08\x03103")),
    "hints-with-fields": (b"", frame(HEADERS, END_HEADERS, 1, b"\x08\x03103" + FIELD)),
    "header-fields": (frame(HEADERS, 0, 1, b"\x8e"), frame(CONTINUATION, 0, 1, FIELD * 100)),
    "empty-continuation": (frame(HEADERS, 0, 1, b"\x8e"), frame(CONTINUATION, 0, 1)),
    "trailers": (BEGIN + frame(DATA, 0, 1, b"x") + frame(HEADERS, 0, 1), frame(CONTINUATION, 0, 1, FIELD * 100)),
}
NAMES = [f"{kind}/{name}" for kind in ("h1", "h1s") for name in [*HTTP_1, "tiny-records"] if (kind, name) != ("h1", "tiny-records")] + \
    [f"h2/{name}" for name in HTTP_2]


class _Flood:
    def __init__(self, name, files):
        self.kind, self.name = name.split("/")
        self.tls = None
        if self.kind != "h1":
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*files)
            self.tls.set_alpn_protocols(["h2" if self.kind == "h2" else "http/1.1"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(60)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            if self.kind == "h2":
                self.flood_http_2(connection)
            else:
                self.flood_http_1(connection)
        except OSError:
            pass
        finally:
            connection.close()

    @staticmethod
    def read_until(connection, data, is_complete):
        while not is_complete(data):
            more = connection.recv(65536)
            if not more:
                raise OSError
            data += more
        return data

    @staticmethod
    def repeat(connection, once, again):
        connection.sendall(once)
        block = again * max(1, BLOCK // len(again))
        while True:
            connection.sendall(block)

    def flood_http_1(self, connection):
        def is_complete(data):
            head, end, body = data.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            return end and len(body) >= int(fields.get(b"content-length", b"0"))

        self.read_until(connection, b"", is_complete)
        if self.name != "tiny-records":
            self.repeat(connection, *HTTP_1[self.name])
        connection.sendall(HTTP_1["chunk-extension"][0])
        while True:
            connection.sendall(b"x")

    def flood_http_2(self, connection):
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

        def has_request(data):
            """Returns whether the headers of stream 1 have arrived."""
            at = len(preface)
            while len(data) >= at + 9:
                if data[at + 3] == HEADERS:
                    return True
                at += 9 + int.from_bytes(data[at:at + 3], "big")
            return False

        connection.sendall(frame(SETTINGS))
        self.read_until(connection, b"", has_request)
        # Acknowledgements of the gateway are not read: a flood does not wait for them.
        self.repeat(connection, *HTTP_2[self.name])


class Floods:
    def __init__(self, certificate, key):
        self.process = subprocess.Popen(["/usr/bin/python3", __file__, certificate, key], stdout=subprocess.PIPE, text=True,
                                        cwd=pathlib.Path(__file__).parents[1])
        self.ports = json.loads(self.process.stdout.readline())

    def url(self, name):
        return f"{'http' if name.startswith('h1/') else 'https'}://127.0.0.1:{self.ports[name]}/hook"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def main():
    floods = {name: _Flood(name, sys.argv[1:3]) for name in NAMES}
    for flood in floods.values():
        threading.Thread(target=flood.run, daemon=True).start()
    print(json.dumps({name: flood.port for name, flood in floods.items()}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
