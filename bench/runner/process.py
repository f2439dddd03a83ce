# SPDX-License-Identifier: Apache-2.0
"""Programs of a run: started here, ended here by pid, and what each has cost while it ran."""
import json
import os
import pathlib
import signal
import struct
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class RunFailed(Exception):
    """Something that a run needs did not work; the text says what and where to look."""


def wait_for(condition, what, seconds, process=None):
    """Polls until the condition holds; fails early when the process that should bring it about has ended."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise RunFailed(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise RunFailed(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def read_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


class Usage:
    """CPU seconds and peak RSS of one role (gateway, broker, load, sink), over all processes that it had one after the other."""

    def __init__(self, name, sync_file=None):
        self.name, self.sync_file = name, sync_file
        self.pids, self.cpu_by_pid, self.peak_rss = [], {}, 0

    def follow(self, pid):
        self.pids.append(pid)
        self.look()

    def look(self):
        rss = 0
        for pid in self.pids:
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.cpu_by_pid[pid] = (int(stat[11]) + int(stat[12])) / TICKS
            rss += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
        self.peak_rss = max(self.peak_rss, rss)

    def cpu_seconds(self):
        return sum(self.cpu_by_pid.values())

    def rss_now(self):
        """Resident bytes at this moment, not the peak."""
        total = 0
        for pid in self.pids:
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
        return total

    def _counted(self, place):
        """A number of what count_syncs.c counts; None where it is not counted."""
        try:
            return struct.unpack_from("Q", pathlib.Path(self.sync_file).read_bytes(), 8 * place)[0]
        except (TypeError, FileNotFoundError, struct.error):
            return None

    def syncs(self):
        return self._counted(0)

    def writes(self):
        return self._counted(1)

    def cost(self):
        """What it has cost so far; the difference of two is what something has cost."""
        self.look()
        return {"cpu_us": self.cpu_seconds() * 1e6, "syncs": self.syncs(), "writes": self.writes()}

    def as_json(self):
        found = {"cpu_seconds": round(self.cpu_seconds(), 3), "peak_rss_bytes": self.peak_rss}
        if self.syncs() is not None:
            found["syncs"] = self.syncs()
        return found


def cost_per_event(before, after, events):
    """Of two cost()s."""
    return {key: (after[key] - before[key]) / max(1, events) for key in after
            if before[key] is not None and after[key] is not None}


_started = []  # of Program, in the order of their starts


def end_all():
    """Whatever way a run ends, it leaves nothing running."""
    for program in reversed(_started):
        if program.is_running():
            program.end(10)


class Program:
    """One child process. Its stdout and stderr go to files in the run's directory."""

    def __init__(self, usage, directory, arguments, environment=None, name=None):
        """`name`: of its files, when several programs have one usage."""
        self.usage, self.name = usage, name or usage.name
        self.directory = pathlib.Path(directory)
        self.arguments = [str(argument) for argument in arguments]
        self.environment = environment
        self.process = None

    def start(self):
        with open(self.directory / f"{self.name}.stdout", "ab") as out, open(self.directory / f"{self.name}.stderr", "ab") as err:
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environment)
        _started.append(self)
        self.usage.follow(self.process.pid)
        return self

    def errors(self):
        path = self.directory / f"{self.name}.stderr"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.usage.look()
        self.process.kill()
        self.process.wait()

    def end(self, seconds=60):
        """SIGTERM, and SIGKILL when that is not enough. Returns the exit code."""
        if not self.is_running():
            return self.process.returncode if self.process else None
        self.usage.look()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        while True:
            self.usage.look()
            try:
                return self.process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                seconds -= 0.2
                if seconds <= 0:
                    self.kill()
                    return self.process.returncode
