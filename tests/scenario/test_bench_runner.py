# SPDX-License-Identifier: Apache-2.0
"""Parts of the bench that need no run: what a step of a headroom holds, whose fault a miss is, when samples are taken, and what the timetable says."""
import http.client
import sys
import threading
import time
import types

import pytest

from support import results
from support.gateway import ROOT

sys.path.insert(0, str(ROOT / "bench"))

from report.article import draw_article, headline, marks_of  # noqa: E402
from report.quantity import format_money  # noqa: E402
from runner import broker, sampler  # noqa: E402
from runner.acts import Acts, late_text, timetable_text, without_ids  # noqa: E402
from runner.advice import Facts, busiest_share, options_of  # noqa: E402
from runner.broker import Broker  # noqa: E402
from runner.headroom import Headroom, describe  # noqa: E402
from runner.plan import Plan, PlanWrong, load_plan  # noqa: E402
from runner.process import RunFailed  # noqa: E402
from runner.sampler import Sampler, next_tick  # noqa: E402
from runner.scenario import Scenario  # noqa: E402
from runner.service_levels import judged, level_of, replay_levels, replay_reasons, result_parts, summary, warnings_of, warnings_text  # noqa: E402

pytestmark = pytest.mark.once
ROWS = ("posted_per_s", "accepted_per_s", "refused_per_s", "delivered_per_s", "answer_p99_us", "freshness_p99_us")


def steps(*seconds):
    """Series of three equal seconds for each tuple of ROWS."""
    rows = {name: [each[place] for each in seconds for _ in range(3)] for place, name in enumerate(ROWS)}
    return {"step_s": 1, "t_s": list(range(3 * len(seconds))), "rows": rows}


# --- headroom ---

def test_a_rate_whose_events_are_not_delivered_is_not_held():
    headroom = Headroom({"rate_min": 1000, "freshness_p99_max": "2s"})
    found = headroom.figures_of("step:1000:2000:1000:3s", steps((1000, 1000, 0, 1000, 9000, 9000), (2000, 2000, 0, 500, 9000, 1_000_000)))
    assert found["rate"] == 1000 and not found["steps"][1]["held"], "few of them were delivered"
    found = headroom.figures_of("constant:1000:3s", steps((1000, 1000, 0, 1000, 9000, 2_100_000)))
    assert found["rate"] == 0, "they were delivered late"


def test_refusals_and_a_backlog_end_a_headroom_too():
    refusing, waiting = Headroom({}), Headroom({"freshness_p99_max": "2s"})
    bad = [refusing.is_broken({"seconds": second, "p99_us": 900, "events": 1000 * second, "ok": 800 * second, "rate": 800}) for second in (1, 2, 3)]
    assert bad == [False, False, True]
    line = [{"seconds": second, "p99_us": 900, "events": 1000 * second, "ok": 1000 * second, "rate": 1000} for second in range(1, 7)]
    assert [waiting.is_broken(each, 3900) for each in line[:3]] == [False] * 3
    assert [waiting.is_broken(each, 4100) for each in line[3:]] == [False, False, True]


def test_a_headroom_says_when_the_generator_was_the_limit():
    series = steps((1000, 1000, 0, 1000, 3_000_000, 9000))
    found = Headroom({}).figures_of("constant:1000:3s", series, True)
    assert found["limit_of_generator"] and "limit of the generator" in describe(found)
    assert not Headroom({}).figures_of("constant:1000:3s", series)["limit_of_generator"]


# --- whose fault it is ---

def level(name, passed):
    return level_of(name, name.title(), "us", "max", 1000, 2000, passed)


def facts_of(levels, **more):
    rows = {"accepted_per_s": [100, 900, 5000], "posted_per_s": [100, 900, 300], "answer_p99_us": [500, 900, 900]}
    details = {"impact": [], "events": {"states": {}}, "answers": {"kinds": {kind: {"statuses": {}, "timed_out": 0, "broken": 0}
                                                                             for kind in ("fresh", "duplicate")}},
               "arrivals": {"deeds": {}, "statuses": {}}, "series": {"step_s": 1, "t_s": [0, 1, 2], "rows": rows}, "usage": {}}
    return Facts(details, levels, **more)


