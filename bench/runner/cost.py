# SPDX-License-Identifier: Apache-2.0
"""What an event costs at an ordinary rate, when hardly two events share a commit: CPU, fsyncs and
writes of the gateway for each accepted event. With --against DIR the other build in turn."""
import json
import statistics

from runner.outages import sides
from runner.plan import load_plan
from runner.scenario import Scenario

RATE, SECONDS = 1000, 30
KEYS = ("cpu_us", "syncs", "writes", "answer_p99_us", "freshness_p99_us")


def of_build(bench, build, name):
    timetable = "constant:100:2s" if bench.is_tiny else f"constant:{RATE}:{SECONDS}s"
    plan = load_plan("sustained", changes=[f"load.timetable={timetable}"])
    scenario = Scenario(plan, bench.build, bench.place(f"cost-{name}"), gateway_build=build)
    _, _, details = scenario.run()
    scenario.gateway.remove_data()
    return {**scenario.cost, "answer_p99_us": details["answers"]["first_answers"]["p99_us"],
            "freshness_p99_us": details["arrivals"]["freshness"]["p99_us"]}


def measure_cost(bench):
    rounds = []
    for _ in range(bench.rounds):
        rounds.append({name: of_build(bench, build, name) for name, build in sides(bench).items()})
        print(json.dumps(rounds[-1]), flush=True)

    def middle(value):
        return statistics.median(value(each) for each in rounds)

    found = {"rounds": rounds, "rate": RATE}
    for side in rounds[0]:
        found[side] = {key: middle(lambda each, of=side, of_key=key: each[of][of_key])
                       for key in KEYS if key in rounds[0][side]}
    if bench.against:
        found["ratios"] = {
            key: middle(lambda each, of=key: each["this"][of] / max(1e-9, each["other"][of]))
            for key in KEYS if key in rounds[0]["this"] and key in rounds[0]["other"]}
    return found
