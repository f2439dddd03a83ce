# SPDX-License-Identifier: Apache-2.0
"""What operators change about endpoints: filters, secrets, and endpoints that go while events are on their way."""
import json

import pytest

from support import signatures
from support.wait import wait_for

SCHEDULE = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "100ms,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"}


def path(gateway, *more):
    return "/".join([f"/api/v1/accounts/{gateway.ready['account']}/endpoints", *more])


def add_endpoint(gateway, **fields):
    with gateway.operator() as operator:
        answer = operator.post(path(gateway), json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def change_endpoint(gateway, endpoint, **fields):
    with gateway.operator() as operator:
        answer = operator.patch(path(gateway, endpoint), json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def tool(gateway, *arguments):
    done = gateway.tool(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_filter_is_shown_and_survives(gateway):
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    assert tool(gateway, "endpoint", "show", account, endpoint)["types"] == []
    assert change_endpoint(gateway, endpoint, types=["payout"])["types"] == ["payout"]
    changed = tool(gateway, "endpoint", "change", account, endpoint, "--types", "purchase,lead.*", "--idempotent", "true", "--final-4xx",
                   "true")
    assert (changed["types"], changed["idempotent"], changed["final_4xx"]) == (["purchase", "lead.*"], True, True)
    gateway.restart()
    shown = gateway.tool("endpoint", "list", account)
    assert "purchase,lead.*" in shown.stdout and "idempotent" in shown.stdout, shown.stdout + shown.stderr
    assert tool(gateway, "endpoint", "change", account, endpoint, "--types", "")["types"] == []


@pytest.mark.parametrize("arguments, code, said", [
    (["--types", "purchase,*lead"], 65, "/types/1"),
    (["--final-4xx", "yes"], 64, "true or false"),
    ([], 64, "--help"),
], ids=["pattern", "flag", "nothing"])
def test_mistakes_say_what_is_wrong(gateway, arguments, code, said):
    done = gateway.tool("endpoint", "change", gateway.ready["account"], gateway.ready["endpoint"], *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and not done.stdout


def test_what_waits_for_a_removed_endpoint_is_parked_and_others_go_on(make_gateway, sink):
    gateway = make_gateway(SCHEDULE)
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    sink.behave("/broken", status=500)
    gateway.point_endpoint_at(sink.url("/broken"))
    healthy = add_endpoint(gateway, name="healthy", url=sink.url("/healthy"))
    event = post(gateway, 1)
    wait_for(lambda: len(sink.deliveries("/broken")) > 1, "it is tried and fails")
    assert tool(gateway, "endpoint", "remove", account, endpoint)["id"] == endpoint
    by_endpoint = wait_for(lambda: (found := {d["endpoint"]["id"]: d for d in gateway.timeline(event)["deliveries"]})
                           and found[endpoint]["state"] == "parked" and found, "what waited is parked")
    assert by_endpoint[endpoint]["reason"] == "gone"
    assert by_endpoint[healthy["id"]]["state"] == "delivered"
    later = post(gateway, 2)
    wait_for(lambda: gateway.states(later) == ["delivered"], "it is delivered to the one that is left, and to no other")
    missing = gateway.tool("endpoint", "show", account, endpoint)
    assert missing.returncode == 66, missing.stderr
    assert [found["id"] for found in tool(gateway, "endpoint", "list", account)["endpoints"]] == [healthy["id"]]


def test_secrets_rotate_without_a_delivery_that_can_not_be_verified(gateway, sink):
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    gateway.point_endpoint_at(sink.url())

    def deliver(number):
        event = post(gateway, number)
        return wait_for(lambda: sink.of(event), f"{event} is delivered")

    old = gateway.ready["endpoint_secret"]
    made = tool(gateway, "endpoint", "secret", account, endpoint)
    both = deliver(1)
    assert both[0].headers["webhook-signature"].count("v1,") == 2
    assert signatures.verify(old, both) == [True]
    assert signatures.verify(made["secret"], both) == [True]
    tool(gateway, "endpoint", "secret-remove", account, endpoint, "sec_0")
    new = deliver(2)
    assert signatures.verify(made["secret"], new) == [True]
    assert signatures.verify(old, new) == [False]
    last = gateway.tool("endpoint", "secret-remove", account, endpoint, made["id"])
    assert last.returncode == 65 and "add a secret first" in last.stderr, last.stderr


def test_each_endpoint_gets_what_it_asks_for(gateway, sink):
    change_endpoint(gateway, gateway.ready["endpoint"], url=sink.url("/payouts"), types=["payout"])
    leads = add_endpoint(gateway, name="leads", url=sink.url("/leads"), types=["purchase", "lead.*"])
    money = {"id": "payout-1", "type": "payout"}
    sent = {}
    for number, fields in enumerate([money, {"type": "purchase"}, {"type": "lead.created"}, {"type": "lead"}, {"type": "purchase.x"}]):
        event = post(gateway, number, **fields)
        sent[fields["type"]] = event
    wait_for(lambda: sink.count() == 3, "what is wanted arrives")
    assert [d.id for d in sink.deliveries("/payouts")] == [sent["payout"]]
    assert {d.id for d in sink.deliveries("/leads")} == {sent["purchase"], sent["lead.created"]}
    for unwanted in ("lead", "purchase.x"):
        [delivery] = gateway.timeline(sent[unwanted])["deliveries"]
        assert (delivery["state"], delivery["reason"], delivery["endpoint"]) == ("parked", "unrouted", None)
    for number, types in enumerate([["lead"], []]):  # an empty list: everything
        change_endpoint(gateway, leads["id"], types=types)
        event = post(gateway, 100 + number, type="lead")
        wait_for(lambda: event in {d.id for d in sink.deliveries("/leads")}, "a change counts from its answer on")
    assert not {d.id for d in sink.deliveries("/payouts")} - {sent["payout"]}
