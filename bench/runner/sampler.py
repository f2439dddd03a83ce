# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the system from outside, once a second while a run lasts: the backlog by state, CPU, memory, fsyncs, disk.
On a thread of its own, because a gateway that stands still answers nothing. What is not known is None, never 0."""
import math
import os
import threading
import time

STEP_SECONDS = 1
ANSWER_SECONDS = 2  # a question that takes longer has no answer
SAMPLES_MAX = 100_000
FAILURES_NAMED_MAX = 5
ROWS = ("backlog_pending", "backlog_sending", "backlog_waiting", "backlog_parked", "backlog_dead", "broker_queue", "breakers_open",
        "cpu_gateway", "cpu_broker", "cpu_load", "cpu_sink", "rss_gateway", "rss_broker", "fsyncs_per_s", "disk_bytes")
RATES = ("cpu_gateway", "cpu_broker", "cpu_load", "cpu_sink", "fsyncs_per_s")  # of several samples in a step the mean, of others the maximum


class Sampler:
    def __init__(self, run):
        self.run = run
        self.samples = []  # (wall clock, {row: value})
        self.failed = 0    # parts of samples that have no answer, such as of a gateway that was killed
        self.failures = [] # the first of them, as texts
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
        """At times that are multiples of the step: a slow answer moves no later sample, and leaves out those that it has missed."""
        wall, began, tick = time.time(), time.monotonic(), 0
        while len(self.samples) < SAMPLES_MAX:
            tick = next_tick(time.monotonic() - began, tick)
            if self._stop.wait(max(0, began + tick * STEP_SECONDS - time.monotonic())):
                return
            self.samples.append((wall + tick * STEP_SECONDS, self._take()))

    def _take(self):
        found = {}
        for part in (self._of_status, self._of_processes, self._of_broker):
            try:
                found.update(part())
            except Exception as failure:  # pylint: disable=broad-except  # whatever it is, later samples are taken
                self.failed += 1
                if len(self.failures) < FAILURES_NAMED_MAX:
                    self.failures.append(f"{part.__name__[4:]}: {type(failure).__name__}: {failure}"[:200])
        return found

    def newest(self, row):
        """The last known value of a row; None without one."""
        return next((sample[row] for _, sample in reversed(self.samples[-3:]) if sample.get(row) is not None), None)

    def as_json(self):
        return {"samples": len(self.samples), "failed": self.failed, "failures": self.failures}

    def _of_status(self):
        return {} if self.run.acts.is_silent() else self.run.gateway.sample(ANSWER_SECONDS)

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
        return {"broker_queue": self.run.broker.backlog(ANSWER_SECONDS)}

    def series(self, start, step, count):
        """{row: [value for each step]}. `start`: of the run, by the wall clock."""
        found = {row: [[] for _ in range(count)] for row in ROWS}
        for at, sample in self.samples:
            place = math.floor((at - start) / step)
            if 0 <= place < count:
                for row, value in sample.items():
                    if value is not None:
                        found[row][place].append(value)
        return {row: [_of_step(row, values) for values in places] for row, places in found.items()}


def next_tick(passed, tick):
    """The first tick that is not over, `passed` seconds after the beginning: the one behind `tick`, or a later one."""
    return max(tick + 1, math.ceil(passed / STEP_SECONDS))


def _of_step(row, values):
    if not values:
        return None
    return sum(values) / len(values) if row in RATES else max(values)


def bytes_below(directory):
    total = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                pass  # it has just gone
    return total
