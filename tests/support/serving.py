# SPDX-License-Identifier: Apache-2.0
"""`penstock serve -c FILE`, as in production, with a configuration that tests change and reload."""
import re
import signal
import subprocess

import httpx

from support import client as http
from support.gateway import BINARY, COMPLAINTS, clean_environment, tool
from support.ports import free_port
from support.wait import wait_for

GOOD = """\
data:
  directory: {data}
  partitions: 16
  shards: 2
ingress:
  listen: 127.0.0.1:{port}
admin:
  listen: 127.0.0.1:{admin}
delivery:
  allow_http: true
  allow_networks: [127.0.0.0/8]
  retry_schedule: [1s, 2s]
log:
  level: info
"""


def good(tmp_path, **changes):
    values = {"data": tmp_path / "data", "port": free_port(), "admin": free_port(), **changes}
    return GOOD.format(**values)


def check(tmp_path, text):
    """Runs the command check over a configuration with this text. Returns the exit code and stderr."""
    path = tmp_path / "penstock.yaml"
    path.write_text(text)
    done = tool("check", "-c", path, directory=tmp_path)
    return done.returncode, done.stderr


class Serving:
    """`more`: configuration lines after the usual ones. `change`: changes the whole text."""

    def __init__(self, tmp_path, more="", change=lambda text: text, environment=None):
        self.tmp_path = tmp_path
        self.environment = environment
        self.flags = []  # of the command serve
        self.path = tmp_path / "penstock.yaml"
        self.text = change(good(tmp_path) + more)
        self.path.write_text(self.text)
        self.admin, self.ingress = ("http://" + re.search(section + r":\n(?:  .*\n)*?  listen: (\S+)", self.text).group(1)
                                    for section in ("admin", "ingress"))
        self.log = tmp_path / "stderr"
        self.start()

    def start(self):
        """Starts it, or starts it again with the same data and ports."""
        with open(self.log, "ab") as err:
            self.process = subprocess.Popen([BINARY, "serve", "-c", self.path, *self.flags],
                                            env=clean_environment(self.tmp_path, self.environment), stdout=subprocess.DEVNULL, stderr=err)

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return http.get(f"{self.admin}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def reload(self, text):
        """Sends SIGHUP and returns the log lines of the reload."""
        before = len(self.log.read_text())
        self.path.write_text(text)
        self.process.send_signal(signal.SIGHUP)

        def said():
            # Lines of the start may be written late. The reload's own line contains this word.
            new = self.log.read_text()[before:]
            return new if re.search(r"reloaded.*\n", new) else None

        return wait_for(said, "the reload is logged")

    def operator(self):
        token = (self.tmp_path / "data/keys/admin.token").read_text().strip()
        return http.client(base_url=self.admin, headers={"authorization": f"Bearer {token}"}, timeout=30)

    def metrics(self):
        """Returns {sample: value}."""
        lines = http.get(f"{self.admin}/metrics").text.splitlines()
        return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines if line and not line.startswith("#"))}

    def finish(self):
        self.process.terminate()
        assert self.process.wait(40) == 0, self.log.read_text()
        complaint = COMPLAINTS.search(self.log.read_text())
        assert not complaint, self.log.read_text()[-6000:]

    def kill(self):
        self.process.kill()
        self.process.wait()
