# SPDX-License-Identifier: Apache-2.0
"""Runs one attack against a gateway, measures it, and holds it against the aims."""
import dataclasses
import json
import pathlib
import subprocess
import threading
import time

from attack.house import Samples, memory
from attack.registry import H1

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, as for the scenarios

QUIET_SECONDS = 1.5  # before and after the attack
MEMORY_MAX_MB = 50
CROWD, CROWD_MEMORY_MAX_MB = 1000, 64  # so many connections, each of which takes 13 KiB, or 28 KiB with TLS
P99_FACTOR, P99_MORE_MS = 1.1, 20
CPU_AFTER_MAX = 0.05  # of a core: what a measurement of one second cannot tell from 0
NEWCOMER_SECONDS_MAX = 1
HUNG_SECONDS = 60  # an attack that takes so much longer than it should is ended

# On a machine that does much else at the same time, the times of others say nothing.
LOADED_CUT_SECONDS, LOADED_CPU_AFTER_MAX = 4, 0.25


@dataclasses.dataclass
class Row:
    name: str
    transport: str
    title: str
    bounded: str = ""
    cut_s: float | None = None
    cut_within: float = 1
    connections: int = 0
    cuts: int = 0
    refused: int = 0
    memory_mb: float = 0
    cpu_during: float = 0
    cpu_after: float = 0
    p99_quiet_ms: float = 0
    p99_ms: float = 0
    newcomer_ms: float = 0
    failed_posts: int = 0
    sent_mb: float = 0
    lasted_s: float = 0
    log_kb: float = 0
    goaway: str = ""
    answers: dict = dataclasses.field(default_factory=dict)
    note: str = ""
    wrong: list = dataclasses.field(default_factory=list)

    @property
    def is_late_only(self):
        return self.wrong and all(wrong.startswith("p99") for wrong in self.wrong)


