# SPDX-License-Identifier: Apache-2.0
"""The end of a run for those who decide: the levels that the runner adds, the options and the text."""
import re
import sys

import pytest

from support.gateway import ROOT

sys.path.insert(0, str(ROOT / "bench"))

from runner import advice  # noqa: E402
from runner.advice import Facts, options_of  # noqa: E402
from runner.service_levels import (audit_level, complete_levels, judged, level_of, recovery_levels, result_parts, summary,  # noqa: E402
                                   value_text)

pytestmark = pytest.mark.once

IMPACT = [{"what": what, "events": 0, "money": {}, "text": f"No event was {what}."}
          for what in ("lost", "duplicated", "late", "parked", "refused", "waiting")]
LATE = {"what": "late", "events": 12, "money": {"EUR": "340.00"}, "text": "12 events with 340.00 EUR arrived later than 15 s; the latest after 41 s."}


def level(name, passed, target=250_000, value=10_000, unit="us", sense="max"):
    return level_of(name, name.replace("_", " ").capitalize(), unit, sense, target, value, passed)


def facts_of(*failed, queue="direct", configuration=None, faults=(), fresh=(), states=(), deeds=(), statuses=(), cpu=0):
    """Of a run of 10 s in which these levels failed."""
    kinds = {kind: {"statuses": {"200": 10}, "timed_out": 0, "broken": 0} for kind in ("fresh", "duplicate")}
    kinds["fresh"]["statuses"].update(fresh)
    series = {"step_s": 1, "t_s": list(range(10)),
              "rows": {**dict.fromkeys(("posted_per_s", "accepted_per_s"), [100.0 * each for each in range(10)]),
                       "answer_p99_us": [100_000 * each for each in range(9)] + [None]}}
    details = {"answers": {"kinds": kinds}, "events": {"states": dict(states)}, "series": series, "impact": IMPACT, "distributions": {},
               "arrivals": {"deeds": dict(deeds), "statuses": {"200": 10, **dict(statuses)}}, "usage": {"gateway": {"cpu_seconds": cpu}}}
    levels = [level(name, name not in failed) for name in ("answer_p99", "lost", "duplicates", "freshness_p99", "delivered_share")]
    levels += [level(name, False) for name in failed if name not in {each["name"] for each in levels}]
    return Facts(details, levels, queue, configuration or {}, list(faults), cores=2)


def settings_of(facts, impact=None):
    return [option["setting"] for option in options_of(facts, impact or IMPACT) if option["setting"]]


def kinds_of(facts):
    return [option["kind"] for option in options_of(facts, IMPACT)]


def test_a_run_that_passed_can_be_released():
    assert options_of(facts_of(), IMPACT) == [{"kind": "accept", "text": "Release it: every service level was met.", "setting": None}]


@pytest.mark.parametrize("name", advice.PROMISES)
def test_a_broken_promise_blocks_the_release_and_cannot_be_accepted(name):
    kinds = kinds_of(facts_of(name, "freshness_p99"))
    assert kinds[0] == "block" and kinds.count("block") == 1 and "accept" not in kinds


def test_a_missed_level_can_be_accepted_with_what_it_means():
    options = options_of(facts_of("freshness_p99"), [LATE])
    assert [options[0]["kind"], options[-1]["kind"]] == ["accept", "block"]
    assert LATE["text"] in options[0]["text"] and "freshness p99" in options[0]["text"]
    assert all(option["kind"] == "mitigate" for option in options[1:-1]) and len(options) > 2


