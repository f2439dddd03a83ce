# SPDX-License-Identifier: Apache-2.0
"""Operator events: each transition once, in the log, in the metrics, in the list and as a signed event to an operator's endpoint."""
import base64
import contextlib
import hashlib
import hmac
import json
import sqlite3

import pytest
from support.deployment import Deployment, wait_until_delivered
from support.wait import wait_for
from test_disk import MIB, RESERVE, disk, environment_for  # noqa: F401  pylint: disable=unused-import

HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h]"}
SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms]"}


class Operators:
    """An endpoint of the account penstock, at the path /operators of the sink."""

    def __init__(self, gateway, sink, **endpoint):
        self.gateway, self.sink = gateway, sink
        with gateway.operator() as operator:
            answer = operator.post("/api/v1/accounts/penstock/endpoints", json={"url": sink.url("/operators"), **endpoint})
        assert answer.status_code == 201, answer.text
        self.secret, self.endpoint = answer.json()["secret"], answer.json()["id"]

    def deliveries(self):
        return [delivery for delivery in self.sink.deliveries() if delivery.path == "/operators"]

    def got(self, kind=None):
        """What it was sent with success, without repeats: the bodies."""
        bodies = {delivery.id: json.loads(delivery.body) for delivery in self.deliveries() if delivery.status == 200}
        return [body for body in bodies.values() if kind in (None, body["type"])]

    def wait(self, kind, count=1):
        wait_for(lambda: len(self.got(kind)) >= count, lambda: f"{count} of {kind}: {self.got()}")
        return [body["data"] for body in self.got(kind)]


def is_signed(secret, delivery):
    """As Standard Webhooks says."""
    content = f"{delivery.id}.{delivery.headers['webhook-timestamp']}.".encode() + delivery.body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
    return delivery.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def told(gateway, kind):
    return gateway.metric(f'penstock_operator_events_total{{kind="{kind}"}}')


def listed(gateway):
    with gateway.operator() as operator:
        return operator.get("/api/v1/operator-events").json()["operator_events"]


def test_endpoint_that_fails_is_reported_at_three_levels_and_recovers_once(make_gateway, sink):
    gateway = make_gateway(HOUR)
    operators = Operators(gateway, sink)
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(30)
    found = operators.wait("endpoint.failing", 3)
    assert sorted(event["percent"] for event in found) == [50, 90, 100]
    for event in found:
        assert (event["account"], event["endpoint"], event["cause"]) == (deployment.account, deployment.endpoint, "http-failed")
        assert event["severity"] == "warning" and event["detail"] == "the program of the client failed: 500"
        assert event["event"] in events and event["delivery"] == f"dlv_{event['event'][4:]}-0" and event["endpoint_name"] == "sink"
    sink.behave("/in", status=200)
    wait_until_delivered(deployment, events)
    [recovered] = operators.wait("endpoint.recovered")
    assert recovered["endpoint"] == deployment.endpoint and recovered["severity"] == "info"
    assert told(gateway, "endpoint.failing") == 3 and told(gateway, "endpoint.recovered") == 1
    assert [event["kind"] for event in listed(gateway)].count("endpoint.failing") == 3
    stderr = wait_for(lambda: gateway.stderr if "an endpoint is back" in gateway.stderr else None, "it is logged")
    assert stderr.count("an endpoint fails: its events wait") == 1 and stderr.count("kind=endpoint.failing percent=50") == 1
    assert stderr.count("kind=endpoint.failing percent=90") == 1 and "kind=endpoint.failing percent=100" not in stderr
    assert "an endpoint is back" in stderr and "kind=endpoint.recovered" not in stderr
    bodies = operators.got()
    assert len(bodies) == 4 and all(body["account"] == "penstock" and body["occurred_at"].endswith("Z") for body in bodies)
    assert all(is_signed(operators.secret, delivery) for delivery in operators.deliveries())


