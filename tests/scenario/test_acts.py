# SPDX-License-Identifier: Apache-2.0
"""What operators do to a delivery: settle, resend, discard, replay. Done only where the delivery is believed to be, kept with it, and
answered after the commit."""
import pytest

from support.wait import wait_for

SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms]"}


def act(gateway, delivery, verb, **body):
    with gateway.operator() as operator:
        return operator.post(f"/api/v1/deliveries/{delivery}/{verb}", json=body)


def show(gateway, delivery):
    with gateway.operator() as operator:
        answer = operator.get(f"/api/v1/deliveries/{delivery}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def delivery_of(event):
    return f"dlv_{event[4:]}-0"


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


@pytest.fixture
def gateway(make_gateway, sink):
    gateway = make_gateway(SHORT)
    gateway.point_endpoint_at(sink.url())
    return gateway


def park(gateway, sink, number=1):
    """A payout that nobody knows the end of."""
    sink.behave(mode="drop")
    event = post(gateway, number, type="payout")
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    sink.behave()
    return event


def kill(gateway, sink, number=1):
    sink.behave(status=500)
    event = post(gateway, number)
    wait_for(lambda: gateway.states(event) == ["dead"], "dead")
    sink.behave()
    return event


@pytest.mark.parametrize("end", ["delivered", "discarded"])
def test_a_parked_payout_is_settled_and_never_sent_again(gateway, sink, end):
    event = park(gateway, sink)
    answer = act(gateway, delivery_of(event), "settle", **{"as": end, "expect": "parked", "note": "the client says so: café"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": delivery_of(event), "event": event, "from": "parked", "state": end, "note": "the client says so: café"}
    gateway.restart()
    found = show(gateway, delivery_of(event))
    assert (found["state"], found["event"], found["amount"]) == (end, event, "129.90")
    [done] = found["acts"]
    assert (done["from"], done["to"], done["note"]) == ("parked", end, "the client says so: café")
    assert gateway.timeline(event)["deliveries"][0]["acts"] == [done]
    marker = post(gateway, 2)
    wait_for(lambda: sink.of(marker), "a later event")
    assert len(sink.of(event)) == 1


def test_a_parked_payout_is_sent_again_with_the_same_id(gateway, sink):
    event = park(gateway, sink)
    answer = act(gateway, delivery_of(event), "resend", expect="parked", note="not there")
    assert (answer.status_code, answer.json()["state"]) == (200, "pending"), answer.text
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert [d.attempt for d in sink.of(event)] == [1, 2]


def test_a_dead_delivery_is_replayed_or_discarded(gateway, sink):
    replayed, discarded = kill(gateway, sink, 1), kill(gateway, sink, 2)
    assert act(gateway, delivery_of(replayed), "replay", expect="dead").status_code == 200
    wait_for(lambda: gateway.states(replayed) == ["delivered"], "delivered")
    assert act(gateway, delivery_of(discarded), "discard", expect="dead", note="too late").status_code == 200
    assert gateway.states(discarded) == ["discarded"]
    assert gateway.tool("audit").returncode == 0


def test_what_was_delivered_is_sent_again_only_by_force(gateway, sink):
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    refused = act(gateway, delivery_of(event), "replay", expect="delivered")
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/force"
    assert act(gateway, delivery_of(event), "replay", expect="delivered", force=True).status_code == 200
    wait_for(lambda: len(sink.of(event)) == 2, "the second one")
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered again")
    assert [attempt["number"] for attempt in show(gateway, delivery_of(event))["attempts"]] == [1, 2]


def test_what_has_moved_on_stays_where_it_is(gateway, sink):
    event = kill(gateway, sink)
    moved = act(gateway, delivery_of(event), "resend", expect="parked")
    assert moved.status_code == 409, moved.text
    assert (moved.json()["type"], moved.json()["detail"]) == ("urn:penstock:problem:moved-on", "It is dead now, not parked.")
    assert gateway.states(event) == ["dead"] and show(gateway, delivery_of(event))["acts"] == []
    assert act(gateway, f"dlv_{event[4:]}-7", "resend", expect="parked").status_code == 404
    assert act(gateway, "dlv_01890a5d-ac96-774b-bcce-b302099a8057-0", "resend", expect="parked").status_code == 404


def test_what_has_no_endpoint_can_be_discarded_but_not_sent(gateway, sink):
    with gateway.operator() as operator:
        operator.patch(f"/api/v1/accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}", json={"types": ["lead"]})
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    refused = act(gateway, delivery_of(event), "resend", expect="parked")
    assert refused.status_code == 422 and "no endpoint" in refused.json()["detail"]
    assert act(gateway, delivery_of(event), "discard", expect="parked").status_code == 200
    assert gateway.states(event) == ["discarded"]


def test_the_commands_do_the_same(gateway, sink):
    parked, dead = park(gateway, sink, 1), kill(gateway, sink, 2)
    shown = gateway.tool("delivery", "show", delivery_of(parked))
    assert shown.returncode == 0 and "parked: ambiguous" in shown.stdout, shown.stderr
    assert gateway.tool("delivery", "settle", delivery_of(parked), "--as", "delivered").returncode == 64
    moved = gateway.tool("delivery", "discard", delivery_of(parked), "--expect", "dead")
    assert moved.returncode == 65 and "It is parked now, not dead." in moved.stderr
    settled = gateway.tool("delivery", "settle", delivery_of(parked), "--as", "delivered", "--expect", "parked", "--note", "by phone")
    assert settled.returncode == 0 and "parked -> delivered" in settled.stdout, settled.stderr
    replayed = gateway.tool("delivery", "replay", delivery_of(dead), "--expect", "dead")
    assert replayed.returncode == 0, replayed.stderr
    wait_for(lambda: gateway.states(dead) == ["delivered"], "delivered")
    assert gateway.tool("delivery", "replay", delivery_of(dead), "--expect", "delivered").returncode == 65
    assert gateway.tool("delivery", "replay", delivery_of(dead), "--expect", "delivered", "--force").returncode == 0
    wait_for(lambda: len(sink.of(dead)) == 4, "sent again")
    shown = gateway.tool("event", "show", parked)
    assert "by hand, from parked to delivered: by phone" in shown.stdout