CAUSES = [
    (facts_of("availability", fresh={"429": 5}, configuration={"ingress.partner_events_per_second": 500}),
     "ingress.partner_events_per_second = 1000"),
    (facts_of("error_share", fresh={"503": 5}), "data.bytes_in_flight_max = 128MiB"),
    (facts_of("error_share", fresh={"503": 5}, configuration={"data.bytes_in_flight_max": "32MiB"}), "data.bytes_in_flight_max = 64MiB"),
    (facts_of("answer_p99"), "ingress.partner_events_per_second = 200"),
    (facts_of("answer_p99", queue="rabbitmq"), "broker.confirm_timeout = 500ms"),
    (facts_of("answer_p99", queue="rabbitmq", cpu=19), "roles = [ingress]"),
    (facts_of("answer_p99", cpu=19), "queue.kind = rabbitmq"),
    (facts_of("duplicates", faults=[{"do": "kill", "at": "2s"}]), "delivery.in_flight_per_endpoint = 16"),
    (facts_of("duplicates", deeds={"dropped": 3}), "delivery.answer_timeout = 60s"),
    (facts_of("duplicates"), "events.guarded_types = [payout, TYPE]"),
    (facts_of("delivered_share", states={"parked": 3}), "delivery.guarded_answer_timeout = 180s"),
    (facts_of("delivered_share", states={"dead": 3}, configuration={"delivery.retry_schedule": "[1s]"}),
     f"delivery.retry_schedule = {advice.DEFAULTS['delivery.retry_schedule']}"),
    (facts_of("delivered_share", states={"waiting": 3}), "delivery.in_flight_per_endpoint = 64"),
    (facts_of("freshness_p99", deeds={"never_ended": 3}), "delivery.answer_timeout = 15s"),
    (facts_of("freshness_p99", statuses={"500": 3}), f"delivery.retry_schedule = {advice.QUICK_RETRIES}"),
    (facts_of("healthy.freshness_p99"), "delivery.in_flight_per_shard = 2048"),
    (facts_of("freshness_p99", queue="rabbitmq"), "broker.lag_max = 75ms"),
    (facts_of("recovery.share"), "delivery.active_per_endpoint = 1024"),
]


@pytest.mark.parametrize("facts, setting", CAUSES)
def test_each_cause_has_its_setting(facts, setting):
    assert setting in settings_of(facts)


def test_a_cause_that_is_not_in_the_logs_gives_no_advice():
    assert settings_of(facts_of("duplicates", faults=[{"do": "kill", "what": "sink", "at": "2s"}])) == ["events.guarded_types = [payout, TYPE]"]
    assert "delivery.answer_timeout = 15s" not in settings_of(facts_of("freshness_p99"))
    assert "delivery.in_flight_per_endpoint = 64" not in settings_of(facts_of("freshness_p99", statuses={"429": 9}))
    assert "ingress.partner_events_per_second = 200" not in settings_of(facts_of("answer_p99", fresh={"429": 1}))
    assert "queue.kind = rabbitmq" not in settings_of(facts_of("answer_p99", cpu=5))
    assert settings_of(facts_of("nobody.knows")) == [] and kinds_of(facts_of("nobody.knows")) == ["accept", "block"]


def test_a_limit_is_not_raised_beyond_what_the_gateway_allows():
    most = facts_of("delivered_share", states={"waiting": 3}, configuration={"delivery.in_flight_per_endpoint": 1024})
    assert settings_of(most) == []


