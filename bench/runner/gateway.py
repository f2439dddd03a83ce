# SPDX-License-Identifier: Apache-2.0
"""The gateway under test: `penstock serve` with a configuration of the run's own, and what an operator would do to it."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import urllib.parse

from runner.ports import free_port
from runner.process import Program, RunFailed, Usage, read_json, wait_for

PARTNER = "partner_bench"

# What a run sets unless its plan says otherwise: the sink speaks plain HTTP on loopback.
DEFAULTS = {"delivery.allow_http": True, "delivery.allow_networks": ["127.0.0.0/8"], "log.level": "warn"}


class Gateway:
    def __init__(self, build, directory, options=None, environment=None, name="gateway", counter=None):
        """`counter`: the library that counts fsyncs and writes, when it is not that of the build."""
        self.directory = pathlib.Path(directory)
        self.data = self.directory / f"{name}-data"
        self.options = {**DEFAULTS, **(options or {})}
        self.config_file = self.directory / f"{name}.yaml"
        self.binary = pathlib.Path(build) / "penstock"
        self.tools = pathlib.Path(build) / "bin"  # of the same build: they write its format
        self.ingress = f"http://127.0.0.1:{free_port()}"
        self.options["ingress.listen"] = self.ingress.removeprefix("http://")
        self.options["admin.listen"] = f"127.0.0.1:{free_port()}"
        self.options["data.directory"] = str(self.data)
        syncs = self.directory / f"{name}.syncs"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
        self.environment.update(environment or {})
        counter = counter or self.tools / "libcount_syncs.so"
        self.prefix = []  # what its command begins with
        self.usage = Usage(name, syncs if counter.exists() else None)
        if counter.exists():
            self.environment.update({"LD_PRELOAD": str(counter), "SYNC_COUNT_FILE": str(syncs)})
        self.program = None
        self.admin = self.token = self.api_key = None

    def write_config(self):
        sections = {}
        for key, value in self.options.items():
            section, _, name = key.rpartition(".")
            sections.setdefault(section, {})[name] = value
        lines = []
        for section, values in sorted(sections.items()):
            lines += [f"{section}:"] if section else []
            lines += [f"{'  ' if section else ''}{name}: {value if isinstance(value, str) and value.startswith('[') else json.dumps(value)}"
                      for name, value in values.items()]
        self.config_file.write_text("\n".join(lines) + "\n")

    def start(self, seconds=60):
        """Also again, after a kill or an end: on the same data and ports."""
        self.write_config()
        self.program = Program(self.usage, self.directory, [*self.prefix, self.binary, "serve", "-c", self.config_file],
                               self.environment).start()
        try:
            wait_for(self.is_ready, "the gateway is ready", seconds, self.program.process)
        except RunFailed as failure:
            raise RunFailed(f"{failure}\n{self.program.errors()}") from None
        return self

    def is_ready(self):
        found = read_json(self.data / "admin.json")
        if not found or found["pid"] != self.program.process.pid:
            return False
        self.admin = urllib.parse.urlsplit(found["admin"]).netloc
        self.token = (self.data / "keys/admin.token").read_text().strip()
        try:
            return self.ask("GET", "/readyz", raw=True)[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, raw=False, seconds=30):
        connection = http.client.HTTPConnection(self.admin, timeout=seconds)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"authorization": f"Bearer {self.token}", "content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if raw:
            return answer.status, text
        if answer.status >= 300:
            raise RunFailed(f"{method} {path} answered {answer.status}: {text}")
        return json.loads(text)

    def add_accounts(self, accounts, urls):
        """One endpoint for each account, and a partner that may post for all of them: {account: secret}."""
        secrets = {}
        for account, url in zip(accounts, urls):
            self.ask("POST", "/api/v1/accounts", {"id": account})
            secrets[account] = self.ask("POST", f"/api/v1/accounts/{account}/endpoints", {"url": url})["secret"]
        self.api_key = self.add_partner(PARTNER, accounts)
        return secrets

    def add_partner(self, name, accounts):
        """A partner that may post for these accounts; its key."""
        self.ask("POST", "/api/v1/partners", {"id": name})
        for account in accounts:
            self.ask("POST", f"/api/v1/partners/{name}/accounts", {"account": account})
        return self.ask("POST", f"/api/v1/partners/{name}/keys")["api_key"]
    # --- what a target that is not started here does otherwise (target.py) ---

    def come_back(self):
        """After a kill."""
        return self.start()

    def restart(self):
        self.end()
        self.start()

    def sink_path(self, account):
        return f"/{account}"

    def load_arguments(self, api_key=None):
        return ["--url", self.ingress, "--api-key", api_key or self.api_key]

    def sample(self, seconds):
        """What the sampler asks for (sampler.py)."""
        found = self.ask("GET", "/api/v1/status", seconds=seconds)
        return {**{f"backlog_{state}": found["open"][state] for state in ("pending", "waiting", "parked")},
                "backlog_sending": found["in_flight"], "backlog_dead": found["backlog"]["dead"], "breakers_open": found["breakers_open"]}

    def verdict_arguments(self):
        return ["--data", self.data]

    def more_usages(self):
        return []

    def is_drained(self, backlog):
        return backlog == 0

    def hold_deliveries(self):
        """Nothing is sent from now on: what is measured comes from the ingress alone."""
        self.ask("POST", "/api/v1/switches", {"switch": "deliveries", "state": "off", "reason": "a benchmark of the ingress"})
        return self

    def backlog(self):
        """Deliveries that are still on their way."""
        found = self.ask("GET", "/api/v1/status")["open"]
        return found["pending"] + found["sending"] + found["waiting"]

    def metrics(self):
        """{sample: value} of /metrics."""
        lines = self.ask("GET", "/metrics", raw=True)[1].splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line and not line.startswith("#"))}

    def audit(self):
        """What `penstock audit --json` prints."""
        return self.ask("GET", "/api/v1/audit", seconds=600)

    def fill(self, keys=0, events=0, rare_every=0, dead_every=0, endpoint=None):
        """Keys and events of earlier days, written by the product's own code while this gateway does not run."""
        command = [self.tools / "penstock-fill", "--data", self.data, "--keys", keys, "--events", events, "--rare-every", rare_every,
                   "--dead-every", dead_every, *(["--endpoint", endpoint] if endpoint else [])]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RunFailed(f"penstock-fill ended with {done.returncode}: {done.stderr}")

    def reload(self, options):
        self.options.update(options)
        self.write_config()
        self.program.send(signal.SIGHUP)

    def end(self):
        return self.program.end() if self.program else None

    def remove_data(self):
        shutil.rmtree(self.data, ignore_errors=True)
