# SPDX-License-Identifier: Apache-2.0
"""A replay of a million dead deliveries beside fresh events: whether these stay fresh, whether the
progress is right, and how fast a cancel takes effect. The dead events are of an endpoint of their own,
which gets nothing else, and whose client counts what it gets."""
import json
import statistics
import threading
import time

from runner.plan import load_plan
from runner.process import RunFailed
from runner.scenario import Scenario
from runner.sink import Sink, sink_counts

DEAD, FRESH = 1_000_000, 1000  # events, and events per second
ACCOUNT = "acc_0"              # as penstock-fill writes it
RATE = 2000                    # of the replay, per second
BEFORE = 10                    # seconds of fresh events alone
LOOK_SECONDS = 0.5
QUIET_SECONDS = 3              # without a replayed event: the cancel has taken effect
TINY = 1000


class Replay(Scenario):
    """Fresh events of a plan, and beside them, after BEFORE seconds, the replay."""

    def __init__(self, plan, bench, directory, dead, seconds, rate):
        super().__init__(plan, bench.build, directory, gateway_build=bench.gateway_build)
        old = directory / "old"
        old.mkdir()
        self.old = Sink(bench.build, old, {})
        self.dead, self.seconds, self.rate, self.found, self.failure, self.endpoint = dead, seconds, rate, {}, None, None

    def start(self):
        super().start()
        self.old.start()
        old = {"url": self.old.url, "name": "old", "types": ["none"]}
        self.endpoint = self.gateway.ask("POST", f"/api/v1/accounts/{ACCOUNT}/endpoints", old)["id"]
        self.gateway.end()
        self.gateway.fill(events=self.dead, dead_every=1, endpoint=self.endpoint)
        self.gateway.start()

    def replayed(self):
        return sink_counts(self.old)["answered"]

    def progress_of(self, replay):
        return self.gateway.ask("GET", f"/api/v1/replays/{replay}")

    def replay(self):
        """On a thread of its own: the replay from its beginning to its cancel."""
        try:
            time.sleep(BEFORE)
            asked = time.monotonic()
            replay = self.gateway.ask("POST", "/api/v1/replays", {"account": ACCOUNT, "endpoint": self.endpoint, "state": "dead", "rate": self.rate, "reason": "bench"})["id"]
            errors, counts, started = [], [], time.monotonic()
            while time.monotonic() - started < self.seconds:
                before, shown, after = self.replayed(), self.progress_of(replay)["progress"]["moved"], self.replayed()
                counts.append((time.monotonic(), after))
                # What is handed over and not sent yet is the lead of the replay.
                errors.append(max(0, before - shown, shown - after))
                time.sleep(LOOK_SECONDS)
            self.found = {"answered_in_s": started - asked, "progress_off_max": max(errors), **self.cancel(replay),
                          "rate": (counts[-1][1] - counts[0][1]) / (counts[-1][0] - counts[0][0])}
        except (RunFailed, OSError) as failure:
            self.failure = failure

    def cancel(self, replay):
        """How long replayed events still arrive after the cancel, and whether the progress is exact then."""
        asked = time.monotonic()
        self.gateway.ask("PATCH", f"/api/v1/replays/{replay}", {"state": "cancelled"})
        answered, last, last_at = time.monotonic(), self.replayed(), time.monotonic()
        while time.monotonic() - last_at < QUIET_SECONDS:
            now = self.replayed()
            if now != last:
                last, last_at = now, time.monotonic()
            time.sleep(0.02)
        return {"cancel_answered_in_s": answered - asked, "cancelled_in_s": max(0, last_at - asked), "replayed": last,
                "moved": self.progress_of(replay)["progress"]["moved"]}

    def post(self):
        thread = threading.Thread(target=self.replay)
        thread.start()
        super().post()
        thread.join()
        if self.failure:
            raise RunFailed(f"the replay failed: {self.failure}")

    def end(self):
        self.old.program.end()
        return super().end()


def of_round(bench, number):
    plan, dead = load_plan("sustained"), DEAD // (TINY if bench.is_tiny else 1)
    seconds = 4 if bench.is_tiny else bench.seconds
    rate = FRESH // 10 if bench.is_tiny else FRESH
    plan.load = {**plan.load, "timetable": f"constant:{rate}:{BEFORE + seconds + 2 * QUIET_SECONDS}s"}
    scenario = Replay(plan, bench, bench.place(f"replay-{number}"), dead, seconds, RATE // 20 if bench.is_tiny else RATE)
    subsets = [f"before accepted=..{BEFORE}s", f"beside accepted={BEFORE}s.."]
    details = scenario.observe(lambda moments: subsets, 2)
    scenario.gateway.remove_data()
    fresh = {name: details["subsets"][name]["freshness"]["p99_us"] for name in ("before", "beside")}
    return {**scenario.found, "fresh_before_p99_us": fresh["before"], "fresh_beside_p99_us": fresh["beside"],
            "fresh_not_delivered": details["subsets"]["beside"]["not_delivered"]}


def measure_replay(bench):
    rounds = []
    for number in range(bench.rounds):
        rounds.append(of_round(bench, number))
        print(json.dumps(rounds[-1]), flush=True)
    return {"rounds": rounds, "fresh p99 s": statistics.median(each["fresh_beside_p99_us"] / 1e6 for each in rounds),
            "cancelled in s": statistics.median(each["cancelled_in_s"] for each in rounds)}
