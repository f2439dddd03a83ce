# SPDX-License-Identifier: Apache-2.0
"""The aims of the delivery engine, of TLS and of limits, beside what a run has measured: one row for each aim, with the
command that repeats it. A row shows the median of the rounds, and the least and the most of them.
The median decides, except where a row says that all rounds count."""
import math
import statistics
from dataclasses import dataclass

STARTS_SECONDS_MAX, SHARE_MIN, FRESH_SECONDS_MAX = 15, 0.8, 15
PEAK_SECONDS_MAX = 1
DRAIN_RATE_MIN = 8000
WAITING_BYTES_MAX = 100
FLAT_MAX = 1.2  # CPU of an event that passes those that wait, against that with none
FULL_LOAD_CPU_MAX, CPU_MAX, SYNCS_MAX = 0.8, 0.5, 1.0
TLS_RATE_MIN = 0.8
QUESTION_MS_MAX, BESIDE_MAX = 100, 1.1  # p99 of a question; p99 of answers beside questions
LIMIT_SHARE_MAX = 0.02  # of a limit: what is accepted may differ by so much


@dataclass
class Row:
    what: str
    aim: str
    this: str
    other: str
    is_met: bool
    command: str


def ratio_text(value):
    return f"{value:.2f}"


def share_text(value):
    return f"{value:.0%}"


def seconds_text(value):
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def count_text(value):
    return f"{value:,.0f}"


def spread(values, text):
    """Median, least and most."""
    def show(value):
        return text(value) if math.isfinite(value) else "never"

    if not values:
        return ""
    middle = show(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))} to {show(max(values))})"


def _at_most(what, limit, text, sides, command, aim=None):
    """`sides`: the values of each side, one for each round."""
    return Row(what, aim or f"<= {limit:g}", spread(sides["this"], text),
               spread(sides.get("other"), text), statistics.median(sides["this"]) <= limit, command)


def _at_least(what, limit, text, sides, command):
    return Row(what, f">= {text(limit)}", spread(sides["this"], text),
               spread(sides.get("other"), text), statistics.median(sides["this"]) >= limit, command)


def _of_cases(found, command):
    def show(each):
        if each["ratio"] is None:
            return "no p99"
        bounds = f" ({_bound(each['least'])} to {_bound(each['most'])})"
        return (f"{each['ratio']:.2f}{bounds if len(found['rounds']) > 1 else ''}, "
                f"{each['difference_us'] / 1000:+.2f} ms")

    this, other = found["compared"]["this"], found["compared"].get("other", {})
    return [Row(f"{label}, {window}: p99 of the healthy / without", each["aim"], show(each),
                show(other[label][window]) if other else "", each["met"], command)
            for label, windows in this.items() for window, each in windows.items()]


def _bound(value):
    return "no p99" if value is None else f"{value:.2f}"


def _of_recovery(found, command):
    rounds, rows = found["rounds"], []

    def sides(label, value):
        return {side: [value(each[side][label]) for each in rounds] for side in rounds[0]}

    def or_never(value, never=math.inf):
        return never if value is None else value

    for label in rounds[0]["this"]:
        rows += [
            _at_most(f"{label}: the slowest account begins to move", STARTS_SECONDS_MAX,
                     seconds_text, sides(label, lambda each: or_never(each["slowest_starts"])),
                     command, aim=f"<= {STARTS_SECONDS_MAX} s"),
            _at_least(f"{label}: rate to the last event, of what the clients take", SHARE_MIN,
                      share_text, sides(label, lambda each: or_never(each["share"], 0)), command),
            _at_most(f"{label}: events of the backlog left behind", 0, count_text,
                     sides(label, lambda each: each["not_delivered"]), command, aim="0"),
            _at_most(f"{label}: p99 of fresh events meanwhile", FRESH_SECONDS_MAX, seconds_text,
                     sides(label, lambda each: each["fresh_p99_us"] / 1e6), command,
                     aim=f"<= {FRESH_SECONDS_MAX} s")]
    return rows


def _of_peak(found, command):
    times = [each["freshness_p99_us"] / 1e6 for each in found["rounds"]]
    within = sum(seconds <= PEAK_SECONDS_MAX for seconds in times)
    return [Row("6000/s for 5 minutes through the broker: p99 of freshness",
                f"<= {PEAK_SECONDS_MAX} s in all rounds",
                f"{within} of {len(times)}, {spread(times, seconds_text)}", "",
                within == len(times), command)]


