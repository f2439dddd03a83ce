# SPDX-License-Identifier: Apache-2.0
"""Events that wait in the broker for too long: those that come behind them take the direct path, and are delivered at once."""
import itertools
import time

import pytest
from support.brokered import LAG_SECONDS, WITH_LAG
from support.wait import wait_for


@pytest.fixture
def brokered(vhost, make_brokered, sink):
    brokered = make_brokered(vhost, options={**WITH_LAG, "ingress.threads": 1})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    return brokered


numbers = itertools.count()


def post(gateway):
    return gateway.post(next(numbers))["event"]


def keep_consumers_away(vhost, brokered):
    vhost.keep_consumers_away(1)
    wait_for(lambda: brokered.metric("penstock_broker_channels_consuming") == 0, "nothing is consumed")


def wait_until_delivered(sink, events):
    wait_for(lambda: {delivery.id for delivery in sink.deliveries()} >= set(events), "all are delivered")


def test_events_behind_waiting_ones_are_delivered_at_once(vhost, brokered, sink):
    keep_consumers_away(vhost, brokered)
    waiting = post(brokered)
    wait_for(lambda: post(brokered) and brokered.metric("penstock_broker_partitions_behind") == 1, "it waits for too long")
    through, direct = brokered.publishes("acked"), brokered.metric("penstock_broker_direct_total")
    posted = []
    wait_for(lambda: posted.append(post(brokered)) or brokered.metric("penstock_broker_direct_total") >= direct + 10, "new ones go directly")
    wait_for(lambda: len({delivery.id for delivery in sink.deliveries()} & set(posted)) >= 10, "and are delivered")
    assert not sink.of(waiting)
    assert len(posted) <= 12 or brokered.publishes("acked") > through, "the journal was slow, and the broker took those"
    assert brokered.readiness().status_code == 200
    vhost.let_consumers_in()
    wait_until_delivered(sink, [waiting])
    wait_for(lambda: post(brokered) and brokered.metric("penstock_broker_partitions_behind") == 0, "it has caught up")
    wait_for(lambda: goes_through(brokered), "events go through the broker again")
    vhost.wait_until_empty()
    wait_for(lambda: brokered.ask("GET", "audit")["verdict"] == "complete", "nothing is missing")
    ids = [delivery.id for delivery in sink.deliveries()]
    assert len(ids) == len(set(ids)), "each is delivered once, whichever way its copies took"


def goes_through(brokered):
    direct, through = brokered.metric("penstock_broker_direct_total"), brokered.publishes("acked")
    post(brokered)
    wait_for(lambda: brokered.metric("penstock_broker_direct_total") > direct or brokered.publishes("acked") > through, "it took one way")
    return brokered.metric("penstock_broker_direct_total") == direct


def test_a_gateway_that_only_takes_events_has_no_other_way(vhost, brokered, make_brokered, sink):
    follower = make_brokered(vhost, leader=brokered, options={**WITH_LAG, "ingress.threads": 1})
    follower.wait_for_broker()
    keep_consumers_away(vhost, brokered)
    events = [post(follower)]
    wait_for(lambda: follower.publishes("acked") == 1, "it is in the broker")
    time.sleep(2 * LAG_SECONDS)
    events += [post(follower) for _ in range(10)]
    wait_for(lambda: follower.publishes("acked") == len(events), "all are in the broker")
    assert follower.metric("penstock_broker_direct_total") == 0 and follower.metric("penstock_broker_partitions_behind") == 0
    vhost.let_consumers_in()
    wait_until_delivered(sink, events)
