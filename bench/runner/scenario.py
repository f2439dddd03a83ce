# SPDX-License-Identifier: Apache-2.0
"""One run of a plan: start the sink and the gateway, post on the timetable, do the acts at their times, wait until nothing is on
its way, and let the verdict speak."""
import json
import signal
import struct
import subprocess
import time

from runner import headroom, recovery
from runner.acts import Acts
from runner.advice import Facts, busiest_share
from runner.audit import compare_audit, print_audit
from runner.between import Between
from runner.gateway import Gateway
from runner.headroom import Headroom
from runner.names import DOMAIN, NameServer
from runner.process import Program, RunFailed, Usage, cost_per_event
from runner.progress import Progress
from runner.sampler import Sampler
from runner.service_levels import (EXITS, VERDICTS, audit_level, headroom_level, judged, recovery_levels, replay_levels, replay_reasons, summary,
                                   warnings_of, warnings_text)
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


class Load:
    """One generator: a partner that posts on a timetable."""

    def __init__(self, run, name, api_key, arguments):
        self.name, self.log = name, run.directory / f"{name}.log"
        self.progress = Progress(run.directory / f"{name}.progress")
        self.summary_file = run.directory / f"{name}.stdout"
        command = [run.build / "bin/penstock-load", *run.gateway.load_arguments(api_key), "--log", self.log,
                   "--progress", self.progress.path, "--json", *arguments]
        self.program = Program(run.load_usage, run.directory, command, name=name)
        self.entry = None    # of the timetable
        self.ended_at = None # by the wall clock, as the run has seen it

    def start(self):
        self.program.start()
        return self

    def is_running(self):
        is_running = self.program.is_running()
        if not is_running and self.ended_at is None:
            self.ended_at = time.time()
            if self.entry:
                self.entry["until"] = self.ended_at
        return is_running

    def end(self):
        return self.program.end()

    def logs(self):
        """One for each thread."""
        return [self.log, *sorted(self.log.parent.glob(f"{self.log.name}.*"))]

    def summary(self):
        return json.loads(self.summary_file.read_text())

    def check(self):
        if self.program.process.returncode != 0:
            raise RunFailed(f"the generator {self.name} ended with {self.program.process.returncode}: {self.program.errors()}")