def _of_queues(found, command):
    rounds = found["rounds"]
    what = "backlog in the queues of the broker"
    return [_at_least(f"{what}: delivered per second", DRAIN_RATE_MIN, count_text,
                      {"this": [each["rate"] for each in rounds]}, command),
            _at_most(f"{what}: p99 of events accepted when it is delivered", FRESH_SECONDS_MAX,
                     seconds_text, {"this": [each["after_p99_us"] / 1e6 for each in rounds]},
                     command, aim=f"<= {FRESH_SECONDS_MAX} s")]


def _of_waiting(found, command):
    size = found["bytes_per_delivery"]
    none, *steps = found["steps"]
    rows = [Row("memory of a waiting delivery", f"< {WAITING_BYTES_MAX} bytes", f"{size:.0f} bytes",
                "", size < WAITING_BYTES_MAX, command)]
    return rows + [_at_most(f"CPU of an event while {step['waiting']:,} others wait / none",
                            FLAT_MAX, ratio_text, {"this": [step["cpu_us"] / none["cpu_us"]]},
                            command) for step in steps]


def _between_builds(found, value):
    return {"this": [value(each["this"]) / max(1e-9, value(each["other"]))
                     for each in found["rounds"]]}


def _of_versus(found, command):
    return [_at_most("CPU of a delivered event at full load, this build / the other",
                     FULL_LOAD_CPU_MAX, ratio_text,
                     _between_builds(found, lambda each: each["delivered"]["cpu_us"]), command)]


def _of_cost(found, command):
    rows, rounds = [], found["rounds"]
    if "other" in rounds[0]:
        rows.append(_at_most(f"CPU of an event at {found['rate']}/s, this build / the other",
                             CPU_MAX, ratio_text,
                             _between_builds(found, lambda each: each["cpu_us"]), command))
    rows.append(_at_most(f"fsyncs of an event at {found['rate']}/s", SYNCS_MAX, ratio_text,
                         {side: [each[side]["syncs"] for each in rounds] for side in rounds[0]},
                         command))
    return rows


def _of_edge(found, command):
    rates = [each["tls"]["rate"] / each["h2c"]["rate"] for each in found["rounds"]]
    return [_at_least("accepted over TLS / over h2c", TLS_RATE_MIN, ratio_text, {"this": rates},
                      command)]


def _of_limit(found, command):
    shares = [each["accepted"] / each["limit"] for each in found["rounds"]]
    is_met = all(abs(share - 1) <= LIMIT_SHARE_MAX for share in shares)
    return [Row("accepted of a partner at ten times its limit / the limit",
                f"{1 - LIMIT_SHARE_MAX:.2f} to {1 + LIMIT_SHARE_MAX:.2f}",
                spread(shares, lambda value: f"{value:.3f}"), "", is_met, command)]


def _of_search(found, command):
    rows = [_at_most(f"{name}, with {found['events']:,} events: p99", QUESTION_MS_MAX,
                     lambda value: f"{value:.1f} ms", {"this": [each["p99_ms"]]}, command,
                     aim=f"<= {QUESTION_MS_MAX} ms")
            for name, each in found["questions"].items()]
    ratios = [each["beside_p99_us"] / each["alone_p99_us"] for each in found["rounds"]]
    return rows + [_at_most("p99 of answers beside 20 questions a second / alone", BESIDE_MAX,
                            ratio_text, {"this": ratios}, command)]


ROWS = {"edge": _of_edge, "limit": _of_limit, "hung": _of_cases, "failing": _of_cases, "recovery": _of_recovery,
        "peak": _of_peak, "queues": _of_queues, "waiting": _of_waiting, "versus": _of_versus, "cost": _of_cost, "search": _of_search}


def command_of(name, found):
    rounds = found.get("rounds", [])
    has_other = "other" in (rounds[0] if rounds else {})
    events = f" --events {found['events']}" if "events" in found else ""
    return (f"bench/run figures {name}{events}{f' --rounds {len(rounds)}' if rounds else ''}"
            f"{' --against BUILD' if has_other else ''}")


def aims_of(results):
    """Rows of the parts that have been measured, in the order of the document."""
    return [row for part, rows in ROWS.items() for name, found in results.items()
            if name.partition(":")[0] == part for row in rows(found, command_of(name, found))]
