# SPDX-License-Identifier: Apache-2.0
"""Which plots over time a report has: one table. Each becomes a figure with its legend and a table of the same values."""
import dataclasses

from report.markup import join, tag
from report.plot import Line, Target, draw_legend, draw_over_time
from report.quantity import format_clock, format_value, number_of, time_of

TABLE_ROWS_MAX = 40


@dataclasses.dataclass(frozen=True)
class Panel:
    name: str
    title: str
    unit: str
    rows: tuple  # (name of the row in the result, what it is called in the legend)
    reduce: str = "largest"  # what the table shows of several points: the largest or the mean value
    may_be_log: bool = False
    levels: tuple = ()  # (name of a level, label of its line, share of the events that it is about in percent)
    more: str = ""  # rows that begin so and are in no panel belong to this one
    help: str = ""


PANELS = (
    Panel("rates", "Events in and out", "per_s",
          (("posted_per_s", "posted"), ("accepted_per_s", "accepted"), ("delivered_per_s", "delivered"), ("refused_per_s", "refused")),
          "mean", help="What partners posted, what the gateway accepted or refused, and what clients received, per second."),
    Panel("answers", "Time to answer a partner", "us",
          (("answer_p50_us", "50 of 100"), ("answer_p99_us", "99 of 100"), ("answer_max_us", "slowest")), may_be_log=True,
          levels=(("answer_p99", "limit for 99 of 100:", 99), ("answer_max", "limit for all:", 100)),
          help="From the moment when a post was due to the end of its answer."),
    Panel("freshness", "Time from acceptance to delivery (freshness)", "us",
          (("freshness_p50_us", "50 of 100"), ("freshness_p99_us", "99 of 100"), ("freshness_max_us", "slowest")), may_be_log=True,
          levels=(("freshness_p99", "limit for 99 of 100:", 99),),
          help="From acceptance to the client's first 2xx. Each event counts at the time of its acceptance."),
    Panel("backlog", "Backlog by state", "events",
          (("backlog_pending", "pending"), ("backlog_waiting", "waiting for a retry"), ("backlog_parked", "parked"),
           ("backlog_dead", "dead"), ("broker_queue", "in the broker")), more="backlog_",
          help="Deliveries that the gateway keeps, and events in the broker's queues."),
    Panel("flight", "In flight, and open breakers", "events", (("backlog_sending", "deliveries in flight"), ("breakers_open", "open breakers")),
          help="Requests at clients, and endpoints that get probes only."),
    Panel("cpu", "CPU", "cores", (("cpu_gateway", "gateway"), ("cpu_broker", "broker"), ("cpu_load", "generator"), ("cpu_sink", "sink")), "mean",
          more="cpu_", help="Cores in use. The generator and the sink belong to the measurement."),
    Panel("memory", "Memory (RSS)", "bytes", (("rss_gateway", "gateway"), ("rss_broker", "broker")), more="rss_",
          help="What the processes hold in memory."),
    Panel("syncs", "Syncs to disk (fsync)", "per_s", (("fsyncs_per_s", "fsyncs"),), "mean",
          help="One sync makes all events durable that arrived since the last one."),
    Panel("disk", "Data on disk", "bytes", (("disk_bytes", "data directory"),), help="The size of the gateway's data directory."),
)


def _values(result_rows, name, count):
    """A row as numbers and None, as long as the times."""
    values = [number_of(value) for value in (result_rows.get(name) or [])[:count]]
    return values + [None] * (count - len(values))


def times_of(result):
    """The seconds of all points. A result without series has none."""
    times = [number_of(t) for t in ((result.get("series") or {}).get("t_s") or [])]
    return times if all(t is not None for t in times) else []


def lines_of(panel, result_rows, count):
    rows = list(panel.rows)
    known = {name for each in PANELS for name, _ in each.rows}
    rows += [(name, name.removeprefix(panel.more).replace("_", " ")) for name in sorted(result_rows)
             if panel.more and name.startswith(panel.more) and name not in known]
    return [Line(label, _values(result_rows, name, count), style) for style, (name, label) in enumerate(rows)]


def targets_of(panel, result):
    """The levels of a panel that have a target, with or without `_max` behind their name."""
    by_name = {}
    for level in result.get("levels") or []:
        name = str(level.get("name"))
        by_name.setdefault(name if name == "answer_max" else name.removesuffix("_max"), level)
    found = [(label, time_of(by_name[name], "target"), percent) for name, label, percent in panel.levels if name in by_name]
    return [Target(label, value, percent) for label, value, percent in found if value]


def _reduced(values, how):
    present = [value for value in values if value is not None]
    if not present:
        return None
    return max(present) if how == "largest" else sum(present) / len(present)


def draw_table(panel, times, lines):
    """The plot's values for those who cannot use the plot."""
    every = max(1, -(-len(times) // TABLE_ROWS_MAX))
    caption = f"{panel.title}: {'every point' if every == 1 else f'the {panel.reduce} of each {every} points'}"
    head = tag("tr", tag("th", "time", scope="col"), *(tag("th", line.label, scope="col") for line in lines))
    body = []
    for at in range(0, len(times), every):
        cells = [tag("td", "" if value is None else format_value(value, panel.unit))
                 for value in (_reduced(line.values[at:at + every], panel.reduce) for line in lines)]
        body.append(tag("tr", tag("th", format_clock(times[at], times[-1]), scope="row"), *cells))
    table = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", join(body)), class_="numbers")
    return tag("details", tag("summary", f"{panel.title} as a table"),
               tag("div", table, class_="scroll", tabindex="0", role="group", aria_label=caption))


def draw_panel(panel, result, identity, heading, marks):
    """A figure; None if nothing of it was measured."""
    times = times_of(result)
    rows = (result.get("series") or {}).get("rows") or {}
    lines = [line for line in lines_of(panel, rows, len(times)) if times]
    measured = [line for line in lines if any(value is not None for value in line.values)]
    identity = f"{identity}-{panel.name}"
    if not measured:
        return None
    absent = [line.label for line in lines if line not in measured]
    svg, is_log = draw_over_time(identity, panel.title, times, measured, panel.unit, may_be_log=panel.may_be_log, marks=marks,
                                 targets=targets_of(panel, result))
    note = " ".join(filter(None, [panel.help, "The scale is logarithmic." if is_log else "",
                                  f"Not measured: {', '.join(absent)}." if absent else ""]))
    return tag("figure", tag(heading, panel.title), svg, draw_legend(measured, panel.unit),
               tag("figcaption", tag("span", note), " ", tag("span", class_="at")), draw_table(panel, times, measured))
