# SPDX-License-Identifier: Apache-2.0
"""One event's life: posted over HTTP/1.1 or HTTP/2, durable, delivered as the contract says, found again by everybody who may ask."""
import json
import re
import time

import pytest

from support import client as http
from support import signatures
from support.h2 import H2Connection, H2Sender
from support.wait import wait_for

EVENT_ID = re.compile(r"evt_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def one_delivery(sink, event):
    return wait_for(lambda: sink.of(event), f"{event} is delivered")


def check_contract(gateway, sink, answer, body, traceparent=None):
    """The 200, and every header of the delivery."""
    assert answer["status"] == "accepted"
    assert EVENT_ID.fullmatch(answer["event"]), answer
    assert re.fullmatch(r"r1\.a\.[A-Za-z0-9_-]{43}", answer["receipt"]), answer
    deliveries = one_delivery(sink, answer["event"])
    assert len(deliveries) == 1
    delivery = deliveries[0]
    assert delivery.body == body
    assert delivery.path == "/hook"
    assert delivery.headers["content-type"] == "application/json"
    assert re.fullmatch(r"Penstock/\d+\.\d+\.\d+", delivery.headers["user-agent"])
    assert delivery.headers["penstock-attempt"] == "1"
    assert abs(int(delivery.headers["webhook-timestamp"]) - time.time()) < 60
    assert delivery.headers["webhook-signature"].startswith("v1,")
    assert delivery.headers.get("traceparent") == traceparent
    assert "expect" not in delivery.headers
    assert signatures.verify(gateway.ready["endpoint_secret"], [delivery]) == [True]


def test_an_event_over_http1_arrives_byte_for_byte_and_signed(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    body = ('{ "id":"order-1","type" : "purchase", "account":"%s",\n\t"amount":1.10 ,"currency":"EUR","occurred_at":'
            '"2026-01-31T12:00:00+01:00","data":{"note":"caf\u00e9 \u20ac \U0001f600","n":12345678901234567890.50}}\n'
            % gateway.ready["account"]).encode()
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", content=body, headers={"content-type": "application/json", "traceparent": TRACE})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    check_contract(gateway, sink, answer.json(), body, TRACE)


def test_an_event_over_http2_arrives_byte_for_byte_and_signed(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    body = json.dumps(gateway.event(2, data={"text": "x" * 60000})).encode()  # more than the first flow-control window
    assert len(body) < 65536
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    connection.post("it", body)
    [(tag, status, answer)] = connection.receive_all()
    connection.close()
    assert (tag, status) == ("it", 200), answer
    check_contract(gateway, sink, json.loads(answer), body)


def test_the_signature_check_can_fail(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    with gateway.partner() as partner:
        event = partner.post("/v1/events", json=gateway.event(1)).json()["event"]
    delivery = one_delivery(sink, event)[0]
    delivery.body += b" "
    assert signatures.verify(gateway.ready["endpoint_secret"], [delivery]) == [False]


def test_many_streams_of_one_connection_are_answered_and_delivered(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    bodies = {n: json.dumps(gateway.event(n)).encode() for n in range(1000)}
    sender = H2Sender(gateway, bodies, connections=1)
    sender.run(seconds=60)
    sender.close()
    assert not sender.refused and sender.lost == 0
    answered = {json.loads(body)["event"] for _, body in sender.answers.values()}
    assert len(answered) == 1000
    wait_for(lambda: sink.count() >= 1000, lambda: f"1000 deliveries, not {sink.count()}")
    assert {d.id for d in sink.deliveries()} == answered
    assert len(sink.deliveries()) == 1000


def test_the_built_in_sink_gets_events_until_the_endpoint_is_moved(gateway, sink):
    with gateway.partner() as partner:
        event = partner.post("/v1/events", json=gateway.event(1)).json()["event"]
        wait_for(lambda: event in gateway.stdout and re.search(rf"(?m)^sink: got {event}.*", gateway.stdout), "the sink's live line")
        gateway.point_endpoint_at(sink.url())
        moved = partner.post("/v1/events", json=gateway.event(2)).json()["event"]
        one_delivery(sink, moved)
    assert f"sink: got {moved}" not in gateway.stdout
    gateway.restart()
    with gateway.partner() as partner:
        after = partner.post("/v1/events", json=gateway.event(3)).json()["event"]
        one_delivery(sink, after)


def test_the_partner_sees_what_became_of_its_event(gateway):
    with gateway.partner() as partner:
        event = partner.post("/v1/events", json=gateway.event(1)).json()["event"]

        def timeline():
            answer = partner.get(f"/v1/events/{event}")
            assert answer.status_code == 200, answer.text
            return answer.json()

        found = wait_for(lambda: (it := timeline())["deliveries"][0]["state"] == "delivered" and it, "delivered")
        assert found["event"] == event
        assert found["account"] == gateway.ready["account"]
        assert found["type"] == "purchase"
        assert found["key"] == "order-1"
        assert found["deliveries"][0]["attempts"] == 1
        unknown = partner.get("/v1/events/evt_01890a5d-ac96-774b-bcce-b302099a8057")
        assert unknown.status_code == 404
        assert unknown.headers["content-type"] == "application/problem+json"


def test_the_operator_sees_the_timeline_by_api_and_by_command(gateway):
    with gateway.partner() as partner:
        event = partner.post("/v1/events", json=gateway.event(1)).json()["event"]
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    timeline = gateway.timeline(event)
    assert timeline["amount"] == "129.90" and timeline["currency"] == "EUR" and timeline["class"] == "critical"
    [delivery] = timeline["deliveries"]
    assert delivery["endpoint"]["id"] == gateway.ready["endpoint"]
    [attempt] = delivery["attempts"]
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, None)
    shown = gateway.tool("event", "show", event, "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == timeline
    plain = gateway.tool("event", "show", event)
    assert plain.returncode == 0, plain.stderr
    assert event in plain.stdout and "delivered" in plain.stdout
    missing = gateway.tool("event", "show", "evt_01890a5d-ac96-774b-bcce-b302099a8057")
    assert missing.returncode == 66, missing.stderr


def test_health_metrics_and_status(gateway):
    with gateway.partner() as partner:
        partner.post("/v1/events", json=gateway.event(1))
        partner.post("/v1/events", json=gateway.event(1))
    wait_for(lambda: gateway.metric('penstock_attempts_total{result="delivered"}') == 1, "one delivery is counted")
    assert gateway.metric('penstock_events_total{result="accepted"}') == 1
    assert gateway.metric('penstock_events_total{result="duplicate"}') == 1
    with http.client(base_url=gateway.admin) as nobody:
        assert nobody.get("/livez").status_code == 200
        assert nobody.get("/readyz").status_code == 200
        assert "ready" in nobody.get("/readyz?verbose").text
        refused = nobody.get("/api/v1/status")
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        wrong = nobody.get("/api/v1/status", headers={"authorization": "Bearer " + "x" * len(gateway.ready["admin_token"])})
        assert wrong.status_code == 401
    status = gateway.tool("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["ready"] is True


def test_the_ready_file_holds_what_a_script_needs(gateway):
    assert set(gateway.ready) == {"ingress", "admin", "api_key", "admin_token", "account", "endpoint", "sink", "endpoint_secret"}
    for name in ("ingress", "admin", "sink"):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+(/\w+)?", gateway.ready[name]), gateway.ready[name]
    assert gateway.ready["api_key"].startswith("pk_")
    assert gateway.ready["endpoint"].startswith("ep_")
    assert gateway.ready["endpoint_secret"].startswith("whsec_")


def test_secrets_are_readable_by_their_owner_only(gateway):
    keys = gateway.data / "keys"
    assert keys.stat().st_mode & 0o077 == 0
    files = [path for path in keys.iterdir() if path.is_file()]
    assert files
    for path in files:
        assert path.stat().st_mode & 0o177 == 0, path


@pytest.mark.parametrize("delay", [0, 0.3])
def test_sigterm_under_load_loses_nothing(make_gateway, sink, delay):
    sink.behave(delay=delay)
    gateway = make_gateway()
    gateway.point_endpoint_at(sink.url())
    bodies = {n: json.dumps(gateway.event(n)).encode() for n in range(5000)}
    sender = H2Sender(gateway, bodies, connections=2)
    sender.run(until=lambda: len(sender.answers) > 500)
    gateway.process.terminate()
    stopped = []

    def has_ended():
        stopped.append(gateway.process.poll())
        return stopped[-1] is not None

    sender.run(until=has_ended, seconds=40)
    assert stopped[-1] == 0, gateway.stderr[-4000:]
    before = len(sender.answers)
    assert before < len(bodies), "it was to end while events came in"
    sink.behave()
    gateway.start()
    sender.run(seconds=120)
    sender.close()
    assert not sender.refused
    accepted = {json.loads(body)["event"] for _, body in sender.answers.values()}
    assert len(accepted) == len(bodies)
    wait_for(lambda: accepted <= {d.id for d in sink.deliveries()}, "everything answered is delivered", 60)
    ids = [d.id for d in sink.deliveries()]
    assert len(ids) == len(set(ids)), "an orderly stop delivers nothing twice"
