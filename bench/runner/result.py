# SPDX-License-Identifier: Apache-2.0
"""result.json of a run: everything that the report and bench/compare read. Its members are listed in bench/README.md. What is not known
is null, never 0."""
import hashlib
import json

from report.command import SCHEMA
from report.page import write_report
from runner.acts import timetable_text
from runner.scenario import first_due_seconds
from runner.service_levels import result_parts


def write_result(place, result):
    """result.json for programs, report.html for people."""
    (place / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    write_report(result, place / "report.html")


def input_of(plan, changes, target=None):
    """What was run: results of the same commit with another input are not the same run. `changes`:
    of --set."""
    text = json.dumps(plan.data, sort_keys=True, default=str)
    return {"set": list(changes), "plan_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "target_sha256": target.fingerprint if target else None}


def scenario_of(plan, length, target_name):
    return {"name": plan.name.removesuffix(f"-{length}"), "title": plan.title,
            "models": " ".join(plan.models.split()), "length": length, "queue": plan.queue,
            "target": target_name}


def no_verdict(plan, of, length, of_input, target, reason):
    """The result of a run that failed: nothing is known, and the reason says why."""
    target_name = target.name if target else "penstock"
    return {"schema": SCHEMA, "scenario": scenario_of(plan, length, target_name), "of": of,
            "input": of_input, "configuration": {}, "load": {}, "partners": {},
            "passed": None, "reasons": [reason], "levels": [], "impact": [],
            "options": [{"kind": "block", "setting": None, "text": "Nothing was measured. Remove the "
                         "cause, and run it again: of several scenarios, with --resume."}],
            "series": {}, "distributions": {}, "timetable": [], "verdict": {}}


def result_of(scenario, details, of, of_input, length="plan"):
    """`of`: machine, commit and command. `of_input`: of input_of. `length`: quick, full, or plan for
    one that is no scenario."""
    plan = scenario.plan
    parts = result_parts(details)
    return {
        "schema": SCHEMA,
        "scenario": scenario_of(plan, length, scenario.target_name),
        "of": of,
        "input": of_input,
        "configuration": {name: value for name, value in scenario.gateway.options.items() if "listen" not in name and name != "data.directory"},
        "load": scenario.load_summary(),
        "partners": {load.name: load.summary() for load in scenario.loads[1:]},
        **parts,
        "series": series_of(scenario, parts["series"]),
        "timetable": timetable_of(scenario),
        "sampling": scenario.sampler.as_json(),
        "verdict": details,
    }


def timetable_of(scenario):
    """What was done to the system, in seconds since the first event was due."""
    start = first_due_seconds(scenario.load_logs())
    ended = scenario.loads[0].ended_at
    found = [{"at_s": 0.0, "until_s": None if ended is None else round(ended - start, 3), "kind": "load",
              "text": f"the load: {timetable_text(scenario.plan.load['timetable'])}"}]
    found += [{"at_s": round(entry["at"] - start, 3), "until_s": None if entry["until"] is None else round(entry["until"] - start, 3),
               "kind": entry["kind"], "text": entry["text"]} for entry in scenario.acts.done]
    return sorted(found, key=lambda entry: entry["at_s"])


def series_of(scenario, of_logs):
    """The rows of the logs, and beside them those of the sampler."""
    sampled = scenario.sampler.series(first_due_seconds(scenario.load_logs()), of_logs["step_s"], len(of_logs["t_s"]))
    return {**of_logs, "rows": {**of_logs["rows"], **sampled}}
