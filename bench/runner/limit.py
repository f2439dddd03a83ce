# SPDX-License-Identifier: Apache-2.0
"""A partner that posts ten times its limit: how much of it is accepted, and what a neighbour with few
events notices. The neighbour posts alone first, and then beside that partner."""
import json
import statistics
from concurrent.futures import ThreadPoolExecutor

from runner.ceilings import ACCOUNTS
from runner.gateway import Gateway
from runner.process import RunFailed

LIMIT, TIMES, NEIGHBOUR = 200, 10, 100  # events per second, and how often the limit
NEIGHBOUR_ID = "partner_neighbour"


def post(bench, gateway, key, rate, account):
    return bench.load(gateway.ingress, "--api-key", key, "--accounts", account, "--timetable",
                      f"constant:{rate}:{bench.seconds}s", "--warm-up", f"{bench.warm_up_ms}ms",
                      "--connections", 8, "--resends", 0)


def add_neighbour(gateway, account):
    gateway.ask("POST", "/api/v1/partners", {"id": NEIGHBOUR_ID})
    gateway.ask("POST", f"/api/v1/partners/{NEIGHBOUR_ID}/accounts", {"account": account})
    return gateway.ask("POST", f"/api/v1/partners/{NEIGHBOUR_ID}/keys")["api_key"]


def of_round(bench):
    options = {"ingress.partner_events_per_second": LIMIT,
               "ingress.partner_events_burst": LIMIT}
    gateway = Gateway(bench.gateway_build, bench.place("limit"), options).start()
    try:
        gateway.hold_deliveries()
        gateway.add_accounts(ACCOUNTS, ["http://127.0.0.1:9/nobody"] * len(ACCOUNTS))
        key = add_neighbour(gateway, ACCOUNTS[1])
        alone = post(bench, gateway, key, NEIGHBOUR, ACCOUNTS[1])
        with ThreadPoolExecutor(1) as thread:
            greedy = thread.submit(post, bench, gateway, gateway.api_key, LIMIT * TIMES, ACCOUNTS[0])
            beside = post(bench, gateway, key, NEIGHBOUR, ACCOUNTS[1])
            greedy = greedy.result()
    finally:
        gateway.end()
        gateway.remove_data()
    for found in (alone, beside):
        if set(found["statuses"]) != {"200"}:
            raise RunFailed(f"the neighbour was refused: {found['statuses']}")
    return {"posted": greedy["rate_ok"] + greedy["statuses"].get("429", 0) / bench.seconds,
            "accepted": greedy["rate_ok"], "limit": LIMIT, "statuses": greedy["statuses"],
            "alone_p99_us": alone["answers"]["p99_us"],
            "beside_p99_us": beside["answers"]["p99_us"]}


def measure_limit(bench):
    rounds = []
    for _ in range(bench.rounds):
        rounds.append(of_round(bench))
        print(json.dumps(rounds[-1]), flush=True)
    return {"rounds": rounds,
            "p99 of the neighbour": statistics.median(each["beside_p99_us"] / each["alone_p99_us"]
                                                      for each in rounds)}
