# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them: 12.3 ms, 1.2 GiB, 41,250. What is unknown is never shown as a number."""
import math
import re

UNKNOWN = "not measured"
_DECIMAL = re.compile(r"(-?)(\d+)(\.\d+)?")


def number_of(value):
    """The value if it is a number that can be shown, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def time_of(level, member):
    """The value or target of a level that is a time, in microseconds; else None."""
    value = number_of(level.get(member))
    return None if value is None or level.get("unit") not in ("us", "s") else value * (1e6 if level["unit"] == "s" else 1)


def _short(value):
    """Three significant digits, and all digits of integers."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.995 else 3
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _time(us):
    if abs(us) < 999.5:
        return f"{_short(us)} µs"
    if abs(us) < 999500:
        return f"{_short(us / 1e3)} ms"
    if abs(us) < 120e6:
        return f"{_short(us / 1e6)} s"
    minutes, seconds = divmod(round(us / 1e6), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{seconds} s" if seconds and not hours else ""]
    return " ".join(part for part in parts if part)


def _bytes(count):
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= size:
            return f"{_short(count / size)} {unit}"
    return f"{_short(count)} bytes"


def _share(share):
    """Enough digits that 99.9949 % is neither 99.99 % nor 100 %."""
    text = f"{share * 100:.4f}"
    if share not in (0, 1) and float(text) in (0, 100):
        text = f"{share * 100:.8f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def _count(count):
    """Events: whole numbers from 100 on."""
    return f"{count:,.0f}" if abs(count) >= 100 else _short(count)


_FORMATS = {
    "us": _time,
    "s": lambda value: _time(value * 1e6),
    "bytes": _bytes,
    "share": _share,
    "events": _count,
    "events/s": lambda value: f"{_count(value)}/s",
    "per_s": lambda value: f"{_count(value)}/s",
    "cores": lambda value: f"{_short(round(value, 3))} {'core' if value == 1 else 'cores'}",
}


def format_value(value, unit):
    """Text for a value of a result in its unit. A unit that is not known stays behind the number."""
    if value is None:
        return UNKNOWN
    if unit == "text" or number_of(value) is None:
        return str(value)
    if unit in _FORMATS:
        return _FORMATS[unit](value)
    return f"{_short(value)} {unit}" if unit and unit != "count" else _short(value)


def format_tick(value, unit):
    """A short text for an axis: times above two minutes stay in seconds."""
    if value == 0:
        return "0"
    return f"{_short(value / 1e6)} s" if unit == "us" and value >= 1e6 else format_value(value, unit)


def format_money(money):
    """{"EUR": "1250.00"} as "1,250.00 EUR", as in the sentences of the verdict: all digits, since amounts are exact."""
    def grouped(text):
        found = _DECIMAL.fullmatch(str(text))
        return f"{found[1]}{int(found[2]):,}{found[3] or ''}" if found else str(text)
    return ", ".join(f"{grouped(amount)} {currency}" for currency, amount in sorted((money or {}).items()))


def format_clock(seconds, whole):
    """A moment on an axis that is `whole` seconds long."""
    if whole <= 120:
        return f"{_short(round(seconds, 2))} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if whole >= 3600 else f"{minutes}:{rest:02d}"


def nice_steps(most, count, unit=""):
    """Round values from 0 to at least `most`, about `count` steps of them."""
    scale = 1
    if unit == "bytes":
        scale = next((size for size in (1 << 40, 1 << 30, 1 << 20, 1 << 10) if most >= size), 1)
    rough = max(most / scale / count, 1e-9)
    base = 10 ** math.floor(math.log10(rough))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= rough * 0.999)
    if unit in ("events", "count") and step < 1:
        step = 1
    return [round(step * i, 9) * scale for i in range(math.ceil(most / scale / step - 1e-9) + 1)]


def time_steps(start, end, count):
    """Round moments within a time, in seconds."""
    rough = max((end - start) / count, 1e-9)
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
    step = next((each for each in steps if each >= rough), 86400 * math.ceil(rough / 86400))
    return [round(step * i, 3) for i in range(math.ceil(start / step), math.floor(end / step + 1e-9) + 1)]


def log_steps(least, most):
    """Round values for a logarithmic axis that has both ends in it: decades, with 2 and 5 between them if they are few."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    factors = (1,) if last - first > 2 else (1, 2, 5)
    steps = [factor * 10 ** power for power in range(first, last + 1) for factor in factors]
    low = max((step for step in steps if step <= least), default=steps[0])
    high = min((step for step in steps if step >= most), default=steps[-1])
    chosen = [step for step in steps if low <= step <= high]
    return chosen if len(chosen) > 1 else [low, low * 10]