def test_a_generator_that_is_late_makes_no_fail_of_the_gateway():
    warnings = warnings_of({"load": "it was late", "partner_1": None})
    assert len(warnings) == 1
    slow, lost = level("answer_p99", False), level("lost", False)
    found = judged(facts_of([slow], warnings=warnings), ["answers"])
    assert found["passed"] is None and "NO VERDICT" in summary(found) and warnings_text(found).startswith("WARNING: The generator")
    assert "quicker generator" in " ".join(option["text"] for option in found["options"])
    assert not any(option["setting"] for option in found["options"]), "nothing is said about settings of the gateway"
    assert judged(facts_of([slow, lost], warnings=warnings), ["answers", "lost"])["passed"] is False
    assert judged(facts_of([slow]), ["answers"])["passed"] is False
    assert judged(facts_of([level("answer_p99", True)], warnings=warnings), [])["passed"] is True
    parts = result_parts({"verdict": "NO VERDICT", "reasons": [], "warnings": warnings, "levels": [], "impact": [], "options": [], "series": {}, "distributions": {}})
    assert parts["passed"] is None and parts["warnings"] == warnings


def test_the_options_for_another_product_name_no_setting_of_ours():
    def settings(**more):
        return [option["setting"] for option in options_of(facts_of([level("answer_p99", False)], **more), []) if option["setting"]]
    assert settings() and not settings(target="other") and not settings(target="penstock")


def test_the_limit_of_a_partner_is_the_rate_of_one_partner_without_what_it_caught_up():
    limit = next(option["setting"] for option in options_of(facts_of([level("answer_p99", False)], busiest_share=busiest_share([300, 100])), [])
                 if option["setting"] and "partner_events" in option["setting"])
    assert limit == "ingress.partner_events_per_second = 675", "three quarters of 900, not of 5000"


def test_a_replay_of_nothing_or_without_an_end_fails():
    assert replay_reasons([{"state": "done", "moved": 3}]) == []
    assert all(each["passed"] for each in replay_levels([{"state": "done", "moved": 3}]))
    assert "nothing was replayed" in replay_reasons([{"state": "done", "moved": 0}])[0]
    assert "not done" in replay_reasons([{"state": "running", "moved": 3}])[0]
    assert [each["passed"] for each in replay_levels([])] == [False, False]


# --- plans ---

def test_an_import_has_accounts_of_its_own_and_the_others_have_levels():
    for length in ("quick", "full"):
        plan = load_plan(f"burst:{length}")
        own, = [text for text in plan.subsets(plan.planned_moments()) if text.startswith("others ")]
        assert "accounts=0-23 " in own and "p99=250000us" in own and "answers=250000us" in own
        assert plan.load_arguments()[:2] == ["--accounts", "acc_%d*24"]
        for act in plan.acts:
            assert plan.load_arguments(act["load"], act["group"])[:4] == ["--first-account", "24", "--accounts", "acc_%d*32"]
        plan.post_alone()
        assert plan.load_arguments()[:2] == ["--accounts", "acc_%d*32"] and plan.measures == {} and "import" in plan.load["timetable"]


@pytest.mark.parametrize("groups", [{"first": {"accounts": 2}, "rest": {}}, {"first": {"accounts": 8}}])
def test_the_accounts_of_a_partner_are_the_last_ones_but_not_all(groups):
    act = {"at": "1s", "do": "partner", "group": "first", "load": {"timetable": "constant:1:1s"}}
    with pytest.raises(PlanWrong, match="last groups"):
        Plan("test", {"load": {"timetable": "constant:1:1s"}, "group": groups, "act": [act]})


def test_an_ordinary_day_and_the_time_before_three_times_the_peak_have_levels_near_what_is_usual():
    assert load_plan("steady:quick").levels == {"answer_p99_max": "100ms", "freshness_p99_max": "1s"}
    for length in ("quick", "full"):
        plan = load_plan(f"spike:{length}")
        judged_parts = [text for text in plan.subsets(plan.planned_moments()) if "answers=250000us" in text and "p99=1000000us" in text]
        assert [text.split()[0] for text in judged_parts] == ["usual", "peak"] and plan.levels["answer_p99_max"] == "1s"


