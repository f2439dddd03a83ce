# SPDX-License-Identifier: Apache-2.0
"""One gateway process of a test: `penstock dev` with free ports and a data directory of its own."""
import json
import os
import pathlib
import re
import signal
import subprocess

from support import client as http
from support.ports import free_port
from support.wait import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("PENSTOCK_BIN", str(ROOT / "build/dev/penstock"))
COMPLAINTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|Assertion .* failed")


def clean_environment(directory, more=None):
    """Returns the environment of a test's programs: without the user's own Penstock settings, with
    sanitizers that fail the test."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environment["XDG_STATE_HOME"] = str(directory / "state")
    environment["TSAN_OPTIONS"] = f"suppressions={ROOT}/tests/support/tsan.supp:halt_on_error=0:exitcode=66"
    environment["LSAN_OPTIONS"] = f"suppressions={ROOT}/tests/support/lsan.supp:print_suppressions=0"
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    environment.update(more or {})
    return environment


def tool(*arguments, directory, environment=None, seconds=30):
    """Runs a penstock command to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], env=clean_environment(directory, environment), capture_output=True, text=True,
                          timeout=seconds, check=False)


class Gateway:
    def __init__(self, directory, environment=None):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.environment = environment or {}
        self.process = None
        self.ready = {}
        self.ports = (free_port(), free_port())
        self.starts = 0
        self.prefix = []  # a command in front of the gateway's, which ends in exec

    @property
    def ingress(self):
        return self.ready["ingress"]

    @property
    def admin(self):
        return self.ready["admin"]

    @property
    def stdout(self):
        return (self.directory / "stdout").read_text(errors="replace")

    @property
    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def start(self, seconds=60):
        """Starts it, or starts it again after a stop or a kill, with the same data and ports."""
        ready_file = self.directory / f"ready-{self.starts}.json"
        self.starts += 1
        arguments = [*self.prefix, BINARY, "dev", "--ingress", f"127.0.0.1:{self.ports[0]}", "--admin", f"127.0.0.1:{self.ports[1]}", "--data",
                     str(self.data), "--ready-file", str(ready_file)]
        with open(self.directory / "stdout", "ab") as out, open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen(arguments, env=clean_environment(self.directory, self.environment),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)

        def is_ready():
            assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.stderr[-4000:]}"
            try:
                self.ready = json.loads(ready_file.read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                return False
            return True

        wait_for(is_ready, lambda: f"the gateway is ready:\n{self.stderr[-4000:]}", seconds)
        return self

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=40):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)

    def restart(self):
        assert self.terminate() == 0, self.stderr[-4000:]
        return self.start()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def assert_has_not_failed(self):
        """Fails when the gateway ended without a signal of ours: a test that waits should report
        this."""
        code = self.process.poll()
        assert code in (None, 0, -9), f"the gateway ended with {code}:\n{self.stderr[-6000:]}"

    def finish(self):
        """Called at the end of each test: SIGTERM must give exit code 0, and no sanitizer or
        assertion may have failed."""
        code = self.terminate() if self.is_running() else None
        stderr = self.stderr
        complaint = COMPLAINTS.search(stderr)
        assert not complaint, stderr[max(0, complaint.start() - 2000):complaint.start() + 6000]
        assert code in (0, None), f"SIGTERM gives exit code {code}:\n{stderr[-4000:]}"

    # --- as a partner ---

    def partner(self, **options):
        """Returns an HTTP/1.1 client with the demo partner's key."""
        return http.client(base_url=self.ingress, headers={"authorization": f"Bearer {self.ready['api_key']}"}, timeout=30, **options)

    def event(self, number, **fields):
        return {"id": f"order-{number}", "type": "purchase", "account": self.ready["account"], "amount": "129.90",
                "currency": "EUR", **fields}

    # --- as an operator ---

    def operator(self):
        return http.client(base_url=self.admin, headers={"authorization": f"Bearer {self.ready['admin_token']}"}, timeout=30)

    def timeline(self, event):
        with self.operator() as operator:
            answer = operator.get(f"/api/v1/events/{event}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def states(self, event):
        return [delivery["state"] for delivery in self.timeline(event)["deliveries"]]

    def point_endpoint_at(self, url):
        with self.operator() as operator:
            answer = operator.patch(f"/api/v1/accounts/{self.ready['account']}/endpoints/{self.ready['endpoint']}", json={"url": url})
        assert answer.status_code == 200, answer.text

    def metrics(self):
        """Returns {sample: value}, in the order of /metrics."""
        with self.operator() as operator:
            lines = operator.get("/metrics").text.splitlines()
        return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines if line and not line.startswith("#"))}

    def metric(self, sample):
        return self.metrics()[sample]

    def ingress_turns(self):
        """Returns the number of turns of the ingress loops, how many took longer than 50 ms, and an
        upper bound of the longest, in seconds."""
        found = self.metrics()
        buckets = [(float(sample.split('"')[1].replace("+Inf", "inf")), value) for sample, value in found.items()
                   if sample.startswith("penstock_ingress_turn_seconds_bucket")]
        count = buckets[-1][1]
        return count, count - dict(buckets)[0.05], next(bound for bound, value in buckets if value == count)

    def tool(self, *arguments, **options):
        return tool(*arguments, "--data", self.data, directory=self.directory, **options)
