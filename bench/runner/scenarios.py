# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the business: plans that say what they model, each in two lengths. `all` runs them one after the other, and continues
after an interruption."""
import json
import shutil
import subprocess
import sys

from report.page import write_summary
from runner.plan import PLANS, QUEUES, PlanWrong, load_plan
from runner.result import result_of, write_result
from runner.scenario import Scenario
from runner.target_file import TargetFile

# In the order of the report.
SCENARIOS = ("steady", "spike", "burst", "slow-consumer", "retry-storm", "backlog-recovery", "headroom", "incident")


def is_scenario(name):
    return name in SCENARIOS or name == "all"


def place_of(options, name, length, queue):
    return options.directory / f"{name}-{length}-{queue}"


def found_before(place, of):
    """The result of the same commit that an earlier run left; None without one."""
    try:
        result = json.loads((place / "result.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result if result["of"]["commit"] == of["commit"] and result["of"]["build"] == of["build"] else None


def run_one(name, length, queue, options, of):
    plan = load_plan(f"{name}:{length}", queue, options.set)
    target = TargetFile(options.target) if options.target else None
    for note in target.adapt(plan) if target else []:
        print(note, file=sys.stderr)
    place = place_of(options, name, length, queue)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    print(f"\n{name}, {length}, {queue}: {plan.title}", file=sys.stderr)
    scenario = Scenario(plan, options.build, place, target=target)
    _, text, details = scenario.run()
    result = result_of(scenario, details, of, length)
    write_result(place, result)
    if not options.keep:
        scenario.gateway.remove_data()
        for log in (*scenario.load_logs(), *scenario.sink.logs):
            log.unlink(missing_ok=True)
    print(json.dumps(result) if options.json else text, end="\n" if options.json else "", flush=True)
    return result


def begin_in_background(options, arguments):
    """The same command, which goes on when the terminal is gone; its output is in a file."""
    options.directory.mkdir(parents=True, exist_ok=True)
    log = options.directory / "background.log"
    with open(log, "ab") as out:
        process = subprocess.Popen([sys.executable, *[each for each in arguments if each != "--background"]], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, start_new_session=True)
    print(f"pid {process.pid}, output: {log}\nIf it is interrupted, the same command with --resume goes on.")
    return 0


def run_scenarios(names, options, of):
    """Returns 0 when all have passed, 1 when one has not."""
    if "all" in names:
        names = SCENARIOS
    for name in names:
        if name not in SCENARIOS:
            raise PlanWrong(f"{name} is a plan, not a scenario (these are {', '.join(SCENARIOS)}): run it alone")
    if options.target and "incident" in names and len(names) > 1:
        print("note: incident is left out: its operator acts on Penstock", file=sys.stderr)
        names = [name for name in names if name != "incident"]
    length = "full" if options.full else "quick"
    queues = [options.queue] if options.queue else QUEUES if len(names) > 1 and not options.target else QUEUES[:1]
    results = []
    for queue in queues:
        for name in names:
            result = found_before(place_of(options, name, length, queue), of) if options.resume else None
            if result:
                print(f"{name}, {length}, {queue}: is there already", file=sys.stderr)
            results.append(result or run_one(name, length, queue, options, of))
            write_overview(options, length, results)
    print_overview(results)
    print(f"report: {options.directory / f'scenarios-{length}.html'}", file=sys.stderr)
    return 0 if all(result["passed"] for result in results) else 1


def write_overview(options, length, results):
    """After each one: a long run can be looked at meanwhile."""
    overview = [{"scenario": result["scenario"], "passed": result["passed"], "reasons": result["reasons"],
                 "result": str(place_of(options, result["scenario"]["name"], length, result["scenario"]["queue"]) / "result.json")} for result in results]
    (options.directory / f"scenarios-{length}.json").write_text(json.dumps(overview, indent=1) + "\n")
    write_summary(results, options.directory / f"scenarios-{length}.html")


def print_overview(results):
    for result in results:
        scenario = result["scenario"]
        print(f"{'PASS' if result['passed'] else 'FAIL'}  {scenario['name']:18} {scenario['length']:6} {scenario['queue']}", flush=True)
        for reason in result["reasons"]:
            print(f"      {reason}")


assert all((PLANS / f"{name}.toml").exists() for name in SCENARIOS)
