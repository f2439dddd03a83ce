# SPDX-License-Identifier: Apache-2.0
"""One run of a plan: start the sink and the gateway, post on the timetable, do the faults at their times, wait until nothing is on
its way, and let the verdict speak."""
import json
import signal
import struct
import subprocess
import time

from runner import recovery
from runner.audit import compare_audit, print_audit
from runner.between import Between
from runner.gateway import Gateway
from runner.names import DOMAIN, NameServer
from runner.plan import seconds
from runner.process import Program, RunFailed, Usage, cost_per_event
from runner.progress import Progress
from runner.sink import Sink
from runner.target import Target

POLL_SECONDS = 0.1
STATUS_SECONDS = 1
# Of the generator's log: common/run_log.h.
LOG_HEADER_BYTES, LOAD_RECORD_BYTES = 40, 88
FIRST_RECORDS = 1000  # records are in the order of their ends: the first event that was due is among these


def first_due_seconds(logs):
    """When the first event of a run was due, by the wall clock."""
    times = []
    for log in logs:
        with open(log, "rb") as file:
            records = file.read(LOG_HEADER_BYTES + FIRST_RECORDS * LOAD_RECORD_BYTES)
        times += [struct.unpack_from("<q", records, at)[0]
                  for at in range(LOG_HEADER_BYTES, len(records) - LOAD_RECORD_BYTES + 1, LOAD_RECORD_BYTES)]
    if not times:
        raise RunFailed("the generator sent nothing")
    return min(times) / 1e6


