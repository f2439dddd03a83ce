# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ node of our own, on loopback, with everything that it owns in one directory.

Never the machine's own node: other ports, another epmd, another cookie, and no file of /etc/rabbitmq is read. The node is started by
rabbitmq-server of RabbitMQ's own bin directory, since the one in /usr/sbin switches to the rabbitmq user. epmd is started here as a child,
so that it can be ended with the node instead of outliving it.

    with Broker(directory) as broker:
        ... 127.0.0.1:{broker.port}, user guest, password guest

A node is ready when it logged that it is complete and answers an AMQP header; until then logins can be refused."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

from runner.process import RunFailed

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_START_SECONDS = 120
_STOP_SECONDS = 60
_randomness = random.SystemRandom()  # two benchmarks on one machine must not walk in step


class BrokerError(RunFailed):
    pass


def available():
    """Whether this machine has a RabbitMQ to start."""
    return os.access(_SERVER, os.X_OK) and shutil.which("epmd") is not None


def _free_ports(count):
    """Below the kernel's ephemeral range: an outgoing connection can't take one before the node does."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest_ephemeral = int(file.read().split()[0])
    ports = set()
    for _ in range(1000):
        if len(ports) == count:
            return list(ports)
        port = _randomness.randrange(min(10000, lowest_ephemeral - 1000), lowest_ephemeral)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    raise BrokerError("no free ports below the ephemeral range")


class Broker:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory).absolute()
        self.port, self._dist_port, self._epmd_port = _free_ports(3)
        self._epmd = self._server = self._output = None
        self._node_pid = 0
        try:
            self._prepare()
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def pids(self):
        """The processes whose CPU time and memory are the broker's; empty when it has ended."""
        return [self._node_pid] if self._node_pid and _is_running(self._node_pid) else []

    def stop(self):
        """Ends the node as an operator would, then its epmd. A node that doesn't end within a minute is killed."""
        node, self._node_pid = self._node_pid or self._read_pid(), 0
        if node and _is_running(node):
            os.kill(node, signal.SIGCONT)
            os.kill(node, signal.SIGTERM)
        if self._server:
            try:
                if not node:
                    os.killpg(self._server.pid, signal.SIGKILL)  # ended before it said who it is
                self._server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)  # the server's session: what is left of it
            self._server.wait()
            self._server = None
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        if self._output:
            self._output.close()
            self._output = None

    def log(self):
        """What the node has logged."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log" / "broker.log").read_text(encoding="utf-8", errors="replace")
        return ""

    def _prepare(self):
        for name in ("log", "mnesia", "config", "conf.d"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for name in ("pid", "log/broker.log"):  # of an earlier node in this directory
            (self.directory / name).unlink(missing_ok=True)
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}", "log.file.level = info", "log.console = false"]
        (self.directory / "rabbitmq.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")
        (self.directory / "enabled_plugins").write_text("[].\n", encoding="utf-8")
        (self.directory / "environment").write_text("", encoding="utf-8")

    def _environment(self):
        here = self.directory
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(here),  # the cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP": str(here / "log" / "crash.dump"),
            "RABBITMQ_NODENAME": f"ceiling{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_LOGS": str(here / "log" / "broker.log"),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(here / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(here / "environment"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
        }

    def _start(self):
        epmd = shutil.which("epmd")
        if not available():
            raise BrokerError(f"RabbitMQ is not installed ({_SERVER})")
        environment = self._environment()
        self._output = open(self.directory / "log" / "output", "wb")  # pylint: disable=consider-using-with
        how = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": self._output, "stderr": self._output, "cwd": self.directory}
        self._epmd = subprocess.Popen(  # pylint: disable=consider-using-with
            [epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)], **how)
        limit = time.monotonic() + _START_SECONDS
        self._wait(limit, lambda: _accepts(self._epmd_port), "epmd doesn't listen")
        self._server = subprocess.Popen([_SERVER], start_new_session=True, **how)  # pylint: disable=consider-using-with
        self._wait(limit, lambda: "Server startup complete" in self.log(), "the node doesn't come up")
        self._wait(limit, lambda: _speaks_amqp(self.port), "the node doesn't speak AMQP")
        self._node_pid = self._read_pid()
        if not self._node_pid:
            raise BrokerError("the node wrote no pid file")

    def _wait(self, limit, condition, what):
        while not condition():
            ended = [process for process in (self._epmd, self._server) if process and process.poll() is not None]
            if ended or time.monotonic() > limit:
                raise BrokerError(f"{what}{' and has ended' if ended else ''}:\n{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self):
        output = (self.directory / "log" / "output").read_text(encoding="utf-8", errors="replace")
        return "\n".join((output + self.log()).splitlines()[-20:])

    def _read_pid(self):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.directory / "pid").read_text(encoding="ascii"))
        return 0


def _is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _speaks_amqp(port):
    """A node that answers the protocol header with connection.start (a method frame) is about to ask for a login."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(5)
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"
    return False
