# SPDX-License-Identifier: Apache-2.0
"""Whatever in RabbitMQ can make a confirmed message vanish (row 30 of the list of faults; the table is in etc/broker.md): each is prevented,
rescued, or found and named. The consumers are kept away while it happens, so that the messages lie in their queues."""
import contextlib
import sqlite3

import pytest
from support.bridge import account_of_partition
from support.broker import PARTITIONS, dropped_queue, partition_of, partition_queue
from support.wait import wait_for

pytestmark = pytest.mark.once


@pytest.fixture
def bridge(vhost, make_bridge, sink):
    """A gateway with one publishing connection."""
    bridge = make_bridge(vhost, options={"ingress.threads": 1})
    bridge.point_endpoint_at(sink.url())
    bridge.wait_for_broker()
    return bridge


@pytest.fixture
def accounts(vhost, bridge, sink):
    """One of each partition."""
    found = [account_of_partition(bridge, partition, sink.url()) for partition in range(PARTITIONS)]
    wait_for(lambda: bridge.metric("penstock_broker_unacked") == 0 and bridge.metric("penstock_deliveries_active") == 0, "the probes are final")
    vhost.wait_until_empty()
    return found


def keep_consumers_away(vhost, bridge):
    vhost.keep_consumers_away(1)
    wait_for(lambda: bridge.metric("penstock_broker_channels_consuming") == 0, "nothing is consumed")


def post_to(bridge, accounts, count=10):
    return [bridge.post(f"{account}-{n}", account=account)["event"] for n in range(count) for account in accounts]


def wait_until_delivered_once(bridge, sink, events):
    wait_for(lambda: {d.id for d in sink.deliveries()} >= set(events), "all are delivered", 60)
    wait_for(lambda: all(bridge.states(event) == ["delivered"] for event in events), "and recorded")
    assert sorted(d.id for d in sink.deliveries() if d.id in set(events)) == sorted(events)


def queue_pattern(partition):
    return partition_queue(partition).replace(".", "[.]") + "$"


def audit(bridge):
    return bridge.ask("GET", "audit")


# --- prevented ---


def test_a_queue_that_is_full_by_a_policy_refuses(vhost, bridge, accounts, sink):
    """What the queue refuses the journal takes: it is answered 200, and delivered at once."""
    vhost.set_policies([("policy", queue_pattern(0), {"max-length": 3}),
                        ("policy", queue_pattern(1), {"max-length-bytes": 400}),
                        ("operator", queue_pattern(2), {"max-length": 3}),
                        ("operator", queue_pattern(3), {"max-length-bytes": 400})])
    keep_consumers_away(vhost, bridge)
    events = post_to(bridge, accounts, 10)
    assert bridge.publishes("nacked") >= PARTITIONS
    vhost.let_consumers_in()
    wait_until_delivered_once(bridge, sink, events)
    assert bridge.metric("penstock_broker_dropped_total") == 0


# --- rescued ---


DROPPING = [({"max-length": 3, "overflow": "drop-head"}, "maxlen"),
            ({"max-length-bytes": 400, "overflow": "drop-head"}, "maxlen"),
            ({"max-length": 3, "overflow": "drop-head", "dead-letter-exchange": "nowhere", "dead-letter-routing-key": "nothing"}, "maxlen"),
            ({"message-ttl": 300}, "expired")]


def check_said(bridge, partition, reason):
    wait_for(lambda: f"queue={partition_queue(partition)} reason={reason}" in bridge.stderr, "it is in the log")
    assert "list_operator_policies" in bridge.stderr
    assert bridge.metric("penstock_broker_dropped_total") > 0
    assert f"({reason}), and delivered" in bridge.readiness().text
    assert [standing for standing in bridge.status()["broker"] if standing["role"] == "keep" and not standing["good"] and reason in standing["why"]]


def dropped_from(vhost):
    messages = vhost.messages()
    return {partition for partition in range(PARTITIONS) if messages[dropped_queue(partition)]}


def test_what_policies_drop_comes_back(vhost, bridge, accounts, sink):
    """Each partition has a policy of another kind."""
    vhost.set_policies([("policy", queue_pattern(partition), policy) for partition, (policy, _) in enumerate(DROPPING)])
    keep_consumers_away(vhost, bridge)
    events = post_to(bridge, accounts, 10)
    assert bridge.publishes("nacked") == 0, "each was answered by the broker's confirm"
    wait_for(lambda: dropped_from(vhost) == set(range(PARTITIONS)), "some are dropped from each")
    vhost.let_consumers_in()
    wait_until_delivered_once(bridge, sink, events)
    reasons = {line.split("reason=")[1].split()[0] for line in bridge.stderr.splitlines() if "the broker dropped events" in line}
    assert reasons and reasons <= {"maxlen", "expired"}
    assert bridge.metric("penstock_broker_dropped_total") >= PARTITIONS