def options_of_the_gateway():
    """{key: (least, most, default)} of src/config/option_table.h."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "src/config/option_table.h").read_text())
    rows = re.findall(r'X\("([a-z_.]+)", (\w+), \w+, (\d+), (\d+),\s*"([^"]*)"', text)
    return {key: (kind, int(least), int(most), default) for key, kind, least, most, default in rows}


def test_settings_defaults_and_limits_are_those_of_the_gateway():
    known = options_of_the_gateway()
    assert len(known) > 50
    for key, default in advice.DEFAULTS.items():
        assert known[key][3] == default, key
    for bounds, place in ((advice.LEAST, 1), (advice.MOST, 2)):
        for key, value in bounds.items():
            scale = 1e6 if known[key][0] == "DURATION" else 1
            assert known[key][1] <= value * scale <= known[key][2], key
            assert key not in advice.MOST or place == 1 or value * scale == known[key][2], key
    for facts, _ in CAUSES:
        for setting in settings_of(facts):
            assert setting.partition(" = ")[0] in known, setting


def test_commands_and_metrics_in_the_advice_exist():
    commands = (ROOT / "src/cli/command_table.c").read_text()
    metrics = (ROOT / "src/runtime/metrics.h").read_text()
    texts = " ".join(rule.text for rule in advice.RULES)
    named = re.findall(r"\(penstock (\w+ \w+)\)", texts)
    assert named and all(re.search(rf'"{command}"', commands) for command in named), named
    named = re.findall(r"penstock_\w+", texts)
    assert named and all(f'"{metric}"' in metrics for metric in named), named


# --- levels that the runner adds ---

def test_the_audit_is_a_level():
    for verdict, wrong, value in (("complete", [], "complete"), ("complete", ["audit: EUR: 1 is not 2"], "disagrees"),
                                  ("incomplete", ["audit: incomplete"], "incomplete")):
        found = audit_level({"verdict": verdict}, wrong)
        assert (found["value"], found["passed"]) == (value, value == "complete")


def test_a_recovery_has_a_level_for_each_limit():
    found = {"backlog": 100, "not_delivered": 0, "slowest_starts": 4.0, "share": 0.7}
    rows = {row["name"]: row for row in recovery_levels(found, {"takes": 1, "starts_within": "3s", "share_min": 0.69})}
    assert {name: row["passed"] for name, row in rows.items()} == {
        "recovery.backlog": True, "recovery.not_delivered": True, "recovery.starts_within": False, "recovery.share": True}
    rows = recovery_levels({**found, "not_delivered": 1, "share": None, "slowest_starts": None}, {"takes": 1, "starts_within": "3s", "share_min": 1})
    assert [row["passed"] for row in rows] == [True, False, False, None]


def test_a_reason_without_a_level_still_fails_the_list():
    levels = [level("lost", True)]
    assert complete_levels(levels, []) == levels
    assert complete_levels(levels, ["one"])[-1]["passed"] is False
    assert complete_levels([level("lost", False)], ["one"]) == [level("lost", False)]


# --- the text ---

def test_values_are_shown_with_their_unit():
    for unit, value, text in (("us", 12, "12 us"), ("us", 0, "0 us"), ("us", 12_345, "12.35 ms"), ("us", 41_000_000, "41 s"), ("us", None, "-"),
                              ("share", 0.999, "99.9 %"), ("events", 1234567, "1,234,567"), ("events/s", 1234.5, "1,234/s"), ("s", 3.25, "3.2 s"),
                              ("bytes", 64 << 20, "64.0 MiB"), ("text", "complete", "complete")):
        assert value_text(unit, value) == text


def test_the_text_has_levels_verdict_impact_and_options_in_this_order():
    facts = facts_of("freshness_p99")
    facts.details["impact"] = [*IMPACT[:2], {**LATE, "text": LATE["text"] + " Many more words" * 10}]
    text = summary(judged(facts, ["level freshness_p99_max: 10ms is above 1ms"]))
    places = [text.index(part) for part in ("Service levels\n", "\nFAIL\nlevel freshness", "\nImpact\n  No event was lost.\n", "\nOptions\n  1. accept")]
    assert places == sorted(places)
    assert re.search(r"^  FAIL  Freshness p99 +10 ms  at most 250 ms$", text, re.M), text
    assert re.search(r"^  PASS  Lost ", text, re.M)
    assert all(len(line) <= 100 for line in text.splitlines()), text
    assert "\nPASS\n\nImpact\n" in summary(judged(facts_of(), []))
    hostile = level("x", False, target="complete", value="\x1b[31m" * 99, unit="text", sense="equal")
    shown = summary({**judged(facts, ["late"]), "levels": [hostile], "impact": [{**LATE, "text": None}]})
    assert "\x1b" not in shown and all(len(line) <= 110 for line in shown.splitlines())


def test_a_result_has_each_part_once():
    found = judged(facts := facts_of("freshness_p99"), ["late"])
    details = {**facts.details, **found, "verdict": "FAIL"}
    parts = result_parts(details)
    assert parts["passed"] is False and parts["reasons"] == ["late"]
    assert set(parts) == {"passed", "reasons", "levels", "impact", "options", "warnings", "series", "distributions"}
    assert not set(parts) & {"levels", "impact", "options", "series", "distributions"} & set(details)
