# SPDX-License-Identifier: Apache-2.0
"""Who owns an event between the broker and the journal: each way in which the two can disagree, one at a time, with nothing
lost and nothing sent twice by our doing.

What is to be unstarted waits behind a slow client that takes one request at a time; what is to be started is with it."""
import collections
import json
import time

import pytest
from support.brokered import account_of_partition
from support.broker import PARTITIONS, partition_of, partition_queue
from support.load import ANSWER_SECONDS_MAX, Load
from support.wait import wait_for

pytestmark = pytest.mark.once

# The client is given one request at a time, and nothing is taken over since it takes long.
ONE = {"delivery.in_flight_per_endpoint": 1, "delivery.answer_timeout": "20s", "broker.prefetch": 8}
SLOW_SECONDS = 2


@pytest.fixture
def brokered(own_broker, make_brokered, sink):
    brokered = make_brokered(own_broker, options=ONE)
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    return brokered


def post_many(brokered, count, first=0, **fields):
    return [brokered.post(n, **fields)["event"] for n in range(first, first + count)]


def sends(sink):
    return collections.Counter(d.id for d in sink.deliveries())


def wait_until_delivered(brokered, events, seconds=40):
    wait_for(lambda: all(set(brokered.states(event)) == {"delivered"} for event in events),
             lambda: f"all are delivered: {[(event, brokered.states(event)) for event in events][:8]}", seconds)


def check_tags(vhost):
    """What the broker says to an ack of a tag that it doesn't know any more: it closes the channel."""
    assert "unknown delivery tag" not in vhost.node.log()


def say(capsys, what, brokered, sink, events):
    count = sends(sink)
    with capsys.disabled():
        print(f"\n{what}: accepted={len(events)} delivered={sum(event in count for event in events)} "
              f"duplicates={sum(times - 1 for times in count.values())} again={brokered.received('again'):.0f} "
              f"taken_over={brokered.metric('penstock_broker_adopted_total'):.0f} longest_answer={brokered.longest_answer:.3f}s ", end="")


def test_a_confirm_that_comes_late(own_broker, make_brokered, sink, capsys):
    """The journal takes what is unconfirmed, and delivers it; the broker has it after all, and its copy meets the dedupe store."""
    brokered = make_brokered(own_broker)
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    with Load([brokered], sink, rate=100) as load:
        load.more(50)
        own_broker.node.freeze()
        wait_for(brokered.is_breaker_open, "the direct path")
        load.more(100)
        own_broker.node.thaw()
        brokered.wait_for_broker()
        load.more(50)
    report = load.drain(capsys, "late confirm")
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX and report.unavailable == 0
    own_broker.wait_until_empty()
    assert brokered.publishes("late") > 0, "some were confirmed too late"
    assert brokered.received("again") > 0, "and met the dedupe store"


def test_redelivery_of_an_unstarted_and_of_a_started_event(own_broker, brokered, sink, capsys):
    """The connection is lost under both. The started one becomes the journal's, and its tag is stale; the other waits for the broker."""
    sink.behave(delay=SLOW_SECONDS)
    events = post_many(brokered, 4)
    wait_for(lambda: sink.count() == 1, "one has started")
    wait_for(lambda: brokered.metric("penstock_broker_unacked") == 4, "all four are with us")
    own_broker.close_connections()
    wait_for(lambda: brokered.received("again") >= 4, "the broker delivers all again")
    assert brokered.metric("penstock_broker_adopted_total") == 1
    sink.behave()
    wait_until_delivered(brokered, events)
    own_broker.wait_until_empty()
    say(capsys, "redelivery, unstarted and started", brokered, sink, events)
    assert set(sends(sink).values()) == {1}
    check_tags(own_broker)


def test_nothing_that_is_suspended_is_sent_before_the_broker_brings_it_again(own_broker, brokered, sink, capsys):
    sink.behave(delay=3 * SLOW_SECONDS)
    events = post_many(brokered, 4)
    wait_for(lambda: sink.count() == 1 and brokered.metric("penstock_broker_unacked") == 4, "one has started, all are with us")
    own_broker.kill9()
    wait_for(lambda: brokered.metric("penstock_broker_suspended") == 3, "three are suspended")
    sink.behave()
    wait_for(lambda: brokered.states(events[0]) == ["delivered"], "the started one goes on")
    extra = brokered.post("extra")["event"]
    wait_for(lambda: brokered.states(extra) == ["delivered"], "and what is posted meanwhile is delivered")
    assert all(brokered.states(event) == ["pending"] for event in events[1:])
    assert set(sends(sink)) == {events[0], extra}
    own_broker.node.start()
    wait_until_delivered(brokered, events)
    own_broker.wait_until_empty()
    say(capsys, "suspended while the broker is away", brokered, sink, events + [extra])
    assert set(sends(sink).values()) == {1}
    assert brokered.metric("penstock_broker_suspended") == 0


