# SPDX-License-Identifier: Apache-2.0
"""P3, one acceptance: the same key again is a duplicate with the first event's id; with other money it is a conflict."""
import json

from support.h2 import H2Connection
from support.wait import wait_for


def post(gateway, body, **headers):
    with gateway.partner() as partner:
        return partner.post("/v1/events", json=body, headers=headers)


def check_once(answers, sink):
    """One accepted, all others duplicates of it, one delivery. Returns the event's id."""
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * (len(answers) - 1)
    ids = {answer["event"] for answer in answers}
    assert len(ids) == 1
    event = ids.pop()
    wait_for(lambda: sink.of(event), "the delivery")
    for answer in answers:
        assert answer["receipt"].startswith("r1.a." if answer["status"] == "accepted" else "r1.d.")
    return event


def drain(gateway, sink):
    """A delivery of its own behind all others: what was to come twice would have come by now."""
    marker = post(gateway, gateway.event("marker-%d" % sink.count())).json()["event"]
    wait_for(lambda: sink.of(marker), "the marker")


def test_ten_at_once_on_one_connection(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    body = json.dumps(gateway.event(1)).encode()
    for n in range(10):
        connection.post(n, body, flush=False)
    connection.flush()
    results = connection.receive_all()
    connection.close()
    assert [status for _, status, _ in results] == [200] * 10
    event = check_once([json.loads(answer) for _, _, answer in results], sink)
    drain(gateway, sink)
    assert len(sink.of(event)) == 1


def test_ten_at_once_on_ten_connections(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    connections = [H2Connection(gateway.ingress, gateway.ready["api_key"]) for _ in range(10)]
    body = json.dumps(gateway.event(1)).encode()
    for n, connection in enumerate(connections):
        connection.post(n, body)
    results = [result for connection in connections for result in connection.receive_all()]
    for connection in connections:
        connection.close()
    assert [status for _, status, _ in results] == [200] * 10
    event = check_once([json.loads(answer) for _, _, answer in results], sink)
    drain(gateway, sink)
    assert len(sink.of(event)) == 1


def test_later_and_after_a_restart(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    answers = [post(gateway, gateway.event(1)).json()]
    event = answers[0]["event"]
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    answers += [post(gateway, gateway.event(1)).json() for _ in range(4)]
    gateway.restart()
    answers += [post(gateway, gateway.event(1)).json() for _ in range(5)]
    assert check_once(answers, sink) == event
    gateway.kill9()
    gateway.start()
    assert post(gateway, gateway.event(1)).json()["status"] == "duplicate"
    drain(gateway, sink)
    assert len(sink.of(event)) == 1
    assert gateway.metric('penstock_events_total{result="duplicate"}') == 1  # since the last start


def test_whatever_its_other_fields(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    first = post(gateway, gateway.event(1)).json()
    again = post(gateway, gateway.event(1, data={"other": True}, occurred_at="2026-01-31T12:00:00Z")).json()
    assert (again["status"], again["event"]) == ("duplicate", first["event"])
    drain(gateway, sink)
    assert json.loads(sink.of(first["event"])[0].body) == gateway.event(1), "the first one's body is what is delivered"


def check_conflict(answer, event):
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"] == "urn:penstock:problem:conflict"
    assert event in problem["detail"]


def test_other_money_is_a_conflict_and_the_same_value_is_not(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    first = post(gateway, gateway.event(1, amount="1.10")).json()
    for same in ("1.1", "1.10", "1.100000000", 1.1):
        answer = post(gateway, gateway.event(1, amount=same))
        assert (answer.status_code, answer.json()["status"], answer.json()["event"]) == (200, "duplicate", first["event"]), same
    for other in ("1.11", "11", "-1.1", "0"):
        check_conflict(post(gateway, gateway.event(1, amount=other)), first["event"])
    check_conflict(post(gateway, gateway.event(1, amount="1.10", currency="USD")), first["event"])
    without_money = {k: v for k, v in gateway.event(1).items() if k not in ("amount", "currency")}
    check_conflict(post(gateway, without_money), first["event"])
    drain(gateway, sink)
    assert len(sink.of(first["event"])) == 1
    assert gateway.metric('penstock_events_total{result="conflict"}') == 6


def test_a_conflict_at_once_is_found_as_well(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    for amount in ("1", "2"):
        connection.post(amount, json.dumps(gateway.event(1, amount=amount)).encode(), flush=False)
    connection.flush()
    statuses = sorted(status for _, status, _ in connection.receive_all())
    connection.close()
    assert statuses == [200, 422]


def test_the_scope_is_partner_account_type_and_key(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    first = post(gateway, gateway.event(1)).json()
    other_type = post(gateway, gateway.event(1, type="lead")).json()
    assert other_type["status"] == "accepted"
    by_header = post(gateway, gateway.event(2), **{"idempotency-key": "order-1"}).json()
    assert (by_header["status"], by_header["event"]) == ("duplicate", first["event"]), "the header goes before the id"
    # Informational events need no key, and without one nothing is a duplicate.
    note = {"type": "notification", "account": gateway.ready["account"]}
    assert [post(gateway, note).json()["status"] for _ in range(2)] == ["accepted", "accepted"]
