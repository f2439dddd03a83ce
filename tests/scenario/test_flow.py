# SPDX-License-Identifier: Apache-2.0
"""How much an endpoint gets, and when: endpoints that hang leave room for others, one that fails gets single probes until it is back, and what
failed then moves without waiting for its schedule."""
import concurrent.futures
import datetime
import re
import time

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.sink import Sink
from support.wait import wait_for

# What fails waits for an hour by its schedule: whatever moves earlier does so for another reason.
HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms"}
OPENS_AFTER = 10  # failures (src/model/breaker.c)
IN_FLIGHT_MAX = 32
PAYOUT, PURCHASE, NOTIFICATION = {"type": "payout"}, {"type": "purchase"}, {"type": "notification"}


# --- endpoints that hang ---


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_events_of_healthy_endpoints_are_delivered_while_many_others_hang(make_gateway, sink, known):
    """20 of 25 endpoints, which share 32 slots. If they are known, they have answered before, and had many requests in flight."""
    gateway = make_gateway({**HOUR, "PENSTOCK_DATA__SHARDS": "1", "PENSTOCK_DELIVERY__IN_FLIGHT_PER_SHARD": "32",
                            "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "5m"})
    paths = [f"/hang-{n}" for n in range(20)]
    hanging = [Deployment(gateway, sink.url(path), path[1:]) for path in paths]
    healthy = [Deployment(gateway, sink.url(f"/healthy-{n}"), f"healthy-{n}") for n in range(5)]
    if known:
        events = [(deployment, deployment.post(12)) for deployment in hanging]
        for deployment, events in events:
            wait_until_delivered(deployment, events, "before they hang")
    before = sink.count()
    for path in paths:
        sink.behave(path, mode="hang")
    for deployment in hanging:
        deployment.post(12)
    wait_for(lambda: {d.path for d in sink.deliveries()[before:]} >= set(paths), "each of them hangs")
    for _ in range(3):
        for deployment, events in [(deployment, deployment.post(10)) for deployment in healthy]:
            wait_until_delivered(deployment, events, "the healthy ones")
    results = gateway.metrics()
    hung = [d.path for d in sink.deliveries()[before:] if d.path in paths]
    assert results["penstock_deliveries_in_flight"] == len(hung), "none of the requests that hang has ended"
    assert results['penstock_attempts_total{result="retry"}'] == 0


# --- the breaker ---


class Failing:
    """A client that fails in one of several ways, until it is repaired."""

    def __init__(self, kind, sink, certificates, deployment):
        self.kind, self.sink, self.certificates = kind, sink, certificates
        if kind == "500":
            sink.behave(status=500)
        elif kind == "hang":  # it has answered before, so that it gets many requests, which time out together
            sink.behave(delay=0.05)
            wait_until_delivered(deployment, deployment.post(60))
            sink.behave(mode="hang")
        elif kind == "refused":
            sink.down()

    def repair(self):
        if self.kind == "refused":
            self.sink.up()
        elif self.kind == "tls":
            self.sink.down()
            self.sink.use_tls(*self.certificates.files("good"))
            self.sink.up()
        else:
            self.sink.behave(status=200)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("good", "IP:127.0.0.1")
    made.add("expired", "IP:127.0.0.1", days=-1)
    return made


@pytest.fixture
def tls_sink(certificates):
    sink = Sink((*certificates.files("expired"), None))
    yield sink
    sink.stop()


def attempts(gateway):
    """Returns how many attempts have failed, and how many probes were sent."""
    metrics = gateway.metrics()
    return metrics['penstock_attempts_total{result="retry"}'], metrics["penstock_probes_total"]


def wait_until_open(gateway):
    """Until the breaker is open, and what was in flight has ended."""
    wait_for(lambda: gateway.metric("penstock_breakers_open") == 1, "the breaker opens")
    wait_for(lambda: gateway.metric("penstock_deliveries_in_flight") == 0, "what was in flight has ended")


@pytest.mark.parametrize("kind, cause", [("500", "http-failed"), ("refused", "connect-refused"), ("hang", "answer-timeout"), ("tls", "tls-expired")])
def test_endpoint_that_fails_gets_single_probes_until_it_is_back(make_gateway, request, certificates, kind, cause):
    sink = request.getfixturevalue("tls_sink" if kind == "tls" else "sink")
    gateway = make_gateway({**HOUR, "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "1500ms" if kind == "hang" else "30s",
                            "PENSTOCK_DELIVERY__CA_FILE": certificates.files("ca")[0]})
    deployment = Deployment(gateway, sink.url())
    failing = Failing(kind, sink, certificates, deployment)
    events = deployment.post(50)
    wait_until_open(gateway)
    wait_for(lambda: re.search(rf"an endpoint fails: .* endpoint={deployment.endpoint} cause={cause} ", gateway.stderr), "it is logged")
    failed, probes = attempts(gateway)
    requests = sink.count()
    assert OPENS_AFTER <= failed < OPENS_AFTER + IN_FLIGHT_MAX
    wait_for(lambda: attempts(gateway)[0] >= failed + 2, "two probes have failed")
    more_requests = sink.count() - requests
    failed_now, probes_now = attempts(gateway)
    assert max(failed_now - failed, more_requests) <= probes_now - probes, "nothing is sent but probes"
    waiting = deployment.states(events).count("waiting")
    assert waiting < len(events) - 10, "most were not sent at all"
    failing.repair()
    wait_until_delivered(deployment, events)
    wait_for(lambda: f"an endpoint is back: its events are sent again endpoint={deployment.endpoint}" in gateway.stderr, "it is logged")
    assert gateway.metric("penstock_breakers_open") == 0 and gateway.metric("penstock_recoveries_total") == 1
    if kind != "hang":
        assert len({d.id for d in sink.deliveries() if d.status == 200}) == len([d for d in sink.deliveries() if d.status == 200]) == 50


def test_probe_is_an_event_that_may_be_sent_twice_and_matters_most(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave(status=500)
    deployment = Deployment(gateway, sink.url())
    deployment.post(OPENS_AFTER, **NOTIFICATION)
    wait_until_open(gateway)
    payouts = deployment.post(3, **PAYOUT)
    first, *others = deployment.post(3, **PURCHASE)
    at = time.monotonic()
    probes = wait_for(lambda: [d for d in sink.deliveries() if d.at > at + 0.2], "a probe")
    assert probes[0].id == first, "the oldest of the critical ones that are not guarded"
    assert not any(sink.of(event) for event in payouts + others)
    sink.behave(status=200)
    wait_until_delivered(deployment, payouts + [first] + others)


def test_payout_is_the_probe_if_nothing_else_waits(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave(status=503)
    deployment = Deployment(gateway, sink.url())
    payouts = deployment.post(OPENS_AFTER + 5, **PAYOUT)
    wait_until_open(gateway)
    sink.behave(status=200)
    wait_until_delivered(deployment, payouts)
    assert all([d.status for d in sink.of(event)].count(200) == 1 for event in payouts)


def test_change_of_an_endpoint_closes_its_breaker(make_gateway, sink):
    gateway = make_gateway(HOUR)
    sink.behave("/old", status=500)
    deployment = Deployment(gateway, sink.url("/old"))
    events = deployment.post(OPENS_AFTER + 10)
    wait_until_open(gateway)
    deployment.change(url=sink.url("/new"))
    wait_until_delivered(deployment, events)
    assert gateway.metric("penstock_breakers_open") == 0
    assert len(sink.deliveries("/new")) == len(events)


def test_what_failed_before_an_endpoint_was_changed_moves_after_the_first_success(make_gateway, sink):
    """Too few have failed to open the breaker."""
    gateway = make_gateway(HOUR)
    sink.behave("/old", status=500)
    deployment = Deployment(gateway, sink.url("/old"))
    events = deployment.post(OPENS_AFTER - 5)
    wait_for(lambda: set(deployment.states(events)) == {"waiting"}, "all of them wait for an hour")
    deployment.change(url=sink.url("/new"))
    wait_until_delivered(deployment, events + deployment.post())


@pytest.mark.parametrize("end", ["disabled", "removed"])
def test_endpoint_that_fails_can_be_disabled_or_removed(make_gateway, sink, end):
    gateway = make_gateway(HOUR)
    sink.behave(status=500)
    deployment = Deployment(gateway, sink.url())
    events = deployment.post(OPENS_AFTER + 10)
    wait_until_open(gateway)
    if end == "disabled":
        deployment.change(enabled=False)
    else:
        deployment.remove()
    reason = "disabled" if end == "disabled" else "gone"
    wait_for(lambda: {(delivery["state"], delivery.get("reason")) for delivery in deployment.timelines(events)} == {("parked", reason)}, "parked")
    assert gateway.metric("penstock_breakers_open") == 0
    if end == "disabled":
        sink.behave(status=200)
        deployment.change(enabled=True)
        wait_until_delivered(deployment, events)


@pytest.mark.parametrize("stop", ["restart", "kill"])
@pytest.mark.parametrize("count", [5, 30], ids=["few", "many"])
def test_what_failed_before_a_restart_moves_after_the_first_success(make_gateway, sink, stop, count):
    gateway = make_gateway(HOUR)
    sink.behave(status=500)
    deployment = Deployment(gateway, sink.url())
    events = deployment.post(count)
    wait_for(lambda: len(sink.deliveries()) >= min(count, OPENS_AFTER), "several have failed")
    if count < OPENS_AFTER:
        wait_for(lambda: set(deployment.states(events)) == {"waiting"}, "all of them wait for an hour")
    sink.behave(status=200)
    if stop == "restart":
        gateway.restart()
    else:
        gateway.kill9()
        gateway.start()
    [new] = deployment.post()
    wait_until_delivered(deployment, events + [new])


def test_what_the_client_did_not_want_keeps_its_time_when_others_move(make_gateway, sink):
    """404 is about one event. It is not a failure of the endpoint."""
    gateway = make_gateway(HOUR)
    sink.behave(status=404)
    deployment = Deployment(gateway, sink.url())
    unwanted = deployment.post(OPENS_AFTER + 5)
    wait_for(lambda: set(deployment.states(unwanted)) == {"waiting"}, "they wait for an hour")
    assert gateway.metric("penstock_breakers_open") == 0
    sink.behave(status=500)
    failed = deployment.post(OPENS_AFTER + 5)
    wait_until_open(gateway)
    sink.behave(status=200)
    wait_until_delivered(deployment, failed)
    assert set(deployment.states(unwanted)) == {"waiting"}
    assert all(len(sink.of(event)) == 1 for event in unwanted)


# --- what an endpoint takes ---


def test_rate_follows_what_the_client_takes(make_gateway, sink):
    """The client takes 25 in a second, and answers 429 to the rest. Most of those come before the rate is known."""
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["500ms"] * 32) + "]"})
    sink.behave(rate=25)
    deployment = Deployment(gateway, sink.url(), policy={"horizon": "1h"})
    events = deployment.post(150)
    wait_until_delivered(deployment, events, seconds=60)
    requests = sink.deliveries()
    assert sorted(d.id for d in requests if d.status == 200) == sorted(events), "each is delivered once"
    assert gateway.metric("penstock_breakers_open") == 0, "a client that limits us does not fail"
    late = [d for d in requests if d.at > requests[0].at + 2]
    limited = sum(d.status == 429 for d in late)
    assert limited * 4 <= len(late), f"{limited} of {len(late)} requests got 429 after the first 2 s"


# --- fairness within one endpoint ---


def batches(deployment, counts):
    """Posts so many events of each type. Returns their ids, by type."""
    return {kind: deployment.post(count, type=kind) for kind, count in counts.items()}


def test_optional_events_do_not_starve_and_critical_ones_come_first(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = Deployment(gateway, sink.url(), policy={"in_flight_max": 1})
    sink.behave(delay=0.02)
    first = deployment.post()
    events = batches(deployment, {"notification": 60, "sale": 60, "purchase": 60})
    wait_until_delivered(deployment, first + sum(events.values(), []))
    order = [d.id for d in sink.deliveries()]
    # What was sent before the last event was posted says nothing.
    began = max(order.index(events["purchase"][0]), order.index(events["sale"][0]))
    last = order.index(events["purchase"][-1])
    sent = {kind: sum(began <= order.index(event) <= last for event in ids) for kind, ids in events.items()}
    assert sent["purchase"] > sent["sale"] > sent["notification"] > 0, sent


def replay(gateway, events):
    """By several operators at once, since each answer waits for a commit."""
    def replay_some(some):
        with gateway.operator() as operator:
            return [operator.post(f"/api/v1/deliveries/dlv_{event[4:]}-0/retry", json={"force": True, "reason": "a test"})
                    for event in some]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = sum(pool.map(replay_some, [events[n::16] for n in range(16)]), [])
    assert all(answer.status_code == 200 for answer in answers), [answer.text for answer in answers]


def test_hundreds_of_replays_do_not_delay_a_fresh_event(make_gateway, sink):
    """They share two slots. The few that are sent before a fresh event are those in flight, and the turn of their lane."""
    gateway = make_gateway({**HOUR, "PENSTOCK_DELIVERY__ACTIVE_PER_ENDPOINT": "64"})
    deployment = Deployment(gateway, sink.url())
    events = deployment.post(600)
    wait_until_delivered(deployment, events)
    deployment.change(policy={"in_flight_max": 2})
    sink.behave(delay=0.2)
    replay(gateway, events)
    for _ in range(5):
        before = sink.count()
        [fresh] = deployment.post()
        wait_for(lambda: sink.of(fresh), "the fresh event")
        ahead = [d.id for d in sink.deliveries()[before:]].index(fresh)
        assert ahead <= 20, f"{ahead} replays were sent before it"
    assert sink.count() < 2 * len(events), "replays were waiting all the time"
    sink.behave()
    deployment.change(policy=None)
    wait_for(lambda: sink.count() == 2 * len(events) + 5, "all replays")


def test_a_hang_leaves_few_payouts_in_doubt(make_gateway, sink):
    """Only payouts wait, so the second test of the endpoint is 10 s after the first one, and not 2 s. A payout
    that was not sent yet is delivered when another event shows that the client is back."""
    gateway = make_gateway()
    sink.behave(mode="hang")
    deployment = Deployment(gateway, sink.url(), policy={"guarded_answer_timeout": "200ms", "in_flight_max": 1})
    payouts = deployment.post(16, type="payout")

    def attempts_began():
        return sorted(attempt["started_at"] for delivery in deployment.timelines(payouts) for attempt in delivery["attempts"])

    wait_for(lambda: len(attempts_began()) >= 12, lambda: f"two tests were sent: {deployment.states(payouts)}", 60)
    began = [datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() for at in attempts_began()]
    assert max(after - before for before, after in zip(began, began[1:])) > 9, began
    sink.behave()
    wait_until_delivered(deployment, deployment.post(type="notification"))
    wait_for(lambda: set(deployment.states(payouts)) == {"parked", "delivered"}, lambda: f"{deployment.states(payouts)}")
    assert deployment.states(payouts).count("delivered") >= 2, deployment.states(payouts)
