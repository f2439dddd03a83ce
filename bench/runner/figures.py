# SPDX-License-Identifier: Apache-2.0
"""The figures of etc/doc/benchmarks.md, all from one run: each is measured in turn with what it is compared with (A B C, A B C, ...), and
what counts is the ratio within a round; of the rounds the median. Results go to figures.json as they come, so that a long run that
was cut short can go on with the parts that are missing."""
import json
import pathlib
import shutil
import subprocess
import time

from runner.accuracy import measure_accuracy
from runner.ceilings import measure_broker, measure_ceilings
from runner.cost import measure_cost
from runner.deliveries import measure_backlog, measure_delivered
from runner.edge import measure_edge
from runner.limit import measure_limit
from runner.outages import measure_failing, measure_hung, measure_recovery
from runner.plan import PlanWrong, load_plan
from runner.process import RunFailed
from runner.profile import measure_profile
from runner.publishing import measure_publishing
from runner.replay import measure_replay
from runner.queues import measure_peak, measure_queues
from runner.figures_tables import print_report
from runner.scenario import Scenario
from runner.search import measure_search
from runner.versus import measure_versus
from runner.waiting import measure_waiting


class Bench:
    """What every part needs to know."""

    def __init__(self, options):
        self.build = self.gateway_build = options.build
        self.against = options.against
        self.directory = options.directory / "figures"
        self.rounds, self.seconds, self.events = options.rounds, options.seconds, options.events
        self.is_tiny, self.warm_up_ms = options.tiny, 2000
        if self.is_tiny:
            self.rounds, self.seconds, self.warm_up_ms = 1, 1, 200
        self.only = ""  # of a part with several measurements: PART:ONLY

    def chosen(self, choices, usual):
        """The one that the command names, or the usual ones."""
        if self.only and self.only not in choices:
            raise PlanWrong(f"there is no {self.only}; there are: {', '.join(choices)}")
        return [choices[name] for name in ([self.only] if self.only else usual)]

    def place(self, name):
        """An empty directory for one measurement."""
        directory = self.directory / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory

    def load(self, url, *arguments):
        """Runs the generator to its end; its summary."""
        command = [self.build / "bin/penstock-load", "--url", url, "--json", *arguments]
        found = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            raise RunFailed(f"the generator ended with {found.returncode}: {found.stderr}")
        return json.loads(found.stdout)


def measure_sustained(bench):
    plan = load_plan("sustained")
    if bench.is_tiny:
        plan.load = {**plan.load, "timetable": "constant:100:2s"}
    scenario = Scenario(plan, bench.build, bench.place("sustained"))
    _, _, details = scenario.run()
    scenario.gateway.remove_data()
    return {"verdict": details, "load": scenario.load_summary(), "rss_bytes": scenario.gateway.usage.peak_rss}


PARTS = {"accuracy": measure_accuracy, "ceilings": measure_ceilings, "broker": measure_broker, "publishing": measure_publishing, "delivered": measure_delivered,
         "edge": measure_edge, "profile": measure_profile, "backlog": measure_backlog, "sustained": measure_sustained}


# Only when they are named: they take long, or need a second build (--against).
MORE_PARTS = {"versus": measure_versus, "limit": measure_limit, "cost": measure_cost, "hung": measure_hung, "failing": measure_failing,
              "waiting": measure_waiting, "queues": measure_queues, "peak": measure_peak, "recovery": measure_recovery}
# Neither in a run of all figures nor in that of the flow: their journals are large.
ALONE = {"search": measure_search, "replay": measure_replay}
ALL_PARTS = {**PARTS, **MORE_PARTS, **ALONE}
NEEDS_AGAINST = {"versus"}
HAS_CHOICE = {"hung", "failing", "recovery"}
FLOW = "flow"  # all of MORE_PARTS: the document's table of the flow


def parts_of(names, has_other):
    """What a command names, as parts."""
    parts = []
    for name in names:
        more = [part for part in MORE_PARTS if has_other or part not in NEEDS_AGAINST]
        parts += more if name == FLOW else [name]
    for name in parts:
        part, colon, _ = name.partition(":")
        if part not in ALL_PARTS:
            raise PlanWrong(f"there is no part {part}; there are: {', '.join([*ALL_PARTS, FLOW])}")
        if colon and part not in HAS_CHOICE:
            raise PlanWrong(f"{part} has no choice; these have: {', '.join(sorted(HAS_CHOICE))}")
        if part in NEEDS_AGAINST and not has_other:
            raise PlanWrong(f"{part}: say against which build: --against BUILD")
    return parts or list(PARTS)


def run_figures(names, options, machine):
    parts = parts_of(names, options.against)
    bench = Bench(options)
    bench.directory.mkdir(parents=True, exist_ok=True)
    file = pathlib.Path(bench.directory / "figures.json")
    results = {}
    if options.resume and file.exists():
        results = json.loads(file.read_text())
        if results["of"]["commit"] != machine["commit"] or machine["commit"].endswith("-dirty"):
            raise PlanWrong(f"{file} is of commit {results['of']['commit']}: figures of two commits are not one run; leave --resume out")
    results["of"] = machine
    for name in parts:
        if name in results:
            continue
        started = time.monotonic()
        print(f"--- {name}", flush=True)
        part, _, bench.only = name.partition(":")
        results[name] = ALL_PARTS[part](bench)
        print(f"--- {name}: {time.monotonic() - started:.0f} s", flush=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(results, indent=1) + "\n")
        fresh.rename(file)
    print_report(results)
    return 0