def restart_after(brokered, point, event):
    """Posts to a gateway that dies at the point, and starts it again."""
    assert brokered.terminate() == 0
    brokered.environment["PENSTOCK_TEST_CRASH_AT"] = str(point)
    brokered.start()
    brokered.wait_for_broker()
    with brokered.partner() as partner:
        try:
            partner.post("/v1/events", json=event)
        except Exception:  # pylint: disable=broad-except
            pass  # its answer may be lost in the crash
    wait_for(lambda: brokered.process.poll() is not None, "the point of the kill is reached")
    assert brokered.process.returncode == -9, brokered.stderr[-2000:]
    del brokered.environment["PENSTOCK_TEST_CRASH_AT"]
    brokered.start()


@pytest.mark.once
@pytest.mark.parametrize("kind", ["purchase", "payout"])
@pytest.mark.parametrize("point", [19, 20], ids=["received", "ack-due"])
def test_killed_between_the_commit_and_the_ack(own_broker, brokered, sink, point, kind, capsys):
    """Redelivery of an event that is in the dedupe, and of one that is delivered."""
    restart_after(brokered, point, brokered.event(1, type=kind))
    wait_for(lambda: sink.count() >= 1, "it is sent")
    [event] = sends(sink)
    wait_until_delivered(brokered, [event])
    own_broker.wait_until_empty()
    again = brokered.post(1, type=kind)["event"]  # nothing of it was seen lately
    wait_for(lambda: brokered.received("alias") == 1, "the dedupe store has it")
    own_broker.wait_until_empty()
    assert brokered.timeline(again)["alias"] == again
    say(capsys, f"killed at {point}, {kind}", brokered, sink, [event])
    assert sends(sink) == {event: 1}


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_restart_with_a_full_prefetch_and_a_backlog(own_broker, brokered, sink, how, capsys):
    sink.behave(mode="hang")
    events = post_many(brokered, 60)
    wait_for(lambda: brokered.metric("penstock_broker_unacked") >= 8 or brokered.metric("penstock_broker_adopted_total") > 0, "a full prefetch")
    wait_for(lambda: sink.count() >= 1, "one has started")
    if how == "kill":
        brokered.kill9()
    else:
        assert brokered.terminate() == 0
    started = set(sends(sink))
    sink.behave()
    brokered.start()
    wait_until_delivered(brokered, events)
    own_broker.wait_until_empty()
    say(capsys, f"restart ({how}) with a full prefetch and a backlog", brokered, sink, events)
    assert {event for event, times in sends(sink).items() if times > 1} <= started, "only what was with the client may come again"
    assert max(sends(sink).values()) <= 2


def test_a_payout_that_had_started_is_parked_by_a_restart_and_the_others_go_on(own_broker, brokered, sink, capsys):
    sink.behave(mode="hang")
    events = post_many(brokered, 6, type="payout")
    wait_for(lambda: sink.count() == 1 and brokered.received("new") == 6, "one has started, all are with us")
    [started] = sends(sink)
    brokered.kill9()
    sink.behave()
    brokered.start()
    others = [event for event in events if event != started]
    wait_until_delivered(brokered, others)
    assert brokered.states(started) == ["parked"]
    own_broker.wait_until_empty()
    say(capsys, "payouts over a restart", brokered, sink, events)
    assert set(sends(sink).values()) == {1}


def test_a_queue_that_is_deleted_and_made_anew_under_a_full_prefetch(own_broker, brokered, sink, capsys):
    """What was not consumed goes with the queue; what was goes on, started or not."""
    account = account_of_partition(brokered, 0, sink.url("/slow"))
    wait_for(lambda: brokered.metric("penstock_deliveries_active") == 0, "what was posted to find it is final", 60)
    own_broker.wait_until_empty()
    sink.behave("/slow", delay=SLOW_SECONDS)
    before = brokered.received("new")
    events = post_many(brokered, 8, account=account)
    wait_for(lambda: brokered.received("new") == before + 8, "all are with us")
    consuming = brokered.metric("penstock_broker_channels_consuming")
    own_broker.delete_queue(partition_queue(0))
    wait_for(lambda: brokered.metric("penstock_broker_channels_consuming") == consuming - 1, "its consumer is told")
    own_broker.declare_partition_queue(0)
    sink.behave("/slow")
    later = post_many(brokered, 5, first=100, account=account)
    wait_until_delivered(brokered, events + later, 60)
    own_broker.wait_until_empty()
    brokered.wait_for_broker()
    say(capsys, "a queue deleted and made anew", brokered, sink, events + later)
    assert {sends(sink)[event] for event in events + later} == {1}
    check_tags(own_broker)


