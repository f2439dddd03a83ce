# SPDX-License-Identifier: Apache-2.0
"""The clients of a run: a penstock-sink with a port of its own, which may end and come back."""
import http.client
import json
import re
import urllib.parse
import urllib.request

from runner.ports import free_port
from runner.process import Program, RunFailed, Usage, read_json, wait_for


def sink_counts(sink):
    with urllib.request.urlopen(f"{sink.url}/_counts", timeout=10) as answer:
        return json.loads(answer.read())


def requests_at_the_end(text):
    """Of the last line that a sink writes when it ends (sink/main.c): it counts again from 0 when it is started again."""
    found = re.findall(r"^penstock-sink: (\d+) requests:", text, re.MULTILINE)
    return int(found[-1]) if found else 0


class Sink:
    def __init__(self, build, directory, behaviours, threads=1, listen=None, more=()):
        """`listen`: (IP, port) when others must reach it. `more`: options of penstock-sink."""
        self.build, self.directory, self.threads = build, directory, threads
        self.usage = Usage("sink")
        self.behaviours = dict(behaviours)  # words by path, as they are now
        self.address, port = listen or ("127.0.0.1", 0)
        self.port, self.more = port or free_port(), list(more)
        host = "127.0.0.1" if self.address in ("0.0.0.0", "::") else self.address
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.log = directory / "sink.log"
        self.logs = []  # one for each start; the first is `log`
        self.ended_requests = 0  # of earlier starts
        self.ready = directory / "sink.ready"
        self.program = Program(self.usage, directory, self._arguments(self.log))

    def _arguments(self, log):
        arguments = [self.build / "bin/penstock-sink", "--threads", self.threads, "--address", self.address, "--port", self.port,
                     "--log", log, "--ready-file", self.ready, *self.more]
        for path, words in self.behaviours.items():
            arguments += ["--behave", f"{path} {words}".strip()]
        return arguments

    def start(self):
        """Also again: on the same port, with the behaviours of before, and a log of its own."""
        self.ready.unlink(missing_ok=True)  # of an earlier one in this directory
        log = self.log if not self.logs else self.log.with_suffix(f".log.{len(self.logs)}")
        self.logs.append(log)
        self.program = Program(self.usage, self.directory, self._arguments(log)).start()
        try:
            wait_for(lambda: read_json(self.ready), "the sink is ready", 10, self.program.process)
        except RunFailed as failure:
            raise RunFailed(f"{failure}\n{self.program.errors()}") from None
        return self

    def kill(self):
        """SIGTERM, so that its log is whole. Requests that wait end without an answer."""
        code = self.program.end()
        if code != 0:
            raise RunFailed(f"the sink ended with {code}: {self.program.errors()}")
        self.ended_requests += requests_at_the_end(self.program.errors())

    def requests(self):
        """Of all starts."""
        return self.ended_requests + sink_counts(self)["requests"]

    def behave(self, path, words):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request("PUT", f"/_behave{path}", words)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RunFailed(f'the sink refused "{words}" for {path}: {answer.read().decode()}')
        finally:
            connection.close()
        self.behaviours[path] = words
