# SPDX-License-Identifier: Apache-2.0
"""Through a broker: a long peak, and a backlog in its queues.

peak    The plan `peak-broker:long`, as often as there are rounds: all of them must reach the level.
queues  The gateway that delivers is stopped. A second one, which only takes events, fills the
        queues. Then the first one starts again, while events continue to arrive at a fixed rate:
        how fast the backlog is delivered, and how fresh events are behind it."""
import json
import subprocess

from runner.broker import Broker
from runner.ceilings import ACCOUNTS
from runner.gateway import Gateway
from runner.plan import load_plan
from runner.process import Program, RunFailed, Usage, wait_for
from runner.scenario import Scenario, first_due_seconds
from runner.sink import Sink

BACKLOG, TINY_BACKLOG = 200_000, 500
FILL_RATE, RATE, FRESH_SECONDS = 4000, 500, 60
TYPES = "purchase=80,notification=20"


def measure_peak(bench):
    rounds = []
    for _ in range(bench.rounds):
        plan = load_plan("peak-broker:long")
        if bench.is_tiny:
            plan.load = {**plan.load, "timetable": "constant:100:2s"}
        scenario = Scenario(plan, bench.build, bench.place("peak"))
        _, _, details = scenario.run()
        scenario.gateway.remove_data()
        rounds.append({"verdict": details["verdict"], "cost": scenario.cost,
                       "freshness_p99_us": details["arrivals"]["freshness"]["p99_us"],
                       "answer_p99_us": details["answers"]["first_answers"]["p99_us"]})
        print(json.dumps(rounds[-1]), flush=True)
    return {"rounds": rounds, "title": load_plan("peak-broker:long").title}


class Queues:
    """A leader that delivers, a follower that only takes events, and the broker between them."""

    def __init__(self, bench, broker):
        self.bench, self.broker = bench, broker
        self.directory = bench.place("queues")
        self.sink = Sink(bench.build, self.directory, {}).start()
        common = {"queue.kind": "rabbitmq", "broker.addresses": f'["{broker.address}"]'}
        self.leader = Gateway(bench.gateway_build, self.directory, common, name="leader").start()
        self.leader.add_accounts(ACCOUNTS, [f"{self.sink.url}/{account}" for account in ACCOUNTS])
        wait_for(lambda: self.leader.metrics().get("penstock_broker_channels_consuming", 0) > 0,
                 "the leader consumes", 60)
        self.follower = Gateway(bench.gateway_build, self.directory, {
            **common, "roles": "[ingress]", "leader.url": f"http://{self.leader.admin}",
            "leader.token_file": str(self.leader.data / "keys/admin.token")},
            name="follower").start()
        wait_for(lambda: self.follower.metrics().get("penstock_broker_publishers_open", 0) > 0,
                 "the follower publishes", 60)
        wait_for(lambda: self.follower.ask(
            "GET", f"/api/v1/accounts/{ACCOUNTS[-1]}/endpoints", raw=True)[0] == 200,
            "the follower has the accounts", 60)

    def post(self, name, timetable):
        """The generator, started."""
        usage = Usage(f"load-{name}")
        return Program(usage, self.directory, [
            self.bench.build / "bin/penstock-load", "--url", self.follower.ingress, "--api-key",
            self.leader.api_key, "--accounts", f"acc_%d*{len(ACCOUNTS)}", "--timetable", timetable,
            "--types", TYPES, "--run", name, "--log", self.log(name), "--json"]).start()

    def log(self, name):
        return self.directory / f"{name}.log"

    def finish(self, program):
        code = program.process.wait()
        if code != 0:
            raise RunFailed(f"the generator ended with {code}: {program.errors()}")

    def held(self):
        return sum(count or 0 for count in self.broker.messages().values())

    def fill(self, size):
        if self.leader.end() != 0:
            raise RunFailed(f"the leader ended with an error: {self.leader.program.errors()}")
        rate = min(FILL_RATE, size)
        self.finish(self.post("backlog", f"constant:{rate}:{size / rate:.3f}s"))
        if self.held() < size:
            raise RunFailed(f"the broker holds {self.held()} events, not {size}")

    def drain(self, seconds):
        fresh = self.post("fresh", f"constant:{RATE}:{seconds}s")
        self.leader.start()
        self.finish(fresh)
        wait_for(lambda: self.held() == 0 and self.leader.backlog() == 0, "all is delivered", 600)

    def figures(self):
        """The verdict's, with three subsets: the backlog, what was accepted from the restart on,
        and of that what was accepted when the backlog had been delivered."""
        start = first_due_seconds([self.log("backlog")])
        fresh = first_due_seconds([self.log("fresh")]) - start - 0.05
        subsets = [f"backlog accepted=..{fresh:.3f}s", f"fresh accepted={fresh:.3f}s.."]
        last_us = self.verdict(subsets)["subsets"]["backlog"]["last_delivered_us"] or 0
        return self.verdict([*subsets, f"after accepted={last_us}us.."])

    def verdict(self, subsets):
        command = [self.bench.build / "bin/penstock-verdict", "--json", "--sink", self.sink.log,
                   "--data", self.leader.data, "--load", self.log("backlog"), "--load",
                   self.log("fresh")]
        for subset in subsets:
            command += ["--subset", subset]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise RunFailed(f"the verdict could not be found: {done.stderr}")
        return json.loads(done.stdout)

    def end(self):
        codes = [gateway.end() for gateway in (self.follower, self.leader)]
        self.sink.program.end()
        return codes

    def remove(self):
        for gateway in (self.follower, self.leader):
            gateway.remove_data()


def of_round(bench, broker):
    place = Queues(bench, broker)
    try:
        place.fill(TINY_BACKLOG if bench.is_tiny else BACKLOG)
        place.drain(2 if bench.is_tiny else FRESH_SECONDS)
    finally:
        codes = place.end()
    if any(code != 0 for code in codes):
        raise RunFailed(f"the gateways ended with {codes}")
    details = place.figures()
    place.remove()
    backlog, fresh = details["subsets"]["backlog"], details["subsets"]["fresh"]
    took = (backlog["last_delivered_us"] - backlog["first_delivered_us"]) / 1e6
    return {"verdict": details["verdict"], "reasons": details["reasons"],
            "backlog": backlog["events"], "not_delivered": backlog["not_delivered"],
            "drained_in_seconds": took, "rate": backlog["delivered"] / max(1e-9, took),
            "fresh_p50_us": fresh["freshness"]["p50_us"],
            "fresh_p99_us": fresh["freshness"]["p99_us"],
            "after_p99_us": details["subsets"]["after"]["freshness"]["p99_us"]}


def measure_queues(bench):
    rounds = []
    for _ in range(bench.rounds):
        with Broker(bench.place("queues-broker")) as broker:  # it remembers whose journal it serves
            rounds.append(of_round(bench, broker))
        print(json.dumps(rounds[-1]), flush=True)
    return {"rounds": rounds}
