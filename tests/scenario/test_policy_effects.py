# SPDX-License-Identifier: Apache-2.0
"""What the settings of one endpoint do: its own retries, limits, rules of success, headers, credentials, TLS and HTTP/2."""
import base64
import contextlib
import datetime
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.gateway import ROOT
from support.sink import Sink
from support.wait import wait_for

HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms"}
SOON = {"retry_schedule": ["200ms"], "horizon": "1h"}
PAYOUT, PURCHASE, NOTIFICATION = {"type": "payout"}, {"type": "purchase"}, {"type": "notification"}


@pytest.fixture
def gateway(make_gateway):
    return make_gateway(HOUR)


def wait_until_all(deployment, events, state):
    wait_for(lambda: set(deployment.states(events)) == {state}, lambda: f"{state}: {deployment.states(events)}")


def first_attempt(deployment, event):
    return wait_for(lambda: deployment.timelines([event])[0]["attempts"], "an attempt is on record")[0]


def seconds_of(time_text):
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def due_in_s(deployment, event):
    return seconds_of(deployment.timelines([event])[0]["due_at"]) - time.time()


# --- retries and limits ---


def test_schedule_and_horizon_of_an_endpoint_apply_to_it_alone(gateway, sink):
    sink.behave("/own", status=500)
    sink.behave("/other", status=500)
    own = Deployment(gateway, sink.url("/own"), "own", policy={"retry_schedule": ["100ms", "200ms"], "horizon": "1s"})
    other = Deployment(gateway, sink.url("/other"), "other")
    [event], [waiting] = own.post(), other.post()
    wait_until_all(own, [event], "dead")
    assert [d.attempt for d in sink.of(event)] == list(range(1, len(sink.of(event)) + 1))
    assert len(sink.of(event)) >= 4, "the last step is repeated until the horizon"
    assert other.states([waiting]) == ["waiting"] and len(sink.of(waiting)) == 1
    assert due_in_s(other, waiting) > 2000


def test_timeouts_of_an_endpoint_replace_those_of_the_configuration(gateway, sink):
    sink.behave(mode="hang")
    deployment = Deployment(gateway, sink.url(), policy={"answer_timeout": "300ms", "guarded_answer_timeout": "600ms"})
    [purchase], [payout] = deployment.post(**PURCHASE), deployment.post(**PAYOUT)
    for event, timeout_ms in ((purchase, 300), (payout, 600)):
        attempt = first_attempt(deployment, event)
        assert attempt["error"] == "answer-timeout"
        assert timeout_ms <= attempt["duration_ms"] < timeout_ms + 5000
    assert deployment.states([purchase, payout]) == ["waiting", "parked"]


def test_final_statuses_end_a_delivery_at_once_and_leave_out_temporary_ones(gateway, sink):
    for status in (403, 408, 425, 429, 500, 301):
        sink.behave(f"/{status}", status=status)
    policy = {"final_statuses": ["400-499", 301]}
    deployments = {status: Deployment(gateway, sink.url(f"/{status}"), str(status), policy=policy) for status in (403, 408, 425, 429, 500, 301)}
    events = {status: deployment.post() for status, deployment in deployments.items()}
    for status, deployment in deployments.items():
        wait_until_all(deployment, events[status], "dead" if status in (403, 301) else "waiting")


def test_410_disables_an_endpoint_whatever_statuses_are_final(gateway, sink):
    sink.behave(status=410)
    deployment = Deployment(gateway, sink.url(), policy={"final_statuses": ["400-499"]})
    wait_until_all(deployment, deployment.post(), "parked")
    wait_for(lambda: deployment.show()["enabled"] is False, "it is disabled")


def test_in_flight_max_limits_requests_at_the_same_time(gateway, sink):
    sink.behave(delay=0.05)
    deployment = Deployment(gateway, sink.url(), policy={"in_flight_max": 3})
    wait_until_delivered(deployment, deployment.post(40))
    assert sink.most_unanswered() == 3
    deployment.change(policy=None)
    wait_until_delivered(deployment, deployment.post(60))
    assert sink.most_unanswered() > 3, "the limit was what held it"


