# SPDX-License-Identifier: Apache-2.0
"""What is over goes, first its body (retention.bodies), then its history (retention.history), and its sums stay. What is not over stays.
The first round of expiry comes right after a start, so each of these starts is with what had been accepted long enough before it."""
import datetime
import json

import pytest
from support.wait import wait_for

BODIES, HISTORY = "PENSTOCK_RETENTION__BODIES", "PENSTOCK_RETENTION__HISTORY"


def operate(gateway, method, path, **options):
    with gateway.operator() as operator:
        return operator.request(method, f"/api/v1/{path}", **options)


def post(gateway, event):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=event)
    assert answer.status_code == 200, answer.text
    return answer.json()


def restart_with(gateway, events, **environment):
    """Once all of them are older than the second that is their retention."""
    accepted = [datetime.datetime.fromisoformat(gateway.timeline(event)["accepted_at"].replace("Z", "+00:00")) for event in events]
    limit = max(accepted) + datetime.timedelta(seconds=1)
    assert gateway.terminate() == 0, gateway.stderr[-4000:]
    wait_for(lambda: datetime.datetime.now(datetime.timezone.utc) > limit, "they are old enough")
    gateway.environment.clear()
    gateway.environment.update(environment)
    gateway.start()


def check_audit(gateway):
    """One of 12.5 delivered, one of 7 parked: whatever has expired."""
    answer = operate(gateway, "GET", "audit")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["verdict"], found["findings"]) == ("complete", [])
    [euros] = found["totals"]
    assert euros["accepted"] == {"count": 2, "sum": "19.5"}
    assert (euros["delivered"], euros["parked"]) == ({"count": 1, "sum": "12.5"}, {"count": 1, "sum": "7"})


@pytest.fixture
def shop(make_gateway, sink):
    """A delivered purchase and a lead that no endpoint wants: the gateway, and both as (id, what was posted)."""
    gateway = make_gateway({})
    gateway.point_endpoint_at(sink.url())
    change_types(gateway, ["purchase"])
    sold, lead = gateway.event(1, amount="12.5"), gateway.event(2, type="lead", amount="7")
    delivered, parked = post(gateway, sold)["event"], post(gateway, lead)["event"]
    wait_for(lambda: gateway.states(delivered) == ["delivered"] and gateway.states(parked) == ["parked"], "delivered and parked")
    check_audit(gateway)
    return gateway, (delivered, sold), (parked, lead)


def change_types(gateway, types):
    path = f"accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}"
    answer = operate(gateway, "PATCH", path, json={"types": types})
    assert answer.status_code == 200, answer.text


def check_parked_is_whole(gateway, sink, parked):
    """As soon as somebody wants it, it is delivered as it came."""
    event, lead = parked
    change_types(gateway, ["purchase", "lead"])
    wait_for(lambda: gateway.states(event) == ["delivered"], "the parked one has found its endpoint")
    assert len(sink.of(event)) == 1
    assert json.loads(sink.of(event)[0].body) == lead


def test_the_body_expires_and_the_history_stays(shop, sink):
    gateway, (delivered, sold), parked = shop
    restart_with(gateway, [delivered, parked[0]], **{BODIES: "1s"})
    wait_for(lambda: gateway.timeline(delivered)["bytes"] == 0, "the body has expired")
    seen = gateway.timeline(delivered)
    assert [(d["state"], len(d["attempts"])) for d in seen["deliveries"]] == [("delivered", 1)]
    assert (seen["amount"], seen["key"]) == ("12.5", sold["id"])
    assert gateway.timeline(parked[0])["bytes"] > 0 and gateway.states(parked[0]) == ["parked"]

    refused = operate(gateway, "POST", f"deliveries/dlv_{delivered[4:]}-0/retry", json={"force": True, "reason": "a test"})
    assert refused.status_code == 422 and "retention.bodies" in refused.json()["detail"], refused.text
    again = post(gateway, sold)
    assert (again["status"], again["event"]) == ("duplicate", delivered)
    check_audit(gateway)
    check_parked_is_whole(gateway, sink, parked)
    assert len(sink.of(delivered)) == 1


def test_the_history_expires_and_its_sums_and_its_key_stay(shop, sink):
    gateway, (delivered, sold), parked = shop
    restart_with(gateway, [delivered, parked[0]], **{BODIES: "1s", HISTORY: "1s"})
    wait_for(lambda: operate(gateway, "GET", f"events/{delivered}").status_code == 404, "the history has expired")
    assert operate(gateway, "GET", f"deliveries/dlv_{delivered[4:]}-0").status_code == 404
    assert gateway.timeline(parked[0])["bytes"] > 0 and gateway.states(parked[0]) == ["parked"]
    check_audit(gateway)
    again = post(gateway, sold)
    assert (again["status"], again["event"]) == ("duplicate", delivered)
    gateway.kill9()
    gateway.start()
    check_audit(gateway)
    check_parked_is_whole(gateway, sink, parked)
    assert len(sink.of(delivered)) == 1


def test_a_body_and_then_its_history(shop):
    gateway, (delivered, _), parked = shop
    restart_with(gateway, [delivered, parked[0]], **{BODIES: "1s"})
    wait_for(lambda: gateway.timeline(delivered)["bytes"] == 0, "the body has expired")
    restart_with(gateway, [delivered, parked[0]], **{BODIES: "1s", HISTORY: "1s"})
    wait_for(lambda: operate(gateway, "GET", f"events/{delivered}").status_code == 404, "the history has expired")
    assert gateway.timeline(parked[0])["bytes"] > 0
    check_audit(gateway)
