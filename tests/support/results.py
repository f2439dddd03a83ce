#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Results of runs that never took place, for the tests of the report. The same arguments give the same result.

`spike()` is a run in which everything passes but is not boring: a fault, a switch and a backlog. `failing()` misses levels, and has long
and hostile texts. `empty()` has every member, and nothing in it. By hand: `tests/support/results.py DIRECTORY` writes them as files."""
import json
import math
import pathlib
import random
import sys

HOSTILE = '<script>document.title="taken"</script><img src=x onerror="document.title=\'taken\'">" onload="x" \' & \x00\x1b[31m'
LONG = "the delivery of the event that the partner posted in the second minute ended in a timeout at the client " * 6
WORD = "evt_" + "0123456789abcdef" * 12


def _bell(t, middle, width):
    return math.exp(-((t - middle) / width) ** 2)


def _distribution(source, count, middle_us, sigma, slow_us):
    """Log-normal times with a few slow ones, in buckets of three digits."""
    buckets = {}
    for number in range(count):
        value = source.lognormvariate(math.log(middle_us), sigma)
        if number % 700 == 0:
            value += source.expovariate(1 / slow_us)
        size = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 2)
        upper = math.ceil(value / size) * size
        buckets[upper] = buckets.get(upper, 0) + 1
    return [[upper, buckets[upper]] for upper in sorted(buckets)]


def _series(source, seconds, step, is_broken):
    """Load that rises from 500/s to 2000/s in the middle third; the clients are down for a while, and the sampler misses some points."""
    times = list(range(0, seconds, step))
    rows = {name: [] for name in (
        "posted_per_s", "accepted_per_s", "refused_per_s", "delivered_per_s", "answer_p50_us", "answer_p99_us", "answer_max_us",
        "freshness_p50_us", "freshness_p99_us", "freshness_max_us", "backlog_pending", "backlog_sending", "backlog_waiting",
        "backlog_parked", "backlog_dead", "broker_queue", "breakers_open", "cpu_gateway", "cpu_broker", "cpu_load", "cpu_sink",
        "rss_gateway", "rss_broker", "fsyncs_per_s", "disk_bytes")}
    waiting, disk = 0.0, 180e6
    for t in times:
        share = t / seconds
        rate = (2000 if 1 / 3 <= share < 2 / 3 else 500) * source.uniform(0.99, 1.01)
        is_down = 0.45 <= share < 0.55
        refused = rate * 0.04 if is_broken and is_down else 0
        accepted = rate - refused
        delivered = accepted * 0.4 if is_down else accepted + min(waiting / step, 900)
        waiting = max(0, waiting + (accepted - delivered) * step)
        disk += accepted * step * 900
        slow = 1 + 6 * _bell(share, 0.5, 0.06) * (8 if is_broken else 1)
        fresh = 9000 * source.uniform(0.9, 1.1) + (waiting * 500 if waiting > 50 else 0)
        point = {
            "posted_per_s": rate, "accepted_per_s": accepted, "refused_per_s": refused, "delivered_per_s": delivered,
            "answer_p50_us": 1400 * source.uniform(0.9, 1.1) * math.sqrt(slow), "answer_p99_us": 9000 * source.uniform(0.8, 1.4) * slow,
            "answer_max_us": 26000 * source.uniform(0.8, 2.2) * slow, "freshness_p50_us": fresh, "freshness_p99_us": fresh * 4,
            "freshness_max_us": fresh * 9, "backlog_pending": rate / 90, "backlog_sending": rate / 60 + (180 if is_down else 0),
            "backlog_waiting": waiting, "backlog_parked": 3 if share > 0.5 else 0, "backlog_dead": 0, "broker_queue": rate / 40,
            "breakers_open": 4 if is_down else 0, "cpu_gateway": rate / 2600, "cpu_broker": rate / 3900, "cpu_load": rate / 7000,
            "cpu_sink": delivered / 6000, "rss_gateway": 62e6 + waiting * 310, "rss_broker": 148e6 + 6e6 * math.sin(share * 40),
            "fsyncs_per_s": min(rate, 640) * source.uniform(0.95, 1.05), "disk_bytes": disk}
        for name, value in point.items():
            is_count = name.endswith(("_us", "_per_s", "_bytes")) or name.startswith(("backlog", "rss", "breakers", "broker"))
            rows[name].append(round(value) if is_count else round(value, 3))
    for name in rows:  # the sampler starts late, and misses some seconds
        if name.startswith(("backlog", "broker", "breakers", "cpu", "rss", "fsyncs", "disk")):
            rows[name][0] = None
            rows[name][len(times) * 7 // 10:len(times) * 3 // 4] = [None] * (len(times) * 3 // 4 - len(times) * 7 // 10)
    return {"step_s": step, "t_s": times, "rows": rows}


def _level(name, title, unit, sense, target, value, passed):
    return {"name": name, "title": title, "unit": unit, "sense": sense, "target": target, "value": value, "passed": passed}


def _impact(what, events, text, money=None, **more):
    return {"what": what, "events": events, "money": money or {}, "text": text, **more}


def spike(queue="direct", seconds=1800, step=2, is_broken=False):
    source = random.Random(f"{queue}-{seconds}-{is_broken}")
    events = 1000 * seconds
    return {
        "schema": 2,
        "scenario": {"name": "spike", "title": "500/s, then 2000/s for 10 minutes",
                     "models": "A new partner connects at noon, and the number of events is four times that of a usual day. "
                               "In the middle, four clients do not answer for three minutes.",
                     "length": "full" if seconds > 300 else "quick", "queue": queue, "target": "penstock"},
        "of": {"commit": "0a1b2c3", "cpu": "Example 3000 at 2.10GHz", "cores": 2, "memory_gib": 7, "kernel": "6.1.0-18-amd64", "build": "release",
               "command": f"bench/run spike --full --queue {queue}", "date": "2026-11-30T12:00:00Z",
               "versions": {"penstock": "0.9.0", "rabbitmq": "3.10.8" if queue == "rabbitmq" else None}},
        "configuration": {"delivery.timeout": "10s", "delivery.retry_schedule": "[1s, 5s, 15s, 30s, 1m]", "ingress.threads": 2},
        "load": {"events": events, "accepted": events, "rate_ok": 1000.0, "bottleneck": None},
        "verdict": {"verdict": "PASS", "events": {"accepted": events, "delivered": events - 3}},
        "passed": not is_broken, "reasons": [],
        "levels": [
            _level("delivered_share", "Accepted events that were delivered", "share", "min", 0.9999, 0.9999983, True),
            _level("duplicates", "Deliveries after one that succeeded", "events", "equal", 0, 0, True),
            _level("answer_p99", "Answer time, 99 of 100", "us", "max", 250000, 16800, True),
            _level("answer_max", "Answer time, the slowest", "us", "max", 3000000, 412000, True),
            _level("error_share", "Posts that ended in an error", "share", "max", 0.001, 0.0, True),
            _level("freshness_p99", "Freshness at healthy clients, 99 of 100", "us", "max", 15000000, 92000, True),
            _level("drain", "Time until the backlog is delivered", "s", "max", 1200, 74.5, True),
            _level("rate", "Events accepted in a second", "events/s", "min", 2000, 2018, True),
            _level("cpu", "CPU of the gateway for one event", "us", "max", None, 384, None)],
        "impact": [_impact("lost", 0, "No event was lost."), _impact("duplicated", 0, "No client got an event twice by our doing."),
                   _impact("late", 1312, "Events of the four clients that did not answer.", {"EUR": "40213.25", "USD": "1200.00"}, late_p99_s=171.2,
                           worst_s=183.0),
                   _impact("parked", 3, "Payouts whose answer was lost wait for a person.", {"EUR": "310.00"}),
                   _impact("refused", 0, "Every valid post was accepted."), _impact("waiting", 0, "Nothing waits at the end.")],
        "options": [{"kind": "accept", "text": "All levels are met, and the three parked payouts are what the rule for payouts asks for.", "setting": None},
                    {"kind": "mitigate", "text": "A shorter timeout gives the endpoints that hang less room.", "setting": "delivery.timeout = 5s"}],
        "timetable": [{"at_s": 0, "until_s": None, "kind": "load", "text": "500 events a second"},
                      {"at_s": seconds / 3, "until_s": seconds * 2 / 3, "kind": "load", "text": "2000 events a second: the new partner"},
                      {"at_s": seconds * 0.45, "until_s": seconds * 0.55, "kind": "fault", "text": "clients 1 to 4 do not answer"},
                      {"at_s": seconds * 0.47, "until_s": None, "kind": "switch", "text": "retries are switched off for account acc_1"},
                      {"at_s": seconds * 0.56, "until_s": None, "kind": "switch", "text": "retries are switched on again"},
                      {"at_s": seconds * 0.8, "until_s": None, "kind": "act", "text": "an operator resolves a parked payout"}],
        "series": _series(source, seconds, step, is_broken),
        "distributions": {"answer": _distribution(source, 60000, 1500, 0.6, 60000),
                          "freshness": _distribution(source, 60000, 9000, 0.5, 4000000)},
    }


def failing(queue="rabbitmq"):
    result = spike(queue, 60, 1, True)
    result["scenario"].update(name="slow-consumer", title=f"1 of 50 clients hangs, then 40 of 50 {HOSTILE}", models=LONG)
    result["passed"] = False
    result["reasons"] = ["the p99 of answers is 612 ms, and the level is 250 ms", f"2 events were lost: {WORD}", LONG, HOSTILE]
    for level in result["levels"]:
        if level["name"] in ("answer_p99", "delivered_share"):
            level.update(passed=False, value=612000 if level["name"] == "answer_p99" else 0.99989)
    result["levels"][3]["target"] = 400000  # near the target of answer_p99
    result["levels"].append(_level("build", HOSTILE, "text", "equal", WORD, HOSTILE, False))
    result["impact"][0] = _impact("lost", 2, f"Two purchases were answered with 200 and never arrived. {LONG}", {"EUR": "1250000.000000001", HOSTILE: "1"})
    result["impact"][4] = _impact("refused", 1470, "Partners got 503 and had to post again.", None)
    result["options"] = [{"kind": "block", "text": f"Events were lost: do not release this build. {LONG}", "setting": None},
                         {"kind": "mitigate", "text": HOSTILE, "setting": HOSTILE}]
    result["timetable"] += [{"at_s": 20 + number / 4, "until_s": None, "kind": "fault", "text": f"fault {number}: {HOSTILE}"} for number in range(30)]
    result["timetable"].append({"at_s": None, "until_s": None, "kind": HOSTILE, "text": WORD})
    result["configuration"].update({WORD: WORD, HOSTILE: HOSTILE, "a.number": 7})
    result["of"].update(command=f"bench/run slow-consumer --set {WORD}={HOSTILE}", cpu=LONG)
    result["of"]["versions"][HOSTILE] = WORD
    result["load"]["bottleneck"] = f"its threads were busy all the time {HOSTILE}"
    result["series"]["rows"][f"cpu_{HOSTILE}"] = [0.25] * 60
    return result


def empty():
    """A run that was cut short: nothing was measured."""
    rows = {name: [] for name in spike(seconds=9)["series"]["rows"]}
    return {
        "schema": 2, "scenario": {"name": "headroom", "title": None, "models": None, "length": "quick", "queue": "direct", "target": "penstock"},
        "of": {"commit": None, "cpu": None, "cores": None, "memory_gib": None, "kernel": None, "build": None, "command": None, "date": None,
               "versions": {"penstock": None}},
        "configuration": {}, "load": None, "verdict": None, "passed": None, "reasons": [],
        "levels": [_level("answer_p99", "Answer time, 99 of 100", "us", "max", 250000, None, None)],
        "impact": [{"what": what, "events": None, "money": None, "text": None} for what in
                   ("lost", "duplicated", "late", "parked", "refused", "waiting")],
        "options": [], "timetable": [], "series": {"step_s": 1, "t_s": [], "rows": rows}, "distributions": {"answer": [], "freshness": []}}


def gaps():
    """Points in which nothing was measured: at both ends, between values, everywhere in a series; and a value alone."""
    result = spike(seconds=12, step=1)
    result["series"]["rows"]["cpu_gateway"] = [None, 0.5, None, None, 1, 1.5, None, None, 0.25, None, None, None]
    result["series"]["rows"]["cpu_broker"] = [None] * 12
    del result["series"]["rows"]["cpu_sink"]
    result["series"]["rows"]["rss_gateway"] = [1048576] * 5
    result["series"]["rows"]["answer_p99_us"][3] = float("nan")
    return result


def several():
    """What `bench/run all` hands over."""
    return [spike("direct", 30, 1), failing(), empty()]


if __name__ == "__main__":
    for title, made in (("spike", spike()), ("quick", spike("rabbitmq", 30, 1)), ("failing", failing()), ("empty", empty()), ("gaps", gaps())):
        place = pathlib.Path(sys.argv[1]) / title
        place.mkdir(parents=True, exist_ok=True)
        (place / "result.json").write_text(json.dumps(made), encoding="utf-8")
