# SPDX-License-Identifier: Apache-2.0
"""The end of a run for those who decide: every service level beside its target, what a miss means
for the business, and what can be done about it (advice.py). The levels, their targets and the impact
come from penstock-verdict; the runner adds what only it knows, the gateway's own audit and the
recovery of a backlog."""
from runner.advice import options_of
from runner.plan import seconds

WIDTH = 100
MARKS = {True: "PASS", False: "FAIL", None: ""}
VERDICTS = {True: "PASS", False: "FAIL", None: "NO VERDICT"}
EXITS = {True: 0, False: 1, None: 69}
# What a generator that is late makes worse by itself. Only these missed: nothing is known of the gateway.
OF_GENERATOR = ("answer_p99", "answer_max", "headroom.rate")
SENSES = {"max": "at most", "min": "at least", "equal": "exactly"}


def level_of(name, title, unit, sense, target, value, passed):
    return {"name": name, "title": title, "unit": unit, "sense": sense, "target": target,
            "value": value, "passed": passed, "level": None}


def audit_level(audit, wrong):
    """`wrong`: the sentences of compare_audit."""
    agrees = "complete" if audit["verdict"] == "complete" and not wrong else \
        "disagrees" if audit["verdict"] == "complete" else audit["verdict"]
    return level_of("audit", "Audit of the gateway", "text", "equal", "complete", agrees,
                    agrees == "complete")


def recovery_levels(found, expected):
    """Of recovery.py: the same limits as in its reasons_of."""
    rows = [level_of("recovery.backlog", "Backlog when the clients came back", "events", "min", 1,
                     found["backlog"], found["backlog"] > 0),
            level_of("recovery.not_delivered", "Events of the backlog not delivered", "events",
                     "equal", 0, found["not_delivered"], found["not_delivered"] == 0)]
    if "starts_within" in expected:
        limit, starts = seconds(expected["starts_within"]), found["slowest_starts"]
        passed = found["backlog"] == 0 or (starts is not None and starts <= limit)
        rows.append(level_of("recovery.starts_within", "Backlog begins to move, slowest account",
                             "s", "max", limit, starts, passed))
    if "share_min" in expected:
        share = found["share"]
        passed = None if share is None else share >= expected["share_min"]
        rows.append(level_of("recovery.share", "Rate of the backlog, of what the clients take",
                             "share", "min", expected["share_min"], share, passed))
    return rows


def headroom_level(found):
    """Of headroom.py: the same limit as in its reasons_of."""
    return level_of("headroom.rate", "Highest rate that was held", "events/s", "min",
                    found["rate_min"], found["rate"], found["rate"] >= found["rate_min"])


def replay_levels(replays):
    """Of the operator's replays. Without one that moved something the run shows nothing of them."""
    moved, done = sum(each.get("moved", 0) for each in replays), sum(each.get("state") == "done" for each in replays)
    return [level_of("replays.moved", "Deliveries replayed", "events", "min", 1, moved, moved >= 1),
            level_of("replays.unfinished", "Replays that were not done", "events", "equal", 0,
                     len(replays) - done, bool(replays) and done == len(replays))]


def replay_reasons(replays):
    moved, missed = replay_levels(replays)
    reasons = [] if moved["passed"] else ["replay: nothing was dead, so nothing was replayed: the run proves nothing"]
    return reasons + ([] if missed["passed"] else [f"replay: {missed['value']} of {len(replays)} were not done at the end"])


def warnings_of(bottlenecks):
    """`bottlenecks`: by the generator's name, why it was the limit, or None."""
    names = {"load": "the plan's own generator"}
    return [f"The generator was the limit, not only the system under test ({names.get(name, name)}): {text}"
            for name, text in bottlenecks.items() if text]


def is_of_generator(level):
    return level["name"] in OF_GENERATOR or level["name"].endswith(".answer_p99")


def passed_of(facts, reasons):
    """None: only answers were slow, and the generator was late itself."""
    failed = [level for level in facts.levels if level["passed"] is False]
    if facts.warnings and failed and len(reasons) <= len(failed) and all(is_of_generator(level) for level in failed):
        return None
    return not reasons


def complete_levels(levels, reasons):
    """A reason that no level shows still makes the list fail: a table of PASS under the word FAIL
    helps nobody."""
    if not reasons or any(level["passed"] is False for level in levels):
        return levels
    return levels + [level_of("more_reasons", "Other reasons to fail", "events", "equal", 0,
                              len(reasons), False)]


def judged(facts, reasons):
    """What a result has of this: passed, reasons, levels, impact, options. `facts.levels` are those
    of the run."""
    facts.levels = complete_levels(facts.levels, reasons)
    impact = facts.details["impact"]
    return {"passed": passed_of(facts, reasons), "reasons": reasons, "levels": facts.levels,
            "impact": impact, "options": options_of(facts, impact), "warnings": facts.warnings}


def result_parts(details):
    """Of the verdict's JSON, what is at the top of a result (bench/README.md): takes it out of
    `details`, so that nothing is there twice."""
    parts = {"passed": {word: passed for passed, word in VERDICTS.items()}[details["verdict"]],
             "reasons": details["reasons"], "warnings": details.pop("warnings", [])}
    return {**parts, **{key: details.pop(key) for key in
                        ("levels", "impact", "options", "series", "distributions")}}


# --- the text ---

def plain(text, length=24):
    """A text of another program, for a terminal: no control characters, and not endless."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return shown if len(shown) <= length else shown[:length - 3] + "..."


def value_text(unit, value):
    if value is None:
        return "-"
    if unit == "us":
        return next(f"{value / size:.4g} {name}" for size, name in
                    ((1e6, "s"), (1e3, "ms"), (1, "us")) if value >= size or size == 1)
    if unit == "share":
        return f"{value * 100:.6g} %"
    if unit == "s":
        return f"{value:.1f} s"
    if unit == "bytes":
        return f"{value / 1024 / 1024:.1f} MiB"
    if unit == "events/s":
        return f"{value:,.0f}/s"
    return f"{value:,}" if isinstance(value, int) else plain(value)


def target_text(level):
    if level["target"] is None:
        return "no level"
    return f"{SENSES[level['sense']]} {value_text(level['unit'], level['target'])}"


def wrapped(text, indent="  ", first=None):
    """Lines of at most WIDTH."""
    lines, line = [], indent if first is None else first
    for word in plain(text or "-", 4000).split():
        if len(line) + len(word) + 1 > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    return [*lines, line.rstrip()]


def warnings_text(result):
    """In front of everything else; empty without a warning."""
    lines = [line for text in result["warnings"] for line in wrapped(f"WARNING: {text}", "", "")]
    return "\n".join([*lines, "", ""]) if lines else ""


def summary(result):
    """The text of what `judged` returns: levels, PASS or FAIL with its reasons, impact, options."""
    lines = ["Service levels"]
    for level in result["levels"]:
        lines.append(f"  {MARKS[level['passed']]:4}  {plain(level['title'], 44):44} "
                     f"{value_text(level['unit'], level['value']):>14}  "
                     f"{target_text(level)}".rstrip())
    lines += ["", VERDICTS[result["passed"]], *result["reasons"], "", "Impact"]
    for each in result["impact"]:
        lines += wrapped(each["text"])
    lines += ["", "Options"]
    for number, option in enumerate(result["options"], 1):
        begin = f"  {number}. {option['kind']:9} "
        lines += wrapped(option["text"], " " * len(begin), begin)
        if option["setting"]:
            lines.append(f"{' ' * len(begin)}{option['setting']}")
    return "\n".join(lines) + "\n"