def test_dead_and_parked_deliveries_are_reported_first_at_once_and_then_together(make_gateway, sink):
    gateway = make_gateway(SHORT)
    operators = Operators(gateway, sink)
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(3)
    wait_for(lambda: deployment.states(events) == ["dead"] * 3, "all are dead")
    [dead] = operators.wait("delivery.dead")
    assert dead["event"] in events and dead["cause"] == "http-failed" and dead["count"] == 1 and dead["severity"] == "error"
    gateway.restart()  # the rest is reported now, and not in a minute
    first, rest = operators.wait("delivery.dead", 2)
    assert (first["count"], rest["count"]) == (1, 2) and rest["event"] in events

    lonely = "acc_lonely"
    with gateway.operator() as operator:
        assert operator.post("/api/v1/accounts", json={"id": lonely}).status_code == 201
        assert operator.post("/api/v1/partners/partner_demo/accounts", json={"account": lonely}).status_code == 201
    with gateway.partner() as partner:
        unrouted = partner.post("/v1/events", json=gateway.event("lonely", account=lonely)).json()["event"]
    [parked] = operators.wait("delivery.parked")
    assert (parked["account"], parked["event"], parked["subject"]) == (lonely, unrouted, "unrouted") and "endpoint" not in parked
    assert parked["detail"] == "no endpoint of the account takes the type purchase"

    sink.behave("/in", mode="drop")
    [payout] = deployment.post(1, type="payout")
    wait_for(lambda: deployment.states([payout]) == ["parked"], "in doubt")
    doubt = operators.wait("delivery.parked", 2)[1]
    assert (doubt["event"], doubt["subject"], doubt["cause"]) == (payout, "ambiguous", "answer-lost")
    wait_for(lambda: gateway.stderr.count("a guarded delivery is in doubt") == 1, "it is logged, once")


def test_payout_in_doubt_after_a_kill_is_reported_with_its_id(make_gateway, sink):
    gateway = make_gateway(HOUR)
    operators = Operators(gateway, sink, types=["delivery.*"])
    sink.behave("/in", mode="hang")
    deployment = Deployment(gateway, sink.url("/in"))
    [payout] = deployment.post(1, type="payout")
    wait_for(lambda: [d for d in sink.deliveries() if d.path == "/in"], "the payout is under way")
    gateway.kill9()
    gateway.start()
    [doubt] = operators.wait("delivery.parked")
    assert (doubt["event"], doubt["subject"], doubt["cause"], doubt["count"]) == (payout, "ambiguous", "interrupted", 1)
    assert (doubt["account"], doubt["endpoint"], doubt["partner"]) == (deployment.account, deployment.endpoint, "partner_demo")
    assert deployment.states([payout]) == ["parked"]


