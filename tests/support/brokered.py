# SPDX-License-Identifier: Apache-2.0
"""Gateways with a broker between ingress and delivery: `penstock serve`, configured by the test.

    BrokeredGateway(directory, vhost)                   the leader: ingress and delivery
    BrokeredGateway(directory, vhost, leader=brokered)  only ingress; follows the leader's accounts

Like `Gateway`, each has a partner that may post for one account with one endpoint."""
import json
import signal
import subprocess

import httpx

from support import client as http
from support.broker import PARTITIONS, partition_of
from support.gateway import BINARY, Gateway, clean_environment
from support.wait import wait_for

PARTNER, ACCOUNT = "partner_demo", "acc_demo"
NOBODY = "http://127.0.0.1:9/hook"

# A lag of 0 s: the publish breaker ignores the broker's lag, except in tests about it.
LAG_SECONDS = 0.15
WITH_LAG = {"broker.lag_max": "150ms"}
OPTIONS = {"broker.lag_max": "0s", "data.partitions": PARTITIONS, "data.shards": 2, "data.reserve": "0", "queue.kind": "rabbitmq", "broker.heartbeat": "2s",
           "broker.confirm_timeout": "1s", "ingress.threads": 2, "delivery.allow_http": True, "delivery.allow_networks": ["127.0.0.0/8"],
           "delivery.retry_schedule": ["500ms"] * 32, "shutdown.drain": "3s", "log.level": "info"}


def write_config(path, options):
    sections, lines = {}, []
    for key, value in options.items():
        section, _, name = key.rpartition(".")
        sections.setdefault(section, {})[name] = value
    for section, values in sorted(sections.items()):
        lines += [f"{section}:"] if section else []
        for name, value in values.items():
            text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else json.dumps(value)
            lines.append(f"{'  ' if section else ''}{name}: {text}")
    path.write_text("\n".join(lines) + "\n")