def test_a_fan_out_of_which_one_delivery_has_started(own_broker, brokered, sink, capsys):
    """Ownership is the event's: both deliveries become the journal's, and each is sent once."""
    account = "acc_fan"
    for name in ("a", "b"):
        brokered.add_endpoint(account, sink.url(f"/{name}"), name)
    sink.behave("/a", delay=SLOW_SECONDS)
    sink.behave("/b", delay=SLOW_SECONDS)
    lead = brokered.post("lead", type="lead", account=account)["event"]
    wait_for(lambda: len(sink.of(lead)) == 2, "both clients are busy")
    sink.behave("/b", delay=3 * SLOW_SECONDS)
    second = brokered.post("second", account=account)["event"]
    wait_for(lambda: len(sink.of(second)) == 2, "both clients have the second")
    third = brokered.post("third", account=account)["event"]
    wait_for(lambda: [d.path for d in sink.of(third)] == ["/a"], "the third has started at one of them", 20)
    before = brokered.metric("penstock_broker_adopted_total")
    own_broker.close_connections()
    wait_for(lambda: brokered.metric("penstock_broker_adopted_total") > before, "it is the journal's")
    sink.behave("/a")
    sink.behave("/b")
    wait_until_delivered(brokered, [lead, second, third])
    own_broker.wait_until_empty()
    say(capsys, "fan-out with one delivery started", brokered, sink, [lead, second, third])
    for event in (lead, second, third):
        assert sorted(d.path for d in sink.of(event)) == ["/a", "/b"]
    check_tags(own_broker)


def test_the_direct_way_meets_what_the_broker_has_brought(own_broker, make_brokered, sink, capsys):
    """Two gateways, one key, at once through the broker and directly: one acceptance, one delivery."""
    leader = make_brokered(own_broker, options=ONE)
    leader.point_endpoint_at(sink.url())
    follower = make_brokered(own_broker, leader=leader)
    leader.wait_for_broker()
    sink.behave(delay=SLOW_SECONDS)
    events = [gateway.post(n)["event"] for n in range(8) for gateway in (leader, follower)]
    wait_for(lambda: leader.received("alias") + leader.metric("penstock_broker_direct_total") >= 8, "the second ones are found")
    sink.behave()
    wait_for(lambda: len({json.loads(d.body)["id"] for d in sink.deliveries()}) == 8, "all are delivered")
    own_broker.wait_until_empty()
    wait_for(lambda: leader.metric("penstock_deliveries_active") == 0, "nothing is in flight")
    say(capsys, "two gateways, one key", leader, sink, events)
    assert len(sink.deliveries()) == 8
    for event in events:
        assert set(leader.states(event)) == {"delivered"}, "each id leads to the timeline"


def account_beside(brokered, partition, url):
    """Another account of the partition, whose client is at `url`."""
    for number in range(200):
        account = f"acc_beside_{number}"
        brokered.add_endpoint(account, url)
        if partition_of(brokered.post(f"probe-{account}", account=account)["event"]) == partition:
            return account
    raise AssertionError(f"no account in partition {partition}")


@pytest.mark.once
def test_one_slow_client_does_not_hold_the_prefetch(own_broker, make_brokered, sink, capsys):
    """A client hangs, and many more events come for it than the prefetch allows: another client of the partition gets its own all the time."""
    brokered = make_brokered(own_broker, options={"broker.prefetch": 64, "delivery.answer_timeout": "3s"})
    brokered.wait_for_broker()
    slow = account_of_partition(brokered, 1, sink.url("/hang"))
    quick = account_beside(brokered, 1, sink.url("/quick"))
    sink.behave("/hang", mode="hang")
    delays = []
    with Load([brokered], sink, rate=100, account=slow) as load:
        for number in range(10):
            load.more(100)
            event = brokered.post(f"quick-{number}", account=quick)["event"]
            posted = time.monotonic()
            wait_for(lambda event=event: sink.of(event), "delivered to the quick one", 15)
            delays.append(time.monotonic() - posted)
    sink.behave("/hang")
    own_broker.wait_until_empty(60)
    with capsys.disabled():
        print(f"\none slow client: events of the other took {', '.join(f'{delay:.2f}' for delay in delays)} s ", end="")
    assert max(delays) < 2


@pytest.mark.once
def test_all_partitions_are_consumed_again_after_each_loss(own_broker, brokered, sink, capsys):
    events = []
    for turn in range(3):
        own_broker.close_connections()
        brokered.wait_for_broker()
        events += post_many(brokered, 2 * PARTITIONS, first=100 * turn)
    wait_until_delivered(brokered, events)
    own_broker.wait_until_empty()
    say(capsys, "connections lost three times", brokered, sink, events)
    assert set(sends(sink).values()) == {1}
