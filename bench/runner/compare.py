# SPDX-License-Identifier: Apache-2.0
"""Two sides of results (result.json of runs), figure by figure: is the second side worse?

Each side has one or more runs of a scenario. Their medians are compared. A difference counts when it
is larger than the noise:

  several runs on both sides   the larger spread (most - least) of the two sides, and at least the
                               floor of the figure
  one run on a side            the noise is not known: the default bound of the figure counts, or the
                               spread of the other side if that is larger

Events that are late or still wait also have a least bound: 0.01 % of the accepted events. Events that
were lost and broken promises have no noise: one more is a regression.

Runs with other values (--set), such as another timetable, are no runs of the same thing. They are
compared by force only."""
import json
import pathlib
import statistics
from dataclasses import dataclass
from typing import Callable

from report.command import SCHEMA
from runner.service_levels import plain, value_text

NOTES_MAX = 12
HIGHER, LOWER = "higher", "lower"
WORSE, BETTER, SAME, MISSING, NEW = "worse", "better", "same", "missing", "new"


class NotComparable(Exception):
    """Wrong usage: these runs say nothing about each other."""


class Unreadable(Exception):
    """A file is no result."""


@dataclass
class Kind:
    default: float  # bound with one run, as a share of the base
    floor: float  # least bound with several runs
    absolute: float = 0  # least bound in the figure's own unit, in any case
    of_events: float = 0  # the same as a share of the accepted events


RATE, TIME, SLOWEST = Kind(0.10, 0.02), Kind(0.25, 0.05), Kind(1.00, 0.10)
COST, MEMORY, SHARE = Kind(0.10, 0.03), Kind(0.20, 0.05), Kind(0, 0, 0.001)
HARM, EXACT = Kind(0.10, 0), Kind(0, 0)
DELAY = Kind(0.10, 0, of_events=0.0001)


@dataclass
class Figure:
    name: str
    title: str
    unit: str
    better: str
    kind: Kind
    value: Callable  # of a result; None: not measured


def _at(*path):
    def value(result):
        for key in path:
            result = result.get(key) if isinstance(result, dict) else None
        return result
    return value


def _impact(what):
    def value(result):
        return next((each["events"] for each in result["impact"] or [] if each["what"] == what), None)
    return value


def _times(name, title, *path):
    return [Figure(f"{name}_{key}", f"{title}, {key.replace('_', '.')}", "us", LOWER,
                   SLOWEST if key in ("p99_9", "max") else TIME, _at(*path, f"{key}_us"))
            for key in ("p50", "p99", "p99_9", "max")]


FIGURES = (
    Figure("passed", "Runs that passed", "share", HIGHER, EXACT, lambda result: None if result["passed"] is None else float(result["passed"])),
    Figure("in_per_second", "Events taken per second", "events/s", HIGHER, RATE, _at("verdict", "answers", "per_second")),
    Figure("out_per_second", "Events delivered per second", "events/s", HIGHER, RATE, _at("verdict", "arrivals", "per_second")),
    *_times("answer", "Answer time", "verdict", "answers", "first_answers"),
    *_times("freshness", "Delivery time", "verdict", "arrivals", "freshness"),
    Figure("availability", "Events accepted in the end", "share", HIGHER, SHARE, _at("verdict", "answers", "availability")),
    Figure("error_share", "Posts that failed", "share", LOWER, SHARE, _at("verdict", "answers", "error_share")),
    Figure("delivered_share", "Events delivered", "share", HIGHER, SHARE, _at("verdict", "events", "delivered_share")),
    Figure("lost", "Events lost", "events", LOWER, EXACT, _impact("lost")),
    *(Figure(what, f"Events {what}", "events", LOWER, kind, _impact(what))
      for what, kind in (("duplicated", HARM), ("late", DELAY), ("parked", HARM),
                         ("refused", HARM), ("waiting", DELAY))),
    Figure("cpu_us", "CPU of the gateway per event", "us", LOWER, COST, _at("verdict", "cost", "cpu_us")),
    Figure("syncs", "fsyncs per event", "number", LOWER, COST, _at("verdict", "cost", "syncs")),
    Figure("gateway_rss", "Memory of the gateway, most", "bytes", LOWER, MEMORY, _at("verdict", "usage", "gateway", "peak_rss_bytes")),
    Figure("broker_rss", "Memory of the broker, most", "bytes", LOWER, MEMORY, _at("verdict", "usage", "broker", "peak_rss_bytes")),
)
# Levels whose figure above has another name, or that say nothing about speed or harm.
COVERED = {"duplicates": "duplicated", "accepted": "in_per_second"}
KINDS = {"us": TIME, "s": TIME, "share": SHARE, "events": HARM, "events/s": RATE, "bytes": MEMORY}
PROMISES = {"wrong_money", "wrong_content", "wrong_answers", "guarded_duplicates"}


def _level(name):
    def value(result):
        return next((each["value"] for each in result["levels"] or [] if each["name"] == name), None)
    return value


