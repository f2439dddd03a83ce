# SPDX-License-Identifier: Apache-2.0
"""The command of the bench: which runs are done again, which are refused, and what is said about a run that failed."""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from support.gateway import BINARY, ROOT, clean_environment

sys.path.insert(0, str(ROOT / "bench"))

from report.page import write_report, write_summary  # noqa: E402
from runner import scenarios  # noqa: E402
from runner.options import child_arguments, kind_of, parse  # noqa: E402
from runner.origin import of_run, package_versions  # noqa: E402
from runner.place import FIXED_BYTES, check_space, events_of, lock, needed_bytes, place_of, slug  # noqa: E402
from runner.plan import Plan, PlanWrong, load_plan  # noqa: E402
from runner.process import RunFailed  # noqa: E402
from runner.result import no_verdict  # noqa: E402
from runner.scenarios import SCENARIOS, exit_code, found_before, jobs_of, run_scenarios  # noqa: E402
from runner.sink import Sink, requests_at_the_end  # noqa: E402
from runner.target import Target  # noqa: E402
from runner.target_file import TargetFile  # noqa: E402

BUILD = pathlib.Path(BINARY).resolve().parent
MACHINE = {"commit": "abc1234", "build": "release", "cpu": "a processor", "command": "bench/run all"}

pytestmark = pytest.mark.once


def options_of(directory, **more):
    given = {"directory": directory, "build": BUILD, "queue": None, "target": None, "set": [], "full": False, "resume": False, "keep": False,
             "json": False, **more}
    return argparse.Namespace(**given)


def write_target(directory, name="product", more=""):
    file = directory / f"{name}.toml"
    file.write_text(f'version = "1.2"\n[post]\nurl = "http://127.0.0.1:1"\n[sink]\nlisten = "127.0.0.1:2"\n{more}')
    return file


def result_of(job, passed=True, of=None):
    return {**no_verdict(job.plan, of or {**MACHINE, "bench": MACHINE}, job.length, job.input(), job.target, ""), "passed": passed, "reasons": []}


def only(names, options):
    (job,), _ = jobs_of(names, options)
    return job


# --- what was measured before ---

def test_a_result_counts_for_the_same_commit_build_plan_values_and_target_only(tmp_path):
    job = only(["steady"], options_of(tmp_path))
    assert found_before(job, tmp_path, MACHINE) is None
    place = job.place(tmp_path)
    place.mkdir()
    (place / "result.json").write_text(json.dumps(result_of(job)))
    assert found_before(job, tmp_path, MACHINE)["scenario"]["name"] == "steady"
    for machine in ({"commit": "abc1235"}, {"build": "dev"}):
        assert found_before(job, tmp_path, {**MACHINE, **machine}) is None
    changed = only(["steady"], options_of(tmp_path, set=["load.timetable=constant:1:1s"]))
    assert changed.place(tmp_path) == place and found_before(changed, tmp_path, MACHINE) is None
    job.plan.data = {**job.plan.data, "accounts": 7}
    assert found_before(job, tmp_path, MACHINE) is None, "the file of the plan was changed"


@pytest.mark.parametrize("commit", ["abc1234-dirty", "unknown"])
def test_a_tree_with_changes_is_never_the_same(tmp_path, commit):
    job, machine = only(["steady"], options_of(tmp_path)), {**MACHINE, "commit": commit}
    job.place(tmp_path).mkdir()
    (job.place(tmp_path) / "result.json").write_text(json.dumps(result_of(job, of={**machine, "bench": machine})))
    assert found_before(job, tmp_path, machine) is None


def test_a_run_without_a_verdict_is_done_again_and_one_that_failed_is_not(tmp_path):
    job = only(["steady"], options_of(tmp_path))
    job.place(tmp_path).mkdir()
    for passed, is_found in ((None, False), (False, True)):
        (job.place(tmp_path) / "result.json").write_text(json.dumps(result_of(job, passed)))
        assert bool(found_before(job, tmp_path, MACHINE)) == is_found


def test_the_result_of_a_target_has_a_place_of_its_own_and_another_file_is_another_target(tmp_path):
    ours = only(["steady"], options_of(tmp_path))
    theirs = only(["steady"], options_of(tmp_path, target=write_target(tmp_path)))
    assert theirs.place(tmp_path).name == "steady-quick-direct-product" and ours.place(tmp_path).name == "steady-quick-direct"
    changed = only(["steady"], options_of(tmp_path, target=write_target(tmp_path, more='path = "/all"\n')))
    assert changed.input() != theirs.input() and changed.place(tmp_path) == theirs.place(tmp_path)
    assert place_of(tmp_path, "smoke").name == "smoke" and slug("../a product/") == "a-product" and slug("//") == "target"


