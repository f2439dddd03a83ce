# SPDX-License-Identifier: Apache-2.0
"""A steady load during a test: a thread posts new events at a fixed rate over HTTP/2, and does not
wait for answers.

    with Load(gateways, sink, rate=200) as load:
        ... faults ...
    report = load.drain(capsys)

Like a partner, it sends an event again after a 503, and when the connection ends without an answer.
Latency counts from when an event was due."""
import collections
import dataclasses
import json
import os
import selectors
import threading
import time

from support.h2 import STREAMS, H2Connection, Lost
from support.wait import wait_for

# The service level, and one second more for a busy machine. A sanitizer needs more: etc/test sets it.
ANSWER_SECONDS_MAX = float(os.environ.get("PENSTOCK_ANSWER_SECONDS", "4"))
_CONNECTIONS = 4  # to each gateway
_PATIENCE_SECONDS = 30  # how long the end waits for missing answers


def _timelines(gateway, events):
    """Returns the timelines of a few of the events."""
    with gateway.operator() as operator:
        return [operator.get(f"/api/v1/events/{event}").text[:600] for event in sorted(events)[:2]]


@dataclasses.dataclass
class Answer:
    status: int
    event: str
    seconds: float  # from when it was due
    at: float  # time.monotonic()


@dataclasses.dataclass
class Report:
    accepted: int
    delivered: int  # of those
    parked: int
    duplicates: int  # requests after the first one of an event
    longest: float  # seconds to an answer
    unavailable: int  # 503s
    # turns of the first gateway's ingress loops: number, number above 50 ms, an upper bound of the
    # longest in seconds
    turns: tuple


class Load:
    def __init__(self, gateways, sink, rate=200, **fields):
        self.gateways, self.sink, self.rate, self.fields = list(gateways), sink, rate, fields
        self.answers = {}  # number -> Answer, of the 200
        self.bad = []  # (number, status, body)
        self.unavailable = 0
        self.lost = 0  # requests without an answer
        self.due = {}  # number -> time
        self.waiting = collections.deque()
        self.connections = []  # (index of the gateway, connection)
        self.failure = None
        self.posting, self.ending = True, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    # --- called by the test ---

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    def stop(self, check=True):
        """Stops posting, and waits for the missing answers."""
        self.posting = False
        self.ending = not check
        self.thread.join(_PATIENCE_SECONDS + 10)
        if check:
            assert not self.failure, self.failure
            assert not self.bad, self.bad[:3]
            assert len(self.answers) == len(self.due), f"{len(self.due) - len(self.answers)} of {len(self.due)} have no answer"

    def more(self, count, seconds=30):
        """Waits until `count` more events are answered 200."""
        wanted = len(self.answers) + count
        wait_for(lambda: self.failure or len(self.answers) >= wanted, lambda: f"{count} more 200s: {self.describe()}", seconds)
        assert not self.failure, self.failure

    def events(self):
        return {answer.event for answer in list(self.answers.values())}

    def longest(self):
        return max((answer.seconds for answer in list(self.answers.values())), default=0)

    def describe(self):
        return f"{len(self.due)} posted, {len(self.answers)} answered, {self.unavailable} 503s, {self.lost} lost, {len(self.waiting)} waiting"

    def drain(self, capsys, what, gateway=None, seconds=60, parked=lambda: set()):
        """Waits until each event that was answered 200 is delivered, under any id, or its id is in
        `parked()`. Prints the figures and returns them as a Report."""
        gateway = gateway or self.gateways[0]
        numbers = {f"order-{number}": answer.event for number, answer in self.answers.items()}

        def missing():
            found, held = self.requests(), parked()
            return {event for number, event in numbers.items() if number not in found and event not in held}

        wait_for(lambda: not missing(), lambda: f"{len(missing())} of {len(numbers)} answered events are not delivered, such as "
                 f"{_timelines(gateway, missing())}", seconds)
        wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "no delivery is in flight", seconds)
        found, held = self.requests(), parked()
        parked_count = sum(event in held for event in numbers.values())
        report = Report(len(numbers), len(numbers) - parked_count, parked_count, sum(times - 1 for times in found.values()), self.longest(),
                        self.unavailable, gateway.ingress_turns())
        with capsys.disabled():
            print(f"\n{what}: accepted={report.accepted} delivered={report.delivered} duplicates={report.duplicates} "
                  f"longest_answer={report.longest:.3f}s parked={report.parked} unavailable={report.unavailable} "
                  "turns={:.0f} above_50ms={:.0f} longest<={:g}s ".format(*report.turns), end="")
        return report

    def requests(self):
        """Returns {the partner's id of the event: how often a client received it, under any event
        id}."""
        return collections.Counter(json.loads(d.body)["id"] for d in self.sink.deliveries() if d.status // 100 == 2)

    # --- in the thread ---

    def _run(self):
        try:
            self._post_all()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        for _, connection in self.connections:
            connection.close()

    def _post_all(self):
        started, number, until = time.monotonic(), 0, None
        while not self.ending:
            now = time.monotonic()
            while self.posting and started + number / self.rate <= now:
                self.due[number] = started + number / self.rate
                self.waiting.append(number)
                number += 1
            if not self.posting:
                until = until or now + _PATIENCE_SECONDS
                if len(self.answers) + len(self.bad) == len(self.due) or now > until:
                    return
            self._step()

    def _step(self):
        self._connect()
        # Start with another connection each time: all gateways get their share.
        self.connections = self.connections[1:] + self.connections[:1]
        for place, connection in list(self.connections):
            try:
                self._fill(place, connection)
                if connection.closing and not connection.streams:
                    raise Lost("GOAWAY")
            except Lost:
                self._drop(place, connection)
        with selectors.DefaultSelector() as selector:
            for pair in self.connections:
                selector.register(pair[1].socket, selectors.EVENT_READ, pair)
            ready = [key.data for key, _ in selector.select(0.003)] if self.connections else time.sleep(0.003) or []
        for place, connection in ready:
            try:
                for number, status, body in connection.receive():
                    self._take(number, status, body)
            except Lost:
                self._drop(place, connection)

    def _connect(self):
        for place, gateway in enumerate(self.gateways):
            while sum(each == place for each, _ in self.connections) < _CONNECTIONS:
                try:
                    self.connections.append((place, H2Connection(gateway.ingress, gateway.ready["api_key"])))
                except (OSError, Lost):
                    break

    def _fill(self, place, connection):
        share = len(self.connections)
        taken = 0
        while self.waiting and not connection.closing and len(connection.streams) < STREAMS and taken <= len(self.waiting) // share:
            number = self.waiting.popleft()
            connection.post(number, json.dumps(self.gateways[place].event(number, **self.fields)).encode(), flush=False)
            taken += 1
        connection.flush()

    def _take(self, number, status, body):
        now = time.monotonic()
        if status == 200:
            self.answers.setdefault(number, Answer(status, json.loads(body)["event"], now - self.due[number], now))
        elif status in (0, 503):
            self.unavailable += status == 503
            self.lost += status == 0
            self.waiting.append(number)
        else:
            self.bad.append((number, status, body))

    def _drop(self, place, connection):
        self.connections.remove((place, connection))
        numbers = [stream[0] for stream in connection.streams.values()]
        self.lost += len(numbers)
        self.waiting.extend(numbers)
        connection.close()