def test_quiet_endpoint_recovers_after_a_short_run(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[3s, 3s, 1h]"})
    operators = Operators(gateway, sink, types=["endpoint.*"])
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(5)
    wait_for(lambda: told(gateway, "endpoint.failing") == 1, "five have failed")
    sink.behave("/in", status=200)
    wait_until_delivered(deployment, events)
    [failing] = operators.wait("endpoint.failing")
    assert failing["percent"] == 50
    [recovered] = operators.wait("endpoint.recovered")  # no event follows: the window of the breaker passes
    assert (recovered["account"], recovered["endpoint"], recovered["endpoint_name"]) == (deployment.account, deployment.endpoint, "sink")


def test_backlog_is_reported_and_the_status_counts_none_of_the_operators(make_gateway, sink):
    gateway = make_gateway({**HOUR, "PENSTOCK_OPERATOR_EVENTS__BACKLOG_MAX": "5"})
    operators = Operators(gateway, sink)
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(8)
    [high] = operators.wait("backlog.high")
    assert high["count"] >= 6 and high["severity"] == "warning" and "deliveries wait" in high["detail"]
    sink.behave("/in", status=200)
    wait_until_delivered(deployment, events)
    operators.wait("backlog.well")

    sink.behave("/operators", status=410)
    deployment.change(enabled=False)
    wait_for(lambda: gateway.metric("penstock_endpoints_disabled") == 2, "the operators' endpoint is disabled as well")
    with gateway.operator() as operator:
        status = operator.get("/api/v1/status").json()
    assert status["backlog"]["parked"] == 0 and not [p for p in status["problems"] if "parked" in p["what"] and "deliveries" in p["what"]], status
    deployment.change(enabled=True)
    wait_for(lambda: told(gateway, "endpoint.enabled") == 1, "it is counted")
    stored = gateway.metric("penstock_operator_events_stored_total")
    deployment.change(enabled=False)
    wait_for(lambda: told(gateway, "endpoint.disabled") == 2, "it is counted")
    assert gateway.metric("penstock_operator_events_stored_total") == stored, "a disabled endpoint gets none stored"


def test_end_of_a_replay_is_reported(make_gateway, sink):
    gateway = make_gateway({**SHORT, "PENSTOCK_DATA__SHARDS": "1"})
    operators = Operators(gateway, sink, types=["replay.*"])
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(3)
    wait_for(lambda: deployment.states(events) == ["dead"] * 3, "all are dead")
    sink.behave("/in", status=200)
    with gateway.operator() as operator:
        answer = operator.post("/api/v1/replays", json={"account": deployment.account, "state": "dead", "reason": "the client is well again"})
    assert answer.status_code in (200, 201), answer.text
    [ended] = operators.wait("replay.ended")
    assert (ended["subject"], ended["cause"], ended["count"]) == (answer.json()["id"], "done", 3)
    assert ended["detail"] == "retry in shard 0: 3 moved, 0 refused"


def test_conflict_that_ingress_finds_in_front_of_a_broker_is_reported(vhost, make_brokered, sink):
    brokered = make_brokered(vhost, options={"ingress.threads": 1})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    operators = Operators(brokered, sink, types=["event.*"])
    first = brokered.post(1)["event"]
    wait_for(lambda: brokered.states(first) == ["delivered"], "delivered")
    with brokered.partner() as partner:
        assert partner.post("/v1/events", json=brokered.event(1, amount="1.00")).status_code == 422
    [conflict] = operators.wait("event.conflict")
    assert conflict["first_event"] == first and conflict["count"] == 1 and conflict["account"] == brokered.event(1)["account"]
    assert told(brokered, "event.conflict") == 1


def test_disabled_endpoint_is_reported_once_with_its_cause(make_gateway, sink):
    gateway = make_gateway(HOUR)
    operators = Operators(gateway, sink, types=["endpoint.*"])
    sink.behave("/in", status=410)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(5)
    [disabled] = operators.wait("endpoint.disabled")
    assert disabled["cause"] == "http-gone" and disabled["event"] in events and disabled["endpoint"] == deployment.endpoint
    sink.behave("/in", status=200)
    deployment.change(enabled=True)
    [enabled] = operators.wait("endpoint.enabled")
    assert enabled["cause"] == "operator" and "detail" not in enabled
    deployment.change(enabled=True)  # as it is already
    deployment.change(enabled=False, reason="they asked for it")
    by_operator = operators.wait("endpoint.disabled", 2)[1]
    assert by_operator["cause"] == "operator" and by_operator["detail"] == "they asked for it"
    assert {kind: told(gateway, kind) for kind in ("endpoint.disabled", "endpoint.enabled")} == {"endpoint.disabled": 2, "endpoint.enabled": 1}
    assert told(gateway, "delivery.parked") >= 1 and not operators.got("delivery.parked"), "the endpoint does not take this kind"


def test_conflict_is_reported_with_the_first_event(make_gateway, sink):
    gateway = make_gateway()
    operators = Operators(gateway, sink)
    with gateway.partner() as partner:
        first = partner.post("/v1/events", json=gateway.event(1)).json()["event"]
        for _ in range(2):  # the same conflict again is no other one
            assert partner.post("/v1/events", json=gateway.event(1, amount="1.00")).status_code == 422
    [conflict] = operators.wait("event.conflict")
    assert (conflict["first_event"], conflict["partner"], conflict["account"]) == (first, "partner_demo", gateway.ready["account"])
    assert conflict["detail"] == "type purchase, key order-1" and told(gateway, "event.conflict") == 1 and conflict["count"] == 1
    with gateway.partner() as partner:
        for amount in ("2.00", "3.00", "4.00", "5.00"):
            assert partner.post("/v1/events", json=gateway.event(1, amount=amount)).status_code == 422
    wait_for(lambda: sum(event["count"] for event in listed(gateway) if event["kind"] == "event.conflict") == 5, "none is left out for long")


@pytest.mark.once
def test_disk_is_reported_when_it_is_low_and_when_it_is_well(make_gateway, sink, disk):  # noqa: F811
    gateway = make_gateway(environment_for(disk, PENSTOCK_DATA__SHARDS="2"))
    operators = Operators(gateway, sink, types=["disk.*"])
    disk.be(f"free {8 * RESERVE}")
    disk.be(f"free {4 * RESERVE - MIB}")
    [low] = operators.wait("disk.low")
    assert low["severity"] == "error" and "accepts no optional events (reserve)" in low["detail"]
    disk.be(f"free {2 * RESERVE - MIB}")
    assert "accepts only critical events (reserve)" in operators.wait("disk.low", 2)[1]["detail"]
    disk.be("ok")
    operators.wait("disk.well")
    assert told(gateway, "disk.low") == 2 and told(gateway, "disk.well") == 1, "the shards share the disk"


def test_late_deliveries_to_a_healthy_endpoint_are_reported_with_a_sample(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_OPERATOR_EVENTS__FRESHNESS_MAX": "200ms"})
    operators = Operators(gateway, sink)
    sink.behave("/in", delay=0.5)
    deployment = Deployment(gateway, sink.url("/in"))
    events = deployment.post(4)
    wait_until_delivered(deployment, events)
    [late] = operators.wait("freshness.late")
    assert late["event"] in events and late["count"] >= 1 and "of the last minute were late. One of them was delivered 0." in late["detail"]
    assert gateway.metric('penstock_fresh_deliveries_total{result="late"}') == 4


def test_endpoint_of_operators_that_is_down_causes_no_more_and_gets_all_later(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[200ms, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]"})
    operators = Operators(gateway, sink)
    sink.behave("/operators", status=500)
    sink.behave("/in", status=410)
    deployment = Deployment(gateway, sink.url("/in"))
    other = Deployment(gateway, sink.url("/other"), "other")
    for name in range(6):
        another = Deployment(gateway, sink.url("/in"), f"gone{name}")
        another.post(1)
    deployment.post(1)
    wait_for(lambda: told(gateway, "endpoint.disabled") == 7 and told(gateway, "delivery.parked") == 7, "all are reported")
    wait_for(lambda: gateway.metric("penstock_breakers_open") == 1, "the breaker of the operators' endpoint opens")
    assert told(gateway, "endpoint.failing") == 0, "nothing of the operators' own endpoint is reported"
    wait_for(lambda: gateway.metric("penstock_operator_events_stored_total") == 14, "all are stored")
    gateway.restart()
    sink.behave("/operators", status=200)
    wait_for(lambda: len(operators.got()) == 14, lambda: f"all are delivered after a restart: {len(operators.got())}", 40)
    assert told(gateway, "endpoint.recovered") == told(gateway, "delivery.dead") == told(gateway, "delivery.parked") == 0
    wait_until_delivered(other, other.post(3))


def test_audit_and_totals_leave_operator_events_out(make_gateway, sink):
    gateway = make_gateway(HOUR)
    operators = Operators(gateway, sink)
    sink.behave("/in", status=500)
    deployment = Deployment(gateway, sink.url("/in"))
    deployment.post(12)
    operators.wait("endpoint.failing", 3)
    for _ in range(2):
        with gateway.operator() as operator:
            audit = operator.get("/api/v1/audit").json()
            assert operator.get("/api/v1/audit", params={"account": "penstock"}).json()["rows"] == []
        assert audit["verdict"] == "complete" and audit["findings"] == [], audit
        assert {row["account"] for row in audit["rows"] + audit["events"]} == {deployment.account}
        assert [row["accepted"]["count"] for row in audit["events"]] == [12]
        gateway.restart()
    assert gateway.tool("audit").returncode == 0


def test_account_of_operators_is_reserved(make_gateway, sink):
    gateway = make_gateway()
    granted = gateway.tool("partner", "grant", "partner_demo", "penstock")
    assert granted.returncode != 0 and "penstock is for operator events, and no partner may post for it" in granted.stderr
    added = gateway.tool("partner", "add", "penstock")
    assert added.returncode != 0 and "is the name of the gateway" in added.stderr
    assert gateway.tool("account", "add", "penstock").returncode != 0
    with gateway.partner() as partner:
        assert partner.post("/v1/events", json=gateway.event(1, account="penstock")).status_code == 403


def test_account_from_before_the_name_was_reserved_is_not_taken_over(make_gateway, sink):
    gateway = make_gateway()
    Operators(gateway, sink)
    gateway.restart()  # ours: it is there again
    gateway.terminate()
    with contextlib.closing(sqlite3.connect(gateway.data / "accounts.db")) as database:
        database.execute("DELETE FROM meta WHERE name = 'operators'")
        database.commit()
    refused = gateway.tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert refused.returncode == 78, refused.stderr
    assert 'account "penstock" has 0 grants and 1 endpoints' in refused.stderr and "remove the endpoints" in refused.stderr


def test_command_lists_the_last_ones(make_gateway, sink):
    gateway = make_gateway()
    assert gateway.tool("operator-event", "list").stderr == "none since the start of this gateway\n"
    deployment = Deployment(gateway, sink.url("/in"))
    deployment.change(enabled=False, reason="maintenance")
    wait_for(lambda: told(gateway, "endpoint.disabled") == 1, "it is reported without an endpoint of operators")
    [event] = listed(gateway)
    assert (event["kind"], event["severity"], event["endpoint"]) == ("endpoint.disabled", "error", deployment.endpoint)
    shown = gateway.tool("operator-event", "list").stdout
    assert f"{event['at']}  error    endpoint.disabled  an endpoint is disabled: its events are parked: maintenance\n" in shown
    assert f"  account {deployment.account}  endpoint {deployment.endpoint}  cause operator\n" in shown
    assert gateway.metric("penstock_operator_events_stored_total") == 0
    assert f"kind=endpoint.disabled account={deployment.account} endpoint={deployment.endpoint} cause=operator" in gateway.stderr