# --- what is run ---

def test_all_leaves_out_what_cannot_be_done_to_a_target_before_the_first_run(tmp_path):
    options = options_of(tmp_path, target=write_target(tmp_path))
    jobs, notes = jobs_of(["all"], options)
    names = [job.name for job in jobs]
    assert names == ["steady", "spike", "burst", "slow-consumer", "headroom"], names
    left_out = [note for note in notes if "is left out" in note]
    assert [note.split()[1] for note in left_out] == ["retry-storm", "backlog-recovery", "incident"]
    assert all("product.toml" in note for note in left_out)
    with pytest.raises(PlanWrong, match="the fault stop of the gateway"):
        jobs_of(["steady", "retry-storm"], options)
    with pytest.raises(PlanWrong, match="no scenario can be run with this target.*accounts.count"):
        jobs_of(["all"], options_of(tmp_path, target=write_target(tmp_path, "small", "[accounts]\ncount = 2\n")))


def test_several_scenarios_are_run_on_both_queues_and_one_on_the_direct_one(tmp_path):
    assert len(jobs_of(["all"], options_of(tmp_path))[0]) == 2 * len(SCENARIOS)
    for names, more, queues in ((["spike", "steady"], {}, ["direct", "direct", "rabbitmq", "rabbitmq"]), (["spike"], {}, ["direct"]),
                                (["spike", "steady"], {"queue": "rabbitmq"}, ["rabbitmq", "rabbitmq"])):
        assert [job.plan.queue for job in jobs_of(names, options_of(tmp_path, **more))[0]] == queues


class FakeScenario:
    """A run that ends as its name says."""

    def __init__(self, plan, _build, directory, target=None):
        self.plan, self.directory, self.sink = plan, directory, argparse.Namespace(logs=[directory / "sink.log"])
        self.gateway = argparse.Namespace(remove_data=lambda: shutil.rmtree(directory / "gateway-data"))
        (directory / "gateway-data").mkdir()
        for log in (*self.load_logs(), *self.sink.logs):
            log.write_text("records")

    def load_logs(self):
        return [self.directory / "load.log"]

    def run(self):
        if self.plan.name.startswith("spike"):
            raise RunFailed("the gateway ended with -11: a stack")
        if self.plan.name.startswith("burst"):
            raise ValueError("a defect of the runner")
        return 0, f"the text of {self.plan.name}\n", {}


@pytest.fixture
def fake(monkeypatch):
    """What a run measures is not of interest here."""
    failed = set()

    def result(scenario, _details, of, of_input, length):
        name = scenario.plan.name.removesuffix(f"-{length}")
        return {**no_verdict(scenario.plan, of, length, of_input, None, ""), "passed": name not in failed, "reasons": []}
    monkeypatch.setattr(scenarios, "Scenario", FakeScenario)
    monkeypatch.setattr(scenarios, "result_of", result)
    return failed


def read(directory, name, kind="result.json"):
    return json.loads((directory / f"{name}-quick-direct" / kind).read_text())


def test_a_scenario_that_fails_to_run_has_no_verdict_and_the_others_are_run(tmp_path, fake, capsys):
    options = options_of(tmp_path, queue="direct", resume=True)
    assert run_scenarios(["spike", "burst", "steady"], options, MACHINE) == 69
    result = read(tmp_path, "spike")
    assert result["passed"] is None and result["reasons"] == ["the gateway ended with -11: a stack"]
    assert read(tmp_path, "burst")["reasons"] == ["ValueError: a defect of the runner"] and read(tmp_path, "steady")["passed"] is True
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["NO", "VERDICT", "spike", "quick", "direct"] in lines and ["PASS", "steady", "quick", "direct"] in lines, shown.out
    assert "the gateway ended with -11: a stack" in shown.out and "Traceback" in shown.err
    overview = json.loads((tmp_path / "scenarios-quick.json").read_text())
    assert [(row["passed"], row["verdict"]) for row in overview] == [(None, "NO VERDICT"), (None, "NO VERDICT"), (True, "PASS")]
    page = (tmp_path / "scenarios-quick.html").read_text()
    assert "2 of 3 runs had no verdict: spike (direct), burst (direct)." in page and "<title>NO VERDICT: all scenarios" in page
    report = (tmp_path / "spike-quick-direct/report.html").read_text()
    assert "NO VERDICT" in report and "the gateway ended with -11: a stack" in report and "badge fail" not in report
    assert run_scenarios(["spike", "burst", "steady"], options, MACHINE) == 69
    again = capsys.readouterr()
    assert "steady, quick, direct: is there already" in again.err and "spike, quick, direct: is there" not in again.err


