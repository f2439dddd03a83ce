# SPDX-License-Identifier: Apache-2.0
"""What this machine is short of is nobody's failure: deliveries wait, and silent connections keep nobody out."""
import contextlib
import socket
import time

import pytest

from support import client as http
from support.deployment import Deployment, wait_until_delivered
from support.names import Hosts
from support.wait import wait_for


def silent_connections(url, count, says=b""):
    host, _, port = url.removeprefix("http://").rpartition(":")
    stack = contextlib.ExitStack()
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        with contextlib.suppress(OSError):
            connection.sendall(says)
    return stack


def limited(make_gateway, files, environment=None):
    gateway = make_gateway(environment, start=False)
    gateway.prefix = ["prlimit", f"--nofile={files}:{files}"]
    return gateway.start()


def test_without_descriptors_deliveries_wait_and_no_attempt_fails(make_gateway, sink):
    gateway = limited(make_gateway, 64, {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[200ms, 200ms]", "PENSTOCK_DATA__SHARDS": "2"})
    gateway.point_endpoint_at(sink.url())
    with silent_connections(gateway.ingress, 100):
        events = []
        for number in range(30):
            with gateway.partner() as partner:
                answer = partner.post("/v1/events", json=gateway.event(number))
            assert answer.status_code == 200, answer.text
            events.append(answer.json()["event"])
        time.sleep(1)  # what would fail has failed by now; whatever was put off goes on below
    for event in events:
        wait_for(lambda: gateway.states(event) == ["delivered"], f"{event} is delivered", 60)
        attempts = gateway.timeline(event)["deliveries"][0]["attempts"]
        assert [attempt["status"] for attempt in attempts] == [200]
    assert len({d.id for d in sink.deliveries()}) == len(sink.deliveries()) == 30


@pytest.mark.parametrize("says", [b"", b"POST /v1/events HTTP/1.1\r\nhost", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
                         ids=["nothing", "half-a-head", "a-preface"])
def test_silent_connections_keep_neither_partners_nor_operators_out(make_gateway, sink, says):
    gateway = limited(make_gateway, 1024)
    gateway.point_endpoint_at(sink.url())
    with gateway.partner() as connected:
        assert connected.post("/v1/events", json=gateway.event("first")).status_code == 200
        with silent_connections(gateway.ingress, 1100, says), silent_connections(gateway.admin, 300, says):
            event = connected.post("/v1/events", json=gateway.event("connected")).json()["event"]
            wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
            with gateway.partner() as late:
                assert late.post("/v1/events", json=gateway.event("late")).status_code == 200
            for path in ("/livez", "/readyz", "/metrics"):
                assert http.get(gateway.admin + path, timeout=20).status_code == 200, path
            done = gateway.tool("status")
            assert done.returncode == 0, done.stderr


def test_a_dead_resolver_is_not_the_clients_failure_and_holds_up_no_other(make_gateway, sink, tmp_path):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms]"}, start=False)
    hosts = Hosts(gateway, tmp_path)
    gateway.start()
    named = Deployment(gateway, f"http://shop.example:{sink.port}/hook", "named")
    other = Deployment(gateway, sink.url("/other"), "other")
    [event] = named.post()
    wait_for(lambda: gateway.metric("penstock_delivery_shortages_total") >= 2, "it has been put off twice", 40)
    wait_until_delivered(other, other.post(10), "those for an address")
    [delivery] = named.timelines([event])
    assert (delivery["state"], delivery["attempts"]) == ("pending", [])
    assert "this machine has no name servers that answer" in gateway.stderr
    hosts.set(shop=["127.0.0.1"])
    wait_until_delivered(named, [event], "delivered once the name is known", 40)
    assert [d.attempt for d in sink.of(event)] == [1]
