# SPDX-License-Identifier: Apache-2.0
"""Partners that reset streams or leave between post and answer: the gateway lives, what became durable counts, a re-send is a duplicate."""
import json
import random
import socket
import struct

import pytest

from support.h2 import H2Connection, H2Sender, Lost
from support.wait import wait_for


def post_again(gateway, bodies):
    """{tag: (status, event)} of sending everything once more."""
    sender = H2Sender(gateway, bodies, connections=2)
    sender.run(seconds=120)
    sender.close()
    assert not sender.refused
    return {tag: (json.loads(body)["status"], json.loads(body)["event"]) for tag, (_, body) in sender.answers.items()}


def check_each_once(gateway, sink, bodies):
    """After a re-send of all, each event has arrived exactly once."""
    answers = post_again(gateway, bodies)
    events = {event for _, event in answers.values()}
    assert len(events) == len(bodies)
    wait_for(lambda: events <= {d.id for d in sink.deliveries()}, "all are delivered", 60)
    wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "nothing is in flight")
    assert len(sink.deliveries()) == len(bodies)
    return answers


def test_streams_that_are_reset_before_their_answer(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    randomness = random.Random(7)
    bodies = {n: json.dumps(gateway.event(n)).encode() for n in range(600)}
    for start in range(0, len(bodies), 60):
        connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
        streams = [connection.post(n, bodies[n], flush=False) for n in range(start, start + 60)]
        connection.flush()
        for stream in randomness.sample(streams, 40):
            connection.reset(stream)
        assert all(status == 200 for _, status, _ in connection.receive_all())
        connection.close()
    answers = check_each_once(gateway, sink, bodies)
    assert any(status == "duplicate" for status, _ in answers.values())


@pytest.mark.parametrize("abortive", [False, True], ids=["fin", "rst"])
def test_connections_that_are_closed_before_the_answers(gateway, sink, abortive):
    gateway.point_endpoint_at(sink.url())
    bodies = {n: json.dumps(gateway.event(n)).encode() for n in range(500)}
    for start in range(0, len(bodies), 50):
        connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
        for n in range(start, start + 50):
            connection.post(n, bodies[n], flush=False)
        connection.flush()
        if abortive:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    check_each_once(gateway, sink, bodies)


def test_http1_connections_that_are_closed_before_the_answer(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    bodies = {n: json.dumps(gateway.event(n)).encode() for n in range(100)}
    host, port = gateway.ingress.removeprefix("http://").split(":")
    for body in bodies.values():
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.ready['api_key']}\r\n"
                               f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    check_each_once(gateway, sink, bodies)


def test_bodies_that_never_end_do_no_harm(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    body = json.dumps(gateway.event(1)).encode()
    for _ in range(20):
        connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
        stream = connection.h2.get_next_available_stream_id()
        connection.h2.send_headers(stream, [(":method", "POST"), (":path", "/v1/events"), (":scheme", "http"), (":authority", "x"),
                                            ("content-type", "application/json"), ("content-length", str(len(body)))])
        connection.h2.send_data(stream, body[:20])
        connection.flush()
        connection.close()
    assert sink.count() == 0
    check_each_once(gateway, sink, {1: body})


def test_what_was_durable_before_the_client_left_is_delivered_without_a_re_send(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    for n in range(50):
        connection.post(n, json.dumps(gateway.event(n)).encode(), flush=False)
    connection.flush()
    wait_for(lambda: gateway.metric('penstock_events_total{result="accepted"}') == 50, "all are durable")
    connection.close()  # with 50 answers unread
    wait_for(lambda: sink.count() == 50, "all are delivered")


def test_a_connection_cut_by_the_gateways_death_reads_as_lost(gateway):
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    gateway.kill9()
    with pytest.raises(Lost):
        connection.post(1, b"{}")
        while True:
            connection.receive(5)
    gateway.start()