class Scenario:
    def __init__(self, plan, build, directory, environment=None, gateway_build=None, target=None):
        """`gateway_build`: the gateway's, when it is another than that of the tools. `target`: a target file, in place of the gateway."""
        self.plan, self.build, self.directory = plan, build, directory
        if target:
            self.gateway = Target(build, directory, target)
            self.sink = self.gateway.sink
        else:
            self.gateway = Gateway(gateway_build or build, directory, plan.gateway, environment, counter=build / "bin/libcount_syncs.so")
            self.sink = Sink(build, directory, {})
        self.broker = Between(directory) if plan.queue == "rabbitmq" else None
        self.names = NameServer(directory) if any(group.is_named for group in plan.groups.values()) else None
        self.secrets = {}
        self.load_usage = Usage("load")
        self.load = None
        self.audit = None
        self.load_log = directory / "load.log"
        self.progress = Progress(directory / "progress")
        self.backlog = 0
        self.status_at = 0
        self.due_back = []  # (when, what, whether the gateway or broker is silent until then): the second halves of faults
        self.marks = {}  # moments by the wall clock (plan.py)
        self.cost = None  # of the gateway for each accepted event, while the load ran

    # --- faults: each a function of its own, found by its name in the plan (plan.py knows what each needs) ---

    def fault_kill(self, fault):
        """The sink ends as a program does, so that its log is whole; clients whose listener has gone refuse connections."""
        what = {"gateway": self.gateway, "sink": self.sink, "broker": self.broker}[fault.get("what", "gateway")]
        if what is self.gateway:
            self.gateway.program.kill()
        else:
            what.kill()
        back = what.come_back if what is self.gateway else what.start
        self.give_back(fault.get("for", "0s"), back, is_silent=what is not self.sink)

    def fault_restart(self, fault):
        self.gateway.restart()

    def fault_stop(self, fault):
        what = fault.get("what", "gateway")
        program = {"gateway": self.gateway.program, "sink": self.sink.program, "broker": self.broker}[what]
        program.send(signal.SIGSTOP)
        self.give_back(fault["for"], lambda: program.send(signal.SIGCONT), is_silent=what != "sink")

    def fault_alarm(self, fault):
        self.broker.set_alarm(True)
        self.give_back(fault["for"], lambda: self.broker.set_alarm(False), is_silent=True)

    def fault_behave(self, fault):
        """Of one account, or of a group."""
        numbers = self.plan.groups[fault["group"]].numbers() if "group" in fault else [int(fault["account"])]
        for number in numbers:
            self.behave(number, fault["words"])
        if "for" in fault:
            self.give_back(fault["for"], lambda: [self.behave(number, self.plan.behaviour_of(number)) for number in numbers])

    def fault_silence(self, fault):
        """The names of a group get no answer."""
        group = self.plan.groups[fault["group"]]
        self.names.silent = self.names.silent | {self.host_of(number) for number in group.numbers()}
        if "for" in fault:
            self.give_back(fault["for"], lambda: setattr(self.names, "silent", set()))

    def fault_reload(self, fault):
        self.gateway.reload(fault["options"])

    def give_back(self, after, action, is_silent=False):
        """The second half of a fault."""
        self.due_back.append((time.monotonic() + seconds(after), action, is_silent))

    def behave(self, number, words):
        """The words for one account's client, which still checks signatures."""
        account = self.plan.account_names()[number]
        secret = self.secrets[account]
        self.sink.behave(self.gateway.sink_path(account), f"{words} {f'secret={secret}' if secret else ''}".strip())

    def do_faults(self, started, faults):
        now = time.monotonic()
        for back in [back for back in self.due_back if back[0] <= now]:
            self.due_back.remove(back)
            self.marks["back"] = time.time()
            back[1]()
        while faults and now - started >= seconds(faults[0]["at"]):
            fault = faults.pop(0)
            self.progress.line(f"fault: {fault['do']}\n")
            self.marks["back"] = time.time()
            self.marks.setdefault("fault", self.marks["back"])
            getattr(self, f"fault_{fault['do']}")(fault)

    # --- the run ---

    def look(self):
        for usage in self.usages():
            usage.look()
        now = time.monotonic()
        if now - self.status_at < STATUS_SECONDS or any(back[2] for back in self.due_back):  # whoever asks would wait for it
            return
        self.status_at = now
        try:
            self.backlog = self.gateway.backlog()
            if self.broker:
                self.broker.look(self.gateway)
        except (OSError, RunFailed):
            pass  # it is down, or busy: the line shows what was last known

    def usages(self):
        return [self.gateway.usage, self.sink.usage, self.load_usage, *([self.broker.usage] if self.broker else []), *self.gateway.more_usages()]

    def start(self):
        self.sink.start()
        if self.broker:
            self.broker.start()
            self.gateway.options.update(self.broker.options())
        if self.names:
            self.gateway.prefix = self.names.start().prefix()
        self.gateway.start()
        if self.broker:
            self.broker.wait_until_used(self.gateway)
        accounts = self.plan.account_names()
        self.secrets = self.gateway.add_accounts(accounts, [self.url_of(number) for number in range(len(accounts))])
        for number in range(len(accounts)):
            self.behave(number, self.plan.behaviour_of(number))

    def host_of(self, number):
        group = self.plan.group_of(number)
        return f"{self.plan.account_names()[number].replace('_', '-')}.{DOMAIN}" if group and group.is_named else "127.0.0.1"

    def url_of(self, number):
        return f"http://{self.host_of(number)}:{self.sink.port}/{self.plan.account_names()[number]}"

    def post(self):
        arguments = [self.build / "bin/penstock-load", *self.gateway.load_arguments(), "--log", self.load_log,
                     "--progress", self.progress.path, "--json", *self.plan.load_arguments()]
        before = self.gateway.usage.cost()
        self.load = Program(self.load_usage, self.directory, arguments).start()
        started, faults = time.monotonic(), list(self.plan.faults)
        while self.load.is_running():
            self.do_faults(started, faults)
            self.check_alive()
            self.look()
            self.progress.show(self.backlog)
            time.sleep(POLL_SECONDS)
        if self.load.process.returncode != 0:
            raise RunFailed(f"the generator ended with {self.load.process.returncode}: {self.load.errors()}")
        self.cost = cost_per_event(before, self.gateway.usage.cost(), self.load_summary()["accepted"])
        if faults:
            raise RunFailed(f"the load ended before the fault at {faults[0]['at']}: the fault was not tried")
        while self.due_back:
            self.do_faults(started, [])
            time.sleep(POLL_SECONDS)

    def check_alive(self):
        """A program that ended by itself is no fault of the plan."""
        for program in (self.sink.program, self.gateway.program):
            if not program.is_running() and not self.due_back:
                raise RunFailed(f"the {program.usage.name} ended with {program.process.returncode}: {program.errors()}")
        if self.broker and not self.broker.is_running() and not self.due_back:
            raise RunFailed("the broker ended by itself")

    def drain(self):
        """Until nothing is pending, being sent or waiting any more, or the plan's patience ends: the verdict says what is left."""
        end = time.monotonic() + self.plan.drain_seconds
        while time.monotonic() < end:
            self.look()
            try:
                self.backlog = self.gateway.backlog()
            except (OSError, RunFailed):
                self.backlog = -1
            if self.gateway.is_drained(self.backlog) and not (self.broker and self.broker.backlog()):
                return
            self.progress.show(self.backlog, "waiting for what is on its way")
            time.sleep(POLL_SECONDS)

    def ask_audit(self):
        """A broker that was killed may still be starting: until it says what it holds, nothing is final."""
        end = time.monotonic() + self.plan.drain_seconds
        audit = self.gateway.audit()
        while audit and audit["verdict"] == "unfinished" and time.monotonic() < end:
            self.look()
            time.sleep(STATUS_SECONDS)
            audit = self.gateway.audit()
        return audit

    def load_logs(self):
        return [self.load_log, *sorted(self.directory.glob("load.log.*"))]

    def moments(self):
        """When faults really began and ended, in seconds since the first event was due; planned times for what was not done."""
        start = first_due_seconds(self.load_logs())
        return {**self.plan.planned_moments(), **{name: at - start for name, at in self.marks.items()}}

    def subsets(self):
        """The texts for the verdict, when the end of the backlog is known."""
        moments = self.moments()
        if self.plan.needs_gone():
            moments["gone"] = recovery.NEVER_SECONDS
            details = self.judge(["--json"], self.plan.subsets(moments, ["backlog"]))
            moments["gone"] = recovery.gone_seconds(json.loads(details.stdout)) if details.returncode in (0, 1) else 0
        return moments, self.plan.subsets(moments)

    def judge(self, arguments=(), subsets=()):
        usage_file = self.directory / "usage.json"
        usage_file.write_text(json.dumps({"processes": {usage.name: usage.as_json() for usage in self.usages()}}))
        command = [self.build / "bin/penstock-verdict", *self.gateway.verdict_arguments(), "--usage", usage_file]
        for log in self.load_logs():
            command += ["--load", log]
        for log in self.sink.logs:
            command += ["--sink", log]
        for subset in subsets:
            command += ["--subset", subset]
        for name, value in self.plan.levels.items():
            command += ["--level", f"{name}={value}"]
        return subprocess.run([*map(str, command), *arguments], capture_output=True, text=True, check=False)

    def run(self):
        """Leaves everything in the directory; returns the verdict as (exit code, text, JSON or None)."""
        try:
            self.start()
            self.post()
            self.drain()
            if self.broker:
                self.broker.look(self.gateway)
            self.audit = self.ask_audit()
        finally:
            self.progress.end()
            codes = self.end()
        for program in (self.gateway.program, self.sink.program):
            if codes[program.usage.name] != 0:
                raise RunFailed(f"the {program.usage.name} ended with {codes[program.usage.name]}: {program.errors()}")
        if self.broker and self.broker.through() == 0:
            raise RunFailed("nothing went through the broker: such a run shows nothing of it")
        moments, subsets = self.subsets()
        text = self.judge((), subsets)
        details = self.judge(["--json"], subsets)
        if text.returncode not in (0, 1):
            raise RunFailed(f"the verdict could not be found ({text.returncode}): {text.stderr}")
        return self.judge_more(text.returncode, text.stdout, json.loads(details.stdout), moments)

    def judge_more(self, code, text, details, moments):
        """The verdict, and what the gateway's own audit and the plan's recovery add to it."""
        (self.directory / "audit.json").write_text(json.dumps(self.audit, indent=2))
        details["moments"], details["cost"] = moments, self.cost
        more, wrong = f"Broker\n{self.broker.describe()}" if self.broker else "", []
        if self.audit:
            more, wrong = f"{more}Audit\n{print_audit(self.audit)}", compare_audit(self.audit, details)
        more += f"Cost\n{print_cost(self.cost)}" if "cpu_us" in self.cost else ""
        if self.plan.recovery is not None:
            details["recovery"] = recovery.figures_of(details, moments, self.plan.recovery)
            wrong += recovery.reasons_of(details["recovery"], self.plan.recovery)
            more += f"Recovery\n{recovery.describe(details['recovery'])}"
        if wrong:
            code, details["verdict"] = 1, "FAIL"
            details["reasons"] = details["reasons"] + wrong
            if text.endswith("PASS\n"):
                text = text.removesuffix("PASS\n") + "FAIL\n"
            text += "".join(f"{reason}\n" for reason in wrong)
        return code, more + text, details

    def observe(self, subsets, settle_seconds):
        """A run without a drain, whose gateway need not have delivered everything: only the verdict's figures for these subsets (of
        the moments). For clients that do not return within the run."""
        try:
            self.start()
            self.post()
            end = time.monotonic() + settle_seconds
            while time.monotonic() < end:
                self.look()
                time.sleep(POLL_SECONDS)
        finally:
            self.progress.end()
            codes = self.end()
        if codes["gateway"] != 0:
            raise RunFailed(f"the gateway ended with {codes['gateway']}: {self.gateway.program.errors()}")
        details = self.judge(["--json"], subsets(self.moments()))
        if details.returncode not in (0, 1):
            raise RunFailed(f"the verdict could not be found ({details.returncode}): {details.stderr}")
        return json.loads(details.stdout)

    def end(self):
        """In any case, in this order: nobody posts, nobody delivers, nobody receives, nobody stands between."""
        codes = {"load": self.load.end() if self.load else None, "gateway": self.gateway.end(), "sink": self.sink.program.end()}
        if self.broker:
            self.broker.end()
        if self.names:
            self.names.end()
        for usage in self.usages():
            usage.look()
        return codes

    def load_summary(self):
        return json.loads((self.directory / "load.stdout").read_text())


def print_cost(cost):
    """One line: what an event costs the gateway while the load runs, its start left out."""
    parts = [f"{cost['cpu_us']:.1f} us of CPU"]
    parts += [f"{cost[key]:.3f} {what}" for key, what in (("syncs", "fsyncs"), ("writes", "pwrites")) if key in cost]
    return f"  {', '.join(parts)} of the gateway for each accepted event\n"
