# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of etc/examples as a reader of the guides would: receivers on a free port, and programs that post."""
import base64
import contextlib
import hashlib
import hmac
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time

from support import client as http
from support.ports import free_port
from support.wait import wait_for

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "etc/examples"
PYTHON = "/usr/bin/python3"
RECEIVERS = ("go", "node", "php", "python")
POSTERS = {"curl": ["sh", EXAMPLES / "post.sh"], "node": ["node", EXAMPLES / "post.mjs"], "python": [PYTHON, EXAMPLES / "post.py"]}


def environment(**more):
    """Without proxies and settings of the user, and without files beside the examples."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **{name: str(value) for name, value in more.items()}}


def build_go(directory):
    """Compiles receive.go without a network. The cache is in the directory. cgo stays on: Debian has the packages compiled with it."""
    program = directory / "receive-go"
    subprocess.run(["go", "build", "-o", program, EXAMPLES / "receive.go"], check=True, timeout=300,
                   env=environment(GOCACHE=directory / "go-cache", GOPATH=directory / "go", GOFLAGS="-mod=mod", GOPROXY="off"))
    return program


def sign(secret, webhook_id, timestamp, body):
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def headers_of(secret, webhook_id, body, timestamp=None):
    timestamp = int(time.time()) if timestamp is None else timestamp
    return {"content-type": "application/json", "webhook-id": webhook_id, "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, webhook_id, timestamp, body)}


class Receiver:
    """A receiver that can be stopped and started again with other secrets: the port and what it has stored stay."""

    def __init__(self, language, directory, go_program=None):
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/webhooks"
        self.store = directory / "store"
        self.is_database = language in ("php", "python")
        self.command = {"go": [go_program], "node": ["node", EXAMPLES / "receive.mjs"], "python": [PYTHON, EXAMPLES / "receive.py"],
                        "php": ["php", "-S", f"127.0.0.1:{self.port}", EXAMPLES / "receive.php"]}[language]
        self.process = None

    @property
    def output(self):
        return (self.directory / "output").read_text(errors="replace")

    def start(self, *secrets):
        with open(self.directory / "output", "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory, env=environment(
                SECRETS=" ".join(secrets), PORT=self.port, **{"DATABASE" if self.is_database else "INBOX": self.store}))
        wait_for(self.is_listening, lambda: f"the receiver listens:\n{self.output[-3000:]}")
        return self

    def is_listening(self):
        assert self.process.poll() is None, self.output[-3000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self):
        """Kills it: a receiver may end at any time."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def restart(self, *secrets):
        self.stop()
        return self.start(*secrets)

    def post(self, headers, body):
        return http.post(self.url, content=body, headers=headers, timeout=30)

    def stored(self):
        """Returns {webhook-id: body}."""
        if not self.is_database:
            return {path.stem: path.read_bytes() for path in self.store.glob("*.json")}
        if not self.store.exists():
            return {}
        with contextlib.closing(sqlite3.connect(self.store, timeout=20)) as database:
            return {webhook_id: body if isinstance(body, bytes) else body.encode()
                    for webhook_id, body in database.execute("SELECT webhook_id, body FROM events")}


class Poster:
    """A program that posts events, one per line, until each is answered."""

    def __init__(self, language, directory, url, key, events, *arguments, ca=None):
        self.files = [directory / f"{language}-{name}" for name in ("events", "stdout", "stderr")]
        trusted = {name: ca for name in ("CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")} if ca else {}
        self.files[0].write_text("".join(event + "\n" for event in events))
        with open(self.files[0], "rb") as events_file, open(self.files[1], "wb") as out, open(self.files[2], "wb") as err:
            self.process = subprocess.Popen([*POSTERS[language], *arguments], stdin=events_file, stdout=out, stderr=err,
                                            env=environment(URL=url, KEY=key, **trusted), start_new_session=True)

    @property
    def stdout(self):
        return self.files[1].read_text()

    @property
    def stderr(self):
        return self.files[2].read_text()

    def wait(self, seconds=60):
        return self.process.wait(timeout=seconds)

    def stop(self):
        """Kills it, and what it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
