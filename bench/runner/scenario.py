# SPDX-License-Identifier: Apache-2.0
"""One run of a plan: start the sink and the gateway, post on the timetable, do the faults at their times, wait until nothing is on
its way, and let the verdict speak."""
import http.client
import json
import signal
import subprocess
import time
import urllib.parse

from runner.audit import compare_audit, print_audit
from runner.between import Between
from runner.gateway import Gateway
from runner.plan import seconds
from runner.process import Program, RunFailed, Usage, read_json, wait_for
from runner.progress import Progress

POLL_SECONDS = 0.1
STATUS_SECONDS = 1


class Sink:
    def __init__(self, build, directory, behaviours, threads=1):
        self.directory = directory
        self.usage = Usage("sink")
        self.log = directory / "sink.log"
        self.ready = directory / "sink.ready"
        arguments = [build / "bin/penstock-sink", "--threads", threads, "--log", self.log, "--ready-file", self.ready]
        for path, words in behaviours.items():
            arguments += ["--behave", f"{path} {words}".strip()]
        self.program = Program(self.usage, directory, arguments)
        self.url = None

    def start(self):
        self.ready.unlink(missing_ok=True)  # of an earlier one in this directory
        self.program.start()
        try:
            self.url = wait_for(lambda: read_json(self.ready), "the sink is ready", 10, self.program.process)["url"]
        except RunFailed as failure:
            raise RunFailed(f"{failure}\n{self.program.errors()}") from None
        return self

    def behave(self, path, words):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request("PUT", f"/_behave{path}", words)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RunFailed(f"the sink refused \"{words}\" for {path}: {answer.read().decode()}")
        finally:
            connection.close()


