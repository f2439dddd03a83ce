# SPDX-License-Identifier: Apache-2.0
"""Lag: `penstock status`, `endpoint list --backlog`, and why an event is not delivered."""
import json
import signal
import subprocess

import pytest

from support.gateway import BINARY, clean_environment
from support.deployment import Deployment, wait_until_delivered
from support.wait import wait_for

# What fails waits for an hour by its schedule: whatever moves earlier does so for another reason.
HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms"}
COUNT = 40


def api(gateway, path):
    with gateway.operator() as operator:
        answer = operator.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def in_progress(counts):
    return sum(counts[state] for state in ("pending", "replays", "sending", "waiting"))


def problems(gateway):
    return [problem["what"] for problem in api(gateway, "status")["problems"]]


def backlog_of(gateway, deployment):
    items = api(gateway, f"backlog?account={deployment.account}")["backlog"]
    return items[0] if items else None


@pytest.fixture
def down(make_gateway, sink):
    """A gateway with a healthy client and one that is down, with a backlog of COUNT events."""
    gateway = make_gateway(HOUR)
    healthy = Deployment(gateway, sink.url("/healthy"), "healthy")
    failing = Deployment(gateway, sink.url("/down"), "failing")
    wait_until_delivered(healthy, healthy.post(3))
    sink.behave("/down", status=503)
    events = failing.post(COUNT)
    wait_for(lambda: api(gateway, "status")["breakers_open"] == 1, "its breaker opens")
    wait_for(lambda: in_progress(backlog_of(gateway, failing)) == COUNT, "all of them are in progress")
    return gateway, failing, events, sink


def test_status_counts_what_the_journal_holds_while_a_client_is_down_and_after_a_restart(down):
    gateway, failing, events, sink = down
    before = api(gateway, "status")["backlog"]
    assert in_progress(before) == COUNT and before["dead"] == before["parked"] == 0 and before["complete"]
    critical = before["by_class"]["critical"]
    assert in_progress(critical) == COUNT, "purchases are critical"
    gateway.kill9()
    gateway.start()
    wait_for(lambda: in_progress(api(gateway, "status")["backlog"]) == COUNT, "a restart counts the same")
    sink.behave("/down", status=200)
    wait_until_delivered(failing, events, "it drains")
    wait_for(lambda: in_progress(api(gateway, "status")["backlog"]) == 0, "nothing is left")
    assert backlog_of(gateway, failing) is None


def test_status_names_the_failing_endpoint_and_its_cause_first(down):
    gateway, failing, _, sink = down
    answer = api(gateway, "status")
    failing_ones = [problem for problem in answer["problems"] if failing.account in problem["what"]]
    assert len(failing_ones) == 1 and "http-unavailable" in failing_ones[0]["what"], answer["problems"]
    assert str(COUNT) in failing_ones[0]["what"]
    worst = answer["worst"][0]
    assert worst["account"] == failing.account and worst["breaker"] != "closed" and worst["failing_since"]
    assert worst["lately_failed"][0]["cause"] == "http-unavailable" and worst["lately_failed"][0]["count"] >= 10
    page = gateway.tool("status").stdout
    assert page.splitlines()[0] != "All well" and failing.account in page and "http-unavailable" in page
    sink.behave("/down", status=200)
    wait_for(lambda: problems(gateway) == [], "all is well again", 40)
    assert gateway.tool("status").stdout.splitlines()[0] == "All well"


def test_endpoints_are_listed_worst_first_in_lines_of_at_most_100_columns(down):
    gateway, failing, _, sink = down
    sink.behave("/slow", mode="hang")
    slow = Deployment(gateway, sink.url("/slow"), "slow")
    slow.post(2)
    wait_for(lambda: len(api(gateway, "backlog")["backlog"]) == 2, "both have a backlog")
    items = api(gateway, "backlog")["backlog"]
    keys = [(item["oldest_past_due"] or "9", -in_progress(item)) for item in items]
    assert keys == sorted(keys) and {item["account"] for item in items} == {failing.account, slow.account}
    answer = api(gateway, "backlog?limit=1")
    assert len(answer["backlog"]) == 1 and answer["more"]
    lines = gateway.tool("endpoint", "list", "--backlog").stdout.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 100, lines
    only = gateway.tool("endpoint", "list", "--backlog", "--account", slow.account).stdout.splitlines()
    assert len(only) == 2 and only[1].startswith(slow.account)
    unknown = gateway.tool("endpoint", "list", "--backlog", "--account", "acc_nobody")
    assert unknown.returncode != 0 and "acc_nobody" in unknown.stderr
    missing = gateway.tool("endpoint", "list")
    assert missing.returncode == 64 and "ACCOUNT is missing" in missing.stderr


def test_the_oldest_past_due_is_measured_from_its_due_time(down):
    """What waits for an hour is not past due. What is pending is so from its acceptance on."""
    gateway, failing, events, _ = down
    pending = [d for d in failing.timelines(events) if d["state"] == "pending"]
    oldest = backlog_of(gateway, failing)["oldest_past_due"]
    assert (oldest is not None) == bool(pending)
    metrics = gateway.metrics()
    states = ("pending", "replays", "sending", "waiting")
    assert sum(metrics[f'penstock_backlog_deliveries{{state="{state}",class="critical"}}'] for state in states) == COUNT
    if pending:
        wait_for(lambda: gateway.metric("penstock_backlog_oldest_past_due_seconds") > 0, "the metric follows", 40)


