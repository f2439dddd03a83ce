# SPDX-License-Identifier: Apache-2.0
"""The directory of results (--directory): one command at a time writes into it, each run has a
folder of its own, and there must be room for what a run writes."""
import fcntl
import os
import pathlib
import re
import shutil

from runner.plan import seconds
from runner.process import RunFailed

# Bytes on disk, as measured: a record of the generator's and of the sink's log (common/run_log.h),
# and rows of the journal and of a queue of the broker, with some reserve.
LOG_BYTES, JOURNAL_BYTES, BROKER_BYTES = 2 * 88, 1000, 1000
FIXED_BYTES = 256 << 20  # reserve files of the journal, reports, logs of programs
CLOSED_RATE_MAX = 20_000  # of a closed loop, whose number of events is not known before
_locks = []  # held until the process ends


def slug(name):
    """A name for folders and files."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:40] or "target"


def place_of(directory, *parts, target=None):
    """The folder of a run. That of a target has its name, so that no result of Penstock is lost."""
    return directory / "-".join([*parts, *([slug(target.name)] if target else [])])


def lock(directory):
    """Two commands in one directory would delete the results of each other. Returns what is to be
    closed to release it; without that it is held until this process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    file = open(directory / ".lock", "a+", encoding="utf-8")  # pylint: disable=consider-using-with
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise RunFailed(f"another bench/run (pid {owner}) writes into {directory}: wait for its "
                        "end, or name another place with --directory") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _locks.append(file)
    return file


# --- space ---

def _lines_of(name):
    try:
        return pathlib.Path(name).read_bytes().count(b"\n")
    except OSError:
        return 0  # the generator complains about it


def events_of(timetable):
    """How many posts a timetable has (load/timetable.h), about."""
    events = 0
    for part in timetable.split(","):
        kind, *words = part.split(":")
        if kind == "constant":
            events += float(words[0]) * seconds(words[1])
        elif kind == "ramp":
            events += (float(words[0]) + float(words[1])) / 2 * seconds(words[2])
        elif kind == "step":
            first, last, by = map(float, words[:3])
            count = int((last - first) / by) + 1
            events += count * (first + by * (count - 1) / 2) * seconds(words[3])
        elif kind == "burst":
            events += float(words[0]) * seconds(words[2]) / seconds(words[1])
        elif kind == "import":
            events += float(words[0])
        elif kind == "closed":
            events += CLOSED_RATE_MAX * seconds(words[-1])
        elif kind == "replay":
            events += _lines_of(part.partition(":")[2])
    return round(events)


def needed_bytes(plan, has_journal=True):
    """(posts, bytes) of a run, about."""
    timetables = [plan.load["timetable"],
                  *(act["load"]["timetable"] for act in plan.acts if act["do"] == "partner")]
    events = sum(map(events_of, timetables))
    each = LOG_BYTES + (JOURNAL_BYTES if has_journal else 0) + \
        (BROKER_BYTES if plan.queue == "rabbitmq" else 0)
    return events, FIXED_BYTES + events * each


def size_text(size):
    return f"{size / 1e9:.1f} GB"


def check_space(directory, plan, has_journal=True):
    """Before a run: hours of load are not lost to a full disk. Returns what the run needs, as a
    text."""
    directory.mkdir(parents=True, exist_ok=True)
    events, needed = needed_bytes(plan, has_journal)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise RunFailed(f"{plan.name} needs about {size_text(needed)} in {directory} (logs and "
                        f"journals of {events:,} posts), and {size_text(free)} are free: make "
                        "room, or name another place with --directory")
    return f"about {size_text(needed)} of disk"