class BrokeredGateway(Gateway):
    def __init__(self, directory, vhost, options=None, environment=None, leader=None):
        super().__init__(directory, environment)
        self.leader = leader
        self.flags = []
        self.longest_answer = 0  # seconds, of what post() sent
        self.options = {**OPTIONS, "data.directory": str(self.data), "ingress.listen": f"127.0.0.1:{self.ports[0]}",
                        "admin.listen": f"127.0.0.1:{self.ports[1]}", "broker.addresses": [vhost.node.address], "broker.vhost": vhost.name}
        if leader:
            self.options.update({"roles": ["ingress"], "leader.url": leader.admin, "leader.token_file": str(leader.data / "keys/admin.token")})
        self.options.update(options or {})

    @property
    def config_file(self):
        return self.directory / "penstock.yaml"

    def spawn(self):
        """Starts the process and does not wait until it is ready."""
        self.starts += 1
        write_config(self.config_file, self.options)
        with open(self.directory / "stdout", "ab") as out, open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen([BINARY, "serve", "-c", str(self.config_file), *self.flags], stdin=subprocess.DEVNULL,
                                            env=clean_environment(self.directory, self.environment), stdout=out, stderr=err)

    def start(self, seconds=60):
        self.spawn()
        wait_for(self.is_ready, lambda: f"the gateway is ready:\n{self.stderr[-4000:]}", seconds)
        if "admin_token" not in self.ready:
            self.ready = {"ingress": f"http://127.0.0.1:{self.ports[0]}", "admin": f"http://127.0.0.1:{self.ports[1]}",
                          "admin_token": (self.data / "keys/admin.token").read_text().strip()}
            if self.leader:
                self.follow()
            else:
                self.add_account()
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.stderr[-4000:]}"
        try:
            return http.get(f"http://127.0.0.1:{self.ports[1]}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def refuses_to_start(self, seconds=60):
        """Returns (exit code, stderr)."""
        before = len(self.stderr) if self.starts else 0
        self.spawn()
        code = self.process.wait(seconds)
        return code, self.stderr[before:]

    def ask(self, method, path, body=None):
        with self.operator() as operator:
            answer = operator.request(method, f"/api/v1/{path}", json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def add_account(self):
        self.ask("POST", "partners", {"id": PARTNER})
        key = self.ask("POST", f"partners/{PARTNER}/keys")["api_key"]
        self.ready.update({"api_key": key, "account": ACCOUNT})
        endpoint = self.add_endpoint(ACCOUNT, NOBODY)
        self.ready.update({"endpoint": endpoint["id"], "endpoint_secret": endpoint["secret"]})

    def add_endpoint(self, account, url, endpoint="main"):
        """Adds an endpoint to the account; adds the account first if it is missing. Returns {id,
        secret, ...}."""
        if not self.knows_account(account):
            self.ask("POST", "accounts", {"id": account})
            self.ask("POST", f"partners/{PARTNER}/accounts", {"account": account})
        return self.ask("POST", f"accounts/{account}/endpoints", {"name": endpoint, "url": url})

    def knows_account(self, account=ACCOUNT):
        with self.operator() as operator:
            return operator.get(f"/api/v1/accounts/{account}/endpoints").status_code == 200

    def follow(self):
        self.ready.update({key: self.leader.ready[key] for key in ("api_key", "account", "endpoint", "endpoint_secret")})
        wait_for(self.knows_account, "the follower has the leader's accounts")

    def post(self, number, **fields):
        """Posts an event that must be accepted. Returns the answer's JSON."""
        with self.partner() as partner:
            answer = partner.post("/v1/events", json=self.event(number, **fields))
        assert answer.status_code == 200, answer.text
        self.longest_answer = max(self.longest_answer, answer.elapsed.total_seconds())
        return answer.json()

    def states(self, event):
        """Returns an empty list while only the broker has the event."""
        with self.operator() as operator:
            answer = operator.get(f"/api/v1/events/{event}")
        return [delivery["state"] for delivery in answer.json()["deliveries"]] if answer.status_code == 200 else []

    def poison(self):
        """Reads all pages: a page may be short on a busy machine."""
        found, cursor = [], None
        while True:
            page = self.ask("GET", f"poison?cursor={cursor}" if cursor else "poison")
            found, cursor = found + page["poison"], page["next"]
            if not cursor:
                return found

    def status(self):
        return self.ask("GET", "status")

    def is_breaker_open(self):
        return self.metric("penstock_publish_breakers_open") > 0

    def publishes(self, result):
        return self.metric(f'penstock_broker_publishes_total{{result="{result}"}}')

    def received(self, result):
        return self.metric(f'penstock_broker_received_total{{result="{result}"}}')

    def is_through_broker(self):
        """Returns whether all ingress threads publish. If it delivers, all its queues must be
        consumed too: two for each partition, and one stream for each shard."""
        threads, consuming = self.options["ingress.threads"], 0 if self.leader else 2 * self.options["data.partitions"] + self.options["data.shards"]
        return (self.metric("penstock_broker_publishers_open") == threads and not self.is_breaker_open()
                and self.metric("penstock_broker_channels_consuming") >= consuming)

    def wait_for_broker(self, seconds=40):
        """Waits until all events go through the broker (again)."""
        wait_for(self.is_through_broker, lambda: f"all goes through the broker: {self.status()}", seconds)

    def readiness(self):
        return http.get(f"{self.admin}/readyz?verbose")

    def finish(self):
        if not self.starts:
            return
        if self.is_running():
            self.thaw()
        super().finish()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


def account_of_partition(brokered, partition, url=NOBODY):
    """Adds an account of this partition. It is found by trying names, because the hash depends on
    the installation's seed."""
    for number in range(200):
        account = f"acc_{partition}_{number}"
        brokered.add_endpoint(account, url)
        if partition_of(brokered.post(f"probe-{account}", account=account)["event"]) == partition:
            return account
    raise AssertionError(f"no account in partition {partition}")