class Scenario:
    def __init__(self, plan, build, directory, environment=None, gateway_build=None, target=None):
        """`gateway_build`: the gateway's, when it is another than that of the tools. `target`: a target file, in place of the gateway."""
        self.plan, self.build, self.directory = plan, build, directory
        self.target_name = target.name if target else "penstock"
        self.target_kind = "own" if not target else "penstock" if target.is_penstock else "other"
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
        self.loads = []  # the first is the plan's own, the others are of partners that connect later
        self.replays = []  # of the operator, in this run
        self.audit = None
        self.progress = Progress(directory / "load.progress")
        self.backlog = 0
        self.status_at = 0
        self.acts = Acts(self)
        self.sampler = Sampler(self)
        self.headroom = Headroom(plan.headroom) if plan.headroom else None
        self.cost = None  # of the gateway for each accepted event, while the load ran

    def behave(self, number, words):
        """The words for one account's client, which still checks signatures."""
        account = self.plan.account_names()[number]
        secret = self.secrets[account]
        self.sink.behave(self.gateway.sink_path(account), f"{words} {f'secret={secret}' if secret else ''}".strip())

    def add_partner(self, act):
        """A partner of its own, which posts from now on: to the accounts of its group, or to all. Returns its generator."""
        name = f"partner_{len(self.loads)}"
        key = self.gateway.add_partner(name, self.plan.account_names())
        self.loads.append(Load(self, name, key, self.plan.load_arguments(
            {**self.plan.load, "run": name.replace("_", ""), "duplicates": "0%", "seed": 1 + len(self.loads), **act["load"]}, act.get("group"))).start())
        return self.loads[-1]

    # --- the run ---

    def look(self):
        for usage in self.usages():
            usage.look()
        now = time.monotonic()
        if now - self.status_at < STATUS_SECONDS or self.acts.is_silent():  # whoever asks would wait for it
            return
        self.status_at = now
        try:
            states = [self.sampler.newest(f"backlog_{state}") for state in ("pending", "sending", "waiting")]
            self.backlog = sum(count or 0 for count in states)
            self.replays_run()
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
        before = self.gateway.usage.cost()
        self.loads.append(Load(self, "load", self.gateway.api_key, self.plan.load_arguments()).start())
        started = time.monotonic()
        self.sampler.start()
        while any([load.is_running() for load in self.loads]):  # each is asked, so that its end is seen
            self.acts.turn(started)
            self.check_alive()
            self.look()
            self.progress.show(self.backlog, more=self.loads[1:])
            if self.headroom and self.headroom.is_broken(self.loads[0].progress.latest(), self.backlog):
                self.loads[0].program.send(signal.SIGTERM)
            time.sleep(POLL_SECONDS)
        for load in self.loads:
            load.check()
        self.cost = cost_per_event(before, self.gateway.usage.cost(), sum(load.summary()["accepted"] for load in self.loads))
        self.acts.finish(started)

    def check_alive(self):
        """A program that ended by itself is no fault of the plan."""
        for what, program in (("sink", self.sink.program), ("gateway", self.gateway.program)):
            if not self.acts.is_killed(what) and not program.is_running():
                raise RunFailed(f"the {program.usage.name} ended with {program.process.returncode}: {program.errors()}")
        if self.broker and not self.acts.is_killed("broker") and not self.broker.is_running():
            raise RunFailed("the broker ended by itself")

    def replays_run(self):
        """Whether a replay of the operator is not done. Notes in the timetable when one has ended."""
        for replay in [replay for replay in self.replays if replay["entry"]["until"] is None]:
            found = self.gateway.ask("GET", f"/api/v1/replays/{replay['id']}")
            replay.update(state=found["state"], moved=found["progress"]["moved"])
            if found["state"] not in ("running", "paused"):
                replay["entry"]["until"] = time.time()
                replay["entry"]["text"] += f": {found['progress']['moved']} deliveries, {found['state']}"
        return any(replay["entry"]["until"] is None for replay in self.replays)

    def drain(self):
        """Until nothing is pending, being sent or waiting any more, or the plan's patience ends: the verdict says what is left."""
        end = time.monotonic() + self.plan.drain_seconds
        while time.monotonic() < end:
            self.look()
            try:
                self.backlog = self.gateway.backlog()
            except (OSError, RunFailed):
                self.backlog = -1
            if self.gateway.is_drained(self.backlog) and not (self.broker and self.broker.backlog()) and not self.replays_run():
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
        return [log for load in self.loads for log in load.logs()]

    def moments(self):
        """When faults really began and ended, in seconds since the first event was due; planned times for what was not done."""
        start = first_due_seconds(self.load_logs())
        return {**self.plan.planned_moments(), **{name: at - start for name, at in self.acts.marks.items()}}

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
        text = self.judge(["--details"], subsets)
        details = self.judge(["--json"], subsets)
        if text.returncode not in (0, 1):
            raise RunFailed(f"the verdict could not be found ({text.returncode}): {text.stderr}")
        return self.judge_more(text.stdout, json.loads(details.stdout), moments)

    def judge_more(self, text, details, moments):
        """The verdict, and what the gateway's own audit and the plan's recovery add to it."""
        (self.directory / "audit.json").write_text(json.dumps(self.audit, indent=2))
        details["moments"], details["cost"] = moments, self.cost
        more, wrong, levels = f"Broker\n{self.broker.describe()}" if self.broker else "", [], details["levels"]
        if self.audit:
            wrong = compare_audit(self.audit, details)
            levels = levels + [audit_level(self.audit, wrong)]
            more += f"Audit\n{print_audit(self.audit)}"
        more += f"Cost\n{print_cost(self.cost)}" if "cpu_us" in self.cost else ""
        if self.plan.recovery is not None:
            details["recovery"] = recovery.figures_of(details, moments, self.plan.recovery)
            wrong += recovery.reasons_of(details["recovery"], self.plan.recovery)
            levels += recovery_levels(details["recovery"], self.plan.recovery)
            more += f"Recovery\n{recovery.describe(details['recovery'])}"
        if any(act["do"] == "replay" for act in self.plan.acts):
            levels += replay_levels(self.replays)
            wrong += replay_reasons(self.replays)
        bottlenecks = {load.name: load.summary().get("bottleneck") for load in self.loads}
        if self.headroom:
            details["headroom"] = self.headroom.figures_of(self.plan.load["timetable"], details["series"], any(bottlenecks.values()))
            wrong += self.headroom.reasons_of(details["headroom"])
            levels.append(headroom_level(details["headroom"]))
            more += f"Headroom\n{headroom.describe(details['headroom'])}"
        facts = Facts(details, levels, self.plan.queue, self.gateway.options, self.plan.faults, target=self.target_kind,
                      warnings=warnings_of(bottlenecks), busiest_share=busiest_share([load.summary()["accepted"] for load in self.loads]))
        found = judged(facts, details["reasons"] + wrong)
        details.update({key: found[key] for key in ("reasons", "levels", "impact", "options", "warnings")})
        details["verdict"] = VERDICTS[found["passed"]]
        return EXITS[found["passed"]], f"{warnings_text(found)}{text}{more}\n{summary(found)}", details

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
        self.sampler.end()
        for load in self.loads:
            load.end()
        codes = {"gateway": self.gateway.end(), "sink": self.sink.program.end()}
        if self.broker:
            self.broker.end()
        if self.names:
            self.names.end()
        for usage in self.usages():
            usage.look()
        return codes

    def load_summary(self):
        """Of the plan's own generator."""
        return self.loads[0].summary()


def print_cost(cost):
    """One line: what an event costs the gateway while the load runs, its start left out."""
    parts = [f"{cost['cpu_us']:.1f} us of CPU"]
    parts += [f"{cost[key]:.3f} {what}" for key, what in (("syncs", "fsyncs"), ("writes", "pwrites")) if key in cost]
    return f"  {', '.join(parts)} of the gateway for each accepted event\n"
