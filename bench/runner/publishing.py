# SPDX-License-Identifier: Apache-2.0
"""Publishing beside a bare h2o + librabbitmq loop: an ingress-only gateway and `penstock-ceiling publish`, in turn, with the same
broker, the same quorum queue and window, the same bodies, and the same consumer (`penstock-ceiling drain`, a process of its own).

The loop publishes bare bodies, and, as a third side, messages with such properties and headers as the gateway's have: what those cost is the
broker's part.

The gateway's leader is a process beside it that is asked for nothing while it is measured."""
import json
import re
import statistics

from runner.broker import Broker
from runner.ceilings import ACCOUNTS, BROKER_CONNECTIONS, BROKER_IN_FLIGHT, Ceiling, ratios, saturate
from runner.gateway import Gateway
from runner.process import RunFailed, Usage, wait_for

QUEUE = "penstock.deliver.1.0"  # the gateway's own name for its one partition: both use it
WINDOW = 4096  # of each thread, on both sides
THREADS = 2  # of each server
RATE = 2000
CONFIRMS = "penstock_broker_confirm_seconds_bucket"


class Side:
    """One of the two servers, and what it costs the broker."""

    def __init__(self, bench, broker_usage, url, usage, more, confirms=lambda: []):
        self.bench, self.broker_usage = bench, broker_usage
        self.url, self.usage, self.more = url, usage, more
        self.confirms = confirms  # the buckets of a histogram

    def measure(self):
        """As many as it takes, then a fixed rate: its latencies are not those of a full queue."""
        self.usage.look()
        self.broker_usage.look()
        before = self.broker_usage.cpu_seconds()
        found = saturate(self.bench, self.url, self.usage, *self.more, in_flight=BROKER_IN_FLIGHT, connections=BROKER_CONNECTIONS)
        self.broker_usage.look()
        found["broker_cpu_us"] = (self.broker_usage.cpu_seconds() - before) * 1e6 / max(1, found["answered"])
        confirms_before = self.confirms()
        paced = self.bench.load(self.url, "--accounts", f"acc_%d*{len(ACCOUNTS)}", "--timetable", f"constant:{RATE // 10 if self.bench.is_tiny else RATE}:{self.bench.seconds}s",
                                "--warm-up", f"{self.bench.warm_up_ms}ms", *self.more)
        if set(paced["statuses"]) != {"200"}:
            raise RunFailed(f"{self.usage.name} did not answer everything with 200: {paced['statuses']}")
        confirms = [(bound, count - before[1]) for (bound, count), before in zip(self.confirms(), confirms_before)]
        if confirms:
            if confirms[-1][1] == 0:
                raise RunFailed("the broker confirmed nothing")
            found["paced_confirm_p99_us"] = percentile(confirms, 99)
        return {**found, "paced_p50_us": paced["answers"]["p50_us"], "paced_p99_us": paced["answers"]["p99_us"]}


def broker_arguments(broker):
    return ["--broker", broker.address, "--queue-name", QUEUE, "--max-length", 0]


def of_loop(bench, broker, broker_usage, message):
    with Ceiling(bench, "publish", *broker_arguments(broker), "--window", WINDOW, "--threads", THREADS, "--message", message) as bare:
        return Side(bench, broker_usage, bare.url, bare.usage, []).measure()


def percentile(buckets, percent):
    """Of a cumulative Prometheus histogram, in microseconds: a straight line within a bucket."""
    wanted, below, from_us = percent / 100 * buckets[-1][1], 0, 0
    for to_us, count in buckets:
        if count >= wanted:
            return from_us if to_us == float("inf") else from_us + (to_us - from_us) * (wanted - below) / max(1, count - below)
        from_us, below = to_us, count
    return from_us


def confirm_buckets(gateway):
    rows = [(re.fullmatch(rf'{CONFIRMS}{{le="(.*)"}}', name), value) for name, value in gateway.metrics().items()]
    return [(float(match[1].replace("+Inf", "inf")) * 1e6, value) for match, value in rows if match]


class Installation:
    """The leader, which keeps running, and the ingress-only gateway, which is started for each round."""

    def __init__(self, bench, broker):
        self.bench = bench
        place = bench.place("publishing")
        self.leader = Gateway(bench.gateway_build, place, {"data.partitions": 1, "data.shards": 1}, name="leader").start().hold_deliveries()
        self.leader.add_accounts(ACCOUNTS, ["http://127.0.0.1:9/nobody"] * len(ACCOUNTS))
        self.gateway = Gateway(bench.gateway_build, place, {
            "roles": "[ingress]", "queue.kind": "rabbitmq", "broker.addresses": f'["{broker.address}"]', "broker.window": WINDOW,
            "ingress.threads": THREADS, "leader.url": f"http://{self.leader.admin}",
            "leader.token_file": str(self.leader.data / "keys/admin.token")})

    def of_gateway(self, broker_usage):
        gateway = self.gateway.start()
        try:
            wait_for(lambda: gateway.metrics()["penstock_broker_publishers_open"] == THREADS, "the gateway publishes", 30)
            wait_for(lambda: gateway.ask("GET", f"/api/v1/accounts/{ACCOUNTS[-1]}/endpoints", raw=True)[0] == 200, "it knows the accounts", 30)
            found = Side(self.bench, broker_usage, gateway.ingress, gateway.usage, ["--api-key", self.leader.api_key],
                         lambda: confirm_buckets(gateway)).measure()
            direct = gateway.metrics()["penstock_broker_direct_total"]
        finally:
            code = gateway.end()
        if code != 0:
            raise RunFailed(f"the gateway ended with {code}: {gateway.program.errors()}")
        return {**found, "direct": direct}

    def end(self):
        self.gateway.end()
        self.leader.end()
        self.gateway.remove_data()
        self.leader.remove_data()


def measure_publishing(bench):
    rounds = []
    with Broker(bench.place("publishing-broker")) as broker:
        usage = Usage("broker")
        for pid in broker.pids():
            usage.follow(pid)
        place = Installation(bench, broker)
        sides = [("publish", lambda: of_loop(bench, broker, usage, "bare")), ("publish_event", lambda: of_loop(bench, broker, usage, "event")),
                 ("gateway", lambda: place.of_gateway(usage))]
        try:
            for number in range(bench.rounds):
                with Ceiling(bench, "drain", *broker_arguments(broker), "--threads", 1):
                    turn = sides[number % len(sides):] + sides[:number % len(sides)]  # who comes first finds the youngest broker
                    found = {name: measure() for name, measure in turn}
                print(json.dumps({name: round(each["rate"]) for name, each in found.items()}), flush=True)
                rounds.append(found)
        finally:
            place.end()

    def middle(ratio):
        return statistics.median(ratio(each) for each in rounds)

    return {"rounds": rounds, "gateway/publish": ratios(rounds, "gateway", "publish"),
            "gateway/publish_event": ratios(rounds, "gateway", "publish_event"),
            "p99 at 2000/s": middle(lambda each: each["gateway"]["paced_p99_us"] / each["publish"]["paced_p99_us"]),
            "p99 at 2000/s, to the confirms": middle(lambda each: each["gateway"]["paced_p99_us"] / each["gateway"]["paced_confirm_p99_us"]),
            "cpu of gateway/broker": middle(lambda each: each["gateway"]["cpu_us"] / each["gateway"]["broker_cpu_us"])}
