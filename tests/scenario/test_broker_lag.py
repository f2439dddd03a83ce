# SPDX-License-Identifier: Apache-2.0
"""Events that wait in the broker for too long: those that come behind them take the direct way, and are delivered at once."""
import itertools
import time

import pytest
from support.bridge import LAG_SECONDS, WITH_LAG
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
    through, direct = bridge.publishes("acked"), bridge.metric("penstock_broker_direct_total")
    posted = []
    wait_for(lambda: posted.append(post(bridge)) or bridge.metric("penstock_broker_direct_total") >= direct + 10, "new ones go directly")
    wait_for(lambda: len({delivery.id for delivery in sink.deliveries()} & set(posted)) >= 10, "and are delivered")
    assert not sink.of(waiting)
    assert len(posted) <= 12 or bridge.publishes("acked") > through, "the journal was slow, and the broker took those"
    assert bridge.readiness().status_code == 200
    vhost.let_consumers_in()
    wait_until_delivered(sink, [waiting])
    wait_for(lambda: post(bridge) and bridge.metric("penstock_broker_partitions_behind") == 0, "it has caught up")
    wait_for(lambda: goes_through(bridge), "events go through the broker again")
    vhost.wait_until_empty()
    wait_for(lambda: bridge.ask("GET", "audit")["verdict"] == "complete", "nothing is missing")
    ids = [delivery.id for delivery in sink.deliveries()]
    assert len(ids) == len(set(ids)), "each is delivered once, whichever way its copies took"


def goes_through(bridge):
    direct, through = bridge.metric("penstock_broker_direct_total"), bridge.publishes("acked")
    post(bridge)
    wait_for(lambda: bridge.metric("penstock_broker_direct_total") > direct or bridge.publishes("acked") > through, "it took one way")
    return bridge.metric("penstock_broker_direct_total") == direct


def test_a_gateway_that_only_takes_events_has_no_other_way(vhost, bridge, make_bridge, sink):
    follower = make_bridge(vhost, leader=bridge, options={**WITH_LAG, "ingress.threads": 1})
    follower.wait_for_broker()
    keep_consumers_away(vhost, bridge)
    events = [post(follower)]
    wait_for(lambda: follower.publishes("acked") == 1, "it is in the broker")
    time.sleep(2 * LAG_SECONDS)
    events += [post(follower) for _ in range(10)]
    wait_for(lambda: follower.publishes("acked") == len(events), "all are in the broker")
    assert follower.metric("penstock_broker_direct_total") == 0 and follower.metric("penstock_broker_partitions_behind") == 0
    vhost.let_consumers_in()
    wait_until_delivered(sink, events)
