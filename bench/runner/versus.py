# SPDX-License-Identifier: Apache-2.0
"""Two builds of the gateway in turn (A B, A B, ...): is one faster than the other? The tools are those of --build."""
import copy
import json
import statistics

from runner.ceilings import of_gateway
from runner.deliveries import Installation


def measure_versus(bench):
    other = copy.copy(bench)
    other.gateway_build = bench.against
    sides = {"this": bench, "other": other}
    places = {name: Installation(side, f"versus-{name}") for name, side in sides.items()}
    rounds = []
    try:
        for _ in range(bench.rounds):
            found = {name: {"accepted": of_gateway(side), "delivered": places[name].deliver()} for name, side in sides.items()}
            print(json.dumps({name: {what: round(each["rate"]) for what, each in both.items()} for name, both in found.items()}), flush=True)
            rounds.append(found)
    finally:
        for place in places.values():
            place.end()

    def ratio(what, key):
        return statistics.median(each["this"][what][key] / each["other"][what][key] for each in rounds)

    return {"against": str(bench.against), "rounds": rounds, **{f"{what}: {key}": ratio(what, key) for what in ("accepted", "delivered")
                                                                for key in ("rate", "cpu_us", "p99_us")}}
