# SPDX-License-Identifier: Apache-2.0
"""What clients that fail cost the others, and how fast a backlog is delivered when they return.

hung, failing  Runs with a fault and without it, in turn: the freshness of the clients that have
               none. Both runs have the same events, so the same events are compared. Of the ratios
               within a round the median counts. The first 30 s of the fault are also taken alone:
               no request has been given up then.
recovery       The plan `recovery`, with connections that are refused, and with requests that hang.
               Its variants of 40 s run when they are named: recovery:short, recovery:short-hung.

With --against BUILD the other build is measured in turn with this one."""
import json
import math
import statistics

from runner.plan import load_plan
from runner.scenario import Scenario

RATE = 1000
BEFORE_SECONDS, FAULT_SECONDS, SETTLE_SECONDS = 10, 45, 10
SLACK_US = 20_000  # a difference that does not count when clients hang, whatever the ratio
LOST_SHARE_MAX = 0.01  # with more events without a delivery there is no p99
WINDOWS = {"whole fault": "healthy", "first 30 s": "healthy-30s"}  # by the plans' measures


class Case:
    """A plan whose group `faulty` has a fault. The text of `change` gets the fault's second."""

    def __init__(self, label, plan, change, ratio_max, slack_us=0):
        self.label, self.plan, self.change = label, plan, change
        self.ratio_max, self.slack_us = ratio_max, slack_us

    def aim(self):
        slack = f" or +{self.slack_us / 1000:g} ms" if self.slack_us else ""
        return f"<= {self.ratio_max}{slack}"


HANG = 'group.faulty.behave={ %s = "hang=100%%" }'
FAIL = 'group.faulty.behave={ %s = "fail=100%%" }'
SILENCE = 'fault=[{ at = "%s", do = "silence", group = "faulty" }]'
# By the names that a command may give: bench/run figures hung:80-of-100.
HUNG = {"1-of-50": Case("1 of 50 hang", "hung-many:1-of-50", HANG, 1.1, SLACK_US),
        "25-of-50": Case("25 of 50 hang", "hung-many:25-of-50", HANG, 1.1, SLACK_US),
        "45-of-50": Case("45 of 50 hang", "hung-many:45-of-50", HANG, 1.1, SLACK_US),
        "49-of-50": Case("49 of 50 hang", "hung-many:49-of-50", HANG, 1.1, SLACK_US),
        "80-of-100": Case("80 of 100 hang", "hung-many", HANG, 1.1, SLACK_US)}
FAILING = {"25-of-50": Case("25 of 50 answer 500", "failing-many", FAIL, 1.5),
           "dead-name": Case("the name of 1 of 50 has no answer", "failing-many:dead-name", SILENCE,
                             1.1)}


def sides(bench):
    """The builds that take turns."""
    return {"this": bench.gateway_build, **({"other": bench.against} if bench.against else {})}


def times(bench):
    """Seconds before the fault, and of it. It does not end before the load does."""
    return (1, 2) if bench.is_tiny else (BEFORE_SECONDS, FAULT_SECONDS)


def texts_of(bench, plan, measures, moments):
    """The verdict's subsets, when the fault lasts as long as the load."""
    return plan.subsets({**moments, "back": sum(times(bench))}, measures)


def plan_of(bench, case):
    before, during = times(bench)
    rate = 100 if bench.is_tiny else RATE
    return load_plan(case.plan, changes=[
        f"load.timetable=constant:{rate}:{before + during}s", case.change % f"{before}s",
        "gateway.shutdown.drain=1s"])


def freshness_of(subset):
    """p99 is None when too many events had no delivery by the end."""
    lost = subset["not_delivered"] > LOST_SHARE_MAX * subset["events"]
    times = subset["freshness"]
    return {"p50_us": times["p50_us"], "p99_us": None if lost else times["p99_us"],
            "max_us": times["max_us"], "events": subset["events"],
            "not_delivered": subset["not_delivered"]}


def observe(bench, plan, build, name, subsets):
    scenario = Scenario(plan, bench.build, bench.place(name), gateway_build=build)
    try:
        return scenario.observe(subsets, 0.5 if bench.is_tiny else SETTLE_SECONDS)["subsets"]
    finally:
        scenario.gateway.remove_data()


def of_base(bench, cases, build, name):
    """A run without a fault, for all cases with so many accounts: {label: {window: freshness}}."""
    plans = {case.label: plan_of(bench, case) for case in cases}
    names = {(label, window): f"{number}-{measure}" for number, label in enumerate(plans)
             for window, measure in WINDOWS.items()}

    def subsets(_):
        return [" ".join([names[label, window], *text.split(" ")[1:]])
                for label, plan in plans.items() for window, measure in WINDOWS.items()
                for text in texts_of(bench, plan, [measure], plan.planned_moments())]

    found = observe(bench, plans[cases[0].label].without_faults(), build, name, subsets)
    return {label: {window: freshness_of(found[names[label, window]]) for window in WINDOWS}
            for label in plans}


