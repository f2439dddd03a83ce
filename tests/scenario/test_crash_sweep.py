# SPDX-License-Identifier: Apache-2.0
"""The process is killed at each numbered point between "body complete" and "outcome committed" (src/base/failpoint.h), once with an
event that may be sent again and once with one that may not. What must come of it stands in tests/README.md, and here in expected()."""
import dataclasses
import pathlib
import re
import sqlite3

import httpx
import pytest
from support.gateway import BINARY, ROOT
from support.wait import wait_for

POINTS = {int(number): where for number, where in
          re.findall(r"X\((\d+), CRASH_\w+,\s+\"([^\"]+)\"", (ROOT / "src/base/failpoint.h").read_text())}
GUARDED_ONLY = {10, 11, 12}
WITH_BROKER = {19, 20}  # test_broker_ownership.py
CASES = [(point, kind) for point in sorted(set(POINTS) - WITH_BROKER) for kind in ("purchase", "payout") if kind == "payout" or point not in GUARDED_ONLY]

pytestmark = pytest.mark.once


@dataclasses.dataclass
class Expected:
    """What a restart must make of it, by the point of the kill. A thread that was given something may be quicker than the kill: then two
    ends are right."""
    durable: set  # whether the event is there although nobody was told
    sends: dict  # how often the client got it in the end: (fewest, most), by kind
    ends: dict  # where it is in the end, without a person, by kind


DELIVERED, PARKED, EITHER = {"delivered"}, {"parked"}, {"delivered", "parked"}


def expected(point):
    if point <= 5:  # nothing is durable, unless the journal was quicker (3)
        return Expected({False, True} if point == 3 else {False}, {"purchase": (1, 1), "payout": (1, 1)},
                        {"purchase": DELIVERED, "payout": DELIVERED})
    if point == 6:  # committed, and nobody but the dead journal's thread knew it: nothing was sent before the start
        return Expected({True}, {"purchase": (1, 1), "payout": (1, 1)}, {"purchase": DELIVERED, "payout": DELIVERED})
    if point <= 8:  # delivery has it: the kill races with delivery, which may be at any point up to the last
        return Expected({True}, {"purchase": (1, 2), "payout": (0, 1)}, {"purchase": DELIVERED, "payout": EITHER})
    if point == 10:  # the journal may be quicker
        return Expected({True}, {"payout": (0, 1)}, {"payout": EITHER})
    if point <= 11:  # no request was made
        return Expected({True}, {"purchase": (1, 1), "payout": (1, 1)}, {"purchase": DELIVERED, "payout": DELIVERED})
    if point <= 13:  # `sending` is on disk: nobody can know any more that nothing was sent
        return Expected({True}, {"purchase": (1, 1), "payout": (0, 0)}, {"purchase": DELIVERED, "payout": PARKED})
    if point == 14:  # the library had it, for a moment
        return Expected({True}, {"purchase": (1, 2), "payout": (0, 1)}, {"purchase": DELIVERED, "payout": PARKED})
    if point == 16:  # as the next, unless the journal was quicker
        return Expected({True}, {"purchase": (1, 2), "payout": (1, 1)}, {"purchase": DELIVERED, "payout": EITHER})
    if point <= 17:  # the client did the work, and that is not on disk: the known gap
        return Expected({True}, {"purchase": (2, 2), "payout": (1, 1)}, {"purchase": DELIVERED, "payout": PARKED})
    return Expected({True}, {"purchase": (1, 1), "payout": (1, 1)}, {"purchase": DELIVERED, "payout": DELIVERED})


def events_in(data):
    count = 0
    for path in pathlib.Path(data).glob("journal-*.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            count += db.execute("SELECT count(*) FROM events").fetchone()[0]
        db.close()
    return count


def post_until_dead(gateway, event):
    """Posts the event to a gateway that is going to be killed; what it was answered, or None."""
    try:
        with gateway.partner() as partner:
            answer = partner.post("/v1/events", json=event)
        assert answer.status_code == 200, answer.text
    except httpx.TransportError:
        answer = None
    wait_for(lambda: gateway.process.poll() is not None, "the point of the kill is reached", 30)
    assert gateway.process.returncode == -9, gateway.stderr[-2000:]
    return answer


@pytest.mark.parametrize("point,kind", CASES, ids=[f"{point:02}-{kind}" for point, kind in CASES])
def test_killed_at(point, kind, make_gateway, sink, capsys):
    if "build/release" in BINARY:
        pytest.skip("builds for tests only have these points")
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 100ms]"})
    gateway.point_endpoint_at(sink.url())
    assert gateway.terminate() == 0
    gateway.environment["PENSTOCK_TEST_CRASH_AT"] = str(point)
    gateway.start()
    event = gateway.event(point, type=kind)
    answer = post_until_dead(gateway, event)
    sink.wait_until_all_left()
    want = expected(point)
    durable = events_in(gateway.data) == 1
    assert durable in want.durable, "after the kill"
    assert answer is None or durable, "a 200 is durable"

    del gateway.environment["PENSTOCK_TEST_CRASH_AT"]
    gateway.start()
    with gateway.partner() as partner:
        again = partner.post("/v1/events", json=event)
    assert again.status_code == 200 and again.json()["status"] == ("duplicate" if durable else "accepted"), again.text
    event_id = again.json()["event"]
    assert answer is None or answer.json()["event"] == event_id

    def in_their_ends():
        states = gateway.states(event_id)
        return states if set(states) <= want.ends[kind] else None

    states = wait_for(in_their_ends, lambda: f"{gateway.states(event_id)} instead of {want.ends[kind]}", 20)
    sends = len(sink.of(event_id))
    fewest, most = want.sends[kind]
    assert fewest <= sends <= most, f"{sends} sends instead of {fewest} to {most}"
    assert len(sink.deliveries()) == sends, "one id, whatever happens"
    if kind == "payout" and states == ["parked"]:
        delivery = gateway.timeline(event_id)["deliveries"][0]
        assert delivery["reason"] == "ambiguous" and delivery["attempts"][-1]["error"] == "interrupted", delivery
    with capsys.disabled():
        print(f"\ncrash point {point:2} {kind:8} answered={'200' if answer else 'no':3} durable={int(durable)} "
              f"re-send={again.json()['status']:9} ends={states[0]:9} sends={sends}  {POINTS[point]}", end="")