def test_an_event_says_why_it_is_not_delivered_and_when_the_next_try_is(down):
    gateway, failing, events, sink = down
    why = failing.timelines(events[-1:])[0]["why"]
    assert "breaker is open" in why["text"] and "http-unavailable" in why["text"] and why["remedy"]
    wait_for(lambda: failing.timelines(events[-1:])[0]["why"]["next_try_at"], "a probe is planned")
    shown = gateway.tool("event", "show", events[-1]).stdout
    assert "    why: the endpoint has failed since" in shown and "    what to do: " in shown
    failing.change(enabled=False)
    wait_for(lambda: set(failing.states(events)) == {"parked"}, "they are parked")
    why = failing.timelines(events[-1:])[0]["why"]
    assert why["text"].startswith("the endpoint is disabled since") and "--enabled true" in why["remedy"]
    sink.behave("/down", status=200)
    failing.change(enabled=True)
    wait_until_delivered(failing, events)
    assert "why" not in failing.timelines(events[-1:])[0]


def test_an_event_without_an_endpoint_says_whether_there_is_none_or_a_filter(make_gateway, sink):
    gateway = make_gateway(HOUR)
    client = Deployment(gateway, sink.url("/leads"), "leads", types=["lead"])
    with gateway.operator() as operator:
        assert operator.post("/api/v1/accounts", json={"id": "acc_empty"}).status_code == 201
        assert operator.post("/api/v1/partners/partner_demo/accounts", json={"account": "acc_empty"}).status_code in (200, 201)
    filtered = client.post(1, type="purchase")[0]
    with gateway.partner() as partner:
        empty = partner.post("/v1/events", json=gateway.event("e1", account="acc_empty")).json()["event"]
    story = api(gateway, f"events/{filtered}")
    assert "takes events of type purchase" in story["deliveries"][0]["why"]["text"] and len(story["filtered"]) == 1
    story = api(gateway, f"events/{empty}")
    assert "has no endpoint" in story["deliveries"][0]["why"]["text"] and story["filtered"] == []
    assert "penstock endpoint add acc_empty" in story["deliveries"][0]["why"]["remedy"]
    assert any("parked" in what for what in problems(gateway))


def test_status_is_printed_again_and_again_until_it_is_interrupted(make_gateway):
    gateway = make_gateway(HOUR)
    command = [BINARY, "status", "--watch", "1", "--data", str(gateway.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment(gateway.directory)) as watching:
        pages = 0
        while pages < 2:
            pages += watching.stdout.readline().startswith("penstock ")
        watching.send_signal(signal.SIGINT)
        rest = watching.stdout.read()
        assert watching.wait(20) == 0 and "\033" not in rest, "no control sequences outside a terminal"
    wrong = gateway.tool("status", "--watch=x")
    assert wrong.returncode == 64 and "at least 1" in wrong.stderr


def test_status_has_rates_of_the_last_minutes_and_the_room_on_the_disk(make_gateway, sink):
    gateway = make_gateway(HOUR)
    client = Deployment(gateway, sink.url("/client"))
    wait_until_delivered(client, client.post(20))
    wait_for(lambda: ((api(gateway, "status")["rates"]["1m"] or {}).get("delivered") or 0) > 0, "there are two samples", 30)
    answer = json.loads(gateway.tool("status", "--json").stdout)
    assert answer["rates"]["1m"]["accepted"] > 0 and answer["drain"]["state"] == "current"
    assert answer["disk"]["free_bytes"] > 0 and answer["disk"]["journal_bytes"] > 0


def test_operators_are_answered_while_a_hanging_client_delays_the_stop(make_gateway, sink):
    sink.behave("/hangs", mode="hang")
    gateway = make_gateway({"PENSTOCK_SHUTDOWN__DRAIN": "4s", "PENSTOCK_DATA__SHARDS": "2"})
    hanging = Deployment(gateway, sink.url("/hangs"), "hanging")
    [event] = hanging.post()
    wait_for(lambda: sink.of(event), "one shard has a request in flight, the other is idle")
    with gateway.operator() as operator:
        gateway.process.send_signal(signal.SIGTERM)
        wait_for(lambda: operator.get("/readyz").status_code == 503, "it stops")
        for _ in range(20):
            answer = operator.get("/api/v1/status", timeout=1)
            assert answer.status_code == 200, answer.text
            assert operator.get(f"/api/v1/events/{event}", timeout=1).status_code == 200
    assert gateway.process.wait(20) == 0


def test_an_endpoint_that_rejects_all_is_in_the_verdict_although_its_breaker_is_closed(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave("/deployed", status=404)
    client = Deployment(gateway, sink.url("/deployed"), "deployed")
    client.post(15)
    wait_for(lambda: backlog_of(gateway, client) and backlog_of(gateway, client)["waiting"] == 15, "all wait for an hour")
    assert backlog_of(gateway, client)["breaker"] == "closed" and not backlog_of(gateway, client)["oldest_past_due"]
    [line] = [what for what in problems(gateway) if client.account in what]
    assert "fails often" in line and "15 of 15" in line
    assert gateway.tool("status").stdout.splitlines()[0] != "All well"
