# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: nothing that was answered is lost (L0), and what arrives twice stays within the honest gap.

The bound: at each kill, the events whose delivery the sink had got by then and whose `delivered` was not in the journal's files yet. A copy of
the files, taken between kill and restart, says which those are."""
import json
import os
import random
import shutil
import sqlite3
import time
import uuid

from support.h2 import H2Sender
from support.wait import wait_for

EVENTS = int(os.environ.get("PENSTOCK_KILL_EVENTS", "20000"))
KILLS = 5
DELIVERED = 4


def undelivered(data, copy):
    """The event ids of all deliveries that a copy of the journals doesn't hold as delivered, and how many events it holds."""
    copy.mkdir()
    for path in data.glob("journal-*.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, copy / path.name)
    found, events = set(), 0
    for path in sorted(copy.glob("journal-*.db")):
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), path
            events += db.execute("SELECT count(*) FROM events").fetchone()[0]
            for (event,) in db.execute("SELECT e.id FROM deliveries d JOIN events e ON e.seq = d.id / 16 WHERE d.state != ?", (DELIVERED,)):
                found.add(f"evt_{uuid.UUID(bytes=event)}")
        db.close()
    shutil.rmtree(copy)
    return found, events


def test_no_answered_event_is_lost_and_duplicates_stay_within_the_bound(make_gateway, sink, tmp_path, capsys):
    randomness = random.Random(20240607)
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["500ms"] * 32) + "]"})
    gateway.point_endpoint_at(sink.url())
    # The kills stand where a share of the events has been answered: under load whatever the machine's speed.
    bodies = {f"order-{n}": json.dumps(gateway.event(n, data={"pad": "x" * 200})).encode() for n in range(EVENTS)}
    sender = H2Sender(gateway, bodies, connections=4)
    kill_at = sorted(int(EVENTS * (0.05 + 0.85 * (k + randomness.random()) / KILLS)) for k in range(KILLS))
    bound, slowest_start = 0, 0
    for kill, threshold in enumerate(kill_at):
        sender.run(until=lambda: len(sender.answers) >= threshold, seconds=300)
        assert not sender.is_done(), "the kill was to come while events are under way"
        gateway.kill9()
        sink.wait_until_all_left()
        open_in_files, _ = undelivered(gateway.data, tmp_path / f"copy-{kill}")
        bound += len({d.id for d in sink.deliveries()} & open_in_files)
        started = time.monotonic()
        gateway.start()
        slowest_start = max(slowest_start, time.monotonic() - started)
    sender.run(seconds=600)
    sender.close()
    assert not sender.refused, list(sender.refused.items())[:3]

    answered = {tag: json.loads(body)["event"] for tag, (_, body) in sender.answers.items()}
    assert len(answered) == EVENTS and len(set(answered.values())) == EVENTS
    wait_for(lambda: set(answered.values()) <= {d.id for d in sink.deliveries()},
             lambda: f"{len(set(answered.values()) - {d.id for d in sink.deliveries()})} answered events are not delivered", 120)
    wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "nothing is under way any more", 60)
    count, ids_of = {}, {}
    for delivery in sink.deliveries():
        count[delivery.id] = count.get(delivery.id, 0) + 1
        ids_of.setdefault(json.loads(delivery.body)["id"], set()).add(delivery.id)
    duplicates = sum(times - 1 for times in count.values())
    with capsys.disabled():
        print(f"\nkill -9: accepted={len(answered)} delivered={len(count)} duplicates={duplicates} bound={bound} kills={len(kill_at)} "
              f"sends={sender.sends} unanswered={sender.lost} slowest_start={slowest_start:.2f}s ", end="")
    assert all(ids == {answered[tag]} for tag, ids in ids_of.items()), "one event, one id, whatever was sent again"
    assert duplicates <= bound
    assert gateway.terminate() == 0, gateway.stderr[-4000:]
    still_open, events = undelivered(gateway.data, tmp_path / "copy-end")
    assert not still_open and events == EVENTS