def test_a_level_that_failed_decides_over_a_run_without_a_verdict(tmp_path, fake):
    fake.add("steady")
    assert run_scenarios(["spike", "steady"], options_of(tmp_path, queue="direct"), MACHINE) == 1
    for found, code in (((True, True), 0), ((True, None), 69), ((None, False), 1)):
        assert exit_code([{"passed": passed} for passed in found]) == code
    page = (tmp_path / "scenarios-quick.html").read_text()
    assert "1 of 2 runs did not pass: steady (direct). 1 of 2 runs had no verdict: spike (direct)." in page and "<title>FAIL:" in page


@pytest.mark.parametrize("name, fails, keep, is_kept", [("steady", False, False, False), ("steady", True, False, True), ("spike", False, False, True),
                                                        ("steady", False, True, True)])
def test_logs_and_journals_are_kept_unless_the_run_passed(tmp_path, fake, name, fails, keep, is_kept):
    fake.update([name] if fails else [])
    run_scenarios([name], options_of(tmp_path, keep=keep), MACHINE)
    place = tmp_path / f"{name}-quick-direct"
    assert [(place / file).exists() for file in ("gateway-data", "load.log", "sink.log")] == 3 * [is_kept]
    assert (place / "result.json").exists()


# --- the directory ---

@pytest.mark.parametrize("timetable, events", [
    ("constant:500:1m", 30_000), ("ramp:10:1510:10s", 7600), ("step:1000:3000:1000:10s", 60_000), ("burst:10:1s:1m", 600), ("pause:5m", 0),
    ("import:100000:256:2m", 100_000), ("closed:64:10s", 200_000), ("constant:1:1s,constant:2:1s", 3), ("replay:/no/such/file", 0)])
def test_the_posts_of_a_timetable_are_known_before(timetable, events):
    assert events_of(timetable) == events


def test_a_run_without_room_is_refused_before_it_begins(tmp_path, fake, monkeypatch):
    plan = load_plan("spike:full")
    events, needed = needed_bytes(plan)
    assert events > 3_600_000 and needed > 3e9
    assert needed_bytes(plan, has_journal=False)[1] < needed < needed_bytes(load_plan("spike:full", "rabbitmq"))[1]
    assert needed_bytes(Plan("test", {"load": {"timetable": "pause:1s"}})) == (0, FIXED_BYTES)
    assert check_space(tmp_path, load_plan("steady:quick")).startswith("about 0.")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: argparse.Namespace(free=1e9))
    with pytest.raises(RunFailed, match=r"spike-full needs about \d\.\d GB in .*and 1\.0 GB are free: make room, or"):
        run_scenarios(["steady", "spike"], options_of(tmp_path, full=True), MACHINE)
    assert not list(tmp_path.glob("*full*")), "nothing was begun"


def test_two_commands_do_not_write_into_one_directory(tmp_path):
    held = lock(tmp_path / "results")
    try:
        with pytest.raises(RunFailed, match=r"another bench/run \(pid \d+\) writes into .*--directory"):
            lock(tmp_path / "results")
        found = subprocess.run([ROOT / "bench/run", "smoke", "--build", BUILD, "--directory", tmp_path / "results"], env=clean_environment(tmp_path),
                               capture_output=True, text=True, timeout=60, check=False)
        assert found.returncode == 69 and "another bench/run" in found.stderr, found.stderr
        background = subprocess.run([ROOT / "bench/run", "all", "--background", "--build", BUILD, "--directory", tmp_path / "results"],
                                    env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60, check=False)
        assert background.returncode == 69 and not (tmp_path / "results/background.log").exists(), "the terminal shows it, not a log"
    finally:
        held.close()
    lock(tmp_path / "results").close()


# --- the command ---

@pytest.mark.parametrize("arguments, complaint", [
    (["smoke", "steady"], "steady is a scenario and smoke is a plan: run them with two commands"),
    (["steady", "smoke"], "two commands"), (["all", "smoke"], "two commands"),
    (["smoke", "--full"], "--full: a plan has one length"), (["smoke", "--quick"], "--quick: a plan has one length"),
    (["smoke", "--resume"], "--resume: a plan is always run from its start"),
    (["smoke", "--background"], "--background: only scenarios and figures"), (["steady", "--rounds", "3"], "--rounds: is for figures"),
    (["smoke", "--tiny"], "--tiny: is for figures"), (["figures", "--full"], "--full: figures have one length"),
    (["figures", "--target", "x"], "--target: figures are of Penstock"), (["figures", "--set", "a=1"], "--set: is for plans")])
