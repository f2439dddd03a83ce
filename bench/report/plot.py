# SPDX-License-Identifier: Apache-2.0
"""Draws plots as SVG: lines over time, and latency distributions.

Colours come from classes (c0 to c5, see palette.py), each with dashes of its own, so that lines differ without colour. What is unknown
(None) is a gap. A lone value between two gaps is a dot. An SVG is at most about 100 KiB: a series has at most 1200 points."""
import dataclasses
import math

from report.markup import join, tag
from report.quantity import format_clock, format_tick, format_value, log_steps, nice_steps, number_of, time_steps

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 36, 46
STYLES = 6
LOG_FROM_RATIO = 30  # a logarithmic axis when the largest value is so many times the smallest one
DENSE_FROM = 300  # points from which lines are thinner
MARK_ROWS, LETTER_WIDTH = 2, 10
HDR_TICKS = (50, 90, 99, 99.9, 99.99, 99.999)


@dataclasses.dataclass
class Line:
    label: str
    values: list
    style: int = 0  # colour and dashes


@dataclasses.dataclass
class Mark:
    """One row of the timetable, with its letter."""
    letter: str
    at_s: float
    until_s: float | None
    text: str


@dataclasses.dataclass
class Target:
    """A level that is drawn beside the values."""
    label: str
    value: float
    percent: float = 100  # of the events that it is about


class Axis:
    """Values to places: linear from 0, or logarithmic."""

    def __init__(self, values, unit, may_be_log):
        present = [value for value in values if value is not None]
        positive = [value for value in present if value > 0]
        self.is_log = bool(may_be_log and positive and max(positive) / min(positive) >= LOG_FROM_RATIO)
        self.ticks = log_steps(min(positive), max(positive)) if self.is_log else nice_steps(max([*positive, 0]) or 1, 4, unit)
        self.low, self.high = self.ticks[0], self.ticks[-1]
        if len(self.ticks) > 7:
            self.ticks = self.ticks[::2]

    def place(self, value):
        """The y of a value; what is below a logarithmic axis, such as 0, is at its lower end."""
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - min(max(share, 0), 1) * (HEIGHT - TOP - BOTTOM)


def _coordinate(value):
    return f"{value:.1f}".removesuffix(".0")


def _runs(points):
    """The points between gaps (None), as lists."""
    run = []
    for point in [*points, None]:
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _draw_line(points, style, is_dense=False):
    """A path with gaps, and dots for values that are alone."""
    runs = list(_runs(points))
    path = "".join("M" + "L".join(f"{_coordinate(x)} {_coordinate(y)}" for x, y in run) for run in runs if len(run) > 1)
    yield tag("path", class_=f"series c{style % STYLES}{' dense' if is_dense else ''}", d=path)
    for run in runs:
        if len(run) == 1:
            yield tag("circle", class_=f"dot d{style % STYLES}", cx=_coordinate(run[0][0]), cy=_coordinate(run[0][1]), r=2.5)


def _draw_y(axis, unit):
    for tick in axis.ticks:
        y = _coordinate(axis.place(tick))
        yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
        yield tag("text", format_tick(tick, unit), class_="tick end", x=LEFT - 6, y=y, dy="0.35em")


def _draw_x(ticks, what):
    """Ticks of (x, text), and below them what the axis is."""
    for x, text in ticks:
        yield tag("line", class_="grid", x1=_coordinate(x), x2=_coordinate(x), y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 4)
        yield tag("text", text, class_="tick middle", x=_coordinate(x), y=HEIGHT - BOTTOM + 18)
    yield tag("line", class_="base", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM)
    yield tag("text", what, class_="tick middle", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6)


