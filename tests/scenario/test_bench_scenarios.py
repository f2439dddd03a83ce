# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the bench: what they do to the system is done, is in the timetable, and its effects are seen."""
import json
import pathlib
import subprocess
import sys

import pytest

from support.gateway import BINARY, ROOT, clean_environment

sys.path.insert(0, str(ROOT / "bench"))

from runner.acts import behaviour_text  # noqa: E402
from runner.headroom import Headroom, steps_of  # noqa: E402
from runner.plan import QUEUES, Plan, PlanWrong, load_plan  # noqa: E402
from runner.scenarios import SCENARIOS  # noqa: E402

BUILD = pathlib.Path(BINARY).resolve().parent
# What they find under the load of other tests is no figure: nothing may be lost or sent twice even so.
RELAXED = [f"--set=levels.{level}=none" for level in ("answer_p99_max", "answer_max", "error_share_max", "freshness_p99_max")]

pytestmark = pytest.mark.once


def bench_run(directory, *arguments):
    return subprocess.run([ROOT / "bench/run", *arguments, "--build", BUILD, "--directory", directory], env=clean_environment(directory),
                          capture_output=True, text=True, timeout=400, check=False)


def run_quickly(directory, name, *arguments, queue="direct"):
    found = bench_run(directory, name, "--quick", "--queue", queue, *RELAXED, *arguments)
    assert found.returncode == 0, found.stdout + found.stderr
    return json.loads((directory / f"{name}-quick-{queue}/result.json").read_text())


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_both_lengths_and_says_what_it_models(name):
    for queue in QUEUES:
        quick, full = (load_plan(f"{name}:{length}", queue) for length in ("quick", "full"))
        assert quick.models == full.models and len(quick.models.split()) > 15
        assert quick.queue == full.queue == queue


@pytest.mark.xdist_group("scenarios")
def test_the_operator_of_an_incident_acts_and_everything_arrives(tmp_path):
    result = run_quickly(tmp_path, "incident", "--set=measure={}", "--set=load.timetable=constant:100:32s")
    assert result["passed"] and result["scenario"]["models"] and result["of"]["commit"]
    texts = [entry["text"] for entry in result["timetable"]]
    assert any("switches retries off" in text for text in texts) and any("looks at the status" in text for text in texts), texts
    replay = next(entry for entry in result["timetable"] if "replays what is dead" in entry["text"])
    assert replay["until_s"] >= replay["at_s"] and "done" in replay["text"] and " 0 deliveries" not in replay["text"], replay
    rows = result["series"]["rows"]
    assert max(value or 0 for value in rows["backlog_waiting"]) > 0, "what waited was seen"
    assert all(any(value is not None for value in rows[row]) for row in ("cpu_gateway", "rss_gateway", "disk_bytes", "delivered_per_s", "answer_p99_us"))


@pytest.mark.xdist_group("scenarios")
def test_a_partner_that_connects_later_posts_beside_the_first(tmp_path):
    partner = '{ at = "1s", do = "partner", load = { timetable = "import:300:8:20s", batch = 10 } }'
    result = run_quickly(tmp_path, "burst", f"--set=act=[{partner}]", "--set=measure={}", "--set=load.timetable=constant:50:6s", queue="rabbitmq")
    assert result["partners"]["partner_1"]["events"] == 300 and result["load"]["events"] == 300
    assert result["verdict"]["events"]["delivered"] == 600, result["verdict"]["events"]
    assert any("a new partner connects" in entry["text"] for entry in result["timetable"])


def test_an_act_that_does_not_exist_is_refused_with_its_name():
    for act, named in (({"at": "1s", "do": "shout"}, "shout"), ({"at": "1s", "do": "switch", "switch": "retries"}, "state"),
                       ({"do": "look"}, "at"), ({"at": "1s", "do": "partner", "load": {"rate": 5}}, "rate")):
        with pytest.raises(PlanWrong, match=named):
            Plan("test", {"load": {"timetable": "constant:1:1s"}, "act": [act]})


@pytest.mark.parametrize("words, count, text", [
    ("hang=100%", 1, "takes requests and never answers"), ("fail=100%", 2, "answer 500 to everything"), ("fail=100%:502", 2, "answer 502 to everything"),
    ("delay=exp:5ms", 2, "answer after 5 ms on average"), ("delay=uniform:20s:29s", 1, "answers after 20 to 29 s"), ("drop=5%", 1, "behaves so: drop=5%")])
def test_behaviours_of_clients_have_plain_words(words, count, text):
    assert behaviour_text(words, count) == text


def series_of(rates, p99_ms, refused=0):
    """Three seconds for each rate."""
    rows = {"posted_per_s": [], "accepted_per_s": [], "refused_per_s": [], "delivered_per_s": [], "answer_p99_us": [], "freshness_p99_us": []}
    for rate, p99 in zip(rates, p99_ms):
        for _ in range(3):
            for name, value in zip(rows, (rate, rate - refused, refused, rate, p99 * 1000, p99 * 1000)):
                rows[name].append(value)
    return {"step_s": 1, "t_s": list(range(3 * len(rates))), "rows": rows}


def test_headroom_is_the_highest_rate_before_the_first_that_was_not_held():
    headroom = Headroom({"rate_min": 2000, "answer_p99_max": "1s"})
    timetable = "step:1000:4000:1000:3s"
    assert steps_of(timetable) == [(1000, 0, 3), (2000, 3, 6), (3000, 6, 9), (4000, 9, 12)]
    found = headroom.figures_of(timetable, series_of([1000, 2000, 3000, 4000], [10, 20, 1500, 10]))
    assert found["rate"] == 2000 and found["limit_found"] and [step["held"] for step in found["steps"]] == [True, True, False, True]
    assert headroom.reasons_of(found) == []
    found = headroom.figures_of(timetable, series_of([1000], [1500]))
    assert found["rate"] == 0 and "0 events/s were held" in headroom.reasons_of(found)[0]
    found = headroom.figures_of(timetable, series_of([1000, 2000], [10, 10]))
    assert found["rate"] == 2000 and not found["limit_found"] and len(found["steps"]) == 2
    assert headroom.figures_of(timetable, series_of([1000], [10], refused=10))["rate"] == 0


def test_a_load_beyond_the_limit_ends_after_three_bad_seconds():
    headroom = Headroom({"answer_p99_max": "1s"})
    assert not any(headroom.is_broken({"seconds": second, "p99_us": 1000, "events": second * 100, "ok": second * 99, "rate": 99}) for second in range(9))
    headroom = Headroom({"answer_p99_max": "1s"})
    bad = [headroom.is_broken({"seconds": second, "p99_us": 3_000_000}) for second in (1, 2, 2, 3)]
    assert bad == [False, False, False, True]
    assert not headroom.is_broken({"seconds": 4, "p99_us": 1000})