def test_rate_max_limits_attempts_per_second(gateway, sink):
    """What one second allows may be sent at once, and then 20 in each second."""
    deployment = Deployment(gateway, sink.url(), policy={"rate_max": 20})
    events = deployment.post(60)
    wait_until_delivered(deployment, events)
    began = sorted(seconds_of(delivery["attempts"][0]["started_at"]) for delivery in deployment.timelines(events))
    for number, at in enumerate(began):
        assert at - began[0] > (number - 20) / 20 - 0.1, f"attempt {number + 1} after {at - began[0]} s"


def test_class_has_settings_of_its_own(gateway, sink):
    sink.behave(status=500)
    deployment = Deployment(gateway, sink.url(), policy={
        "retry_schedule": ["30m"], "horizon": "2h",
        "classes": {"optional": {"retry_schedule": ["300ms"], "horizon": "1s"}, "important": {"final_statuses": ["400-499"]}}})
    [purchase], [notification] = deployment.post(**PURCHASE), deployment.post(**NOTIFICATION)
    wait_until_all(deployment, [purchase], "waiting")
    wait_until_all(deployment, [notification], "dead")
    assert 1000 < due_in_s(deployment, purchase) < 2400
    sink.behave(status=404)
    important, critical = deployment.post(type="sale"), deployment.post(**PURCHASE)
    wait_until_all(deployment, important, "dead")
    wait_until_all(deployment, critical, "waiting")


def test_in_flight_max_of_a_class_leaves_room_for_the_others(gateway, sink):
    sink.behave(delay=0.1)
    deployment = Deployment(gateway, sink.url(), policy={"in_flight_max": 8, "classes": {"optional": {"in_flight_max": 1}}})
    wait_until_delivered(deployment, deployment.post(15, **NOTIFICATION))
    assert sink.most_unanswered() == 1
    wait_until_delivered(deployment, deployment.post(60, **PURCHASE))
    assert sink.most_unanswered() > 1


@pytest.mark.parametrize("shorter", [{"retry_schedule": ["100ms"]}, {"retry_schedule": ["1h"], "horizon": "3s"},
                                     {"classes": {"critical": {"retry_schedule": ["100ms"]}}}], ids=["schedule", "horizon", "class"])
def test_shorter_wait_applies_to_what_waits_already(gateway, sink, shorter):
    sink.behave(statuses=[500])
    deployment = Deployment(gateway, sink.url())
    events = deployment.post(3)
    wait_until_all(deployment, events, "waiting")
    assert due_in_s(deployment, events[0]) > 2000
    deployment.change(policy=shorter)
    wait_until_delivered(deployment, events)
    assert all([d.status for d in sink.of(event)] == [500, 200] for event in events)


@pytest.mark.parametrize("stop", ["restart", "kill"])
def test_shorter_schedule_of_the_gateway_applies_to_what_waited_before_the_start(make_gateway, sink, stop):
    """404 is about the event, so no recovery of the endpoint makes it due."""
    gateway = make_gateway(HOUR)
    sink.behave(statuses=[404])
    sink.behave("/own", statuses=[404])
    deployment = Deployment(gateway, sink.url())
    own = Deployment(gateway, sink.url("/own"), "own", policy={"retry_schedule": ["2h"]})
    events, [other] = deployment.post(250), own.post()
    wait_until_all(deployment, events, "waiting")
    wait_until_all(own, [other], "waiting")
    if stop == "kill":
        gateway.kill9()
    else:
        assert gateway.terminate() == 0
    gateway.environment = {**HOUR, "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[2s, 1h]"}
    gateway.start()
    wait_until_delivered(deployment, events)
    assert own.states([other]) == ["waiting"] and due_in_s(own, other) > 4000