# --- acts ---

class FakeRun:
    """A run whose programs are names."""

    def __init__(self, acts, is_running=True):
        program = types.SimpleNamespace(is_running=lambda: is_running, kill=lambda: None, usage=types.SimpleNamespace(name="gateway"),
                                        process=types.SimpleNamespace(returncode=-11), errors=lambda: "", send=lambda _: None)
        self.plan = types.SimpleNamespace(acts=acts)
        self.progress = types.SimpleNamespace(line=lambda _: None)
        self.gateway = types.SimpleNamespace(program=program, come_back=lambda: time.sleep(0.05))
        self.sink = types.SimpleNamespace(program=types.SimpleNamespace(is_running=lambda: True), kill=lambda: None, start=lambda: None)
        self.broker = None
        self.acts = Acts(self)


def test_a_gateway_that_has_crashed_is_not_killed_but_named():
    run = FakeRun([{"at": "0s", "do": "kill", "for": "1s"}], is_running=False)
    with pytest.raises(RunFailed, match="ended by itself"):
        run.acts.turn(time.monotonic())


def test_a_crash_is_seen_while_the_clients_are_down():
    run = FakeRun([{"at": "0s", "do": "kill", "what": "sink", "for": "60s"}])
    run.acts.turn(time.monotonic())
    Scenario.check_alive(run)
    run.gateway.program.is_running = lambda: False
    with pytest.raises(RunFailed, match="the gateway ended with -11"):
        Scenario.check_alive(run)
    run.sink.program.is_running = lambda: False
    run.gateway.program.is_running = lambda: True
    Scenario.check_alive(run)


def test_the_end_of_a_fault_is_when_it_ended_and_not_when_the_run_looked():
    run = FakeRun([{"at": "0s", "do": "kill"}])
    began = time.monotonic()
    run.acts.turn(began)
    run.acts.turn(began)
    run.acts.backs[0].thread.join()
    ended = time.time()
    time.sleep(0.3)
    run.acts.turn(began)
    assert not run.acts.backs and run.acts.done[0]["until"] <= ended and run.acts.marks["back"] == run.acts.done[0]["until"]


def test_an_act_that_begins_late_says_so():
    run = FakeRun([{"at": "1s", "do": "kill"}])
    run.acts.turn(time.monotonic() - 6)
    assert "(began 5." in run.acts.done[0]["text"]
    assert late_text(1.9, "began") == ""


def test_the_timetable_is_in_words():
    assert timetable_text("constant:500:26m,ramp:10:1500:10s") == "500 events/s for 26 min, then from 10 to 1500 events/s within 10 s"
    assert timetable_text("import:100:8:2m") == "100 events as fast as they are taken, 8 at once, for at most 2 min"
    assert timetable_text("step:1000:2000:500:4s,burst:3") == "from 1000 to 2000 events/s, 500 more every 4 s, then burst:3"
    assert without_ids("endpoint main (ep_3a20f00bb1ec4d27a0) is slow") == "endpoint main is slow"


# --- sampler and broker ---

class FakeSampled:
    def __init__(self, answer):
        self.acts = types.SimpleNamespace(is_silent=lambda: False)
        self.gateway = types.SimpleNamespace(sample=answer, data=None, usage=types.SimpleNamespace(syncs=lambda: None))
        self.broker = None

    def usages(self):
        return []


def test_a_sampler_survives_every_failure_and_counts_it(monkeypatch):
    monkeypatch.setattr(sampler, "STEP_SECONDS", 0.01)
    answers = iter([http.client.IncompleteRead(b""), AssertionError("x"), {"backlog_pending": 7}])

    def sample(_):
        found = next(answers, {"backlog_pending": 8})
        if isinstance(found, Exception):
            raise found
        return found

    taken = Sampler(FakeSampled(sample))
    taken.start()
    end = time.monotonic() + 20
    while taken.newest("backlog_pending") != 8 and time.monotonic() < end:
        time.sleep(0.01)
    taken.end()
    found = taken.as_json()
    assert found["failed"] == 2 and "IncompleteRead" in found["failures"][0] and found["samples"] >= 4
    assert taken.newest("backlog_pending") == 8 and taken.newest("cpu_gateway") is None