def test_a_delivery_limit(vhost, bridge, sink):
    vhost.set_policies([("policy", "^penstock[.]deliver", {"delivery-limit": 1})])
    keep_consumers_away(vhost, bridge)
    event = bridge.post(1)["event"]
    partition = partition_of(event)
    bridge.freeze()
    vhost.let_consumers_in()
    for _ in range(2):
        with vhost.channel() as channel:
            assert channel.basic_get(partition_queue(partition))[0], "it is taken, and left"
    bridge.thaw()
    wait_until_delivered_once(bridge, sink, [event])
    check_said(bridge, partition, "delivery_limit")


# --- counted ---


def test_what_only_the_broker_holds_is_counted(vhost, bridge, sink):
    keep_consumers_away(vhost, bridge)
    events = [bridge.post(n)["event"] for n in range(5)]
    wait_for(lambda: bridge.status()["in_broker"] == 5, lambda: f"it is in the status: {bridge.status()}")
    assert bridge.metric("penstock_broker_waiting") == 5
    assert "only the broker holds 5" in bridge.tool("status").stdout
    done = bridge.tool("audit")
    assert done.returncode == 75 and "UNFINISHED" in done.stdout and "5 accepted events" in done.stdout, done
    vhost.let_consumers_in()
    wait_until_delivered_once(bridge, sink, events)
    wait_for(lambda: bridge.status()["in_broker"] == 0, "it has been consumed")
    assert audit(bridge)["verdict"] == "complete"


# --- found and named ---


def lost_in_audit(bridge):
    return {finding["event"] for finding in audit(bridge)["findings"] if finding["kind"] == "lost"}


def test_what_vanishes_from_a_queue_is_named(vhost, bridge, accounts, sink):
    """Purged, deleted with its queue, expired with it, and dropped by a policy that hits the queue of dropped messages as well. A kill -9 before
    it is found changes nothing; another start neither."""
    keep_consumers_away(vhost, bridge)
    vhost.set_policies([("policy", "[.]3$", {"message-ttl": 300})])  # it counts for what is published behind it
    events = post_to(bridge, accounts, 3)
    vhost.set_policies([("policy", "[.]3$", {"message-ttl": 300}), ("policy", queue_pattern(2), {"expires": 500})])
    vhost.ctl("purge_queue", "-p", vhost.name, partition_queue(0))
    vhost.ctl("delete_queue", "-p", vhost.name, partition_queue(1))
    wait_for(lambda: partition_queue(2) not in vhost.messages() and not any(vhost.messages().values()), lambda: f"all is gone: {vhost.messages()}", 60)
    vhost.let_consumers_in()
    bridge.wait_for_broker()
    bridge.kill9()
    bridge.start()
    wait_for(lambda: bridge.metric("penstock_broker_lost") == len(events), lambda: bridge.stderr[-3000:], 90)
    assert lost_in_audit(bridge) == set(events)
    assert f"first={events[0]}" in bridge.stderr
    assert "confirmed events are lost" in bridge.readiness().text
    bridge.terminate()
    bridge.start()
    later = bridge.post("later")["event"]
    wait_until_delivered_once(bridge, sink, [later])
    assert lost_in_audit(bridge) == set(events) and bridge.tool("audit").returncode == 65


def test_one_that_somebody_took_and_brings_back_is_lost_no_more(vhost, bridge, sink):
    keep_consumers_away(vhost, bridge)
    event = bridge.post(1)["event"]
    bridge.freeze()
    vhost.let_consumers_in()
    properties, body = vhost.get(partition_queue(partition_of(event)))
    bridge.thaw()
    wait_for(lambda: lost_in_audit(bridge) == {event}, "it is missed", 90)
    with vhost.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("", partition_queue(partition_of(event)), body, properties, mandatory=True)
    wait_until_delivered_once(bridge, sink, [event])
    assert audit(bridge)["verdict"] != "incomplete"


def confirmed_offsets(bridge):
    """Where each shard reads the stream on."""
    for file in sorted(bridge.data.glob("journal-*.db")):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal:
            yield (journal.execute("SELECT value FROM meta WHERE key = 'confirmed_offset'").fetchone() or (0,))[0]


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_a_stream_that_was_deleted_is_noticed(vhost, bridge, sink, runs):
    """The new stream would bring nothing until it is as long as the old one was."""
    wait_until_delivered_once(bridge, sink, [bridge.post(1)["event"]])
    wait_for(lambda: vhost.messages_of_stream() > 0, "its id is on record")
    wait_for(lambda: all(offset > 0 for offset in confirmed_offsets(bridge)), "each shard has looked at it")
    if runs:
        vhost.delete_queue("penstock.confirmed")
    else:
        bridge.terminate()
        vhost.delete_queue("penstock.confirmed")
        bridge.start()
    wait_for(lambda: "the stream of what the broker confirmed was deleted" in bridge.stderr, lambda: bridge.stderr[-3000:], 60)
    assert bridge.metric("penstock_broker_unchecked_total") >= 1
    wait_until_delivered_once(bridge, sink, [bridge.post(2)["event"]])
