# SPDX-License-Identifier: Apache-2.0
"""Comparing the results of runs: what counts as worse, what is noise, and which runs are not compared."""
import copy
import json
import subprocess

import pytest

from support.gateway import ROOT

pytestmark = pytest.mark.once


def times(p50, p99):
    return {"count": 1000, "p50_us": p50, "p90_us": p99, "p99_us": p99, "p99_9_us": 2 * p99, "max_us": 4 * p99, "mean_us": p50}


def result(p99=10_000, rate=500.0, lost=0, cpu_us=200.0, late=0, passed=True, name="spike", length="quick", queue="direct", **of):
    return {"schema": 2,
            "scenario": {"name": name, "title": "a title", "models": "", "length": length, "queue": queue, "target": "penstock"},
            "of": {"commit": "abc1234", "cpu": "a processor", "cores": 2, "memory_gib": 8, "build": "release", **of},
            "configuration": {}, "load": {}, "passed": passed, "reasons": [], "options": [], "timetable": [], "series": {}, "distributions": {},
            "verdict": {"answers": {"first_answers": times(1000, p99), "per_second": rate, "availability": 1.0, "error_share": 0.0},
                        "arrivals": {"freshness": times(2000, 2 * p99), "per_second": rate}, "events": {"delivered_share": 1.0},
                        "cost": {"cpu_us": cpu_us, "syncs": 0.3}, "usage": {"gateway": {"peak_rss_bytes": 64 << 20}, "broker": {}}},
            "levels": [{"name": "answer_p99", "title": "Answer time", "unit": "us", "sense": "max", "target": 250000, "value": p99, "passed": True},
                       {"name": "rate_max", "title": "Highest rate", "unit": "events/s", "sense": "min", "target": None, "value": 4 * rate,
                        "passed": None}],
            "impact": [{"what": what, "events": events, "money": {}, "text": ""} for what, events in (
                ("lost", lost), ("duplicated", 0), ("late", late), ("parked", 0), ("refused", 0), ("waiting", 0))]}


@pytest.fixture
def write(tmp_path):
    def make(*results, directory=None):
        paths = []
        for each in results:
            number = len(list(tmp_path.rglob("*.json")))
            path = tmp_path / f"{number}.json" if directory is None else tmp_path / directory / each["scenario"]["name"] / "result.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(each))
            paths.append(path)
        return paths if directory is None else tmp_path / directory
    return make


