# SPDX-License-Identifier: Apache-2.0
"""Where a request ends, and how long it may take: what a proxy in front could read otherwise is never taken, and idle time is not
request time."""
import json
import re
import time

import pytest

from support.connection import connect, exchange
from support.h2 import H2Connection, Lost

NEXT = b"GET /v1/events/evt_00000000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: a\r\n\r\n"  # must never be answered

# What stands between the head's first lines and the end of the body; %b is the event, %x its length in hexadecimal.
BODIES = {
    "chunk size and LF": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\n%b\r\n0\r\n\r\n"),
    "chunk data and LF": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\n0\r\n\r\n"),
    "last chunk and LF": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\n\r\n"),
    "trailer and LF": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\nA: b\n\r\n"),
    "end of trailers and LF": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\n"),
    "malformed trailer": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\nno trailer\r\n\r\n"),
    "0x as chunk size": (b"Transfer-Encoding: chunked\r\n\r\n", b"0x%x\r\n%b\r\n0\r\n\r\n"),
    "NUL in an extension": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x;a\0b\r\n%b\r\n0\r\n\r\n"),
    "CR in an extension": (b"Transfer-Encoding: chunked\r\n\r\n", b"%x;a\rb\r\n%b\r\n0\r\n\r\n"),
    "both lengths": (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n"),
    "two lengths": (b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n", b"%b"),
    "header and LF": (b"Content-Length: %d\n\r\n", b"%b"),
    "end of head and LF": (b"Content-Length: %d\r\n\n", b"%b"),
    "folded header": (b"A: b\r\n c\r\nContent-Length: %d\r\n\r\n", b"%b"),
    "two Hosts": (b"Host: b\r\nContent-Length: %d\r\n\r\n", b"%b"),
}


def filled_in(template, body):
    return template.replace(b"%d", b"%d" % len(body)).replace(b"%x", b"%x" % len(body)).replace(b"%b", body)


def assert_one_400(answer, what):
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"400"], f"{what}: {answer}"
    assert b"Connection: close" in answer, f"{what}: {answer}"
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert told["type"] == "urn:penstock:problem:bad-request" and told["detail"], f"{what}: {answer}"


def test_what_a_proxy_may_read_otherwise_gets_one_400_and_the_end(gateway):
    """On both listeners; what stands behind it is never read as a request, and the event is not accepted."""
    for url, path, credential in ((gateway.ingress, "/v1/events", gateway.ready["api_key"]),
                                  (gateway.admin, "/api/v1/accounts", gateway.ready["admin_token"])):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {credential}\r\nContent-Type: application/json\r\n".encode()
        for number, (what, (headers, body)) in enumerate(BODIES.items()):
            event = json.dumps(gateway.event(number)).encode()
            answer = exchange(url, head + filled_in(headers, event) + filled_in(body, event) + NEXT)
            assert_one_400(answer, what)
        for what, host in (("no Host", b""), ("Host and LF", b"Host: a\n")):
            assert_one_400(exchange(url, b"GET / HTTP/1.1\r\n" + host + b"\r\n" + NEXT), what)
    assert gateway.metric('penstock_events_total{result="accepted"}') == 0


def test_credentials_and_keys_in_trailers_do_not_count(gateway):
    event = json.dumps(gateway.event(1)).encode()
    answer = exchange(gateway.ingress, b"POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n" + filled_in(b"%x\r\n%b\r\n0\r\nAuthorization: Bearer ", event) +
                 gateway.ready["api_key"].encode() + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401"), answer

    def post_with_trailer(connection, tag, headers, trailer):
        stream = connection.h2.get_next_available_stream_id()
        connection.h2.send_headers(stream, [(":method", "POST"), (":path", "/v1/events"), (":scheme", "http"), (":authority", "a"),
                                            ("content-type", "application/json"), *headers])
        connection.streams[stream] = [tag, None, b""]
        connection.h2.send_data(stream, event)
        connection.h2.send_headers(stream, trailer, end_stream=True)
        connection.flush()

    credential = [("authorization", f"Bearer {gateway.ready['api_key']}")]
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    post_with_trailer(connection, "credential", [], credential)
    (_, status, _), = connection.receive_all()
    assert status == 401
    # The same event again under a key of its own would be another event, were the key taken.
    post_with_trailer(connection, "first", credential, [("idempotency-key", "one")])
    post_with_trailer(connection, "second", credential, [("idempotency-key", "two")])
    answers = {tag: (status, json.loads(body)) for tag, status, body in connection.receive_all()}
    connection.close()
    assert {status for status, _ in answers.values()} == {200}, answers
    assert answers["first"][1]["event"] == answers["second"][1]["event"]


@pytest.mark.parametrize("told, has_body", [(5, False), (0, True), (1, True), (1000, True)])
def test_a_content_length_that_contradicts_the_end_of_an_http2_stream_is_refused(gateway, told, has_body):
    event = json.dumps(gateway.event(1)).encode()
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    try:
        connection.request("wrong", "POST", "/v1/events", [("content-type", "application/json"), ("content-length", str(told))],
                           event if has_body else None)
        (_, status, body), = connection.receive_all()
    except Lost:
        status, body = 0, b""
    connection.close()
    assert status == 0 or (status == 400 and b"Content-Length" in body), (status, body)
    assert gateway.metric('penstock_events_total{result="accepted"}') == 0


def read_answer(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(65536)
        assert piece, f"closed without an answer: {answer}"
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1])


def test_idle_time_is_not_request_time(gateway):
    """A pool of a balancer keeps a connection idle for a minute: what it sends then has its whole time. (The clocks themselves
    are in unit/http/clocks.c.)"""
    with connect(gateway.ingress) as connection:
        for number, idle in ((1, 0), (2, 9.7)):
            time.sleep(idle)
            event = json.dumps(gateway.event(number)).encode()
            connection.sendall(filled_in(
                f"POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {gateway.ready['api_key']}\r\n"
                "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n".encode(), event))
            time.sleep(0.6 if idle else 0)
            connection.sendall(event)
            assert read_answer(connection) == 200
