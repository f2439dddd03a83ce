# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the system from outside, once a second while a run lasts: the backlog by state, CPU, memory, fsyncs, disk.
On a thread of its own, because a gateway that stands still answers nothing. What is not known is None, never 0."""
import os
import threading
import time

from runner.process import RunFailed

STEP_SECONDS = 1
ANSWER_SECONDS = 2  # a question that takes longer has no answer
SAMPLES_MAX = 100_000
ROWS = ("backlog_pending", "backlog_sending", "backlog_waiting", "backlog_parked", "backlog_dead", "broker_queue", "breakers_open",
        "cpu_gateway", "cpu_broker", "cpu_load", "cpu_sink", "rss_gateway", "rss_broker", "fsyncs_per_s", "disk_bytes")


class Sampler:
    def __init__(self, run):
        self.run = run
        self.samples = []  # (wall clock, {row: value})
        self._counted = {}
        self._stop = threading.Event()
        self._thread = None

    def start(self):
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end(self):
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _work(self):
        while not self._stop.wait(STEP_SECONDS) and len(self.samples) < SAMPLES_MAX:
            self.samples.append((time.time(), {row: value for each in (self._of_status, self._of_processes, self._of_broker)
                                               for row, value in each().items()}))

    def _of_status(self):
        if self.run.acts.is_silent():
            return {}
        try:
            return self.run.gateway.sample(ANSWER_SECONDS)
        except (OSError, RunFailed, ValueError):
            return {}

    def _rate(self, name, value):
        """Per second, since the sample before."""
        now = time.monotonic()
        before = self._counted.get(name)
        self._counted[name] = (now, value)
        if before is None or value is None or before[1] is None or value < before[1]:
            return None
        return (value - before[1]) / (now - before[0])

    def _of_processes(self):
        found = {"disk_bytes": bytes_below(self.run.gateway.data) if self.run.gateway.data else None, "fsyncs_per_s": self._rate("syncs", self.run.gateway.usage.syncs())}
        for usage in self.run.usages():
            usage.look()
            found[f"cpu_{usage.name}"] = self._rate(usage.name, usage.cpu_seconds())
            if usage.name in ("gateway", "broker"):
                found[f"rss_{usage.name}"] = usage.rss_now() or None
        return found

    def _of_broker(self):
        if not self.run.broker or self.run.acts.is_silent():
            return {}
        try:
            return {"broker_queue": self.run.broker.backlog()}
        except (OSError, RunFailed, ValueError, AssertionError):
            return {}

    def series(self, start, step, count):
        """{row: [value for each step]}, the last sample of each step. `start`: of the run, by the wall clock."""
        rows = {row: [None] * count for row in ROWS}
        for at, sample in self.samples:
            place = int((at - start) / step)
            if 0 <= place < count:
                for row, value in sample.items():
                    if value is not None:
                        rows[row][place] = value
        return rows


def bytes_below(directory):
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                pass  # it has just gone
    return total
