# SPDX-License-Identifier: Apache-2.0
"""Whatever in RabbitMQ can make a confirmed message vanish (the table is in etc/doc/rabbitmq.md): each is prevented,
rescued, or found and named. The consumers are kept away while it happens, so that the messages lie in their queues."""
import contextlib
import sqlite3

import pytest
from support.brokered import account_of_partition
from support.broker import PARTITIONS, dropped_queue, partition_of, partition_queue
from support.wait import wait_for

pytestmark = pytest.mark.once


@pytest.fixture
def brokered(vhost, make_brokered, sink):
    """A gateway with one publishing connection."""
    brokered = make_brokered(vhost, options={"ingress.threads": 1})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    return brokered


@pytest.fixture
def accounts(vhost, brokered, sink):
    """One of each partition."""
    found = [account_of_partition(brokered, partition, sink.url()) for partition in range(PARTITIONS)]
    wait_for(lambda: brokered.metric("penstock_broker_unacked") == 0 and brokered.metric("penstock_deliveries_active") == 0, "the probes are final")
    vhost.wait_until_empty()
    return found


def keep_consumers_away(vhost, brokered):
    vhost.keep_consumers_away(1)
    wait_for(lambda: brokered.metric("penstock_broker_channels_consuming") == 0, "nothing is consumed")


def post_to(brokered, accounts, count=10):
    return [brokered.post(f"{account}-{n}", account=account)["event"] for n in range(count) for account in accounts]


def wait_until_delivered_once(brokered, sink, events):
    wait_for(lambda: {d.id for d in sink.deliveries()} >= set(events), "all are delivered", 60)
    wait_for(lambda: all(brokered.states(event) == ["delivered"] for event in events), "and recorded")
    assert sorted(d.id for d in sink.deliveries() if d.id in set(events)) == sorted(events)


def queue_pattern(partition):
    return partition_queue(partition).replace(".", "[.]") + "$"


def audit(brokered):
    return brokered.ask("GET", "audit")


# --- prevented ---


def test_a_queue_that_is_full_by_a_policy_refuses(vhost, brokered, accounts, sink):
    """What the queue refuses the journal takes: it is answered 200, and delivered at once."""
    vhost.set_policies([("policy", queue_pattern(0), {"max-length": 3}),
                        ("policy", queue_pattern(1), {"max-length-bytes": 400}),
                        ("operator", queue_pattern(2), {"max-length": 3}),
                        ("operator", queue_pattern(3), {"max-length-bytes": 400})])
    keep_consumers_away(vhost, brokered)
    events = post_to(brokered, accounts, 10)
    assert brokered.publishes("nacked") >= PARTITIONS
    vhost.let_consumers_in()
    wait_until_delivered_once(brokered, sink, events)
    assert brokered.metric("penstock_broker_dropped_total") == 0


# --- rescued ---


DROPPING = [({"max-length": 3, "overflow": "drop-head"}, "maxlen"),
            ({"max-length-bytes": 400, "overflow": "drop-head"}, "maxlen"),
            ({"max-length": 3, "overflow": "drop-head", "dead-letter-exchange": "nowhere", "dead-letter-routing-key": "nothing"}, "maxlen"),
            ({"message-ttl": 300}, "expired")]


def check_said(brokered, partition, reason):
    wait_for(lambda: f"queue={partition_queue(partition)} reason={reason}" in brokered.stderr, "it is in the log")
    assert "list_operator_policies" in brokered.stderr
    assert brokered.metric("penstock_broker_dropped_total") > 0
    assert f"({reason}), and delivered" in brokered.readiness().text
    assert [standing for standing in brokered.status()["broker"] if standing["role"] == "keep" and not standing["good"] and reason in standing["why"]]


def dropped_from(vhost):
    messages = vhost.messages()
    return {partition for partition in range(PARTITIONS) if messages[dropped_queue(partition)]}


def test_what_policies_drop_comes_back(vhost, brokered, accounts, sink):
    """Each partition has a policy of another kind."""
    vhost.set_policies([("policy", queue_pattern(partition), policy) for partition, (policy, _) in enumerate(DROPPING)])
    keep_consumers_away(vhost, brokered)
    events = post_to(brokered, accounts, 10)
    assert brokered.publishes("nacked") == 0, "each was answered by the broker's confirm"
    wait_for(lambda: dropped_from(vhost) == set(range(PARTITIONS)), "some are dropped from each")
    vhost.let_consumers_in()
    wait_until_delivered_once(brokered, sink, events)
    reasons = {line.split("reason=")[1].split()[0] for line in brokered.stderr.splitlines() if "the broker dropped events" in line}
    assert reasons and reasons <= {"maxlen", "expired"}
    assert brokered.metric("penstock_broker_dropped_total") >= PARTITIONS


