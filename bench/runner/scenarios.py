# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the business: plans that say what they model, each in two lengths. Several run
one after the other, and continue after an interruption.

What cannot be done is refused before the first run. A run that fails has no verdict: its result
says why, and the others are run. The exit code is 1 when a scenario failed a level, 69 when none
did but one has no verdict, and 0 when all passed."""
import json
import shutil
import subprocess
import sys
import traceback
from dataclasses import dataclass

from report.page import write_summary
from runner.origin import has_changes, of_run
from runner.place import check_space, lock, place_of, slug
from runner.plan import PLANS, QUEUES, Plan, PlanWrong, load_plan
from runner.process import RunFailed, end_all
from runner.result import input_of, no_verdict, result_of, write_result
from runner.scenario import Scenario
from runner.target_file import TargetFile

# In the order of the report.
SCENARIOS = ("steady", "spike", "burst", "slow-consumer", "retry-storm", "backlog-recovery",
             "headroom", "incident")
EXIT_FAIL, EXIT_NO_VERDICT = 1, 69
WORDS = {True: "PASS", False: "FAIL", None: "NO VERDICT"}


def is_scenario(name):
    return name in SCENARIOS or name == "all"


@dataclass
class Job:
    """A scenario in one length and with one queue, before it runs."""

    name: str
    length: str
    plan: Plan
    target: TargetFile
    changes: list  # of --set

    def __str__(self):
        return f"{self.name}, {self.length}, {self.plan.queue}"

    def place(self, directory):
        return place_of(directory, self.name, self.length, self.plan.queue, target=self.target)

    def input(self):
        return input_of(self.plan, self.changes, self.target)

    def has_journal(self):
        """Whether the gateway writes into the directory of this run."""
        return self.target is None


def queues_of(names, options):
    """Several scenarios are run on both queues, one is run on the direct one."""
    if options.queue:
        return [options.queue]
    return QUEUES if len(names) > 1 and not options.target else QUEUES[:1]


def jobs_of(names, options):
    """(jobs, notes for people). `all` leaves out what cannot be done to the target; what was named
    is refused."""
    is_all = "all" in names
    names = list(SCENARIOS if is_all else dict.fromkeys(names))
    length = "full" if options.full else "quick"
    jobs, notes, refused = [], [], []
    for queue in queues_of(names, options):
        for name in names:
            plan = load_plan(f"{name}:{length}", queue, options.set)
            target = TargetFile(options.target) if options.target else None
            try:
                notes += [f"{name}: {note}" for note in target.adapt(plan)] if target else []
            except PlanWrong as wrong:
                refused.append(wrong)
                if not is_all:
                    raise
                notes.append(f"note: {name} is left out: {wrong}")
                continue
            jobs.append(Job(name, length, plan, target, options.set))
    if not jobs:
        raise PlanWrong(f"no scenario can be run with this target: {refused[0]}")
    return jobs, notes


def found_before(job, directory, machine):
    """The result that an earlier run of the same commit, build, plan and target left; None without
    one, or when it has no verdict."""
    try:
        result = json.loads((job.place(directory) / "result.json").read_text())
        bench = result["of"]["bench"]
        if result["passed"] is None or has_changes(machine["commit"]) or \
                result["input"] != job.input() or \
                any(bench[key] != machine[key] for key in ("commit", "build")):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result


def measure(job, options, place, of):
    """Runs it, and writes its result."""
    need = check_space(options.directory, job.plan, job.has_journal())
    print(f"\n{job}: {job.plan.title} ({need})", file=sys.stderr)
    scenario = Scenario(job.plan, options.build, place, target=job.target)
    _, text, details = scenario.run()
    result = result_of(scenario, details, of, job.input(), job.length)
    write_result(place, result)
    clean(scenario, place, result, options.keep)
    print(json.dumps(result) if options.json else text, end="\n" if options.json else "",
          flush=True)
    return result


def clean(scenario, place, result, keep):
    """Logs and journals are large. After a run that did not pass they are what shows the cause."""
    if keep or not result["passed"]:
        return
    scenario.gateway.remove_data()
    shutil.rmtree(place / "broker", ignore_errors=True)
    for log in (*scenario.load_logs(), *scenario.sink.logs):
        log.unlink(missing_ok=True)


def run_one(job, options, machine):
    """Its result, also when it could not be run."""
    place = job.place(options.directory)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    of = of_run(machine, options.build, job.plan.queue, job.target)
    try:
        return measure(job, options, place, of)
    except Exception as failure:  # pylint: disable=broad-except
        end_all()
        if not isinstance(failure, (RunFailed, PlanWrong)):
            traceback.print_exc()
        known = isinstance(failure, (RunFailed, PlanWrong, OSError))
        reason = str(failure) if known else f"{type(failure).__name__}: {failure}"
    result = no_verdict(job.plan, of, job.length, job.input(), job.target, reason)
    write_result(place, result)
    print(f"{job}: NO VERDICT: {reason}\nlogs and journals: {place}", file=sys.stderr)
    if options.json:
        print(json.dumps(result), flush=True)
    return result


def begin_in_background(options, arguments):
    """`arguments`: the same command without --background. It goes on when the terminal is gone; its
    output is in a file."""
    lock(options.directory).close()  # here it can still be said
    log = options.directory / "background.log"
    with open(log, "ab") as out:
        process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, start_new_session=True)
    print(f"pid {process.pid}, output: {log}\nIf it is interrupted, the same command with --resume "
          "continues.")
    return 0


def run_scenarios(names, options, machine):
    """Returns the exit code."""
    jobs, notes = jobs_of(names, options)
    for note in notes:
        print(note, file=sys.stderr)
    if options.resume and has_changes(machine["commit"]):
        print("note: --resume: the tree has changes that are not committed, so everything is run",
              file=sys.stderr)
    found = {id(job): found_before(job, options.directory, machine) if options.resume else None
             for job in jobs}
    for job in jobs:
        if not found[id(job)]:
            check_space(options.directory, job.plan, job.has_journal())
    results, overview = [], Overview(options.directory, jobs[0])
    for job in jobs:
        result = found[id(job)]
        if result:
            print(f"{job}: is there already", file=sys.stderr)
        results.append((job, result or run_one(job, options, machine)))
        overview.write(results)
    print_overview([result for _, result in results])
    print(f"report: {overview.path('html')}", file=sys.stderr)
    return exit_code([result for _, result in results])


def exit_code(results):
    if any(result["passed"] is False for result in results):
        return EXIT_FAIL
    return EXIT_NO_VERDICT if any(result["passed"] is None for result in results) else 0


class Overview:
    """The files about all scenarios of a command, written after each one: a long run can be looked
    at meanwhile."""

    def __init__(self, directory, job):
        self.directory = directory
        more = f"-{slug(job.target.name)}" if job.target else ""
        self.name = f"scenarios-{job.length}{more}"

    def path(self, kind):
        return self.directory / f"{self.name}.{kind}"

    def write(self, results):
        """`results`: pairs of a job and its result."""
        rows = [{"scenario": result["scenario"], "verdict": WORDS[result["passed"]],
                 "passed": result["passed"], "reasons": result["reasons"],
                 "result": str(job.place(self.directory) / "result.json")}
                for job, result in results]
        self.path("json").write_text(json.dumps(rows, indent=1) + "\n")
        write_summary([result for _, result in results], self.path("html"))


def print_overview(results):
    for result in results:
        scenario = result["scenario"]
        print(f"{WORDS[result['passed']]:11} {scenario['name']:18} {scenario['length']:6} "
              f"{scenario['queue']}", flush=True)
        for reason in result["reasons"]:
            print(f"            {reason}")


assert all((PLANS / f"{name}.toml").exists() for name in SCENARIOS)