def memory_max_mb(row):
    return CROWD_MEMORY_MAX_MB if row.connections >= CROWD else MEMORY_MAX_MB


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def _start(script, *arguments):
    process = subprocess.Popen([PYTHON, "-B", HERE / script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process


def _read(process, what):
    line = process.stdout.readline()
    if not line:
        process.wait(10)
        raise RuntimeError(f"{what} ended with {process.returncode}")
    return line


def _end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def measure(house, attack, transport, source, is_loaded=False, admin=False):
    """One attack. Returns its Row. `is_loaded`: much else runs on the machine. `admin`: the admin listener is attacked."""
    quiet_seconds = 0.4 if is_loaded else QUIET_SECONDS
    is_tls = transport.endswith("tls")
    target = house.target(is_tls, house.attacker_key, source, attack.seconds, admin)
    client = _start("client.py", attack.name, json.dumps(dataclasses.asdict(target)))
    partner = _start("partner.py", json.dumps(dataclasses.asdict(house.target(is_tls, house.partner_key))), "h1" if attack.speaks == H1 else "h2")
    samples = Samples(house.pid)
    watchdog = threading.Timer(attack.seconds + HUNG_SECONDS, lambda: (client.kill(), partner.kill()))
    watchdog.start()
    try:
        _read(client, "the attack")
        _read(partner, "the partner")
        house.fill_stderr()
        time.sleep(0.3)  # first requests are slower
        quiet_from = time.monotonic()
        time.sleep(quiet_seconds)
        pathlib.Path(f"/proc/{house.pid}/clear_refs").write_text("5")
        memory_before, log_before = memory(house.pid, "VmRSS"), house.stderr_bytes()
        client.stdin.write("go\n")
        client.stdin.flush()
        report = json.loads(_read(client, "the attack"))
        time.sleep(max(1.2, quiet_seconds, report["started"] + 1.2 - time.monotonic()))
        memory_most, log_after = memory(house.pid, "VmHWM"), house.stderr_bytes()
        partner.stdin.write("end\n")
        partner.stdin.flush()
        seen = json.loads(_read(partner, "the partner"))
    finally:
        watchdog.cancel()
        samples.stop()
        _end(client)
        _end(partner)

    started, over = report["started"], report["cut"] or report["ended"]
    busy_until = max(started + 1, over)
    row = Row(attack.name, transport, attack.title, attack.bounded, cut_within=attack.cut_within, note=report["note"], goaway=report["goaway"],
              answers=report["answers"], connections=report["connections"], cuts=report["cuts"], refused=report["refused"])
    row.cut_s = round(report["cut"] - started, 3) if report["cut"] else None
    row.sent_mb, row.log_kb = round(report["sent"] / 1e6, 1), round((log_after - log_before) / 1e3, 1)
    row.memory_mb = round(max(0, memory_most - memory_before) / 2 ** 20, 1)
    row.lasted_s = round(over - started, 2)
    usual = samples.rate(quiet_from, started)
    row.cpu_during = round(max(0, samples.rate(started, max(over, started + 0.1)) - usual), 2)
    row.cpu_after = round(max(0, samples.rate(over + 0.1, over + 1.1) - usual), 2)
    quiet = [latency for due, latency, _ in seen["posts"] if latency and (quiet_from < due < started - 0.05 or due > over + 0.5)]
    busy = [9.999 if latency is None else latency for due, latency, _ in seen["posts"] if started <= due <= busy_until]
    row.p99_quiet_ms, row.p99_ms = round(percentile(quiet, 0.99) * 1e3, 1), round(percentile(busy, 0.99) * 1e3, 1)
    newcomers = [9.999 if latency is None else latency for due, latency, _ in seen["newcomers"] if started - 0.1 <= due <= busy_until]
    row.newcomer_ms = round(max(newcomers, default=0) * 1e3, 1)
    row.failed_posts = sum(1 for due, _, status in seen["posts"] + seen["newcomers"] if status != 200 and due <= busy_until)
    judge(row, attack, is_loaded)
    return row


def judge(row, attack, is_loaded=False):
    wrong = row.wrong
    cut_within = attack.cut_within + (LOADED_CUT_SECONDS - 1 if is_loaded else 0)
    must_be_cut = not attack.bounded or attack.cut_within > 1
    if must_be_cut and row.cut_s is None:
        wrong.append(f"not cut ({row.cuts} of {row.connections})")
    elif must_be_cut and row.cut_s > cut_within:
        wrong.append(f"cut only after {row.cut_s} s")
    if row.memory_mb >= memory_max_mb(row):
        wrong.append(f"memory + {row.memory_mb:.0f} MB")
    if row.cpu_after > (LOADED_CPU_AFTER_MAX if is_loaded else CPU_AFTER_MAX):
        wrong.append(f"{row.cpu_after:.2f} of a core after its end")
    if not is_loaded and row.p99_ms > max(row.p99_quiet_ms * P99_FACTOR, row.p99_quiet_ms + P99_MORE_MS):
        wrong.append(f"p99 {row.p99_ms:.0f} ms instead of {row.p99_quiet_ms:.0f}")
    if row.failed_posts:
        wrong.append(f"{row.failed_posts} posts of the partner failed")
    if not is_loaded and row.newcomer_ms > NEWCOMER_SECONDS_MAX * 1e3:
        wrong.append(f"a new connection waited {row.newcomer_ms:.0f} ms")


def attack_of(house, attack, transport, source, tries, admin=False, is_loaded=False):
    """Measures again when only the times are bad, up to `tries` times: a commit of the journal that takes long is no attack."""
    rows = []
    for _ in range(tries):
        rows.append(measure(house, attack, transport, source, is_loaded, admin))
        if not rows[-1].is_late_only:
            return rows[-1]
        time.sleep(0.5)
    return sorted(rows, key=lambda row: row.p99_ms - row.p99_quiet_ms)[len(rows) // 2]


# --- the table ---

def _cut(row):
    if row.cut_s is not None:
        return f"{row.cut_s:.2f} s"
    return "no" if not row.cuts else f"{row.cuts} of {row.connections}"


def verdict(row):
    if row.wrong:
        return "; ".join(row.wrong)
    return "cut" if row.cut_s is not None and row.cut_s <= row.cut_within else "bounded"


COLUMNS = [("attack", 30, lambda row: row.name), ("over", 7, lambda row: row.transport), ("cut after", 11, _cut),
           ("lasted", 6, lambda row: f"{row.lasted_s:.1f}"), ("MB sent", 8, lambda row: f"{row.sent_mb:.0f}"), ("RSS +MB", 8, lambda row: f"{row.memory_mb:.0f}"),
           ("cpu", 5, lambda row: f"{row.cpu_during:.2f}"), ("after", 5, lambda row: f"{row.cpu_after:.2f}"),
           ("p99 ms", 13, lambda row: f"{row.p99_quiet_ms:.0f} -> {row.p99_ms:.0f}"), ("new ms", 6, lambda row: f"{row.newcomer_ms:.0f}"),
           ("verdict", 0, lambda row: ("FAILS: " if row.wrong else "") + verdict(row))]


def text_head():
    return " ".join(name.ljust(width) for name, width, _ in COLUMNS)


def text_row(row):
    more = " ".join(part for part in (row.goaway, " ".join(f"{k}x{v}" for k, v in row.answers.items()), row.note,
                                      f"log +{row.log_kb:.0f} KB" if row.log_kb > 10 else "") if part)
    return " ".join(of(row).ljust(width) for _, width, of in COLUMNS) + (f"  [{more}]" if more else "")


def short(row):
    """What the table of etc/doc/attacks.md has about a row (a dict of --json)."""
    row = Row(**row)
    cut = f"cut after {row.cut_s:.1f} s" if row.cut_s is not None else ""
    if not row.wrong:
        return cut or "bounded"
    said = [cut] if cut else [] if row.bounded and row.cut_within <= 1 else ["open"]
    if row.cut_s is None and row.cpu_during >= 0.3:
        said.append(f"{row.cpu_during:.1f} core")
    if row.memory_mb >= memory_max_mb(row):
        said.append(f"+ {row.memory_mb:.0f} MB")
    if row.cpu_after > CPU_AFTER_MAX:
        said.append(f"{row.cpu_after:.1f} core after it")
    if any(wrong.startswith("p99") for wrong in row.wrong):
        said.append(f"p99 {row.p99_ms:.0f} ms")
    if row.failed_posts:
        said.append(f"{row.failed_posts} posts lost")
    return ", ".join(said) or "; ".join(row.wrong)


COLUMN_NAMES = ("before", "after")


def fill(text, column, rows):
    """Writes rows of --json into a column of the table of a document: a line for each attack and transport, which is added if it is new."""
    at, lines = COLUMN_NAMES.index(column), text.splitlines()
    found = {(row["name"], row["transport"]): row for row in rows}
    table = [number for number, line in enumerate(lines) if line.startswith("| attack | over |")]
    assert table, "the document has no table that begins with | attack | over |"
    number = table[0] + 2
    while number < len(lines) and lines[number].startswith("|"):
        name, transport, *cells = (cell.strip() for cell in lines[number].strip("|").split("|"))
        if row := found.pop((name.strip("`"), transport), None):
            cells[at] = short(row)
            lines[number] = _line(name, transport, cells)
        number += 1
    for (name, transport), row in found.items():
        cells = ["", ""]
        cells[at] = short(row)
        lines.insert(number, _line(f"`{name}`", transport, cells))
        number += 1
    return "\n".join(lines) + "\n"


def _line(name, transport, cells):
    return "| " + " | ".join([name, transport, *cells]) + " |"
