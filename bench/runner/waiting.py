# SPDX-License-Identifier: Apache-2.0
"""What deliveries that wait cost: memory of each, and CPU of the events that pass them by. Half of
the clients reject each event with 422 and have up to a million deliveries that are not due for an
hour: the endpoint works, so each delivery waits for itself. The other half get a fixed rate. If
what is due is found in the same time whatever waits, CPU and freshness of their events do not
depend on the number that waits."""
import json
import time

from runner.gateway import Gateway
from runner.process import cost_per_event, wait_for
from runner.publishing import percentile
from runner.sink import Sink, sink_counts

ACCOUNTS = [f"acc_{number}" for number in range(32)]
FAILING, HEALTHY = ACCOUNTS[:16], ACCOUNTS[16:]
SIZES = (0, 10_000, 100_000, 1_000_000)
TINY = 1000  # by what sizes are divided
FILL_RATE, RATE = 8000, 500
QUIET_SECONDS, QUIET_REQUESTS_MAX = 2, 50  # so few requests in so much time: all have been tried
FRESHNESS = "penstock_freshness_seconds_bucket"


def freshness_buckets(gateway):
    """(upper bound in us, count) over all labels, as cumulative counts."""
    sums = {}
    for name, value in gateway.metrics().items():
        if name.startswith(FRESHNESS):
            bound = float(name.split('le="')[1].split('"')[0].replace("+Inf", "inf")) * 1e6
            sums[bound] = sums.get(bound, 0) + value
    return sorted(sums.items())


class Place:
    def __init__(self, bench):
        self.bench = bench
        directory = bench.place("waiting")
        self.sink = Sink(bench.build, directory,
                         {f"/{account}": "fail=100%:422" for account in FAILING}).start()
        self.gateway = Gateway(bench.gateway_build, directory,
                               {"delivery.retry_schedule": "[1h, 1h]"},
                               counter=bench.build / "bin/libcount_syncs.so").start()
        self.gateway.add_accounts(ACCOUNTS, [f"{self.sink.url}/{account}" for account in ACCOUNTS])

    def post(self, accounts, timetable):
        return self.bench.load(self.gateway.ingress, "--accounts", ",".join(accounts), "--api-key",
                               self.gateway.api_key, "--timetable", timetable, "--types",
                               "purchase=80,notification=20", "--connections", 16)

    def is_quiet(self):
        before = sink_counts(self.sink)["requests"]
        time.sleep(0.2 if self.bench.is_tiny else QUIET_SECONDS)
        return sink_counts(self.sink)["requests"] - before <= QUIET_REQUESTS_MAX

    def fill(self, size):
        missing = size - self.gateway.backlog()
        if missing > 0:
            rate = min(FILL_RATE, missing)
            self.post(FAILING, f"constant:{rate}:{missing / rate:.3f}s")
        wait_for(self.is_quiet, "each waiting event has been tried", 600)
        missing = size - self.gateway.backlog()
        if missing > 0:  # a timetable with a fraction of an event
            self.post(FAILING, f"constant:{missing}:1.1s")
        wait_for(lambda: self.gateway.backlog() >= size, f"{size} deliveries wait", 30)

    def measure(self, size):
        self.fill(size)
        seconds = 1 if self.bench.is_tiny else max(10, self.bench.seconds)
        idle = self.gateway.usage.cost()
        time.sleep(seconds / 2)
        rss, before = self.gateway.usage.rss_now(), self.gateway.usage.cost()
        buckets_before = freshness_buckets(self.gateway)
        found = self.post(HEALTHY, f"constant:{RATE}:{seconds}s")
        cost = cost_per_event(before, self.gateway.usage.cost(), found["accepted"])
        buckets = [(bound, count - earlier[1]) for (bound, count), earlier
                   in zip(freshness_buckets(self.gateway), buckets_before)]
        return {"waiting": self.gateway.backlog(), "rss_bytes": rss, **cost,
                "idle_cpu_us_per_s": (before["cpu_us"] - idle["cpu_us"]) / (seconds / 2),
                "freshness_p99_us": percentile(buckets, 99)}

    def end(self):
        self.gateway.end()
        self.sink.program.end()
        self.gateway.remove_data()


def measure_waiting(bench):
    place, steps = Place(bench), []
    try:
        for size in SIZES:
            steps.append(place.measure(size // (TINY if bench.is_tiny else 1)))
            print(json.dumps(steps[-1]), flush=True)
    finally:
        place.end()
    first, last = steps[0], steps[-1]
    return {"steps": steps, "bytes_per_delivery":
            (last["rss_bytes"] - first["rss_bytes"]) / max(1, last["waiting"] - first["waiting"])}
