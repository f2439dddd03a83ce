# SPDX-License-Identifier: Apache-2.0
"""Events that wait in the broker for too long: those that come behind them take the direct way, and are delivered at once."""
import itertools

import pytest
from support.bridge import WITH_LAG
from support.wait import wait_for


@pytest.fixture
def bridge(vhost, make_bridge, sink):
    bridge = make_bridge(vhost, options={**WITH_LAG, "ingress.threads": 1})
    bridge.point_endpoint_at(sink.url())
    bridge.wait_for_broker()
    return bridge


numbers = itertools.count()


def post(gateway):
    return gateway.post(next(numbers))["event"]


def keep_consumers_away(vhost, bridge):
    vhost.keep_consumers_away(1)
    wait_for(lambda: bridge.metric("penstock_broker_channels_consuming") == 0, "nothing is consumed")


def wait_until_delivered(sink, events):
    wait_for(lambda: {delivery.id for delivery in sink.deliveries()} >= set(events), "all are delivered")


def test_what_comes_behind_events_that_wait_is_delivered_at_once(vhost, bridge, sink):
    keep_consumers_away(vhost, bridge)
    waiting = post(bridge)
    wait_for(lambda: post(bridge) and bridge.metric("penstock_broker_partitions_behind") == 1, "it waits for too long")
    through = bridge.publishes("acked")
    events = [post(bridge) for _ in range(10)]
    wait_until_delivered(sink, events)
    assert not sink.of(waiting)
    assert bridge.publishes("acked") == through and bridge.readiness().status_code == 200
    vhost.let_consumers_in()
    wait_until_delivered(sink, [waiting])
    wait_for(lambda: post(bridge) and bridge.metric("penstock_broker_partitions_behind") == 0, "they go through the broker again")
    through = bridge.publishes("acked")
    last = post(bridge)
    wait_until_delivered(sink, [last])
    wait_for(lambda: bridge.publishes("acked") > through, "the last one, too")
    ids = [delivery.id for delivery in sink.deliveries()]
    assert len(ids) == len(set(ids)), "each is delivered once, whichever way its copies took"
    vhost.wait_until_empty()
    wait_for(lambda: bridge.ask("GET", "audit")["verdict"] == "complete", "nothing is missing")


def test_a_gateway_that_only_takes_events_has_no_other_way(vhost, bridge, make_bridge, sink):
    follower = make_bridge(vhost, leader=bridge, options=WITH_LAG)
    follower.wait_for_broker()
    keep_consumers_away(vhost, bridge)
    events = [post(follower) for _ in range(10)]
    wait_for(lambda: follower.publishes("acked") >= len(events), "all are in the broker")
    assert follower.metric("penstock_outbox_events") == 0 and follower.metric("penstock_broker_partitions_behind") == 0
    vhost.let_consumers_in()
    wait_until_delivered(sink, events)