def _draw_targets(targets, axis, unit, to_x=None):
    """Lines at the levels, with their texts at the right end. In a distribution (with `to_x`) a line ends at the share of the events that it is
    about, and the text is at the left end, away from the slow ones. A text is above its line, or below it if another line or text is there."""
    line_y, text_y = TOP - 9, TOP - 20
    for target in sorted(targets, key=lambda each: -each.value):
        y = axis.place(target.value)
        end = to_x(target.percent / 100) if to_x else WIDTH - RIGHT
        yield tag("line", class_="target", x1=LEFT, x2=_coordinate(end), y1=_coordinate(y), y2=_coordinate(y))
        if to_x and target.percent < 100:
            yield tag("line", class_="target", x1=_coordinate(end), x2=_coordinate(end), y1=_coordinate(y - 5), y2=_coordinate(y + 5))
        is_free = y - line_y >= 18 and y - 5 - text_y >= 14
        line_y, text_y = y, y - 5 if is_free else max(y + 15, text_y + 14)
        yield tag("text", f"{target.label} {format_value(target.value, unit)}", class_="target-label" if to_x else "target-label end",
                  x=LEFT + 6 if to_x else WIDTH - RIGHT - 2, y=_coordinate(text_y))


def _draw_marks(marks, to_x, end):
    """Bands for what lasts, lines for what begins, and letters in rows above, which do not overlap."""
    ends = [-math.inf] * MARK_ROWS
    for mark in marks:
        x = to_x(mark.at_s)
        title = tag("title", f"{mark.letter}: {mark.text}")
        if mark.until_s is not None:
            yield tag("rect", title, class_="band", x=_coordinate(x), y=TOP, width=_coordinate(max(to_x(min(mark.until_s, end)) - x, 1)),
                      height=HEIGHT - TOP - BOTTOM)
        yield tag("line", title, class_="mark", x1=_coordinate(x), x2=_coordinate(x), y1=TOP - 4, y2=HEIGHT - BOTTOM)
        half = (len(mark.letter) + 0.6) * LETTER_WIDTH / 2
        row = next((row for row in range(MARK_ROWS) if x - half >= ends[row]), None)
        if row is not None:  # else the letters are too many for the width: the line remains, and the timetable has it
            ends[row] = x + half
            yield tag("text", mark.letter, class_="mark-label middle", x=_coordinate(x), y=TOP - 8 - 14 * row)


def _svg(identity, title, description, parts, class_, **attributes):
    return tag("svg", tag("title", title, id=f"{identity}-title"), tag("desc", description, id=f"{identity}-desc"), *parts, class_=class_,
               viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_labelledby=f"{identity}-title", aria_describedby=f"{identity}-desc",
               **attributes)


def describe_line(line, unit):
    present = [value for value in line.values if value is not None]
    if not present:
        return f"{line.label}: not measured."
    return (f"{line.label}: from {format_value(min(present), unit)} to {format_value(max(present), unit)}, "
            f"at the end {format_value(present[-1], unit)}.")


