# SPDX-License-Identifier: Apache-2.0
"""A target in the place of the gateway (runner/gateway.py): the same calls, for a product that runs
already and that this run neither starts nor ends. It has no journal, no audit and no configuration.
Its backlog is what was accepted and has not reached the sink."""
import json
import os
import pathlib
import socket
import subprocess
import time

from runner.process import TICKS, RunFailed, Usage, wait_for
from runner.sink import Sink

CONNECT_SECONDS, COMMAND_SECONDS, UP_SECONDS = 5, 60, 60
SCAN_SECONDS = 1


def _numbers(path):
    """(parent, CPU seconds, start time) of a process; None when it has gone."""
    try:
        fields = pathlib.Path(path, "stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS, int(fields[19])


def _comm(path):
    try:
        return pathlib.Path(path, "comm").read_text(errors="replace").rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


class NamedUsage(Usage):
    """Processes that were not started here, by name or pid file (with their children). They may come
    and go. CPU counts from the first look, memory is the largest sum that was seen."""

    def __init__(self, name, sources):
        super().__init__(name)
        self.sources = sources
        self.before = None  # CPU seconds at the first look, by (pid, start time)
        self.scanned_at = -SCAN_SECONDS
        self.found = set()

    def scan(self):
        """{(pid, start time)} of all processes that count now."""
        table = {int(path.name): (path, _numbers(path)) for path in pathlib.Path("/proc").iterdir()
                 if path.name.isdigit()}
        table = {pid: (path, numbers) for pid, (path, numbers) in table.items() if numbers}
        pids = set()
        for kind, value in self.sources:
            if kind == "name":
                pids |= {pid for pid, (path, _) in table.items() if _comm(path) == value}
            else:
                pids |= self._family(value, table)
        self.found = {(pid, table[pid][1][2]) for pid in pids}
        return self.found

    @staticmethod
    def _family(pid_file, table):
        try:
            top = int(pathlib.Path(pid_file).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return set()
        family, new = set(), {top} & set(table)
        while new:
            family |= new
            new = {pid for pid, (_, numbers) in table.items() if numbers[0] in new} - family
        return family

    def begin(self):
        for source in self.sources:
            if not NamedUsage(self.name, [source]).scan():
                raise RunFailed(f"processes.{self.name}: {':'.join(source)} does not run on this "
                                "host: start it, or leave it out")
        self.before = {process: self._cpu_of(process) or 0 for process in self.scan()}
        self.look()

    @staticmethod
    def _cpu_of(process):
        numbers = _numbers(f"/proc/{process[0]}")
        return numbers[1] if numbers and numbers[2] == process[1] else None

    def look(self):
        if self.before is None:
            return
        now = time.monotonic()
        if now - self.scanned_at >= SCAN_SECONDS:
            self.scanned_at = now
            self.scan()
        for process in self.found:
            cpu = self._cpu_of(process)
            if cpu is not None:
                self.cpu_by_pid[process] = cpu - self.before.get(process, 0)
        self.pids = [pid for pid, _ in self.found]
        self.peak_rss = max(self.peak_rss, self.rss_now())

    def cost(self):
        return super().cost() if self.sources else {"cpu_us": None}

    def as_json(self):
        return super().as_json() if self.sources else {}


class _Product:
    """Where a gateway has its process."""

    def __init__(self, target):
        self.target, self.usage = target, target.usage

    def is_running(self):
        return True  # who starts it looks after it

    def errors(self):
        return ""

    def kill(self):
        self.target.do("stop")


class Target:
    def __init__(self, build, directory, file):
        self.file, self.directory = file, pathlib.Path(directory)
        self.usage = NamedUsage("gateway", file.processes["gateway"])
        self.broker_usage = NamedUsage("broker", file.processes["broker"])
        self.program = _Product(self)
        self.options, self.prefix, self.data, self.api_key = {}, [], None, None
        self.run = f"t{int(time.time() * 1000):x}"
        self.post_file = self.directory / "post.json"
        more = ["--run", self.run, *file.sink_arguments]
        self.sink = Sink(build, directory, {}, listen=file.listen, more=more)
        self.counted, self.counted_at = -1, 0

    def start(self):
        wait_for(self._is_up, f"{self.file.url} takes connections (post.url)",
                 UP_SECONDS if self.usage.before is not None else CONNECT_SECONDS)
        if self.usage.before is None:
            self._write_post()
            for usage in (self.usage, *self.more_usages()):
                usage.begin()
        return self

    def _is_up(self):
        try:
            socket.create_connection((self.file.host, self.file.port), 1).close()
            return True
        except OSError:
            return False

    def _write_post(self):
        """With its secrets: for this user only, and removed at the end."""
        if self.file.post is None:
            return
        self.post_file.unlink(missing_ok=True)
        descriptor = os.open(self.post_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(self.file.post, file)

    def do(self, name):
        try:
            done = subprocess.run(self.file.commands[name], cwd=self.file.folder, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunFailed(f"commands.{name}: {error}") from None
        if done.returncode != 0:
            raise RunFailed(f"commands.{name} ended with {done.returncode}: {done.stdout[-1000:]}")

    def come_back(self):
        """After a kill."""
        self.do("start")
        return self.start()

    def restart(self):
        self.do("stop")
        self.come_back()

    def add_accounts(self, accounts, _urls):
        return {account: self.file.secret_of(account) for account in accounts}

    def sink_path(self, account):
        return self.file.sink_path.replace("{account}", account)

    def load_arguments(self, _api_key=None):
        arguments = ["--url", self.file.url, "--run", self.run]
        arguments += ["--ca", self.file.ca] if self.file.ca else []
        if self.file.post is None:
            return [*arguments, "--api-key", f"@{self.file.api_key_file}"]
        return [*arguments, "--post", self.post_file]

    def verdict_arguments(self):
        return [] if self.file.is_penstock else ["--target", self.file.body]

    def more_usages(self):
        return [self.broker_usage] if self.broker_usage.sources else []

    def _accepted(self):
        try:
            lines = (self.directory / "load.progress").read_text().splitlines()
            return json.loads(lines[-1])["ok"]
        except (OSError, IndexError, ValueError):
            return 0

    def backlog(self):
        """About: duplicates and what the sink did not answer 2xx count as arrived."""
        requests = self.sink.requests()
        if requests != self.counted:
            self.counted, self.counted_at = requests, time.monotonic()
        return max(0, self._accepted() - requests)

    def is_drained(self, _backlog):
        """Nothing has come for a while. What is still missing is lost, or later than the run waits."""
        return time.monotonic() - self.counted_at >= self.file.quiet_seconds

    def sample(self, _seconds):
        """What waits is the product's own business; what has not arrived yet is counted here."""
        return {"backlog_pending": self.backlog()}

    def audit(self):
        return None

    def end(self):
        self.post_file.unlink(missing_ok=True)
        return 0

    def remove_data(self):
        pass