def figures_of(results):
    """Those above that were measured, and the levels that only these scenarios have: measures, recoveries, headroom."""
    found = [figure for figure in FIGURES if any(figure.value(result) is not None for result in results)]
    for level in (level for result in results for level in result["levels"] or []):
        names = {each.name for each in found}
        if level["unit"] not in KINDS or level["name"] in names or COVERED.get(level["name"]) in names:
            continue
        kind = EXACT if level["name"] in PROMISES else KINDS[level["unit"]]
        found.append(Figure(level["name"], level["title"], level["unit"], HIGHER if level["sense"] == "min" else LOWER, kind,
                            _level(level["name"])))
    return found


# --- reading ---

def read_result(path):
    try:
        result = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Unreadable(f"{path}: {error}") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise Unreadable(f"{path} is not the result of a scenario (schema {SCHEMA}): run it again with bench/run")
    for key in ("scenario", "of", "passed", "verdict", "levels", "impact"):
        if key not in result:
            raise Unreadable(f'{path}: the member "{key}" is missing')
    for key, kind in (("scenario", dict), ("of", dict), ("levels", (list, type(None))), ("impact", (list, type(None)))):
        if not isinstance(result[key], kind):
            raise Unreadable(f'{path}: the member "{key}" is of the wrong kind')
    return result


def read_side(paths):
    """Results by (scenario, length, queue). A directory stands for all result.json in it."""
    groups = {}
    for path in map(pathlib.Path, paths):
        files = sorted(path.rglob("result.json")) if path.is_dir() else [path]
        if not files:
            raise Unreadable(f"{path}: there is no result.json in it")
        for file in files:
            result = read_result(file)
            key = tuple(plain(result["scenario"].get(name) or "-", 40) for name in ("name", "length", "queue"))
            groups.setdefault(key, []).append(result)
    return groups


def pairs_of(base, other, force):
    """[(key, results of the base, results of the other)]"""
    common = [key for key in base if key in other]
    apart = [", ".join(key) for key in [*base, *other] if key not in common]
    if apart and not force:
        raise NotComparable(f"only one side has {'; '.join(apart)}: runs of different scenarios, lengths or queues are not compared; "
                            "--force compares what both have, or one with the other")
    if common:
        return [(key, base[key], other[key]) for key in common]
    if len(base) == len(other) == 1:
        (key, ours), (_, theirs) = *base.items(), *other.items()
        return [(key, ours, theirs)]
    raise NotComparable(f"the sides have no scenario in common: {'; '.join(apart)}")


# --- comparing ---

_accepted = _at("verdict", "events", "accepted")


def events_of(results):
    """Accepted events of a run, the median; 0 when that is not known."""
    found = [value for value in map(_accepted, results) if value is not None]
    return statistics.median(found) if found else 0


def noise_of(figure, ours, theirs, default=None, events=0):
    """The bound in the figure's own unit. `default`: instead of the figure's own, as a share.
    `events`: that the runs accepted."""
    base = abs(statistics.median(ours))
    spread = max(max(side) - min(side) for side in (ours, theirs))
    if figure.kind is EXACT:
        return 0
    is_measured = len(ours) > 1 and len(theirs) > 1
    share = figure.kind.floor if is_measured else figure.kind.default if default is None else default
    return max(spread, share * base, figure.kind.absolute, figure.kind.of_events * events)


def compare_figure(figure, ours, theirs, default=None):
    events = events_of([*ours, *theirs])
    ours, theirs = ([value for value in map(figure.value, side) if value is not None] for side in (ours, theirs))
    row = {"name": figure.name, "title": figure.title, "unit": figure.unit, "better": figure.better, "base": None, "with": None,
           "difference": None, "share": None, "bound": None, "runs": {"base": len(ours), "with": len(theirs)}}
    if not ours and not theirs:
        return None
    for name, side in (("base", ours), ("with", theirs)):
        # All runs count where nothing is allowed to happen, not the one in the middle.
        row[name] = (statistics.fmean(side) if figure.kind is EXACT else statistics.median(side)) if side else None
    if not ours or not theirs:
        return {**row, "result": NEW if not ours else MISSING}
    difference = row["with"] - row["base"]
    bound = noise_of(figure, ours, theirs, default, events)
    row.update(difference=difference, share=difference / row["base"] if row["base"] else None, bound=bound)
    harm = difference if figure.better == LOWER else -difference
    row["result"] = WORSE if harm > bound + 1e-12 else BETTER if -harm > bound + 1e-12 else SAME
    return row


def _describe(results):
    return {"runs": len(results), "commits": sorted({_commit_of(each) for each in results})}


def _commit_of(result):
    """Of what was measured; of a target only that of the bench is known."""
    of = result["of"]
    bench = of.get("bench") if isinstance(of.get("bench"), dict) else {}
    return of.get("commit") or (f"bench {bench['commit']}" if bench.get("commit") else "unknown")


