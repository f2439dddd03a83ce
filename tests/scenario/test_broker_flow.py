# SPDX-License-Identifier: Apache-2.0
"""Endpoints that fail while their events come through a broker: nothing blocks the queues of others, and nothing is left behind."""
import pytest
from support.deployment import Deployment
from support.wait import wait_for

HOUR = {"delivery.retry_schedule": ["1h", "1h"], "shutdown.drain": "1s"}
OPENS_AFTER = 10


@pytest.fixture
def brokered(vhost, make_brokered):
    brokered = make_brokered(vhost, options=HOUR)
    brokered.wait_for_broker()
    return brokered


def wait_until_received(sink, events):
    """Events that only the broker has are unknown to the API."""
    wait_for(lambda: {d.id for d in sink.deliveries() if d.status == 200} >= set(events), "all are delivered", 60)


def check_end(brokered, vhost, sink):
    vhost.wait_until_empty()
    wait_for(lambda: brokered.ask("GET", "audit")["verdict"] == "complete", "nothing is missing")
    delivered = [d.id for d in sink.deliveries() if d.status == 200]
    assert len(delivered) == len(set(delivered)), "each is delivered once"
    assert brokered.metric("penstock_breakers_open") == 0


def wait_until_open(brokered):
    wait_for(lambda: brokered.metric("penstock_breakers_open") == 1, "the breaker opens")


@pytest.mark.parametrize("restart", [False, True], ids=["runs-on", "restart"])
def test_events_of_an_endpoint_that_fails_wait_and_move_when_it_is_back(brokered, vhost, sink, restart):
    sink.behave("/failing", status=500)
    failing = Deployment(brokered, sink.url("/failing"))
    healthy = Deployment(brokered, sink.url("/healthy"), "healthy")
    events = failing.post(50)
    wait_until_open(brokered)
    events += failing.post(50)
    others = healthy.post(50)
    wait_until_received(sink, others)
    assert len(sink.deliveries("/failing")) < len(events) - 30, "most were not sent"
    sink.behave("/failing", status=200)
    if restart:
        brokered.restart()
        brokered.wait_for_broker()
        events += failing.post()
    wait_until_received(sink, events)
    check_end(brokered, vhost, sink)


def test_events_of_endpoints_that_hang_hold_up_no_others(make_brokered, vhost, sink):
    brokered = make_brokered(vhost, options={**HOUR, "data.shards": 1, "delivery.in_flight_per_shard": 32, "delivery.answer_timeout": "5m"})
    brokered.wait_for_broker()
    paths = [f"/hang-{n}" for n in range(20)]
    for path in paths:
        sink.behave(path, mode="hang")
    for path in paths:
        Deployment(brokered, sink.url(path), path[1:]).post(10)
    wait_for(lambda: {d.path for d in sink.deliveries()} >= set(paths), "each of them hangs")
    healthy = [Deployment(brokered, sink.url(f"/healthy-{n}"), f"healthy-{n}") for n in range(5)]
    wait_until_received(sink, sum((deployment.post(20) for deployment in healthy), []))
    assert brokered.metric('penstock_attempts_total{result="retry"}') == 0, "before any timeout"