def test_samples_are_taken_at_multiples_of_the_step():
    assert [next_tick(0, 0), next_tick(1.01, 1), next_tick(1.99, 1), next_tick(4.2, 1)] == [1, 2, 2, 5]


def test_a_step_of_several_samples_has_the_mean_of_rates_and_the_largest_of_the_rest():
    taken = Sampler(FakeSampled(dict))
    taken.samples = [(99.5, {"backlog_dead": 99}), (100.0, {"backlog_dead": 5, "cpu_gateway": 1.0}), (101.0, {"backlog_dead": 3, "cpu_gateway": 0.5}),
                     (102.5, {"cpu_gateway": None})]
    rows = taken.series(100.0, 2, 2)
    assert rows["backlog_dead"] == [5, None] and rows["cpu_gateway"] == [0.75, None], "what was before the start is in no step"


def test_two_threads_ask_a_broker_one_after_the_other(tmp_path, monkeypatch):
    made, busy, wrong = [], threading.Lock(), []

    class Console:
        def __init__(self, *_):
            made.append(self)
            time.sleep(0.05)

        def eval(self, line, _):
            if not busy.acquire(blocking=False):
                wrong.append(line)
                return line
            time.sleep(0.02)
            busy.release()
            return line

    monkeypatch.setattr(broker, "_Console", Console)
    node = Broker(tmp_path, start=False)
    threads = [threading.Thread(target=node.eval, args=(f"ask({number})",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 1 and not wrong


# --- the report ---

def test_a_report_shows_what_its_scenario_is_run_for():
    result = results.spike()
    result["verdict"].update(cost={"cpu_us": 85.0}, headroom={"rate": 8000, "rate_min": 6000, "limit_found": False, "steps": [
        {"rate": 8000, "accepted_per_s": 7990, "delivered_per_s": 7985, "answer_p99_us": 9000, "freshness_p99_us": 12000, "held": True}]})
    cards = dict(headline(result))
    assert "8,000" in cards["Highest rate that was held (limit not reached)"] and "85" in cards["CPU per event, of the gateway"]
    assert "99 of 100 answers within" not in cards, "these are of the overloaded end"
    assert "Step by step" in draw_article(result, "a", 1)
    result["verdict"].update(headroom=None, recovery={"slowest_starts": 1.5, "gone": 62.0})
    cards = dict(headline(result))
    assert "62" in cards["Backlog delivered after"] and "1.5" in cards["Backlog begins to move after"] and "99 of 100 answers within" in cards


def test_a_report_has_its_warnings_in_the_verdict():
    result = results.spike()
    result.update(passed=None, warnings=["The generator was the limit (partner_1)"])
    page = draw_article(result, "a", 1)
    assert "NO VERDICT" in page and page.index("The generator was the limit (partner_1)") < page.index("Service levels")
    del result["warnings"]
    result["partners"] = {"partner_1": {"bottleneck": "it was late"}}
    assert "it was late" in draw_article(result, "a", 1)


def test_a_partner_has_a_letter_and_an_end():
    row = {"at_s": 60.0, "until_s": 120.0, "kind": "partner", "text": "a new partner connects"}
    (_, none), (_, mark) = marks_of({"timetable": [{"at_s": 0.0, "until_s": 200.0, "kind": "load", "text": "the load"}, row]})
    assert none is None and mark.letter == "A" and mark.until_s == 120.0


def test_money_and_means_are_named_as_in_the_sentences():
    assert format_money({"EUR": "1250.00"}) == "1,250.00 EUR"
    result = results.spike()
    result["series"]["step_s"] = 2
    assert any(label.startswith("Most accepted per second, mean of 2") for label, _ in headline(result))
