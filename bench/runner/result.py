# SPDX-License-Identifier: Apache-2.0
"""result.json of a run: everything that the report and bench/compare read. Its members are listed in bench/README.md. What is not known
is null, never 0."""
import json

from report.page import write_report
from runner.acts import timetable_text
from runner.scenario import first_due_seconds
from runner.service_levels import result_parts

SCHEMA = 2


def write_result(place, result):
    """result.json for programs, report.html for people."""
    (place / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    write_report(result, place / "report.html")


def result_of(scenario, details, of, length="plan"):
    """`of`: machine, commit and command. `length`: quick, full, or plan for one that is no scenario."""
    plan = scenario.plan
    parts = result_parts(details)
    return {
        "schema": SCHEMA,
        "scenario": {"name": plan.name.removesuffix(f"-{length}"), "title": plan.title, "models": " ".join(plan.models.split()), "length": length,
                     "queue": plan.queue, "target": scenario.target_name},
        "of": of,
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