def test_what_would_be_ignored_is_refused_with_the_remedy(arguments, complaint):
    with pytest.raises(PlanWrong, match=complaint):
        parse("", arguments)


def test_each_kind_of_run_takes_what_belongs_to_it():
    assert parse("", ["all", "--full", "--resume", "--background", "--keep"]).kind == "scenarios"
    assert parse("", ["smoke", "crash", "--queue", "rabbitmq", "--set", "accounts=4"]).kind == "plans"
    figures = parse("", ["figures", "flow", "--resume", "--background", "--seconds", "3"])
    assert (figures.kind, figures.rounds, figures.seconds, figures.events) == ("figures", 5, 3, 1_000_000)
    assert kind_of(["list"]) == "list" and kind_of(["steady:full"]) == "plans"


def test_an_option_has_one_spelling_so_that_a_child_in_the_background_starts_no_child(capsys):
    for abbreviated in ("--back", "--backgroun", "--res"):
        with pytest.raises(SystemExit) as ended:
            parse("", ["all", abbreviated])
        assert ended.value.code == 64 and "--help" in capsys.readouterr().err
    arguments = ["bench/run", "all", "--full", "--background"]
    assert parse("", arguments[1:]).background and not parse("", child_arguments(arguments)[1:]).background


# --- what a result says about its origin ---

def test_the_versions_are_those_of_what_was_measured(tmp_path):
    of = of_run(MACHINE, BUILD, "direct")
    assert of["commit"] == "abc1234" and {"Penstock", "SQLite", "h2o"} <= set(of["versions"]) and "RabbitMQ" not in of["versions"]
    assert all(version and version[0].isdigit() for version in of["versions"].values()), of["versions"]
    target = TargetFile(write_target(tmp_path))
    of = of_run(MACHINE, BUILD, "direct", target)
    assert of["commit"] is None and of["build"] is None and of["bench"] == {"commit": "abc1234", "build": "release"}
    assert of["versions"] == {"product": "1.2", "bench": "abc1234, release"}
    assert package_versions({"x": "no-such-package"}) == {}


def test_the_report_of_a_target_does_not_show_our_commit_as_its_own(tmp_path):
    job = only(["steady"], options_of(tmp_path, target=write_target(tmp_path)))
    write_report(result_of(job, of=of_run(MACHINE, BUILD, "direct", job.target)), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<dt>bench</dt><dd>abc1234, release</dd>" in page and "<dt>product</dt><dd>1.2</dd>" in page and "<dt>Commit</dt>" not in page
    write_summary([result_of(job, passed) for passed in (True, True)], tmp_path / "all.html")
    assert "All 2 runs pass." in (tmp_path / "all.html").read_text()


# --- the backlog of a target ---

def test_what_arrived_before_a_restart_of_the_clients_is_no_backlog(tmp_path, monkeypatch):
    text = "penstock-sink: 70 requests: 70 answered, 0 dropped, 0 cut, 0 never ended\n"
    assert requests_at_the_end(text.replace("70", "5") + text) == 70 and requests_at_the_end("") == 0
    target = Target(BUILD, tmp_path, TargetFile(write_target(tmp_path)))
    counts = {"requests": 70}
    monkeypatch.setattr("runner.sink.sink_counts", lambda _: counts)
    (tmp_path / "load.progress").write_text('{"ok": 100}\n')
    assert target.backlog() == 30
    monkeypatch.setattr(target.sink.program, "end", lambda: 0)
    monkeypatch.setattr(target.sink.program, "errors", lambda: text)
    target.sink.kill()
    counts["requests"] = 10
    assert target.backlog() == 20


def test_a_sink_counts_the_requests_of_all_its_starts(tmp_path):
    """With the real program: its last line is read."""
    sink = Sink(BUILD, tmp_path, {}).start()
    try:
        for _ in range(2):
            subprocess.run(["curl", "-s", "-d", "{}", f"{sink.url}/a"], check=True, capture_output=True, timeout=20)
            before = sink.requests()
            sink.kill()
            sink.start()
            assert sink.requests() == before
        assert before == 2
    finally:
        sink.program.end()
