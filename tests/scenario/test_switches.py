# SPDX-License-Identifier: Apache-2.0
"""Switches: what an operator switches off in an incident, for all, for an account or for an endpoint. It is off at once, stays off over
restarts, is shown everywhere, and what waits arrives when it is on again."""
import json
import time

import pytest
from support.deployment import Deployment
from support.wait import wait_for

SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms, 50ms, 50ms, 50ms]"}


@pytest.fixture
def gateway(make_gateway, sink):
    gateway = make_gateway(SHORT)
    gateway.point_endpoint_at(sink.url())
    return gateway


def switch(gateway, name, state, *scope, reason="incident 12", exit_code=0):
    done = gateway.tool("switch", name, state, "--reason", reason, *scope, "--json")
    assert done.returncode == exit_code, done.stderr
    return json.loads(done.stdout) if exit_code == 0 else done.stderr


def scope_of(gateway, level):
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    return {"all": (), "account": ("--account", account), "endpoint": ("--account", account, "--endpoint", endpoint)}[level]


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        return partner.post("/v1/events", json=gateway.event(number, **fields))


def accepted(gateway, number, **fields):
    answer = post(gateway, number, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def arrives(sink, event, times=1):
    wait_for(lambda: len(sink.of(event)) == times, f"{event} was delivered")


@pytest.mark.parametrize("level", ["all", "account", "endpoint"])
def test_deliveries_stop_at_once_and_what_waits_arrives_when_they_are_on_again(gateway, sink, level):
    events = [accepted(gateway, number) for number in range(20)]
    assert switch(gateway, "deliveries", "off", *scope_of(gateway, level))["changed"]
    wait_for(lambda: gateway.metric("penstock_deliveries_in_flight") == 0, "what was in flight has ended")
    begun = sink.count()
    waiting = [accepted(gateway, number) for number in range(20, 40)]
    other = Deployment(gateway, sink.url("/other"), name="other")
    [unrelated] = other.post() if level != "all" else [None]
    if unrelated:
        arrives(sink, unrelated)
    wait_for(lambda: all(gateway.states(event) == ["pending"] for event in waiting), "they wait")
    time.sleep(0.5)
    assert sink.count() == begun + (unrelated is not None), "no request begins after the answer"
    assert switch(gateway, "deliveries", "on", *scope_of(gateway, level))["changed"]
    for event in events + waiting:
        arrives(sink, event)


def test_a_switch_survives_a_kill_and_is_reported_at_the_start(gateway, sink):
    switch(gateway, "deliveries", "off", "--account", gateway.ready["account"])
    event = accepted(gateway, 1)
    gateway.kill9()
    gateway.start()
    assert "a switch is off switch=deliveries" in gateway.stderr
    wait_for(lambda: gateway.states(event) == ["pending"], "it waits")
    time.sleep(0.5)
    assert not sink.of(event)
    switch(gateway, "deliveries", "on", "--account", gateway.ready["account"])
    arrives(sink, event)


def test_without_retries_failed_deliveries_wait_and_do_not_die_and_fresh_ones_are_sent(gateway, sink):
    sink.behave(status=500)
    switch(gateway, "retries", "off")
    failed = accepted(gateway, 1)
    wait_for(lambda: gateway.states(failed) == ["waiting"], "it has failed")
    sink.behave()
    fresh = accepted(gateway, 2)
    arrives(sink, fresh)
    time.sleep(1)  # twenty times as long as its step
    assert len(sink.of(failed)) == 1 and gateway.states(failed) == ["waiting"]
    done = gateway.tool("delivery", "retry", f"dlv_{failed[4:]}-0", "--reason", "by hand")
    assert done.returncode == 0, done.stderr
    arrives(sink, failed, 2)
    sink.behave(status=500)
    again = accepted(gateway, 3)
    wait_for(lambda: gateway.states(again) == ["waiting"], "it has failed")
    sink.behave()
    switch(gateway, "retries", "on")
    arrives(sink, again, 2)


def test_without_ingress_posts_are_answered_503_and_the_rest_works(gateway, sink):
    event = accepted(gateway, 1)
    switch(gateway, "ingress", "off")
    answer = post(gateway, 2)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 30
    assert answer.json()["type"] == "urn:penstock:problem:switched-off" and "switched off" in answer.json()["detail"]
    assert "incident" not in answer.text, "the reason is for operators"
    with gateway.partner() as partner:
        assert partner.get(f"/v1/events/{event}").status_code == 200
        batch = partner.post("/v1/events/batch", content=json.dumps([gateway.event(3)]), headers={"content-type": "application/json"})
    assert batch.status_code == 503
    assert gateway.tool("audit").returncode == 0
    assert gateway.metric('penstock_refusals_total{reason="switched-off"}') == 2
    switch(gateway, "ingress", "on")
    arrives(sink, accepted(gateway, 2))


def test_without_ingress_for_an_account_only_its_items_of_a_batch_are_refused(gateway, sink):
    other = Deployment(gateway, sink.url("/other"), name="other")
    switch(gateway, "ingress", "off", "--account", other.account)
    events = [gateway.event(1), gateway.event(2, account=other.account)]
    with gateway.partner() as partner:
        answer = partner.post("/v1/events/batch", content=json.dumps(events), headers={"content-type": "application/json"})
    assert [result["status"] for result in answer.json()["results"]] == [200, 503]
    assert "for this account" in post(gateway, 3, account=other.account).json()["detail"]
    assert "ingress" in switch(gateway, "ingress", "off", *scope_of(gateway, "endpoint"), exit_code=65)


def test_without_optional_events_those_are_refused_and_those_that_wait_are_not_sent(gateway, sink):
    switch(gateway, "deliveries", "off")
    waiting = [accepted(gateway, number, type="notification") for number in range(10)]
    important = accepted(gateway, 20)
    switch(gateway, "optional", "off")
    switch(gateway, "deliveries", "on")
    arrives(sink, important)
    assert post(gateway, 30, type="notification").status_code == 503
    assert post(gateway, 31).status_code == 200
    time.sleep(0.5)
    assert not any(sink.of(event) for event in waiting)
    switch(gateway, "optional", "on")
    for event in waiting:
        arrives(sink, event)


def test_what_is_off_is_shown_wherever_somebody_looks(gateway):
    switch(gateway, "deliveries", "off", *scope_of(gateway, "endpoint"), reason="ticket 4711")
    event = accepted(gateway, 1)
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    for command in (("switch", "list"), ("status",), ("endpoint", "list", account), ("endpoint", "show", account, endpoint),
                    ("event", "show", event)):
        text = gateway.tool(*command).stdout
        assert "deliveries" in text and ("ticket 4711" in text or command[:2] == ("endpoint", "list")), text
    assert "why: deliveries are switched off for this endpoint since" in gateway.tool("event", "show", event).stdout
    with gateway.operator() as operator:
        ready = operator.get("/readyz?verbose")
        history = operator.get("/api/v1/switches?history=5").json()["history"]
    assert ready.status_code == 200 and "the switch deliveries is off" in ready.text
    assert [(change["state"], change["reason"]) for change in history] == [("off", "ticket 4711")] and history[0]["by"].startswith("operator")
    assert gateway.metric('penstock_switches_off{switch="deliveries"}') == 1
    assert not switch(gateway, "deliveries", "off", *scope_of(gateway, "endpoint"))["changed"], "it was off already"
    switch(gateway, "deliveries", "on", *scope_of(gateway, "endpoint"))
    assert "OFF" not in gateway.tool("switch", "list").stdout
    assert gateway.metric('penstock_switches_off{switch="deliveries"}') == 0
    assert gateway.stderr.count("a switch was changed") == 2
    told = gateway.tool("operator-event", "list").stdout
    assert told.count("switch.changed") == 2 and "ticket 4711 (operator at" in told, told


def test_a_change_needs_a_reason_and_a_place_that_exists(gateway):
    account = gateway.ready["account"]
    for arguments in (("deliveries", "off"), ("parcels", "off", "--reason", "x"), ("deliveries", "maybe", "--reason", "x")):
        assert gateway.tool("switch", *arguments).returncode == 64
    assert "acc_9" not in switch(gateway, "retries", "off", "--account", "acc_9", exit_code=65)
    switch(gateway, "retries", "off", "--account", account, "--endpoint", "nobody", exit_code=65)
    switch(gateway, "retries", "off", reason="two\nlines", exit_code=65)


@pytest.mark.once
def test_through_a_broker_deliveries_stop_and_the_journal_takes_over_what_waits(vhost, make_brokered, sink):
    brokered = make_brokered(vhost)
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    switch(brokered, "deliveries", "off")
    events = [brokered.post(number)["event"] for number in range(200)]
    vhost.wait_until_empty()
    wait_for(lambda: brokered.status()["unacked"] == 0, "nothing is held unacked")
    assert sink.count() == 0
    assert brokered.metric("penstock_deliveries_active") == 0
    switch(brokered, "deliveries", "on")
    for event in events:
        arrives(sink, event)


@pytest.mark.once
def test_an_ingress_only_gateway_obeys_its_leader(vhost, make_brokered, sink):
    leader = make_brokered(vhost)
    leader.point_endpoint_at(sink.url())
    follower = make_brokered(vhost, leader=leader)
    for brokered in (leader, follower):
        brokered.wait_for_broker()
    assert "leader" in switch(follower, "ingress", "off", exit_code=77)
    switch(leader, "ingress", "off")

    def answer(number):
        with follower.partner() as partner:
            return partner.post("/v1/events", json=follower.event(number)).status_code

    wait_for(lambda: answer(1) == 503, "the follower obeys")
    assert "OFF" in follower.tool("switch", "list").stdout
    switch(leader, "ingress", "on")
    wait_for(lambda: answer(1) == 200, "the follower obeys")


@pytest.mark.parametrize("also", [[], ["retries"]], ids=["optional", "optional_and_retries"])
def test_payouts_behind_held_optional_events_are_sent_when_the_client_is_back(gateway, sink, also):
    sink.behave(status=503)
    for number in range(30):
        accepted(gateway, number, type="notification")
    wait_for(lambda: gateway.metric("penstock_breakers_open") == 1, "its breaker opens")
    held = [accepted(gateway, number, type="notification") for number in range(100, 130)]
    payout = accepted(gateway, 200, type="payout")
    for name in ["optional", *also]:
        switch(gateway, name, "off")
    sink.behave()
    wait_for(lambda: sink.of(payout), "the payout is the probe", 20)
    assert not any(sink.of(event) for event in held)
