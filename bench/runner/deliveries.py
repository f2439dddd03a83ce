# SPDX-License-Identifier: Apache-2.0
"""From the partner to the client: delivered events per second, the same with old keys in the dedupe store, and a backlog of a million."""
import json
import statistics
import threading
import time

from runner.ceilings import ACCOUNTS
from runner.gateway import Gateway
from runner.process import RunFailed, wait_for
from runner.sink import Sink, sink_counts

IN_FLIGHT = 256
OLDER_KEYS = {"empty": 0, "1M": 1_000_000, "10M": 10_000_000}
TINY = 1000  # by what sizes are divided
BACKLOG = 1_000_000


class Installation:
    """A gateway with its sink, kept over the rounds: each round continues with the same journals."""

    def __init__(self, bench, name, older_keys=0, options=None):
        self.bench = bench
        self.directory = bench.place(name)
        self.sink = Sink(bench.build, self.directory, {}).start()
        self.gateway = Gateway(bench.gateway_build, self.directory, options, counter=bench.build / "bin/libcount_syncs.so").start()
        self.gateway.add_accounts(ACCOUNTS, [f"{self.sink.url}/{account}" for account in ACCOUNTS])
        self.gateway.end()
        if older_keys:
            self.gateway.fill(keys=older_keys)

    def deliver(self, meanwhile=None):
        """One round: delivered events per second while as many are posted as it takes, and CPU for each. `meanwhile` is called on a
        thread of its own at the start, and its result is part of the round's."""
        self.gateway.start()
        self.gateway.usage.look()
        cpu = self.gateway.usage.cpu_seconds()
        seconds = self.bench.seconds
        marks, extra = [], []
        helper = threading.Thread(target=lambda: extra.append(meanwhile()))
        if meanwhile:
            helper.start()

        def mark():
            time.sleep(self.bench.warm_up_ms / 1000)
            marks.append((time.monotonic(), sink_counts(self.sink)["answered"]))
            time.sleep(seconds - self.bench.warm_up_ms / 1000)
            marks.append((time.monotonic(), sink_counts(self.sink)["answered"]))

        before = sink_counts(self.sink)["answered"]
        marker = threading.Thread(target=mark)
        marker.start()
        found = self.bench.load(self.gateway.ingress, "--accounts", f"acc_%d*{len(ACCOUNTS)}", "--api-key", self.gateway.api_key,
                                "--timetable", f"closed:{IN_FLIGHT}:{seconds}s", "--warm-up", f"{self.bench.warm_up_ms}ms", "--types",
                                "purchase=80,notification=20")
        marker.join()
        if meanwhile:
            helper.join()
        if meanwhile and not extra:
            raise RunFailed("what was to be done meanwhile failed: see above")
        wait_for(lambda: self.gateway.backlog() == 0, "everything is delivered", 120)
        self.gateway.usage.look()
        delivered = sink_counts(self.sink)["answered"] - before
        cpu = self.gateway.usage.cpu_seconds() - cpu
        self.sink.usage.look()
        code = self.gateway.end()
        if code != 0:
            raise RunFailed(f"the gateway ended with {code}: {self.gateway.program.errors()}")
        return {"rate": (marks[1][1] - marks[0][1]) / (marks[1][0] - marks[0][0]), "accepted_rate": found["rate_ok"],
                "cpu_us": cpu * 1e6 / max(1, delivered), "p50_us": found["answers"]["p50_us"], "p99_us": found["answers"]["p99_us"],
                "delivered": delivered, **({"meanwhile": extra[0]} if extra else {})}

    def end(self):
        self.gateway.end()
        self.sink.program.end()
        self.gateway.remove_data()


def measure_delivered(bench):
    installations = {name: Installation(bench, f"delivered-{name}", keys // (TINY if bench.is_tiny else 1)) for name, keys in OLDER_KEYS.items()}
    rounds = []
    try:
        for _ in range(bench.rounds):
            found = {name: installation.deliver() for name, installation in installations.items()}
            print(json.dumps({name: round(each["rate"]) for name, each in found.items()}), flush=True)
            rounds.append(found)
    finally:
        for installation in installations.values():
            installation.end()
    return {"rounds": rounds, **{f"{name}/empty": statistics.median(each[name]["rate"] / each["empty"]["rate"] for each in rounds)
                                 for name in OLDER_KEYS if name != "empty"}}


def measure_backlog(bench):
    """All clients hang: a million events wait. Then they come back."""
    # Hanging clients are given up after 30 s; --tiny does not wait so long.
    place = Installation(bench, "backlog", options={"delivery.answer_timeout": "1s"} if bench.is_tiny else None)
    wanted = BACKLOG // (TINY if bench.is_tiny else 1)
    gateway, sink = place.gateway, place.sink
    try:
        gateway.start()
        time.sleep(0.1 if bench.is_tiny else 3)
        idle = gateway.usage.rss_now()
        for account in ACCOUNTS:
            sink.behave(f"/{account}", "hang=100%")
        started = time.monotonic()
        bench.load(gateway.ingress, "--accounts", f"acc_%d*{len(ACCOUNTS)}", "--api-key", gateway.api_key, "--timetable",
                   f"constant:{min(10000, wanted)}:{wanted // 10000 + 1}s", "--types", "purchase=80,notification=20", "--connections", 16)
        filled = time.monotonic() - started
        backlog = gateway.backlog()
        if backlog < wanted:
            raise RunFailed(f"only {backlog} events are waiting, not {wanted}")
        full = gateway.usage.rss_now()
        print(json.dumps({"idle": idle, "backlog": backlog, "rss": full}), flush=True)
        for account in ACCOUNTS:
            sink.behave(f"/{account}", "status=200")
        started = time.monotonic()
        wait_for(lambda: gateway.backlog() == 0, "the backlog is delivered", 600)
        drained = time.monotonic() - started
        gateway.usage.look()
        return {"idle_rss_bytes": idle, "backlog": backlog, "backlog_rss_bytes": full, "bytes_per_delivery": (full - idle) / backlog, "peak_rss_bytes": gateway.usage.peak_rss,
                "filled_in_seconds": filled, "drained_in_seconds": drained}
    finally:
        place.end()