def of_case(bench, case, build, name):
    plan = plan_of(bench, case)
    found = observe(bench, plan, build, name,
                    lambda moments: texts_of(bench, plan, WINDOWS.values(), moments))
    return {window: freshness_of(found[measure]) for window, measure in WINDOWS.items()}


def of_build(bench, cases, build, name):
    by_accounts = {}
    for case in cases:
        by_accounts.setdefault(plan_of(bench, case).accounts, []).append(case)
    found = {}
    for accounts, group in by_accounts.items():
        base = of_base(bench, group, build, f"flow-{name}-{accounts}")
        for case in group:
            found[case.label] = {"without": base[case.label],
                                 "with": of_case(bench, case, build, f"flow-{name}-fault")}
    return found


NEVER = math.inf


def finite(value):
    """None for a ratio or a difference that there is not."""
    return value if math.isfinite(value) else None


def p99_of(found):
    return NEVER if found["p99_us"] is None else max(1, found["p99_us"])


def compare(rounds, side, case, window):
    """Ratio and difference of the p99s, as medians over the rounds. None: no p99 in most rounds.
    A round without a p99 in the run without the fault proves nothing: it counts as missed, too."""
    pairs = [(each[side][case.label]["with"][window], each[side][case.label]["without"][window])
             for each in rounds]
    times = [(p99_of(hurt), p99_of(healthy)) for hurt, healthy in pairs]
    ratios = [NEVER if NEVER in both else both[0] / both[1] for both in times]
    ratio = statistics.median(ratios)
    difference = statistics.median(NEVER if NEVER in both else both[0] - both[1] for both in times)
    return {"ratio": finite(ratio), "least": finite(min(ratios)), "most": finite(max(ratios)),
            "difference_us": finite(difference),
            "without_p99_us": statistics.median(healthy["p99_us"] or 0 for _, healthy in pairs),
            "with_max_us": max(hurt["max_us"] for hurt, _ in pairs),
            "not_delivered": max(hurt["not_delivered"] for hurt, _ in pairs),
            "aim": case.aim(),
            "met": ratio <= case.ratio_max or difference <= case.slack_us}


def measure_cases(bench, cases):
    rounds = []
    for _ in range(bench.rounds):
        rounds.append({name: of_build(bench, cases, build, name)
                       for name, build in sides(bench).items()})
        print(json.dumps({name: {label: {window: [both["with"][window]["p99_us"],
                                                  both["without"][window]["p99_us"]]
                                         for window in WINDOWS}
                                 for label, both in found.items()}
                          for name, found in rounds[-1].items()}), flush=True)
    return {"rounds": rounds, "compared": {
        side: {case.label: {window: compare(rounds, side, case, window) for window in WINDOWS}
               for case in cases} for side in sides(bench)}}


def measure_hung(bench):
    return measure_cases(bench, bench.chosen(HUNG, ["1-of-50"] if bench.is_tiny else HUNG))


def measure_failing(bench):
    return measure_cases(bench, bench.chosen(FAILING, FAILING))


RECOVERIES = {"refused": ("connections refused", "recovery"),
              "hung": ("requests hang", "recovery:hung"),
              "short": ("connections refused for 40 s", "recovery:short"),
              "short-hung": ("requests hang for 40 s", "recovery:short-hung")}
LONG = ("refused", "hung")
TINY = ["load.timetable=constant:100:8s", "drain=30s", "sink.default=delay=1ms workers=4",
        "gateway.delivery.answer_timeout=1s",
        "gateway.delivery.retry_schedule=[300ms, 300ms, 300ms, 300ms, 1s, 1s, 1s]"]
TINY_REFUSED = ['fault=[{ at = "1s", do = "kill", what = "sink", for = "2s" }]']
TINY_HUNG = ['group.all.behave={ 1s = "hang=100%", 3s = "delay=1ms workers=4" }']


def of_recovery(bench, build, name, side):
    changes = TINY + (TINY_HUNG if "hung" in name else TINY_REFUSED) if bench.is_tiny else []
    scenario = Scenario(load_plan(name, changes=changes), bench.build,
                        bench.place(f"recovery-{side}"), gateway_build=build)
    _, _, details = scenario.run()
    scenario.gateway.remove_data()
    return {**details["recovery"], "verdict": details["verdict"], "lost": details["events"]["lost"]}


def measure_recovery(bench):
    chosen, rounds = bench.chosen(RECOVERIES, LONG), []
    for _ in range(bench.rounds):
        rounds.append({side: {label: of_recovery(bench, build, name, side)
                              for label, name in chosen} for side, build in sides(bench).items()})
        print(json.dumps(rounds[-1]), flush=True)
    return {"rounds": rounds, "title": load_plan(chosen[0][1]).title}