class Scenario:
    def __init__(self, plan, build, directory, environment=None):
        self.plan, self.build, self.directory = plan, build, directory
        self.gateway = Gateway(build, directory, plan.gateway, environment)
        self.sink = Sink(build, directory, {})
        self.broker = Between(directory) if plan.queue == "rabbitmq" else None
        self.secrets = {}
        self.load_usage = Usage("load")
        self.load = None
        self.audit = None
        self.load_log = directory / "load.log"
        self.progress = Progress(directory / "progress")
        self.backlog = 0
        self.status_at = 0
        self.due_back = []  # (when, what): the second halves of faults

    # --- faults: each a function of its own, found by its name in the plan (plan.py knows what each needs) ---

    def fault_kill(self, fault):
        is_broker = fault.get("what") == "broker"
        (self.broker if is_broker else self.gateway.program).kill()
        self.due_back.append((time.monotonic() + seconds(fault.get("for", "0s")), (self.broker if is_broker else self.gateway).start))

    def fault_restart(self, fault):
        self.gateway.end()
        self.gateway.start()

    def fault_stop(self, fault):
        program = {"gateway": self.gateway.program, "sink": self.sink.program, "broker": self.broker}[fault.get("what", "gateway")]
        program.send(signal.SIGSTOP)
        self.due_back.append((time.monotonic() + seconds(fault["for"]), lambda: program.send(signal.SIGCONT)))

    def fault_alarm(self, fault):
        self.broker.set_alarm(True)
        self.due_back.append((time.monotonic() + seconds(fault["for"]), lambda: self.broker.set_alarm(False)))

    def fault_behave(self, fault):
        number = int(fault["account"])
        self.behave(number, fault["words"])
        if "for" in fault:
            self.due_back.append((time.monotonic() + seconds(fault["for"]), lambda: self.behave(number, self.plan.behaviour_of(number))))

    def fault_reload(self, fault):
        self.gateway.reload(fault["options"])

    def behave(self, number, words):
        """The words for one account's client, which still checks signatures."""
        account = self.plan.account_names()[number]
        self.sink.behave(f"/{account}", f"{words} secret={self.secrets[account]}".strip())

    def do_faults(self, started, faults):
        now = time.monotonic()
        for back in [back for back in self.due_back if back[0] <= now]:
            self.due_back.remove(back)
            back[1]()
        while faults and now - started >= seconds(faults[0]["at"]):
            fault = faults.pop(0)
            self.progress.line(f"fault: {fault['do']}\n")
            getattr(self, f"fault_{fault['do']}")(fault)

    # --- the run ---

    def look(self):
        for usage in self.usages():
            usage.look()
        now = time.monotonic()
        if now - self.status_at < STATUS_SECONDS or self.due_back:  # it may be stopped: whoever asks would wait for it
            return
        self.status_at = now
        try:
            self.backlog = self.gateway.backlog()
            if self.broker:
                self.broker.look(self.gateway)
        except (OSError, RunFailed):
            pass  # it is down, or busy: the line shows what was last known

    def usages(self):
        return [self.gateway.usage, self.sink.usage, self.load_usage, *([self.broker.usage] if self.broker else [])]

    def start(self):
        self.sink.start()
        if self.broker:
            self.broker.start()
            self.gateway.options.update(self.broker.options())
        self.gateway.start()
        if self.broker:
            self.broker.wait_until_used(self.gateway)
        accounts = self.plan.account_names()
        self.secrets = self.gateway.add_accounts(accounts, [f"{self.sink.url}/{account}" for account in accounts])
        for number in range(len(accounts)):
            self.behave(number, self.plan.behaviour_of(number))

    def post(self):
        arguments = [self.build / "bin/penstock-load", "--url", self.gateway.ingress, "--api-key", self.gateway.api_key, "--log",
                     self.load_log, "--progress", self.progress.path, "--json", *self.plan.load_arguments()]
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
            if self.backlog == 0 and not (self.broker and self.broker.backlog()):
                return
            self.progress.show(self.backlog, "waiting for what is on its way")
            time.sleep(POLL_SECONDS)

    def ask_audit(self):
        """A broker that was killed may still be starting: until it says what it holds, nothing is final."""
        end = time.monotonic() + self.plan.drain_seconds
        audit = self.gateway.audit()
        while audit["verdict"] == "unfinished" and time.monotonic() < end:
            self.look()
            time.sleep(STATUS_SECONDS)
            audit = self.gateway.audit()
        return audit

    def load_logs(self):
        return [self.load_log, *sorted(self.directory.glob("load.log.*"))]

    def verdict(self, arguments=()):
        usage_file = self.directory / "usage.json"
        usage_file.write_text(json.dumps({"processes": {usage.name: usage.as_json() for usage in self.usages()}}))
        command = [self.build / "bin/penstock-verdict", "--sink", self.sink.log, "--data", self.gateway.data, "--usage", usage_file]
        for log in self.load_logs():
            command += ["--load", log]
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
        text = self.verdict()
        details = self.verdict(["--json"])
        if text.returncode not in (0, 1):
            raise RunFailed(f"the verdict could not be found ({text.returncode}): {text.stderr}")
        return self.judge_audit(text.returncode, text.stdout, json.loads(details.stdout))

    def judge_audit(self, code, text, details):
        """The verdict, and what the gateway's own audit adds to it."""
        (self.directory / "audit.json").write_text(json.dumps(self.audit, indent=2))
        wrong = compare_audit(self.audit, details)
        if wrong:
            code, details["verdict"] = 1, "FAIL"
            details["reasons"] = details["reasons"] + wrong
            text = text.removesuffix("PASS\n").removesuffix("FAIL\n") + "FAIL\n" + "".join(f"{reason}\n" for reason in wrong)
        broker = f"Broker\n{self.broker.describe()}" if self.broker else ""
        return code, f"{broker}Audit\n{print_audit(self.audit)}{text}", details

    def end(self):
        """In any case, in this order: nobody posts, nobody delivers, nobody receives, nobody stands between."""
        codes = {"load": self.load.end() if self.load else None, "gateway": self.gateway.end(), "sink": self.sink.program.end()}
        if self.broker:
            self.broker.end()
        for usage in self.usages():
            usage.look()
        return codes

    def load_summary(self):
        return json.loads((self.directory / "load.stdout").read_text())
