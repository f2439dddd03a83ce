# SPDX-License-Identifier: Apache-2.0
"""The gateway's acceptance beside what the machine could do at best: the same bodies from the same generator, as many as it can take."""
import json
import pathlib
import statistics

from runner.broker import Broker
from runner.gateway import Gateway
from runner.process import Program, RunFailed, Usage, read_json, wait_for

ACCOUNTS = [f"acc_{number}" for number in range(16)]
IN_FLIGHT = 512
# A broker needs a deep window (its fsyncs are batched); connections hold 100 streams each.
BROKER_IN_FLIGHT, BROKER_CONNECTIONS = 1600, 16


class Ceiling:
    def __init__(self, bench, kind, *arguments, name=None):
        self.directory = bench.directory / "ceiling"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.usage = Usage(name or kind)
        self.ready = self.directory / f"{self.usage.name}.ready"
        self.ready.unlink(missing_ok=True)
        self.program = Program(self.usage, self.directory,
                               [bench.build / "bin/penstock-ceiling", kind, "--ready-file", self.ready, *arguments])
        self.url = None

    def __enter__(self):
        self.program.start()
        self.url = wait_for(lambda: read_json(self.ready), f"{self.usage.name} is ready", 15, self.program.process)["url"]
        return self

    def __exit__(self, *_):
        code = self.program.end()
        if code != 0:
            raise RunFailed(f"{self.usage.name} ended with {code}: {self.program.errors()}")


def saturate(bench, url, usage, *arguments, in_flight=IN_FLIGHT, connections=8):
    """200s per second, and the server's CPU microseconds for each."""
    before = usage.cpu_seconds()
    found = bench.load(url, "--accounts", f"acc_%d*{len(ACCOUNTS)}", "--timetable", f"closed:{in_flight}:{bench.seconds}s", "--warm-up",
                       f"{bench.warm_up_ms}ms", "--connections", connections, *arguments)
    usage.look()
    events = found["statuses"].get("200", 0)
    if events < 0.999 * sum(found["statuses"].values()) or found["ends"]["broken"] + found["ends"]["timed_out"] > 0:
        raise RunFailed(f"{usage.name} did not answer everything with 200: {found['statuses']}, {found['ends']}")
    return {"rate": found["rate_ok"], "answered": events, "cpu_us": (usage.cpu_seconds() - before) * 1e6 / max(1, events), "p50_us": found["answers"]["p50_us"],
            "p99_us": found["answers"]["p99_us"], "generator_cpu_us": found["cpu_seconds"] * 1e6 / max(1, found["events"]),
            "bottleneck": found["bottleneck"], "reconnects": found["reconnects"]}


def of_ceiling(bench, kind, *arguments, name=None, **load):
    with Ceiling(bench, kind, *arguments, name=name) as ceiling:
        ceiling.usage.look()
        return saturate(bench, ceiling.url, ceiling.usage, **load)


def of_gateway(bench, options=None, url=None, *arguments, **load):
    """`url`: where the generator posts, when it is not the address in cleartext."""
    gateway = Gateway(bench.gateway_build, bench.place("gateway"), options).start()
    try:
        gateway.hold_deliveries()
        gateway.add_accounts(ACCOUNTS, ["http://127.0.0.1:9/nobody"] * len(ACCOUNTS))
        gateway.usage.look()
        syncs = gateway.usage.syncs()
        found = saturate(bench, url or gateway.ingress, gateway.usage, "--api-key", gateway.api_key, *arguments, **load)
        found["handshakes"] = sum(value for name, value in gateway.metrics().items() if name.startswith("penstock_tls_handshakes_total{"))
        if syncs is not None:
            found["syncs"] = gateway.usage.syncs() - syncs
    finally:
        code = gateway.end()
        gateway.remove_data()
    if code != 0:
        raise RunFailed(f"the gateway ended with {code}: {gateway.program.errors()}")
    return found


def of_commit(bench, writers):
    data = bench.place("commit-data")
    found = of_ceiling(bench, "commit", "--data", data, "--writers", writers, name=f"commit{writers}")
    bench.place("commit-data")
    return found


def ratios(rounds, of, to):
    """Of the rates, and of the CPU that the servers took: the first is what was achieved with the generator on the same cores, the
    second what it would come to if the generator cost nothing."""
    found = [each[of]["rate"] / each[to]["rate"] for each in rounds]
    cpu = [each[to]["cpu_us"] / each[of]["cpu_us"] for each in rounds]
    return {"median": statistics.median(found), "least": min(found), "most": max(found), "cpu": statistics.median(cpu)}


def measure_ceilings(bench):
    rounds = []
    for _ in range(bench.rounds):
        found = {"echo": of_ceiling(bench, "echo"), "gateway": of_gateway(bench), "commit": of_commit(bench, 1),
                 "commit_two_files": of_commit(bench, 2)}
        print(json.dumps({name: round(each["rate"]) for name, each in found.items()}), flush=True)
        rounds.append(found)
    return {"rounds": rounds, "gateway/echo": ratios(rounds, "gateway", "echo"), "gateway/commit": ratios(rounds, "gateway", "commit"),
            "gateway/commit_two_files": ratios(rounds, "gateway", "commit_two_files")}


def measure_broker(bench):
    load = {"in_flight": BROKER_IN_FLIGHT, "connections": BROKER_CONNECTIONS}
    rounds = []
    with Broker(bench.place("broker")) as broker:
        usage = Usage("broker")
        for pid in broker.pids():
            usage.follow(pid)
        for number in range(bench.rounds):
            found = {"echo": of_ceiling(bench, "echo", **load)}
            for kind in ("publish", "consume"):
                usage.look()
                before = usage.cpu_seconds()
                arguments = ["--broker", f"127.0.0.1:{broker.port}", "--queue-name", f"penstock.ceiling.{kind}.{number}"]
                found[kind] = of_ceiling(bench, kind, *arguments, **load)
                usage.look()
                found[kind]["broker_cpu_us"] = (usage.cpu_seconds() - before) * 1e6 / max(1, found[kind]["answered"])
            found["gateway"] = of_gateway(bench, **load)
            print(json.dumps({name: round(each["rate"]) for name, each in found.items()}), flush=True)
            rounds.append(found)
    return {"rounds": rounds, "gateway/publish": ratios(rounds, "gateway", "publish"),
            "gateway/consume": ratios(rounds, "gateway", "consume"), "broker_peak_rss_bytes": usage.peak_rss}