def test_walk_that_kills_interrupt_begins_again(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave(statuses=[404])
    deployment = Deployment(gateway, sink.url())
    events = [event for _ in range(4) for event in deployment.post(500)]
    wait_until_all(deployment, events[-1:], "waiting")
    assert gateway.terminate() == 0
    gateway.environment = {**HOUR, "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 1h]"}
    for _ in range(3):
        gateway.start()
        gateway.kill9()
    gateway.start()
    wait_until_delivered(deployment, events, seconds=60)


def test_change_of_an_endpoint_right_before_a_kill_applies_to_what_waits(gateway, sink):
    sink.behave(statuses=[404])
    deployment = Deployment(gateway, sink.url())
    events = deployment.post(500)
    wait_until_all(deployment, events, "waiting")
    deployment.change(policy={"retry_schedule": ["100ms", "1h"]})
    gateway.kill9()
    gateway.start()
    wait_until_delivered(deployment, events)


def test_longer_schedule_of_the_gateway_changes_nothing_that_waited_before_the_start(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave(statuses=[404])
    deployment = Deployment(gateway, sink.url())
    [event] = deployment.post()
    wait_until_all(deployment, [event], "waiting")
    due_at = deployment.timelines([event])[0]["due_at"]
    assert gateway.terminate() == 0
    gateway.environment = {**HOUR, "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[2h, 2h]"}
    gateway.start()
    wait_until_all(deployment, deployment.post(), "waiting")
    assert deployment.timelines([event])[0]["due_at"] == due_at


def test_longer_wait_changes_nothing_that_waits(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[2s, 2s]"})
    sink.behave(statuses=[500])
    deployment = Deployment(gateway, sink.url())
    [event] = deployment.post()
    wait_until_all(deployment, [event], "waiting")
    deployment.change(policy={"retry_schedule": ["1h"]})
    wait_until_delivered(deployment, [event], seconds=20)


# --- what counts as success ---

TRUE_AT_SUCCESS = {"pointer": "/success", "equals": True}
TOO_LONG = "the answer was cut or is too long, so it cannot be judged"
# (rule, the client's answer, the words on record)
REFUSED = [
    (TRUE_AT_SUCCESS, {"body": '{"success": false}'}, "the value at /success is false, not true"),
    (TRUE_AT_SUCCESS, {"body": '{"ok": true}'}, "the answer has no value at /success"),
    ({"pointer": "/result/0/code", "equals": "1"}, {"body": '{"result": [{"code": 1}]}'}, 'the value at /result/0/code is 1, not "1"'),
    ({"contains": ["accepted"]}, {"body": "rejected"}, 'the answer does not contain "accepted"'),
    ({"contains_not": ["ERROR"]}, {"body": "ERROR 17"}, 'the answer contains "ERROR"'),
    ({"statuses": [200, 409]}, {"status": 202}, "the status 202 is not a success"),
]
UNKNOWN = [
    (TRUE_AT_SUCCESS, {"body": "<html>ok</html>"}, "the answer is not JSON, so it has no value at /success"),
    (TRUE_AT_SUCCESS, {"body": '{"success": true, "log": "' + "x" * 20000 + '"}'}, TOO_LONG),
    (TRUE_AT_SUCCESS, {"mode": "raw", "raw": b'HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{"success": true}'}, TOO_LONG),
]
ACCEPTED = [
    (TRUE_AT_SUCCESS, {"body": '{"success": true}'}),
    ({"contains": ["ok", "saved"], "contains_not": ["error"]}, {"body": "ok, saved"}),
    ({"statuses": ["200-299", 409]}, {"status": 409}),
    ({"statuses": [409], "contains": ["duplicate"]}, {"status": 409, "body": "duplicate"}),
    ({"pointer": "/error", "equals": None}, {"body": '{"error": null}'}),
]


def deployments_of(gateway, sink, cases):
    """One endpoint for each rule, which answers so."""
    made = []
    for number, (rule, answer, *_) in enumerate(cases):
        sink.behave(f"/{number}", **answer)
        made.append(Deployment(gateway, sink.url(f"/{number}"), f"rule-{number}", policy={"success": rule}))
    return made


def test_answer_that_breaks_the_rule_is_no_delivery_and_says_why(gateway, sink):
    cases = REFUSED + UNKNOWN
    deployments = deployments_of(gateway, sink, cases)
    events = [deployment.post(**PURCHASE) for deployment in deployments]
    for (rule, answer, why), deployment, [event] in zip(cases, deployments, events):
        wait_until_all(deployment, [event], "waiting")
        attempt = first_attempt(deployment, event)
        assert (attempt["status"], attempt["rule"]) == (answer.get("status", 200), why), rule
        shown = gateway.tool("event", "show", event)
        assert f"the answer is no success: {why}\n" in shown.stdout, shown.stdout + shown.stderr


def test_payout_is_sent_again_if_the_rule_says_no_and_is_parked_if_nobody_knows(gateway, sink):
    cases = REFUSED[:1] + UNKNOWN
    deployments = deployments_of(gateway, sink, cases)
    events = [deployment.post(**PAYOUT) for deployment in deployments]
    wait_until_all(deployments[0], events[0], "waiting")
    for deployment, parked in list(zip(deployments, events))[1:]:
        wait_until_all(deployment, parked, "parked")
        assert deployment.timelines(parked)[0]["reason"] == "ambiguous"
        assert len(sink.of(parked[0])) == 1


def test_answer_that_meets_the_rule_is_a_delivery(gateway, sink):
    deployments = deployments_of(gateway, sink, ACCEPTED)
    events = [deployment.post(**kind) for deployment in deployments for kind in (PURCHASE, PAYOUT)]
    for number, event in enumerate(events):
        wait_until_delivered(deployments[number // 2], event, f"rule {ACCEPTED[number // 2]}")
        assert len(sink.of(event[0])) == 1


def test_event_is_delivered_when_the_client_says_yes_later(gateway, sink):
    sink.behave(body='{"success": false}')
    deployment = Deployment(gateway, sink.url(), policy={**SOON, "success": TRUE_AT_SUCCESS})
    events = deployment.post(12)
    wait_for(lambda: all(sink.of(event) for event in events), "each was sent")
    assert gateway.metric("penstock_breakers_open") == 0, "a rule that is not met is about the event"
    sink.behave(body='{"success": true}')
    wait_until_delivered(deployment, events)


# --- headers, credentials, TLS, HTTP/2 ---


def test_headers_and_credentials_are_sent_beside_those_of_the_gateway(gateway, sink):
    basic = Deployment(gateway, sink.url("/basic"), "basic", policy={"headers": {"X-Partner": "7", "X-Api-Key": "s3cret"},
                                                                     "authorization": {"basic": {"user": "penstock", "password": "p:ä"}}})
    bearer = Deployment(gateway, sink.url("/bearer"), "bearer", policy={"authorization": {"bearer": "t0ken"}})
    for deployment in (basic, bearer):
        wait_until_delivered(deployment, deployment.post())
    [with_basic], [with_bearer] = sink.deliveries("/basic"), sink.deliveries("/bearer")
    assert (with_basic.headers["x-partner"], with_basic.headers["x-api-key"]) == ("7", "s3cret")
    scheme, _, credentials = with_basic.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", "penstock:p:ä")
    assert with_bearer.headers["authorization"] == "Bearer t0ken" and "x-partner" not in with_bearer.headers
    assert all(delivery.headers["webhook-signature"].startswith("v1,") for delivery in (with_basic, with_bearer))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("server", "IP:127.0.0.1")
    made.add("gateway", "DNS:penstock.test")
    return made


def text_of(certificates, name):
    return [pathlib.Path(file).read_text() for file in certificates.files(name)]


def test_own_ca_replaces_that_of_the_gateway_for_one_endpoint(gateway, certificates):
    """The gateway does not know the CA."""
    with contextlib.closing(Sink((*certificates.files("server"), None))) as sink:
        ca, _ = text_of(certificates, "ca")
        other = Deployment(gateway, sink.url("/other"), "other", policy=SOON)
        [refused] = other.post()
        own = Deployment(gateway, sink.url("/own"), "own", policy={**SOON, "tls": {"ca": ca}})
        wait_until_delivered(own, own.post())
        attempt = first_attempt(other, refused)
        assert (attempt["error"], attempt["tls_problem"]) == ("tls", "unable to get local issuer certificate (CN=server)")
        assert sink.deliveries("/other") == []
        other.change(policy={**SOON, "tls": {"ca": ca}})
        wait_until_delivered(other, [refused], "after the CA was added")


def test_client_certificate_is_shown_to_a_client_that_asks_for_it(gateway, certificates):
    ca, _ = text_of(certificates, "ca")
    certificate, key = text_of(certificates, "gateway")
    with contextlib.closing(Sink((*certificates.files("server"), None, certificates.files("ca")[0]))) as sink:
        deployment = Deployment(gateway, sink.url(), policy={**SOON, "tls": {"ca": ca}})
        events = deployment.post(3)
        attempt = first_attempt(deployment, events[0])
        assert attempt["status"] is None and sink.count() == 0
        deployment.change(policy={**SOON, "tls": {"ca": ca, "certificate": certificate, "key": key}})
        wait_until_delivered(deployment, events)
        assert len(sink.deliveries()) == len(events)
    assert "PRIVATE KEY" not in gateway.stderr


class H2Client:
    """tests/support/h2_server.py with a certificate."""

    def __init__(self, certificates, **options):
        certificate, key = certificates.files("server")
        words = [f"{name}={value}" for name, value in {"certificate": certificate, "key": key, **options}.items()]
        self.process = subprocess.Popen([sys.executable, "-P", ROOT / "tests/support/h2_server.py", *words], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(line.split() for line in self.process.stdout))
        self.reader.start()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def count(self, word):
        return sum(line[0] == word for line in self.lines)

    def handled(self, count):
        """Returns the ids of all requests that it has processed, which are so many or more."""
        wait_for(lambda: self.count("handled") >= count, "the client has said so")
        return sorted(line[1] for line in self.lines if line[0] == "handled")


@pytest.mark.parametrize("http, connections", [("2", 1), ("1.1", 8)])
def test_requests_share_a_connection_over_http_2(gateway, certificates, http, connections):
    ca, _ = text_of(certificates, "ca")
    with contextlib.closing(H2Client(certificates, delay=0.05)) as client:
        deployment = Deployment(gateway, f"https://127.0.0.1:{client.port}/hook", policy={"tls": {"ca": ca}, "http": http, "in_flight_max": 8})
        events = deployment.post(40)
        wait_until_delivered(deployment, events)
        assert client.handled(len(events)) == sorted(events)
        assert (client.count("http_1") == 0) == (http == "2")
        assert client.count("connection") <= connections


def test_no_event_is_lost_and_no_payout_is_sent_twice_when_http_2_connections_end(gateway, certificates):
    """Each connection announces its end after five requests (GOAWAY). What was sent behind them is sent again."""
    ca, _ = text_of(certificates, "ca")
    with contextlib.closing(H2Client(certificates, delay=0.02, goaway=5)) as client:
        deployment = Deployment(gateway, f"https://127.0.0.1:{client.port}/hook", policy={**SOON, "tls": {"ca": ca}, "http": "2"})
        purchases, payouts = deployment.post(40, **PURCHASE), deployment.post(10, **PAYOUT)
        wait_until_delivered(deployment, purchases + payouts)
        handled = client.handled(50)
        assert set(handled) == set(purchases + payouts)
        assert [handled.count(payout) for payout in payouts] == [1] * 10


def test_http_2_client_that_ends_its_connections_gracefully_does_not_fail(gateway, certificates):
    """What a GOAWAY leaves unprocessed is sent again within the same attempt: there is one attempt for each event."""
    ca, _ = text_of(certificates, "ca")
    with contextlib.closing(H2Client(certificates, delay=0.02, goaway=20)) as client:
        deployment = Deployment(gateway, f"https://127.0.0.1:{client.port}/hook", policy={"tls": {"ca": ca}, "http": "2", "in_flight_max": 30})
        purchases, payouts = deployment.post(150, **PURCHASE), deployment.post(5, **PAYOUT)
        wait_until_delivered(deployment, purchases + payouts)
        assert client.handled(155) == sorted(purchases + payouts)
        assert client.count("ignored") > 0, "no request was behind a GOAWAY"
        assert gateway.metric("penstock_sends_repeated_total") >= client.count("ignored"), "an operator sees how often"
        for timeline in deployment.timelines(purchases + payouts):
            assert [attempt["status"] for attempt in timeline["attempts"]] == [200]