def _notes(ours, theirs, default):
    notes = []
    if len(ours) == 1 or len(theirs) == 1:
        bound = "the default bounds count" if default is None else f"{default:.0%} counts"
        notes.append(f"no noise bound: a side has only one run, so {bound}. Give several runs of each side.")
    for side, results in (("base", ours), ("second side", theirs)):
        count = sum(each["passed"] is None for each in results)
        if count:
            notes.append(f"{count} of {len(results)} runs of the {side} have no verdict")
    notes += _difference("set", ours, theirs, changes_of)
    for what, value in (("plan", _at("input", "plan_sha256")), ("target file", _at("input", "target_sha256")),
                        ("machine", lambda each: tuple(each["of"].get(key) for key in ("cpu", "cores", "memory_gib"))),
                        ("build", lambda each: each["of"].get("build")), ("target", lambda each: each["scenario"].get("target"))):
        notes += _difference(what, ours, theirs, value)
    for option in sorted({option for each in [*ours, *theirs] for option in each.get("configuration") or {}}):
        notes += _difference(option, ours, theirs, lambda each, option=option: (each.get("configuration") or {}).get(option))
    return notes if len(notes) <= NOTES_MAX else [*notes[:NOTES_MAX], f"and {len(notes) - NOTES_MAX} more differences"]


def _difference(what, ours, theirs, value):
    """A note, when the sides differ."""
    sides = [sorted({json.dumps(value(each), sort_keys=True) for each in side}) for side in (ours, theirs)]
    if sides[0] == sides[1]:
        return []
    return [f"the sides differ in: {plain(what, 60)}: {plain(' '.join(sides[0]), 120)} and {plain(' '.join(sides[1]), 120)}"]


def changes_of(result):
    """The values of --set."""
    return _at("input", "set")(result) or []


def check_changes(key, results):
    """Runs with other timetables or other patience say nothing about each other."""
    found = sorted({json.dumps(changes_of(each)) for each in results})
    if len(found) > 1:
        raise NotComparable(f"{', '.join(key)}: the runs have different values of --set: "
                            f"{plain(' and '.join(found), 400)}: --force compares them")


def compare_group(key, ours, theirs, default=None):
    rows = [compare_figure(figure, ours, theirs, default) for figure in figures_of([*ours, *theirs])]
    rows = [row for row in rows if row]
    if all(row["base"] is None or row["with"] is None for row in rows):
        raise NotComparable(f"{', '.join(key)}: no figure was measured on both sides")
    return {"scenario": key[0], "length": key[1], "queue": key[2], "base": _describe(ours), "with": _describe(theirs),
            "noise": "measured" if len(ours) > 1 and len(theirs) > 1 else "default", "notes": _notes(ours, theirs, default), "figures": rows,
            "passed": not any(row["result"] == WORSE for row in rows)}


def compare(base_paths, other_paths, force=False, default=None):
    pairs = pairs_of(read_side(base_paths), read_side(other_paths), force)
    for key, ours, theirs in [] if force else pairs:
        check_changes(key, [*ours, *theirs])
    groups = [compare_group(key, ours, theirs, default) for key, ours, theirs in pairs]
    return {"passed": all(group["passed"] for group in groups), "comparisons": groups}


# --- the text ---

WIDTH = 100


def _value(row, value):
    if value is None:
        return "-"
    if row["unit"] == "number":
        return f"{value:.3f}"
    if row["unit"] == "events":
        return f"{value:,.10g}"
    return value_text(row["unit"], value)


def _change(row):
    if row["difference"] is None:
        return ""
    if row["unit"] == "share" or row["share"] is None:  # a share of a share says little
        sign = "-" if row["difference"] < 0 else "+"
        return sign + _value(row, abs(row["difference"])) if row["difference"] else "0"
    return f"{row['share']:+.1%}"


def _bound(row):
    if row["bound"] is None:
        return ""
    if row["unit"] == "share" or not row["base"]:
        return _value(row, row["bound"])
    return f"{row['bound'] / abs(row['base']):.1%}"


def _side(side):
    return f"{side['runs']} run{'s' if side['runs'] != 1 else ''} ({plain(', '.join(side['commits']), 120)})"


def text_of(found):
    lines = []
    for group in found["comparisons"]:
        lines.append(f"{group['scenario']}, {group['length']}, {group['queue']}: base {_side(group['base'])}, with {_side(group['with'])}")
        lines += [f"  {note}" for note in group["notes"]]
        lines.append(f"  {'figure':38}{'base':>13}{'with':>13}{'change':>12}{'noise':>12}")
        lines += [f"  {plain(row['title'], 37):38}{_value(row, row['base']):>13}{_value(row, row['with']):>13}{_change(row):>12}{_bound(row):>12}  "
                  f"{'' if row['result'] == SAME else row['result']}".rstrip() for row in group["figures"]]
        worse = [row["title"] for row in group["figures"] if row["result"] == WORSE]
        lines += ["", f"REGRESSION: {'; '.join(worse)}" if worse else "no regression", ""]
    return "\n".join(each for line in lines for each in _cut(line))


def _cut(line):
    """A note may be longer than the table."""
    while len(line) > WIDTH:
        at = line.rfind(" ", 4, WIDTH + 1)
        at = WIDTH if at < 0 else at
        yield line[:at]
        line = "    " + line[at:].lstrip()
    yield line
