# SPDX-License-Identifier: Apache-2.0
"""The gateway under attack: the real program on free ports, in a directory of its own, with two partners. It delivers nothing, so that what it
does is what the attack and the well-behaved partner make it do."""
import fcntl
import os
import pathlib
import shutil
import tempfile
import threading
import time

from attack.wire import Target
from support.certificates import Certificates
from support.gateway import BINARY, Gateway
from support.ports import free_port

F_SETPIPE_SZ = 1031

# The usual limits spare the loopback network, and partners have none. Attacks come from there. 192.0.2.1 is an address for examples.
NO_EXEMPTION = {"ingress.address_exempt": "192.0.2.1/32"}
LIMITS = {**NO_EXEMPTION, "ingress.partner_events_per_second": "2000"}


def has_option(key):
    """Returns whether the gateway has an option. Its table of options is in the program."""
    return f"\0{key}\0".encode() in pathlib.Path(BINARY).read_bytes()


def has_switches():
    return b"/api/v1/switches\0" in pathlib.Path(BINARY).read_bytes()


def variable(key):
    return "PENSTOCK_" + key.upper().replace(".", "__")


def seconds_on_cpu(pid):
    """Of all threads."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                total += int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    except FileNotFoundError:
        pass
    return total / 1e9


def memory(pid, name):
    """VmRSS or VmHWM in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


class Samples(threading.Thread):
    """The processor time of a process, each 20 ms."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.points, self.stopped = pid, [], threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(0.02):
            self.points.append((time.monotonic(), seconds_on_cpu(self.pid)))

    def stop(self):
        self.stopped.set()
        self.join()

    def rate(self, since, until):
        """Processors that were used, on average: 1 is one core."""
        inside = [point for point in self.points if since <= point[0] <= until]
        if len(inside) < 2:
            return 0.0
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


class House:
    """`options`: instead of LIMITS. Those that the build does not have are left out."""

    def __init__(self, tls=False, options=None, stalls_stderr=False, files=0):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="penstock-attack-"))
        self.tls_port = free_port() if tls else 0
        # Builds before the switches have an option for it.
        environment = {} if has_switches() else {variable("delivery.paused"): "true"}
        for key, value in (LIMITS if options is None else options).items():
            if has_option(key):
                environment[variable(key)] = value
        if tls:
            assert has_option("ingress.tls_listen"), f"{BINARY} has no TLS listener"
            certificates = Certificates(self.directory)
            certificates.add("server", "DNS:localhost,IP:127.0.0.1")
            certificate, key = certificates.files("server")
            environment.update({variable("ingress.tls_listen"): f"127.0.0.1:{self.tls_port}", variable("ingress.certificate_file"): certificate,
                                variable("ingress.key_file"): key})
        self.gateway = Gateway(self.directory, environment)
        self.pipe = -1
        if files:
            self.gateway.prefix = ["prlimit", f"--nofile={files}:{files}"]
        if stalls_stderr:
            self._stall_stderr()
        try:
            self._start()
            if has_switches():
                self._hold_deliveries()
            self.attacker_key = self._add_partner("attacker")
            self.partner_key = self._add_partner("partner")
        except BaseException:
            self.stop()
            raise

    def _start(self):
        """A port that was free may be taken by another program before the gateway listens."""
        for tries_left in (2, 1, 0):
            try:
                self.gateway.start()
                return
            except AssertionError:
                if not tries_left or self.gateway.is_running() or "in use" not in self.gateway.stderr:
                    raise
                self.gateway.ports = (free_port(), free_port())

    def _stall_stderr(self):
        """What the gateway writes to stderr stays in a pipe of one page."""
        path = self.directory / "stderr.pipe"
        os.mkfifo(path)
        self.pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.pipe, F_SETPIPE_SZ, 4096)
        self.gateway.prefix = ["/bin/sh", "-c", f'exec "$0" "$@" 2>"{path}"']

    def fill_stderr(self):
        """Nothing more fits into the pipe."""
        try:
            while self.pipe >= 0:
                os.write(self.pipe, b"x")
        except BlockingIOError:
            pass

    def _read_stderr(self):
        while self.pipe >= 0:
            try:
                os.read(self.pipe, 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return

    def _hold_deliveries(self):
        with self.gateway.operator() as operator:
            answer = operator.post("/api/v1/switches", json={"switch": "deliveries", "state": "off", "reason": "a test of the ingress"})
        assert answer.status_code == 200, answer.text

    def _add_partner(self, name):
        with self.gateway.operator() as operator:
            answers = [operator.post(f"/api/v1/{path}", json=body) for path, body in (
                ("partners", {"id": name}), (f"partners/{name}/accounts", {"account": self.gateway.ready["account"]}),
                (f"partners/{name}/keys", {}))]
        assert all(answer.status_code == 201 for answer in answers), [answer.text for answer in answers]
        return answers[-1].json()["api_key"]

    @property
    def pid(self):
        return self.gateway.process.pid

    def target(self, tls, key, source=0, seconds=4, admin=False):
        port = self.tls_port if tls else int((self.gateway.admin if admin else self.gateway.ingress).rpartition(":")[2])
        return Target("127.0.0.1", port, tls, key, self.gateway.ready["account"], seconds, source)

    def stderr_bytes(self):
        return (self.directory / "stderr").stat().st_size

    def stop(self, seconds_max=10):
        """Returns "" or what was wrong with the end."""
        wrong = ""
        if self.pipe >= 0:
            threading.Thread(target=self._read_stderr, daemon=True).start()
        if self.gateway.is_running():
            started = time.monotonic()
            try:
                code = self.gateway.terminate(30)
                took = time.monotonic() - started
                wrong = f"exit code {code}" if code else f"SIGTERM took {took:.1f} s" if took > seconds_max else ""
            except Exception:  # pylint: disable=broad-except
                self.gateway.kill9()
                wrong = "does not end within 30 s of SIGTERM"
        elif self.gateway.process:
            wrong = f"ended by itself with {self.gateway.process.returncode}: {self.gateway.stderr[-300:]}"
        if self.pipe >= 0:
            pipe, self.pipe = self.pipe, -1
            os.close(pipe)
        shutil.rmtree(self.directory, ignore_errors=True)
        return wrong