def run(*arguments):
    return subprocess.run([ROOT / "bench/compare", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def compared(*arguments):
    """The exit code, and the figures of the only scenario by name."""
    done = run(*arguments, "--json")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["passed"] == (done.returncode == 0) and len(found["comparisons"]) == 1
    return done.returncode, {row["name"]: row for row in found["comparisons"][0]["figures"]}


def test_a_run_is_as_good_as_itself(write):
    done = run(*write(result(), result()))
    assert done.returncode == 0, done.stdout
    assert "no regression" in done.stdout and "no noise bound" in done.stdout and "REGRESSION" not in done.stdout


@pytest.mark.parametrize("changes, figure, is_worse", [
    ({"p99": 14_000}, "answer_p99", True), ({"p99": 6_000}, "answer_p99", False),
    ({"rate": 400.0}, "in_per_second", True), ({"rate": 600.0}, "in_per_second", False),
    ({"rate": 400.0}, "rate_max", True), ({"rate": 600.0}, "rate_max", False),
    ({"cpu_us": 230.0}, "cpu_us", True), ({"cpu_us": 170.0}, "cpu_us", False),
    ({"lost": 1}, "lost", True), ({"late": 5}, "late", True), ({"passed": False}, "passed", True)])
def test_each_figure_has_a_direction(write, changes, figure, is_worse):
    base, other = write(result(), result(**changes))
    code, found = compared(base, other)
    assert (code, found[figure]["result"]) == ((1, "worse") if is_worse else (0, "better"))
    assert compared(other, base)[1][figure]["result"] == ("better" if is_worse else "worse")


def test_one_run_of_each_side_has_the_default_bound_and_an_option_replaces_it(write):
    base, other = write(result(), result(p99=12_000))
    code, found = compared(base, other)
    assert (code, found["answer_p99"]["bound"]) == (0, 2500)
    code, found = compared(base, other, "--bound", "5%")
    assert (code, found["answer_p99"]["bound"], found["answer_p99"]["result"]) == (1, 500, "worse")
    assert run(base, other, "--bound", "much").returncode == 64


def test_the_spread_of_several_runs_is_the_noise(write):
    quiet = write(result(p99=10_000), result(p99=10_100), result(p99=10_200))
    slower = write(result(p99=11_500), result(p99=11_600), result(p99=11_700))
    noisy = write(result(p99=8_000), result(p99=11_600), result(p99=12_000))
    code, found = compared("--base", *quiet, "--with", *slower)
    assert (code, found["answer_p99"]["result"], found["answer_p99"]["base"], found["answer_p99"]["with"]) == (1, "worse", 10_100, 11_600)
    code, found = compared("--base", *quiet, "--with", *noisy)
    assert (code, found["answer_p99"]["result"], found["answer_p99"]["bound"]) == (0, "same", 4000)
    assert "no noise bound" not in run("--base", *quiet, "--with", *slower).stdout


def test_one_lost_event_in_one_of_many_runs_is_a_regression(write):
    base, other = write(result(), result(), result()), write(result(), result(lost=1), result())
    code, found = compared("--base", *base, "--with", *other)
    assert (code, found["lost"]["result"]) == (1, "worse")
    assert "REGRESSION: Events lost" in run("--base", *base, "--with", *other).stdout


def test_a_figure_that_one_side_has_not_measured_is_named(write):
    other = result()
    del other["verdict"]["cost"]["syncs"]
    other["verdict"]["usage"] = None
    code, found = compared(*write(result(), other))
    assert (code, found["syncs"]["result"], found["gateway_rss"]["result"]) == (0, "missing", "missing")
    assert "broker_rss" not in found, "nobody has measured it"


@pytest.mark.parametrize("changes", [{"name": "steady"}, {"length": "full"}, {"queue": "rabbitmq"}])
def test_runs_of_different_scenarios_are_compared_by_force_only(write, changes):
    base, other = write(result(), result(**changes))
    refused = run(base, other)
    assert refused.returncode == 64 and "--force" in refused.stderr
    assert run(base, other, "--force").returncode == 0
    assert run("--base", base, other, "--with", base).returncode == 64, "also within a side"


def with_values(each, *changes, **more):
    return {**each, "input": {"set": list(changes), "plan_sha256": "a", "target_sha256": None, **more}}


def test_runs_with_other_values_are_compared_by_force_only(write):
    base, other, third = write(with_values(result()), with_values(result(), "load.patience=1s"), result())
    refused = run(base, other)
    assert refused.returncode == 64 and "--set" in refused.stderr and "load.patience=1s" in refused.stderr and "--force" in refused.stderr
    forced = run(base, other, "--force")
    assert forced.returncode == 0 and "the sides differ in: set: [] and" in forced.stdout, forced.stdout
    assert run(base, third).returncode == 0, "a result that does not say it has none"
    assert run("--base", base, other, "--with", base).returncode == 64, "also within a side"


def test_another_plan_or_target_file_is_named(write):
    done = run(*write(with_values(result()), with_values(result(), plan_sha256="b", target_sha256="c")))
    assert done.returncode == 0 and "differ in: plan:" in done.stdout and "differ in: target file:" in done.stdout, done.stdout


@pytest.mark.parametrize("what, before, after, is_worse", [
    ("late", 0, 10, False), ("late", 0, 11, True), ("waiting", 0, 10, False), ("late", 200, 215, False), ("late", 200, 221, True),
    ("duplicated", 0, 1, True), ("lost", 0, 1, True)])
def test_some_late_events_of_many_are_noise_and_lost_ones_are_not(write, what, before, after, is_worse):
    sides = [result(), result()]
    for each, events in zip(sides, (before, after)):
        each["verdict"]["events"]["accepted"] = 100_000
        next(row for row in each["impact"] if row["what"] == what)["events"] = events
    code, found = compared(*write(*sides))
    assert (code, found[what]["result"]) == ((1, "worse") if is_worse else (0, "same"))


def test_runs_without_a_verdict_are_counted_and_a_target_has_no_commit_of_ours(write):
    of_target = result(commit=None, bench={"commit": "def5678", "build": "release"})
    done = run("--base", *write(of_target, of_target), "--with", *write(of_target, {**of_target, "passed": None}))
    assert "1 of 2 runs of the second side have no verdict" in done.stdout and "bench def5678" in done.stdout, done.stdout


def test_the_bounds_are_in_the_help():
    text = run("--help").stdout
    assert all(words in text for words in ("10 %", "duplicated, late, parked, refused, waiting", "0.01 % of the accepted events", "--set"))


def test_directories_are_compared_scenario_by_scenario(write):
    old = write(result(), result(name="steady"), directory="old")
    new = write(result(), result(name="steady", lost=2), directory="new")
    done = run(old, new)
    assert done.returncode == 1 and done.stdout.count("no regression") == 1 and done.stdout.count("REGRESSION") == 1, done.stdout
    less = write(result(), directory="less")
    assert run(old, less).returncode == 64, "a scenario that is missing may be the one that is worse"
    assert run(old, less, "--force").returncode == 0


def test_the_table_fits_on_a_line_and_names_what_differs(write):
    long = result(p99=123_456_789, rate=1_234_567.0, commit="v1.0.0-1234-gabcdef0123456-dirty", cpu="another processor" * 8)
    long["configuration"] = {"delivery.answer_timeout": "5s", "log.level": "\x1b[31m" * 99}
    long["levels"][1]["title"] = "\x1b[31mred" * 9
    done = run(*write(result(), long))
    assert all(len(line) <= 100 for line in done.stdout.splitlines()), done.stdout
    assert "the sides differ in: machine" in done.stdout and "the sides differ in: delivery.answer_timeout: null and" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_level_counts_where_the_verdict_has_no_figure(write):
    """Such as of a target that has no journal, or a run whose verdict is not known."""
    base, other = result(), result(p99=20_000)
    for each in (base, other):
        each["verdict"] = {}
        each["passed"] = None
    code, found = compared(*write(base, other))
    assert (code, found["answer_p99"]["result"], "passed" in found) == (1, "worse", False)
    for each in (base, other):
        each["levels"], each["impact"] = [], None
    nothing = run(*write(base, other))
    assert nothing.returncode == 64 and "no figure was measured" in nothing.stderr


def test_what_is_no_result_is_refused(write, tmp_path):
    good, = write(result())
    old = copy.deepcopy(result())
    del old["schema"]
    old_file, = write(old)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (old_file, broken, empty, tmp_path / "missing.json"):
        refused = run(good, path)
        assert refused.returncode == 66 and path.name in refused.stderr, refused
    for arguments in ((), (good,), (good, good, good), ("--base", good), (good, good, "--with", good), ("--no-such-option",)):
        assert run(*arguments).returncode == 64, arguments
    assert run("--help").returncode == 0
