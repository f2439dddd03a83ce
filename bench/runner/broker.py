# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ node of our own, on loopback, with everything that it owns in one directory.

Never the machine's own node: other ports, another epmd, another cookie, and no file of /etc/rabbitmq is read. The node is started by
rabbitmq-server of RabbitMQ's own bin directory, since the one in /usr/sbin switches to the rabbitmq user. epmd is started here as a child,
so that it can be ended with the node instead of outliving it.

    with Broker(directory) as broker:
        ... broker.address, user guest, password guest

A node is ready when it logged that it is complete and answers an AMQP header; until then logins can be refused. It can be ended (stop), killed
(kill9) and held still (freeze, thaw), and started again on the same directory and ports. Several make a cluster: start_cluster."""
import base64
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time

from runner.ports import free_port
from runner.process import RunFailed

_PROGRAMS = "/usr/lib/rabbitmq/bin"
_SERVER = f"{_PROGRAMS}/rabbitmq-server"
# What list_queues says of a quorum queue's messages may be 5 s old: the queues' leaders know.
_COUNT_MESSAGES = """rabbit_json:encode(maps:from_list([{element(4, amqqueue:get_name(Queue)),
    case ra:leader_query(amqqueue:get_pid(Queue), fun rabbit_fifo:query_messages_total/1) of {ok, {_, Count}, _} -> Count; _ -> null end}
    || Queue <- rabbit_amqqueue:list(<<"VHOST">>), amqqueue:get_type(Queue) == rabbit_quorum_queue]))."""
_START_SECONDS = 120
_STOP_SECONDS = 60


class BrokerError(RunFailed):
    pass


def available():
    """Whether this machine has a RabbitMQ to start."""
    return os.access(_SERVER, os.X_OK) and shutil.which("epmd") is not None


class _Console:
    """A hidden Erlang node beside a broker's: a line in is expressions, evaluated there; a line out is their value."""

    _LOOP = """Loop = fun(Again) -> case io:get_line("") of eof -> halt(0); Line ->
        [Milliseconds, Text] = string:split(string:trim(Line), " "),
        Said = try
            {ok, Tokens, _} = erl_scan:string(Text),
            {ok, Expressions} = erl_parse:parse_exprs(Tokens),
            case rpc:call('NODE', erl_eval, exprs, [Expressions, []], list_to_integer(Milliseconds)) of
                {value, Value, _} -> ["+", base64:encode(unicode:characters_to_binary(io_lib:format("~0tp", [Value])))];
                {badrpc, Why} -> ["-", base64:encode(unicode:characters_to_binary(io_lib:format("~0tp", [Why])))] end
        catch _:Wrong -> ["-", base64:encode(unicode:characters_to_binary(io_lib:format("~0tp", [Wrong])))] end,
        io:format("~s~n", [Said]), Again(Again) end end, Loop(Loop)."""

    def __init__(self, environment, directory, node):
        name = f"console-{secrets.token_hex(4)}@localhost"
        self._process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["erl", "-noshell", "-hidden", "-sname", name, "-kernel", "inet_dist_use_interface", "{127,0,0,1}", "+S", "1:1", "-eval",
             " ".join(self._LOOP.replace("NODE", node).split())],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory, text=True)

    def eval(self, line, seconds):
        try:
            self._process.stdin.write(f"{int(seconds * 1000)} {line}\n")
            self._process.stdin.flush()
            said = self._process.stdout.readline().strip()
        except OSError as error:
            raise BrokerError(f"the console of the broker has ended: {error}") from error
        text = base64.b64decode(said[1:]).decode()
        if said[:1] != "+":
            raise BrokerError(f"{line}: {text or 'the console of the broker has ended'}")
        return text

    def end(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class Broker:
    """`config`: more lines of rabbitmq.conf. `beside`: another node, whose epmd and cookie this one shares, as nodes of a cluster do."""

    def __init__(self, directory, config=(), beside=None, start=True):
        self.directory = pathlib.Path(directory).absolute()
        self.config, self.beside = list(config), beside
        self.port, self._dist_port, self._epmd_port = free_port(), free_port(), free_port()
        self._cookie = secrets.token_hex(16)
        if beside:
            self._epmd_port, self._cookie = beside._epmd_port, beside._cookie
        self.name = f"penstock{self.port}@localhost"
        self._epmd = self._server = self._output = self._console = None
        self._node_pid = 0
        self._console_lock = threading.Lock()  # the sampler asks beside the run: one question at a time
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def pids(self):
        """The processes whose CPU time and memory are the broker's; empty when it has ended."""
        return [self._node_pid] if self._node_pid and _is_running(self._node_pid) else []

    def start(self):
        """Also again, behind stop or kill9: on the same directory and ports."""
        try:
            self._prepare()
            self._spawn()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def kill9(self):
        """The node and all that belongs to it, at once; its epmd stays, as it does when a node dies."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._node_pid, signal.SIGKILL)
        self._end_server()
        self._node_pid = 0

    def freeze(self):
        """Holds it still: its connections stay, and nobody answers."""
        os.kill(self._node_pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self._node_pid, signal.SIGCONT)

    def eval(self, expressions, seconds=60):
        """What `rabbitmqctl eval` says, in milliseconds instead of a second: by a process of Erlang that stays."""
        with self._console_lock:
            if not self._console:
                self._console = _Console(self._environment(), self.directory, self.name)
            return self._console.eval(" ".join(expressions.split()), seconds)

    def ctl(self, *arguments, seconds=180):
        """What rabbitmqctl says; it takes about a second of CPU time."""
        command = [f"{_PROGRAMS}/rabbitmqctl", "--silent", "--node", self.name, *map(str, arguments)]
        done = subprocess.run(command, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                              check=False, cwd=self.directory)
        if done.returncode != 0:
            raise BrokerError(f"rabbitmqctl {' '.join(map(str, arguments))} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def messages(self, vhost="/", seconds=60):
        """{queue: messages, ready or unacked}, of the quorum queues of a virtual host; None: it has no leader now."""
        return self.eval_json(_COUNT_MESSAGES.replace("VHOST", vhost), seconds)

    def eval_json(self, expressions, seconds=60):
        """Of expressions whose value is the text of rabbit_json:encode."""
        return json.loads(json.loads(self.eval(expressions, seconds).removeprefix("<<").removesuffix("/utf8>>").removesuffix(">>")))

    def stop(self):
        """Ends the node as an operator would, then its epmd. A node that doesn't end within a minute is killed."""
        if self._console:
            self._console.end()
            self._console = None
        node, self._node_pid = self._node_pid or self._read_pid(), 0
        if node and _is_running(node):
            os.kill(node, signal.SIGCONT)
            os.kill(node, signal.SIGTERM)
        if self._server and node:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_SECONDS)
        self._end_server()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def _end_server(self):
        if self._server:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)  # the server's session: what is left of it
            self._server.wait()
            self._server = None
        if self._output:
            self._output.close()
            self._output = None

    def log(self):
        """What the node has logged."""
        with contextlib.suppress(OSError):
            return (self.directory / "log" / "broker.log").read_text(encoding="utf-8", errors="replace")
        return ""

    def _prepare(self):
        for name in ("log", "mnesia", "config", "conf.d"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for name in ("pid", "log/broker.log"):  # of an earlier node in this directory
            (self.directory / name).unlink(missing_ok=True)
        cookie = self.directory / ".erlang.cookie"
        cookie.unlink(missing_ok=True)  # what a loss of power has left of it
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}", "log.file.level = info", "log.console = false", *self.config]
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
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
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

    def _spawn(self):
        epmd = shutil.which("epmd")
        if not available():
            raise BrokerError(f"RabbitMQ is not installed ({_SERVER})")
        environment = self._environment()
        self._output = open(self.directory / "log" / "output", "ab")  # pylint: disable=consider-using-with
        how = {"env": environment, "stdin": subprocess.DEVNULL, "stdout": self._output, "stderr": self._output, "cwd": self.directory}
        if not self.beside and not self._epmd:
            self._epmd = subprocess.Popen(  # pylint: disable=consider-using-with
                [epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)], env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")  # it outlives the node, whose directory may be unmounted then
        self._wait(time.monotonic() + _START_SECONDS, lambda: _accepts(self._epmd_port), "epmd doesn't listen")
        self._server = subprocess.Popen([_SERVER], start_new_session=True, **how)  # pylint: disable=consider-using-with

    def _wait_until_ready(self):
        limit = time.monotonic() + _START_SECONDS
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
        with contextlib.suppress(OSError, ValueError):
            return int((self.directory / "pid").read_text(encoding="ascii"))
        return 0


def start_cluster(directory, count=3, config=()):
    """Nodes that find each other by a list in their configuration. Each node is its own from then on; stop_cluster ends all."""
    nodes = [Broker(pathlib.Path(directory) / "node-0", start=False)]
    nodes += [Broker(pathlib.Path(directory) / f"node-{number}", beside=nodes[0], start=False) for number in range(1, count)]
    lines = ["cluster_formation.peer_discovery_backend = classic_config", "cluster_partition_handling = pause_minority",
             *(f"cluster_formation.classic_config.nodes.{number} = {node.name}" for number, node in enumerate(nodes, 1)), *config]
    try:
        for node in nodes:  # all at once
            node.config = lines
            node._prepare()  # pylint: disable=protected-access
            node._spawn()  # pylint: disable=protected-access
        for node in nodes:
            node._wait_until_ready()  # pylint: disable=protected-access
    except BaseException:
        stop_cluster(nodes)
        raise
    return nodes


def stop_cluster(nodes):
    for node in reversed(nodes):
        node.stop()


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
