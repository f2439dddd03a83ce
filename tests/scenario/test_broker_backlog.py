# SPDX-License-Identifier: Apache-2.0
"""Much to consume at once: a load that can be carried is carried again after whatever stood in its way, without a hand. The connections that
consume live on while there is something else to do, and one that is lost all the same is replaced by one that works."""
import json

import pytest
from support.wait import wait_for

pytestmark = pytest.mark.once

BATCH = 1000
LOST = "the connection that consumes from the broker is lost"
# The broker cuts off who has been silent for one to two halves of a heartbeat (it agrees upon one with consumers).
OPTIONS = {"data.partitions": 2, "data.shards": 1, "broker.heartbeat": "6s", "broker.prefetch": 8000}


def post_batches(gateway, batches, first=0):
    """The ids of so many thousand events."""
    events = []
    for batch in range(batches):
        numbers = range(first + batch * BATCH, first + (batch + 1) * BATCH)
        lines = "\n".join(json.dumps(gateway.event(number, data={})) for number in numbers)
        with gateway.partner() as partner:
            answer = partner.post("/v1/events/batch", content=lines.encode(), headers={"content-type": "application/x-ndjson"}, timeout=30)
        results = answer.json()["results"]
        assert {result["status"] for result in results} == {200}, results[:2]
        events += [result["event"] for result in results]
    return events


def fill_queues(own_broker, brokered, follower, batches):
    """So many thousand events, which the broker holds when the gateway that delivers has ended."""
    assert brokered.terminate() == 0
    events = post_batches(follower, batches)
    waiting = sum(own_broker.messages().values())
    assert waiting >= len(events), "they went through the broker"
    return events


def wait_until_sent_once(sink, events, seconds=60):
    wanted = set(events)
    wait_for(lambda: sink.count() >= len(wanted), lambda: f"all are sent: {sink.count()} of {len(wanted)}", seconds)
    found = [delivery.id for delivery in sink.deliveries()]
    assert len(found) == len(set(found)) == len(wanted) and set(found) == wanted


@pytest.fixture
def pair(own_broker, make_brokered, sink):
    """A gateway that delivers, and one that goes on publishing when the first has ended."""
    brokered = make_brokered(own_broker, options=OPTIONS)
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    follower = make_brokered(own_broker, options=OPTIONS, leader=brokered)
    follower.wait_for_broker()
    return brokered, follower


def test_a_full_prefetch_that_comes_at_once_is_consumed_on_one_connection(own_broker, pair, sink):
    brokered, follower = pair
    events = fill_queues(own_broker, brokered, follower, 6)
    brokered.start()
    wait_until_sent_once(sink, events)
    own_broker.wait_until_empty()
    assert LOST not in brokered.stderr


def test_a_gateway_that_was_frozen_with_a_full_prefetch_continues_by_itself(own_broker, pair, sink):
    """Meanwhile the broker has closed its connections. It sends the unacked events again, and later events do not wait for them."""
    brokered, follower = pair
    events = fill_queues(own_broker, brokered, follower, 4)
    brokered.start()
    wait_for(lambda: sink.count() >= 100, "it delivers", 30)
    before = len(own_broker.node.log())
    brokered.freeze()
    wait_for(lambda: "missed heartbeats from client" in own_broker.node.log()[before:], "the broker gives it up", 30)
    brokered.thaw()
    events += post_batches(follower, 4, first=4 * BATCH)
    wait_until_sent_once(sink, events)
    own_broker.wait_until_empty()
    assert brokered.stderr.count(LOST) == 1
