# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: nothing that was answered is lost (L0), and what arrives twice stays within the known gap.

The bound: at each kill, the events whose delivery the sink had got by then and whose `delivered` was not in the journal's files yet: those that
were being answered, and those that were answered while the last commit was under way or in the 10 ms for which an outcome waits for one. A copy
of the files, taken between kill and restart, says which those are."""
import collections
import json
import os
import random
import shutil
import sqlite3
import uuid

from support.h2 import STREAMS, H2Sender
from support.wait import wait_for

EVENTS = int(os.environ.get("PENSTOCK_KILL_EVENTS", "20000"))
PAYOUTS = max(2000, EVENTS // 10)  # fewer could all be answered between two kills
KILLS = 5
SENDING, PARKED, DELIVERED = 1, 3, 4


def read_copy(data, copy):
    """What a copy of the journals says: {event id: state of its one delivery}."""
    copy.mkdir()
    for path in data.glob("journal-*.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, copy / path.name)
    states = {}
    for path in sorted(copy.glob("journal-*.db")):
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), path
            for event, state in db.execute("SELECT e.id, d.state FROM deliveries d JOIN events e ON e.seq = d.id / 16"):
                states[f"evt_{uuid.UUID(bytes=event)}"] = state
        db.close()
    shutil.rmtree(copy)
    return states


def run_with_kills(make_gateway, sink, tmp_path, events, **fields):
    """Posts `events` events while the gateway is killed KILLS times. Returns the gateway, the closed sender, and what each kill left."""
    randomness = random.Random(20240607)
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["500ms"] * 32) + "]"})
    gateway.point_endpoint_at(sink.url())
    # The kills stand where a share of the events has been answered: under load whatever the machine's speed.
    bodies = {f"order-{n}": json.dumps(gateway.event(n, data={"pad": "x" * 200}, **fields)).encode() for n in range(events)}
    # In flight are at most 4 % of the events: one round of answers then can't carry the last kill's threshold past the end.
    sender = H2Sender(gateway, bodies, connections=4, streams=min(STREAMS, max(1, events // 100)))
    left = []
    for k in range(KILLS):
        threshold = int(events * (0.05 + 0.85 * (k + randomness.random()) / KILLS))
        sender.run(until=lambda: len(sender.answers) >= threshold, seconds=300)
        assert not sender.is_done(), "the kill was to come while events are in flight"
        gateway.kill9()
        sink.wait_until_all_left()
        left.append((read_copy(gateway.data, tmp_path / f"copy-{k}"), {d.id for d in sink.deliveries()}))
        gateway.start()
    sender.run(seconds=600)
    sender.close()
    assert not sender.refused, list(sender.refused.items())[:3]
    return gateway, sender, left


def answered_ids(sender, events):
    answered = {tag: json.loads(body)["event"] for tag, (_, body) in sender.answers.items()}
    assert len(answered) == events and len(set(answered.values())) == events
    return answered


def test_no_answered_event_is_lost_and_duplicates_stay_within_the_bound(make_gateway, sink, tmp_path, capsys):
    gateway, sender, left = run_with_kills(make_gateway, sink, tmp_path, EVENTS)
    bound = sum(len({event for event in received if states.get(event) != DELIVERED}) for states, received in left)
    answered = answered_ids(sender, EVENTS)
    wait_for(lambda: set(answered.values()) <= {d.id for d in sink.deliveries()},
             lambda: f"{len(set(answered.values()) - {d.id for d in sink.deliveries()})} answered events are not delivered", 120)
    wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "nothing is in flight any more", 60)
    ids_of = {}
    for delivery in sink.deliveries():
        ids_of.setdefault(json.loads(delivery.body)["id"], set()).add(delivery.id)
    count = collections.Counter(d.id for d in sink.deliveries())
    duplicates = sum(times - 1 for times in count.values())
    with capsys.disabled():
        print(f"\nkill -9: accepted={len(answered)} delivered={len(count)} duplicates={duplicates} bound={bound} kills={KILLS} "
              f"sends={sender.sends} unanswered={sender.lost} ", end="")
    assert all(ids == {answered[tag]} for tag, ids in ids_of.items()), "one event, one id, whatever was sent again"
    assert duplicates <= bound
    assert gateway.terminate() == 0, gateway.stderr[-4000:]
    states = read_copy(gateway.data, tmp_path / "copy-end")
    assert len(states) == EVENTS and set(states.values()) == {DELIVERED}


def test_no_payout_is_ever_sent_twice(make_gateway, sink, tmp_path, capsys):
    """Guarded: what was being sent at a kill waits for a person, all else arrives, nothing arrives twice."""
    gateway, sender, left = run_with_kills(make_gateway, sink, tmp_path, PAYOUTS, type="payout")
    interrupted = set().union(*({event for event, state in states.items() if state == SENDING} for states, _ in left))
    answered = set(answered_ids(sender, PAYOUTS).values())
    wait_for(lambda: answered - interrupted <= {d.id for d in sink.deliveries()}, "all that was not interrupted is delivered", 120)
    wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "nothing is in flight any more", 60)
    assert gateway.terminate() == 0, gateway.stderr[-4000:]
    states = read_copy(gateway.data, tmp_path / "copy-end")
    parked = {event for event, state in states.items() if state == PARKED}
    count = collections.Counter(d.id for d in sink.deliveries())
    with capsys.disabled():
        print(f"\nkill -9, payouts: accepted={len(answered)} delivered={len(answered) - len(parked)} parked={len(parked)} "
              f"sent_twice={sum(times > 1 for times in count.values())} kills={KILLS} ", end="")
    assert max(count.values()) == 1
    assert parked == interrupted
    assert set(states) == answered and set(states.values()) <= {PARKED, DELIVERED}
