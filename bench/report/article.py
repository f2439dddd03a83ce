# SPDX-License-Identifier: Apache-2.0
"""The report of one run, from its result (schema 2): the verdict and what it means on the first screen, then what it is based on."""
import json
import math

from report.markup import join, tag
from report.panels import PANELS, draw_panel, targets_of, times_of
from report.plot import Mark, buckets_of, draw_distribution, percentile, percentile_rows
from report.quantity import UNKNOWN, format_clock, format_money, format_value, number_of, time_of

IMPACTS = {"lost": "Lost", "duplicated": "Duplicated", "late": "Late", "parked": "Parked", "refused": "Refused", "waiting": "Still waiting"}
SEVERE = ("lost", "duplicated")
OPTIONS = {"accept": "Accept", "mitigate": "Mitigate", "block": "Block the release"}
SENSES = {"max": "at most", "min": "at least", "equal": "exactly"}
KINDS = {"load": "load", "partner": "partner", "fault": "fault", "switch": "switch", "act": "action"}
REASONS_SHOWN = 3
DETAILS_CHARACTERS_MAX = 200000
DISTRIBUTIONS = (("answer", "answers", "Time to answer a partner"), ("freshness", "freshness", "Time from acceptance to delivery (freshness)"))


def dig(value, *names):
    """A member of nested objects, or None."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def verdict_word(result):
    return "PASS" if result.get("passed") is True else "FAIL" if result.get("passed") is False else "NO VERDICT"


def verdict_class(result):
    return {True: "pass", False: "fail"}.get(result.get("passed"), "open")


def name_of(result):
    return str(dig(result, "scenario", "name") or "unknown scenario")


def _impact(result, what):
    return next((each for each in result.get("impact") or [] if each.get("what") == what), {})


def _p99(result, name):
    """In microseconds: what the level was judged by, or else that of all events."""
    for level in result.get("levels") or []:
        if level.get("name") in (f"{name}_p99", f"{name}_p99_max") and time_of(level, "value") is not None:
            return time_of(level, "value")
    return percentile(buckets_of((result.get("distributions") or {}).get(name)), 99)


def headline(result):
    """(label, text) of the figures that are shown first."""
    rates = [each for each in map(number_of, dig(result, "series", "rows", "accepted_per_s") or []) if each is not None]
    step = number_of(dig(result, "series", "step_s"))
    most = "Most accepted in a second" if step in (None, 1) else f"Most accepted per second, mean of {format_value(step, 's')}"
    figures = _headline_of_scenario(result)
    figures += [("Events accepted", format_value(dig(result, "verdict", "events", "accepted"), "events")),
                (most, format_value(max(rates, default=None), "per_s"))]
    if not dig(result, "verdict", "headroom"):  # else the times of the end, when it is overloaded on purpose
        figures += [("99 of 100 answers within", format_value(_p99(result, "answer"), "us")),
                    ("99 of 100 delivered within", format_value(_p99(result, "freshness"), "us"))]
    cpu = number_of(dig(result, "verdict", "cost", "cpu_us"))
    figures += [] if cpu is None else [("CPU per event, of the gateway", format_value(cpu, "us"))]
    for what in ("lost", "duplicated", "late", "parked"):
        figures.append((IMPACTS[what], format_value(_impact(result, what).get("events"), "events")))
    return figures


def _headline_of_scenario(result):
    """What a scenario is run for."""
    headroom, recovery = dig(result, "verdict", "headroom"), dig(result, "verdict", "recovery")
    figures = []
    if headroom:
        label = "Highest rate that was held"
        label += " (limit of the generator)" if headroom.get("limit_of_generator") else "" if headroom.get("limit_found") else " (limit not reached)"
        figures.append((label, format_value(number_of(headroom.get("rate")), "per_s")))
    if recovery:
        figures += [("Backlog begins to move after", format_value(number_of(recovery.get("slowest_starts")), "s")),
                    ("Backlog delivered after", format_value(number_of(recovery.get("gone")), "s"))]
    return figures


def _draw_steps(result, heading):
    """What each rate of a headroom had."""
    rows = [[format_value(number_of(step.get("rate")), "per_s"),
             *(tag("td", format_value(number_of(step.get(name)), unit), class_="figure-cell") for name, unit in
               (("accepted_per_s", "per_s"), ("delivered_per_s", "per_s"), ("answer_p99_us", "us"), ("freshness_p99_us", "us"))),
             tag("td", "held" if step.get("held") else "not held", class_="pass" if step.get("held") else "fail")]
            for step in dig(result, "verdict", "headroom", "steps") or []]
    if not rows:
        return None
    return tag("section", tag(heading, "Step by step"), table(
        "What each rate had, without the first second of the step",
        ["posted", "accepted", "delivered", "99 of 100 answers within", "99 of 100 delivered within", "result"], rows))


def warnings_of(result):
    """What makes the figures doubtful, above the verdict."""
    if result.get("warnings") is not None:
        return [str(each) for each in result["warnings"]]
    bottlenecks = [dig(result, "load", "bottleneck"), *(dig(each, "bottleneck") for each in (result.get("partners") or {}).values())]
    return [f"The generator was the limit: {each}" for each in bottlenecks if each]


def _first_sentence(result):
    levels = [level for level in result.get("levels") or [] if level.get("passed") is not None]
    missed = [level for level in levels if level.get("passed") is False]
    if result.get("passed") is None:
        return "The generator was too slow itself, so the levels that are missed say nothing of the gateway." if missed and warnings_of(result) \
            else "The run ended without a verdict."
    if not levels:
        return "No level has a target in this run."
    if missed:
        return f"{len(missed)} of {len(levels)} levels {'is' if len(missed) == 1 else 'are'} missed."
    return f"All {len(levels)} levels are met." if result["passed"] else f"All {len(levels)} levels are met, but something else failed."


def draw_badge(result):
    """The verdict as a word. The sign in front of it is an ornament."""
    sign = {"pass": "✓", "fail": "✗", "open": "?"}[verdict_class(result)]
    return tag("span", tag("span", sign, aria_hidden="true"), " ", verdict_word(result), class_=f"badge {verdict_class(result)}")


def _loss_sentence(result):
    lost, duplicated = (number_of(_impact(result, what).get("events")) for what in SEVERE)
    if lost is None or duplicated is None:
        return ""
    if lost == duplicated == 0:
        return " No event was lost or duplicated."
    return f" Lost events: {format_value(lost, 'events')}; duplicated: {format_value(duplicated, 'events')}."


def _draw_reasons(result):
    reasons = [tag("li", reason) for reason in result.get("reasons") or []]
    if not reasons:
        return None
    shown, more = reasons[:REASONS_SHOWN], reasons[REASONS_SHOWN:]
    rest = tag("details", tag("summary", f"{len(more)} more reasons" if len(more) > 1 else "1 more reason"), tag("ul", *more)) if more else None
    return join([tag("ul", *shown, class_="reasons"), rest])


def _draw_verdict(result, heading):
    cards = [tag("div", tag("dt", label), tag("dd", text), class_="unknown" if text == UNKNOWN else None) for label, text in headline(result)]
    words = tag("p", draw_badge(result), " ", tag("span", _first_sentence(result), _loss_sentence(result), class_="sentence"), class_="words")
    return tag("section", tag(heading, "Verdict", class_="hidden"),
               tag("div", words, *(tag("p", tag("strong", "Warning: "), each, class_="warning") for each in warnings_of(result)), _draw_reasons(result),
                   class_=f"verdict {verdict_class(result)}"), tag("dl", *cards, class_="cards"))


def _target(level):
    if level.get("target") is None:
        return "none: for information"
    return join([SENSES.get(level.get("sense"), ""), " ", format_value(level["target"], level.get("unit"))])


def _result(passed):
    if passed is None:
        return tag("td", "–", tag("span", " not judged", class_="hidden"))
    sign = tag("span", "✓ " if passed else "✗ ", aria_hidden="true")
    return tag("td", sign, "met" if passed else "MISSED", class_="pass" if passed else "fail")


def table(caption, heads, rows, class_=None):
    """A table whose rows are lists of cells, or of tags of cells. It scrolls in its own box when it is wider than the page."""
    body = []
    for row in rows:
        first, *others = row
        cells = [cell if cell.startswith("<td") else tag("td", cell) for cell in (join([each]) for each in others)]
        body.append(tag("tr", tag("th", first, scope="row"), *cells))
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    return tag("div", tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_=class_), class_="scroll",
               tabindex="0", role="group", aria_label=caption)


def _draw_levels(result, heading):
    levels = result.get("levels") or []
    rows = []
    for level in levels:
        unit = level.get("unit")
        figure = tag("td", format_value(level.get("value"), unit), class_="text-cell" if unit == "text" else "figure-cell")
        rows.append([level.get("title") or level.get("name"), figure, _target(level), _result(level.get("passed"))])
    shown = table("Service levels: the figure of this run beside its target", ["level", "figure", "target", "result"], rows) if rows \
        else tag("p", "This run has no levels.")
    return tag("section", tag(heading, "Service levels"), shown)


def _late(impact):
    """The text of the verdict has the latest one."""
    return f"99 of 100 of them arrived within {format_value(impact['late_p99_s'], 's')}." if impact.get("late_p99_s") is not None else ""


def _draw_impact(result, heading):
    rows = []
    for what, label in IMPACTS.items():
        impact = _impact(result, what)
        events = impact.get("events")
        class_ = None if not events else "fail" if what in SEVERE else "warn"
        sentence = " ".join(filter(None, [str(impact.get("text") or ""), _late(impact) if what == "late" and events else ""]))
        rows.append([label, tag("td", format_value(events, "events"), class_=class_), format_money(impact.get("money")) or "–", sentence])
    return tag("section", tag(heading, "What it means for the business"),
               table("Events and money that this run affected", ["what", "events", "money", "in words"], rows, "impact"))


def _draw_options(result, heading):
    rows = []
    for option in result.get("options") or []:
        setting = option.get("setting")
        rows.append(tag("li", tag("strong", f"{OPTIONS.get(option.get('kind'), option.get('kind'))}: "), option.get("text") or "",
                        join([" Setting: ", tag("code", setting), "."]) if setting else None))
    return tag("section", tag(heading, "What can be done"), tag("ul", *rows) if rows else tag("p", "The result names no options."))


def _letter(index):
    """A to Z, then AA, AB, ..."""
    return (_letter(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def marks_of(result):
    """The rows of the timetable, each with its mark: what was done to the system gets a letter, also a partner that connects. The plan's own
    load has none: the first plot shows it."""
    rows, letters = [], 0
    for row in sorted(result.get("timetable") or [], key=lambda each: number_of(each.get("at_s")) or 0):
        at = number_of(row.get("at_s"))
        has_letter = at is not None and row.get("kind") != "load"
        rows.append((row, Mark(_letter(letters), at, number_of(row.get("until_s")), str(row.get("text") or "")) if has_letter else None))
        letters += has_letter
    return rows


def _draw_timetable(result, heading):
    rows = marks_of(result)
    ends = [number_of(row.get(name)) or 0 for row, _ in rows for name in ("at_s", "until_s")]
    whole = max([*ends, *times_of(result)[-1:], 1])

    def clock(value):
        return "" if number_of(value) is None else format_clock(value, whole)

    cells = [[mark.letter if mark else tag("span", "no mark", class_="hidden"), clock(row.get("at_s")), clock(row.get("until_s")),
              KINDS.get(row.get("kind"), row.get("kind") or ""), row.get("text") or ""] for row, mark in rows]
    shown = table("The timetable, counted from the moment when the first event was due", ["mark", "from", "to", "kind", "what"], cells, "timetable") \
        if rows else tag("p", "Nothing was done to the system but to post events.")
    return tag("section", tag(heading, "What was done to the system"), tag("p", "The letters are the marks in the plots.") if any(mark for _, mark in rows) else None, shown)


def _draw_plots(result, identity, heading, below):
    marks = [mark for _, mark in marks_of(result) if mark]
    figures = {panel.title: draw_panel(panel, result, identity, below, marks) for panel in PANELS}
    absent = "; ".join(title for title, figure in figures.items() if figure is None)
    step = number_of(dig(result, "series", "step_s"))
    note = f"Each point is {format_value(step, 's')}." if step else ""
    note += " A gap means that nothing was measured. Under the pointer, the legend shows the values of that moment. Below each plot is a table " \
            "of the same values."
    return tag("section", tag(heading, "Over time"), tag("p", note.strip()),
               tag("div", *figures.values(), class_="figures"), tag("p", f"Not measured in this run: {absent}.", class_="none") if absent else None)


def _draw_distributions(result, identity, heading, below):
    figures = []
    for name, panel_name, title in DISTRIBUTIONS:
        found = (result.get("distributions") or {}).get(name)
        if not buckets_of(found):
            figures.append(tag("div", tag(below, title), tag("p", "Not measured in this run.", class_="none"), class_="figure"))
            continue
        panel = next(each for each in PANELS if each.name == panel_name)
        svg, is_log = draw_distribution(f"{identity}-hdr-{name}", f"{title}: distribution", found, targets_of(panel, result))
        rows = [[label, tag("td", format_value(value, "us")), tag("td", format_value(slower, "events"))]
                for label, value, slower in percentile_rows(buckets_of(found))]
        note = f"All events of the run. The axis of shares stretches the slowest ones{', and the axis of times is logarithmic' if is_log else ''}."
        figures.append(tag("figure", tag(below, title), svg, tag("figcaption", note),
                           tag("details", tag("summary", f"Percentiles of {title[0].lower()}{title[1:]}"),
                               table(f"{title}: percentiles", ["share of events", "within", "slower"], rows, "numbers"), open=True)))
    return tag("section", tag(heading, "Distributions of times"), tag("div", *figures, class_="figures"))


def _facts(rows):
    return tag("dl", *(tag("div", tag("dt", label), tag("dd", UNKNOWN if value is None else value)) for label, value in rows), class_="facts")


def _draw_origin(result, heading, below):
    of = result.get("of") or {}
    memory = number_of(of.get("memory_gib"))
    machine = [("Processor", of.get("cpu")), ("Cores", of.get("cores")), ("Memory", None if memory is None else f"{memory:g} GiB"),
               ("Kernel", of.get("kernel")), ("Date", of.get("date"))]
    versions = [(label, of[name]) for label, name in (("Commit", "commit"), ("Build", "build")) if of.get(name)]
    versions += [(name, version) for name, version in (of.get("versions") or {}).items()]
    settings = [[tag("code", name), tag("td", tag("code", value if isinstance(value, str) else json.dumps(value)))]
                for name, value in (result.get("configuration") or {}).items()]
    details = json.dumps({name: result.get(name) for name in ("load", "verdict")}, indent=1, ensure_ascii=False)
    if len(details) > DETAILS_CHARACTERS_MAX:
        details = f"{details[:DETAILS_CHARACTERS_MAX]}\n... the rest is in result.json"
    return tag("section", tag(heading, "Where the figures are from"),
               tag(below, "Command"), tag("pre", of.get("command") or UNKNOWN, class_="command"),
               tag(below, "Machine"), _facts(machine), tag(below, "Versions"), _facts(versions),
               tag(below, "Configuration of the gateway"),
               table("Settings that the run changed", ["setting", "value"], settings) if settings else tag("p", "Every setting has its default."),
               tag(below, "All figures"),
               tag("details", tag("summary", "The generator's and the verdict's figures as JSON"),
                   tag("pre", details, tabindex="0", role="group", aria_label="All figures as JSON")))


def draw_article(result, identity, level):
    """The whole report of a run. `level` is that of its heading: 1 when it is the only one of the page."""
    heading, below = f"h{level + 1}", f"h{level + 2}"
    scenario = result.get("scenario") or {}
    title = f"{name_of(result)}: {scenario['title']}" if scenario.get("title") else name_of(result)
    facts = [scenario.get("target"), f"queue {scenario['queue']}" if scenario.get("queue") else None,
             f"{scenario['length']} length" if scenario.get("length") else None, dig(result, "of", "date"),
             f"commit {dig(result, 'of', 'commit')}" if dig(result, "of", "commit") else None]
    head = tag("header", tag(f"h{level}", title, id=identity), tag("p", " · ".join(str(fact) for fact in facts if fact), class_="facts-line"))
    models = tag("p", tag("strong", "What this run models: "), scenario["models"], class_="models") if scenario.get("models") else None
    times = ",".join(f"{math.floor(t * 10 + 0.5) / 10:g}" for t in times_of(result))
    return tag("article", head, _draw_verdict(result, heading), models, tag("div", _draw_levels(result, heading), _draw_impact(result, heading),
                                                                     class_="columns"),
               _draw_steps(result, heading), _draw_options(result, heading), _draw_timetable(result, heading), _draw_plots(result, identity, heading, below),
               _draw_distributions(result, identity, heading, below), _draw_origin(result, heading, below),
               aria_labelledby=identity, data_times=times)