def draw_over_time(identity, title, times, lines, unit, *, may_be_log=False, marks=(), targets=()):
    """The plot as SVG, and whether its axis is logarithmic."""
    start, end = times[0], times[-1] + (times[1] - times[0] if len(times) > 1 else 1)

    def to_x(t):
        return LEFT + (t - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    marks = [mark for mark in marks if start <= mark.at_s <= end]
    axis = Axis([value for line in lines for value in line.values] + [target.value for target in targets], unit, may_be_log)
    parts = [*_draw_marks(marks, to_x, end), *_draw_y(axis, unit),
             *_draw_x([(to_x(t), format_clock(t, end)) for t in time_steps(start, end, 6)], "time since the first event was due")]
    for line in lines:
        points = [None if value is None else (to_x(t), axis.place(value)) for t, value in zip(times, line.values)]
        parts += _draw_line(points, line.style, len(times) > DENSE_FROM)
    parts += _draw_targets(targets, axis, unit)
    parts.append(tag("line", class_="cursor off", x1=LEFT, x2=LEFT, y1=TOP, y2=HEIGHT - BOTTOM))
    said = [describe_line(line, unit) for line in lines]
    said += [f"{mark.letter} at {format_clock(mark.at_s, end)}: {mark.text}." for mark in marks]
    return _svg(identity, title, " ".join(said), parts, "plot over-time", data_start=start, data_end=end, data_left=LEFT, data_right=WIDTH - RIGHT), axis.is_log


def buckets_of(distribution):
    """[[upper_us, count], ...] without what cannot be used, ascending."""
    found = [(pair[0], pair[1]) for pair in distribution or [] if len(pair) == 2 and number_of(pair[0]) is not None and number_of(pair[1])]
    return sorted(found)


def percentile(buckets, percent):
    """The upper end of the bucket that has the value; None when there are no values."""
    total = sum(count for _, count in buckets)
    below = 0
    for upper, count in buckets:
        below += count
        if below >= total * percent / 100 * (1 - 1e-12):
            return upper
    return None


def percentile_rows(buckets):
    """(name, value, how many are slower) of the percentiles that so many events have, and of the slowest one."""
    total = sum(count for _, count in buckets)
    shown = [percent for percent in HDR_TICKS if total >= 1 / (1 - percent / 100) * 0.999]
    rows = []
    for percent in shown:
        value = percentile(buckets, percent)
        rows.append((f"{percent:g} %", value, sum(count for upper, count in buckets if upper > value)))
    return rows + [("slowest", buckets[-1][0], 0)]


def draw_distribution(identity, title, distribution, targets=()):
    """Value over percentile. The axis of percentiles is logarithmic, as HdrHistogram draws it: 90, 99 and 99.9 % are equally far apart."""
    buckets = buckets_of(distribution)
    total = sum(count for _, count in buckets)
    nines = math.log10(total) + 0.3 if total > 1 else 0.6
    axis = Axis([upper for upper, _ in buckets] + [target.value for target in targets], "us", True)

    def to_x(share):
        place = min(-math.log10(1 - share), nines) if share < 1 else nines
        return LEFT + place / nines * (WIDTH - LEFT - RIGHT)

    points, below = [(to_x(0), axis.place(buckets[0][0]))], 0
    for upper, count in buckets:
        below += count
        point = (to_x(below / total), axis.place(upper))
        if point[0] - points[-1][0] >= 0.5 or abs(point[1] - points[-1][1]) >= 0.5 or below == total:
            points.append(point)
    ticks = [(to_x(percent / 100), f"{percent:g} %") for percent in HDR_TICKS if to_x(percent / 100) < WIDTH - RIGHT - 40]
    parts = [*_draw_y(axis, "us"), *_draw_x([*ticks, (WIDTH - RIGHT, "max")], "share of the events that are at least so quick")]
    for x, _ in ticks:
        parts.append(tag("line", class_="grid", x1=_coordinate(x), x2=_coordinate(x), y1=TOP, y2=HEIGHT - BOTTOM))
    parts += _draw_line(points, 0)
    parts += _draw_targets(targets, axis, "us", to_x)
    said = [f"{name}: {format_value(value, 'us')}." for name, value, _ in percentile_rows(buckets)]
    return _svg(identity, title, f"{total:,} events. {' '.join(said)}", parts, "plot"), axis.is_log


def _draw_swatch(style):
    """The line of a series, for the legend."""
    return tag("svg", tag("path", class_=f"series c{style % STYLES}", d="M2 6h40"), class_="swatch", viewBox="0 0 44 12",
               aria_hidden="true", focusable="false")


def draw_legend(lines, unit):
    """The series below a plot, with the largest value; the script shows the values under the pointer there."""
    def values(line):
        return ",".join("" if value is None else f"{value:.5g}" for value in line.values)

    rows = []
    for line in lines:
        present = [value for value in line.values if value is not None]
        most = f"at most {format_value(max(present), unit)}" if present else "not measured"
        rows.append(tag("li", _draw_swatch(line.style), tag("span", line.label, class_="name"), " ", tag("span", most, class_="now"),
                        data_values=values(line) if present else None))
    return tag("ul", join(rows), class_="legend", data_unit=unit)
