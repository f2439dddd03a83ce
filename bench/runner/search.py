# SPDX-License-Identifier: Apache-2.0
"""What the questions of an operator take with many events in the journals (--events): each kind is asked in turn, by one client. Then
20 questions a second beside 2000 events a second, in turn with 2000 events a second alone."""
import http.client
import itertools
import json
import os
import random
import statistics
import threading
import time
import urllib.parse

from runner.ceilings import ACCOUNTS
from runner.gateway import Gateway
from runner.process import RunFailed

RATE, QUESTIONS = 2000, 20  # a second
RARE, RARE_EVERY, DEAD_EVERY = "acc_rare", 50000, 10000  # among the events that penstock-fill writes
PAGES_MAX = 50  # of one list


class Operator:
    """One connection to the admin listener, kept open."""

    def __init__(self, gateway):
        self.connection = http.client.HTTPConnection(gateway.admin, timeout=30)
        self.headers = {"authorization": f"Bearer {gateway.token}"}

    def ask(self, path, **parameters):
        """The answer, and how many milliseconds it took."""
        began = time.perf_counter()
        self.connection.request("GET", f"{path}?{urllib.parse.urlencode(parameters)}", headers=self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise RunFailed(f"GET {path} {parameters} answered {answer.status}: {text[:300]}")
        return json.loads(text), took

    def pages(self, path, **parameters):
        """How long each page of a list took, and how many items there were."""
        times, items = [], 0
        for _ in range(PAGES_MAX):
            page, took = self.ask(path, **parameters)
            times.append(took)
            items += len(next(value for value in page.values() if isinstance(value, list)))
            if not page["next"]:
                break
            parameters["cursor"] = page["next"]
        return times, items


def a_key(events_of_shard, shards):
    return f"event-{random.randrange(shards)}-{random.randrange(events_of_shard)}"


def of_times(times, **more):
    times = sorted(times)
    return {"count": len(times), "p50_ms": statistics.median(times), "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)],
            "most_ms": times[-1], **more}


def ask_all(operator, count, events_of_shard, shards):
    found = {}

    def repeat(name, ask):
        found[name] = of_times([ask() for _ in range(count)])

    def find(key, expected):
        """To the last page: a busy machine needs several of them."""
        times, items = operator.pages("/api/v1/events", key=key)
        if items != expected:
            raise RunFailed(f"{key}: {items} events were found on {len(times)} pages, and not {expected}")
        return sum(times)

    repeat("find a key", lambda: find(a_key(events_of_shard, shards), 1))
    repeat("find a key that no event has", lambda: find(f"no-{random.random()}", 0))
    repeat("newest events", lambda: operator.ask("/api/v1/events")[1])
    repeat("dead deliveries", lambda: operator.ask("/api/v1/deliveries", state="dead")[1])
    repeat("status", lambda: operator.ask("/api/v1/status")[1])
    for name, path, parameters in (("events of a rare account", "/api/v1/events", {"account": RARE}),
                                   ("events by state", "/api/v1/events", {"state": "dead"}),
                                   ("events by amount", "/api/v1/events", {"amount": "1.23"}),
                                   ("deliveries of a rare account", "/api/v1/deliveries", {"account": RARE}),
                                   ("dead deliveries by cause", "/api/v1/deliveries", {"state": "dead", "cause": "connect-refused"})):
        times, items = operator.pages(path, **parameters)
        found[f"pages: {name}"] = of_times(times, items=items)
    return found


def post(bench, gateway):
    return bench.load(gateway.ingress, "--api-key", gateway.api_key, "--accounts", ACCOUNTS[0], "--timetable", f"constant:{RATE}:{bench.seconds}s",
                      "--warm-up", f"{bench.warm_up_ms}ms", "--connections", 16)


def ask_beside(operator, stop, events_of_shard, shards, times):
    """20 questions a second: keys, lists and status in turn."""
    kinds = itertools.cycle([("/api/v1/events", {"key": None}), ("/api/v1/events", {"account": RARE}), ("/api/v1/deliveries", {"state": "dead"}),
                             ("/api/v1/status", {})])
    for number in itertools.count():
        path, parameters = next(kinds)
        if "key" in parameters:
            parameters = {"key": a_key(events_of_shard, shards)}
        times.append(operator.ask(path, **parameters)[1])
        due = number / QUESTIONS - (time.perf_counter() - stop.began)
        if stop.event.wait(max(due, 0)):
            return


class Stop:
    def __init__(self):
        self.event, self.began = threading.Event(), time.perf_counter()


def of_round(bench, gateway, events_of_shard, shards):
    alone = post(bench, gateway)
    stop, times = Stop(), []
    asker = threading.Thread(target=ask_beside, args=(Operator(gateway), stop, events_of_shard, shards, times))
    asker.start()
    try:
        beside = post(bench, gateway)
    finally:
        stop.event.set()
        asker.join()
    return {"alone_p99_us": alone["answers"]["p99_us"], "beside_p99_us": beside["answers"]["p99_us"], "questions": of_times(times)}


def measure_search(bench):
    events = 2000 if bench.is_tiny else bench.events
    gateway = Gateway(bench.gateway_build, bench.place("search"), {"ingress.partner_events_per_second": 100000}).start()
    try:
        gateway.add_accounts(ACCOUNTS, ["http://127.0.0.1:9/nobody"] * len(ACCOUNTS))
        shards = len(list(gateway.data.glob("journal-*.db")))
        gateway.end()
        gateway.fill(events=events, rare_every=RARE_EVERY, dead_every=DEAD_EVERY)
        gateway.start()
        found = {"events": events, "shards": shards, "load average": os.getloadavg()[0],
                 "questions": ask_all(Operator(gateway), 20 if bench.is_tiny else 300, events // shards, shards), "rounds": []}
        for _ in range(bench.rounds):
            found["rounds"].append(of_round(bench, gateway, events // shards, shards))
            print(json.dumps(found["rounds"][-1]), flush=True)
        found["p99 of answers"] = statistics.median(each["beside_p99_us"] / each["alone_p99_us"] for each in found["rounds"])
    finally:
        gateway.end()
        gateway.remove_data()
    return found