def test_a_delivery_limit(vhost, brokered, sink):
    vhost.set_policies([("policy", "^penstock[.]deliver", {"delivery-limit": 1})])
    keep_consumers_away(vhost, brokered)
    event = brokered.post(1)["event"]
    partition = partition_of(event)
    brokered.freeze()
    vhost.let_consumers_in()
    for _ in range(2):
        with vhost.channel() as channel:
            assert channel.basic_get(partition_queue(partition))[0], "it is taken, and left"
    brokered.thaw()
    wait_until_delivered_once(brokered, sink, [event])
    check_said(brokered, partition, "delivery_limit")


# --- counted ---


def test_what_only_the_broker_holds_is_counted(vhost, brokered, sink):
    keep_consumers_away(vhost, brokered)
    events = [brokered.post(n)["event"] for n in range(5)]
    wait_for(lambda: brokered.status()["in_broker"] == 5, lambda: f"it is in the status: {brokered.status()}")
    assert brokered.metric("penstock_broker_waiting") == 5
    assert "events that are only in the broker: 5" in brokered.tool("status").stdout
    done = brokered.tool("audit")
    assert done.returncode == 75 and "UNFINISHED" in done.stdout and "5 accepted events" in done.stdout, done
    vhost.let_consumers_in()
    wait_until_delivered_once(brokered, sink, events)
    wait_for(lambda: brokered.status()["in_broker"] == 0, "it has been consumed")
    assert audit(brokered)["verdict"] == "complete"


# --- found and named ---


def lost_in_audit(brokered):
    return {finding["event"] for finding in audit(brokered)["findings"] if finding["kind"] == "lost"}


def test_what_vanishes_from_a_queue_is_named(vhost, brokered, accounts, sink):
    """Purged, deleted with its queue, expired with it, and dropped by a policy that hits the queue of dropped messages as well. A kill -9 before
    it is found changes nothing; another start neither."""
    keep_consumers_away(vhost, brokered)
    vhost.set_policies([("policy", "[.]3$", {"message-ttl": 300})])  # it counts for what is published behind it
    events = post_to(brokered, accounts, 3)
    vhost.set_policies([("policy", "[.]3$", {"message-ttl": 300}), ("policy", queue_pattern(2), {"expires": 500})])
    vhost.ctl("purge_queue", "-p", vhost.name, partition_queue(0))
    vhost.ctl("delete_queue", "-p", vhost.name, partition_queue(1))
    wait_for(lambda: partition_queue(2) not in vhost.messages() and not any(vhost.messages().values()), lambda: f"all is gone: {vhost.messages()}", 60)
    vhost.let_consumers_in()
    brokered.wait_for_broker()
    brokered.kill9()
    brokered.start()
    wait_for(lambda: brokered.metric("penstock_broker_lost") == len(events), lambda: brokered.stderr[-3000:], 90)
    assert lost_in_audit(brokered) == set(events)
    assert f"first={events[0]}" in brokered.stderr
    assert "confirmed events are lost" in brokered.readiness().text
    brokered.terminate()
    brokered.start()
    later = brokered.post("later")["event"]
    wait_until_delivered_once(brokered, sink, [later])
    assert lost_in_audit(brokered) == set(events) and brokered.tool("audit").returncode == 65


def test_one_that_somebody_took_and_brings_back_is_lost_no_more(vhost, brokered, sink):
    keep_consumers_away(vhost, brokered)
    event = brokered.post(1)["event"]
    brokered.freeze()
    vhost.let_consumers_in()
    properties, body = vhost.get(partition_queue(partition_of(event)))
    brokered.thaw()
    wait_for(lambda: lost_in_audit(brokered) == {event}, "it is missed", 90)
    with vhost.channel() as channel:
        channel.confirm_delivery()
        channel.basic_publish("", partition_queue(partition_of(event)), body, properties, mandatory=True)
    wait_until_delivered_once(brokered, sink, [event])
    assert audit(brokered)["verdict"] != "incomplete"


def confirmed_offsets(brokered):
    """Where each shard reads the stream on."""
    for file in sorted(brokered.data.glob("journal-*.db")):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal:
            yield (journal.execute("SELECT value FROM meta WHERE key = 'confirmed_offset'").fetchone() or (0,))[0]


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_a_stream_that_was_deleted_is_noticed(vhost, brokered, sink, runs):
    """The new stream would bring nothing until it is as long as the old one was."""
    wait_until_delivered_once(brokered, sink, [brokered.post(1)["event"]])
    wait_for(lambda: vhost.messages_of_stream() > 0, "its id is on record")
    wait_for(lambda: all(offset > 0 for offset in confirmed_offsets(brokered)), "each shard has looked at it")
    if runs:
        vhost.delete_queue("penstock.confirmed")
    else:
        brokered.terminate()
        vhost.delete_queue("penstock.confirmed")
        brokered.start()
    wait_for(lambda: "the stream of confirmed ids was deleted" in brokered.stderr, lambda: brokered.stderr[-3000:], 60)
    assert brokered.metric("penstock_broker_unchecked_total") >= 1
    wait_until_delivered_once(brokered, sink, [brokered.post(2)["event"]])
