# SPDX-License-Identifier: Apache-2.0
"""The clients of `normal`: other people's programs and libraries. slow_clients.py has those of our own."""
import collections
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import typing

import httpx

from attack import slow_clients
from attack.wire import tls_context

HERE = pathlib.Path(__file__).resolve().parent
LONG_RUN = 20000  # requests; with fewer, clients that wait long are left out
CLIENT_SECONDS_MAX = 400

CLIENTS = {}


@dataclasses.dataclass
class Client:
    title: str
    run: typing.Callable  # (job, count) -> (Counter of statuses, lost)
    share: float = 0  # of all requests
    count: int = 0  # instead of a share
    over: tuple = ("cleartext", "tls")
    is_long: bool = False


@dataclasses.dataclass
class Row:
    title: str
    requests: int
    answers: collections.Counter
    lost: int
    seconds: float
    note: str = ""

    @property
    def good(self):
        return self.answers.get(200, 0)

    @property
    def is_bad(self):
        return bool(self.note) or self.lost or self.good != self.requests

    def text(self):
        others = {status: count for status, count in self.answers.items() if status != 200}
        return (f"{'BAD ' if self.is_bad else 'ok  '} {self.title[:66]:66} {self.requests:7} requests {self.good:7} x 200 {self.lost:4} lost {self.seconds:6.1f} s"
                + (f"  {others}" if others else "") + (f"  {self.note}" if self.note else ""))


@dataclasses.dataclass
class Job:
    url: str
    key: str
    account: str
    directory: pathlib.Path
    target: typing.Any  # attack.wire.Target
    tls: bool

    def event(self, size=0):
        return self.target.event(size)

    def batch(self, size):
        """As many lines as fit into `size` bytes, at most 1000."""
        lines, line = [], self.event(1040 if size > 500000 else 200)
        while len(lines) < 1000 and (len(lines) + 1) * (len(line) + 1) <= size:
            lines.append(line)
        return b"\n".join(lines)

    def file(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return str(path)


def client(name, title, **how):
    def add(run):
        CLIENTS[name] = Client(title, run, **how)
        return run

    return add


def tool(arguments, standard_input=None):
    done = subprocess.run(arguments, input=standard_input, capture_output=True, text=True, timeout=CLIENT_SECONDS_MAX, check=False)
    if done.stderr and done.returncode:
        raise RuntimeError(f"{pathlib.Path(arguments[0]).name} ended with {done.returncode}: {done.stderr.strip()[:300]}")
    return done.stdout


# --- curl ---

def curl(job, count, options, body, path="/v1/events", media="application/json", parallel=0):
    data = job.file("curl-body", body)
    output = tool(["curl", "-sS", "-k", *options, *(["-Z", "--parallel-max", str(parallel)] if parallel else []), "-o", "/dev/null", "-w",
                   "%{http_code} %{num_connects}\n", "-H", f"Authorization: Bearer {job.key}", "-H", f"Content-Type: {media}", "--data-binary", f"@{data}",
                   f"{job.url}{path}?n=[1-{count}]"])
    lines = [line.split() for line in output.splitlines() if line]
    answers = collections.Counter(int(status) for status, _ in lines)
    connects = sum(int(number) for _, number in lines)
    return answers, answers.pop(0, 0) + (0 if parallel else max(0, connects - 1))


def curl_over_h2(job, count, *how, **more):
    """curl 7.88 cannot send a second request on a connection with prior knowledge: "Error in the HTTP2 framing layer", from any server. So over
    cleartext each request has a process and a connection."""
    if job.tls:
        return curl(job, count, ["--http2"], *how, **more)
    answers, lost = collections.Counter(), 0
    for _ in range(count):
        more_answers, more_lost = curl(job, 1, ["--http2-prior-knowledge"], *how)
        answers += more_answers
        lost += more_lost
    return answers, lost


@client("curl-h1", "curl, HTTP/1.1, one connection", share=0.05)
def curl_h1(job, count):
    return curl(job, count, ["--http1.1"], job.event())


@client("curl-h2", "curl, HTTP/2", count=400)
def curl_h2(job, count):
    return curl_over_h2(job, count, job.event())


@client("curl-h2-parallel", "curl, HTTP/2, 50 requests at a time", share=0.05, over=("tls",))
def curl_parallel(job, count):
    return curl_over_h2(job, count, job.event(), parallel=50)


@client("curl-60k", "curl, HTTP/1.1, bodies of 60 KB", count=200)
def curl_60k(job, count):
    return curl(job, count, ["--http1.1"], job.event(60000))


@client("curl-h2-60k", "curl, HTTP/2, bodies of 60 KB", count=200)
def curl_h2_60k(job, count):
    return curl_over_h2(job, count, job.event(60000))


@client("curl-chunked", "curl, HTTP/1.1, chunked", count=500)
def curl_chunked(job, count):
    return curl(job, count, ["--http1.1", "-H", "Transfer-Encoding: chunked"], job.event(3000))


@client("curl-batch", "curl, HTTP/1.1, batches of 1 MiB with Expect: 100-continue", count=10)
def curl_batch(job, count):
    return curl(job, count, ["--http1.1", "-H", "Expect: 100-continue"], job.batch(2 ** 20), "/v1/events/batch", "application/x-ndjson")


@client("curl-h2-batch", "curl, HTTP/2, batches of 1 MiB", count=10)
def curl_h2_batch(job, count):
    return curl_over_h2(job, count, job.batch(2 ** 20), "/v1/events/batch", "application/x-ndjson")


@client("curl-close", "curl, HTTP/1.1, a connection for each request", count=200)
def curl_close(job, count):
    answers, lost = curl(job, count, ["--http1.1", "-H", "Connection: close"], job.event())
    return answers, max(0, lost - (count - 1))


# --- nghttp2's clients ---

def h2load(job, count, options, body, path="/v1/events", media="application/json"):
    data = job.file("h2load-body", body)
    output = tool(["h2load", "-n", str(count), *options, "-d", data, "-H", f"authorization: Bearer {job.key}", "-H", f"content-type: {media}", job.url + path])
    done, failed, errored, timeout = (int(re.search(rf"(\d+) {word}", output).group(1)) for word in ("done", "failed", "errored", "timeout"))
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output).groups()
    answers = collections.Counter({status: int(number) for status, number in zip((200, 300, 400, 500), codes) if int(number)})
    return answers, max(count - done, errored, timeout, failed - int(codes[2]) - int(codes[3]), 0)


@client("h2load", "h2load, HTTP/2, 100 streams on each of 2 connections", share=0.3)
def h2load_h2(job, count):
    return h2load(job, count, ["-c", "2", "-m", "100"], job.event())


@client("h2load-one", "h2load, HTTP/2, 100 streams on one connection", share=0.2)
def h2load_one(job, count):
    return h2load(job, count, ["-c", "1", "-m", "100"], job.event(470))


@client("h2load-many", "h2load, HTTP/2, 200 connections", share=0.05)
def h2load_many(job, count):
    return h2load(job, max(count, 400), ["-c", "200", "-m", "4"], job.event())


@client("h2load-h1", "h2load, HTTP/1.1, 20 connections", share=0.08)
def h2load_h1(job, count):
    return h2load(job, count, ["-c", "20", "--h1"], job.event())


@client("h2load-60k", "h2load, HTTP/2, bodies of 60 KB, 100 streams", count=1500)
def h2load_60k(job, count):
    return h2load(job, count, ["-c", "1", "-m", "100"], job.event(60000))


@client("h2load-60k-h1", "h2load, HTTP/1.1, bodies of 60 KB", count=500)
def h2load_60k_h1(job, count):
    return h2load(job, count, ["-c", "10", "--h1"], job.event(60000))


@client("h2load-batch", "h2load, HTTP/2, batches of 1 MiB, 4 streams", count=30)
def h2load_batch(job, count):
    return h2load(job, count, ["-c", "1", "-m", "4"], job.batch(2 ** 20), "/v1/events/batch", "application/x-ndjson")


@client("h2load-small-window", "h2load, HTTP/2, windows of 1 KB for answers", count=2000)
def h2load_small_window(job, count):
    return h2load(job, count, ["-c", "1", "-m", "100", "-w", "10", "-W", "10"], job.event())


@client("nghttp", "nghttp, with PRIORITY frames, 20 connections", count=1000)
def nghttp(job, count):
    """It sends one request for each `-m`, and frames for a tree of priorities at the start."""
    data, answers, lost = job.file("nghttp-body", job.event()), collections.Counter(), 0
    for _ in range(20):
        output = tool(["nghttp", "-v", "--no-dep", "-d", data, "-m", str(count // 20), "-H", f"authorization: Bearer {job.key}", "-H",
                       "content-type: application/json", "-H", ":method: POST", job.url + "/v1/events"])
        found = re.findall(r":status: (\d+)", output)
        answers.update(int(status) for status in found)
        lost += count // 20 - len(found)
    return answers, lost


@client("nghttp-tree", "nghttp, with its tree of idle streams", count=100)
def nghttp_tree(job, count):
    data, answers = job.file("nghttp-body", job.event()), collections.Counter()
    for _ in range(5):
        output = tool(["nghttp", "-v", "-d", data, "-m", str(count // 5), "-H", f"authorization: Bearer {job.key}", "-H", "content-type: application/json",
                       job.url + "/v1/events"])
        answers.update(int(status) for status in re.findall(r":status: (\d+)", output))
    return answers, count - sum(answers.values())


# --- Node and Go ---

def by_job(command, job, count, body, path="/v1/events", media="application/json", **more):
    told = json.loads(tool(command, json.dumps({"url": job.url, "key": job.key, "path": path, "media": media, "body": body.decode(), "count": count, **more})))
    return collections.Counter({int(status): number for status, number in told["answers"].items()}), told["lost"]


def node(kind):
    return ["node", str(HERE / "clients.mjs"), kind]


@client("node-http2", "Node, http2, 100 requests at a time", share=0.08)
def node_http2(job, count):
    return by_job(node("http2"), job, count, job.event())


@client("node-http1", "Node, http, 16 connections", share=0.04)
def node_http1(job, count):
    return by_job(node("http1"), job, count, job.event())


@client("node-fetch", "Node, fetch, 16 requests at a time", share=0.03)
def node_fetch(job, count):
    return by_job(node("fetch"), job, count, job.event())


@client("node-60k", "Node, http2, bodies of 60 KB", count=500)
def node_60k(job, count):
    return by_job(node("http2"), job, count, job.event(60000))


@client("node-batch", "Node, http2, batches of 1 MiB, 3 at a time", count=20)
def node_batch(job, count):
    return by_job(node("http2"), job, count, job.batch(2 ** 20), "/v1/events/batch", "application/x-ndjson", width=3)


def go_program(job):
    program = job.directory / "go-client"
    if not program.exists():
        environment = {**os.environ, "GOCACHE": str(job.directory / "go-cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", "-o", str(program), str(HERE / "go_client" / "main.go")], check=True, capture_output=True, env=environment)
        shutil.rmtree(job.directory / "go-cache", ignore_errors=True)
    return [str(program)]


@client("go", "Go, net/http, 50 requests at a time (HTTP/2 over TLS)", share=0.08)
def go(job, count):
    return by_job(go_program(job), job, count, job.event())


@client("go-60k", "Go, net/http, bodies of 60 KB", count=500)
def go_60k(job, count):
    return by_job(go_program(job), job, count, job.event(60000))


# --- Python ---

def with_httpx(job, count, http2):
    answers, lost = collections.Counter(), 0
    with httpx.Client(base_url=job.url, http2=http2, trust_env=False, verify=tls_context(None), timeout=20,
                      headers={"authorization": f"Bearer {job.key}", "content-type": "application/json"}) as session:
        for _ in range(count):
            try:
                answers[session.post("/v1/events", content=job.event()).status_code] += 1
            except httpx.TransportError:
                lost += 1
    return answers, lost


@client("httpx-h1", "httpx, HTTP/1.1", share=0.01)
def httpx_h1(job, count):
    return with_httpx(job, count, False)


@client("httpx-h2", "httpx, HTTP/2", share=0.01, over=("tls",))
def httpx_h2(job, count):
    return with_httpx(job, count, True)


@client("python-h2", "python h2, 100 streams", share=0.02, over=("cleartext",))
def python_h2(job, count):
    from support.h2 import H2Connection  # pylint: disable=import-outside-toplevel
    connection, answers, sent = H2Connection(job.url, job.key), collections.Counter(), 0
    limit = time.monotonic() + CLIENT_SECONDS_MAX
    while sum(answers.values()) < count and time.monotonic() < limit:
        while sent < count and len(connection.streams) < 100:
            connection.post(sent, job.event(), flush=False)
            sent += 1
        connection.flush()
        answers.update(status for _, status, _ in connection.receive())
    connection.close()
    return answers, answers.pop(0, 0)


for _name, (_title, _run, _count, _is_long) in slow_clients.CLIENTS.items():
    CLIENTS[_name] = Client(_title, _run, count=_count, is_long=_is_long)


def run_clients(house, is_tls, requests, names):
    """Yields the row of each client."""
    target = house.target(is_tls, house.partner_key)
    url = f"{'https' if is_tls else 'http'}://127.0.0.1:{target.port}"
    directory = house.directory / "clients"
    directory.mkdir()
    job = Job(url, house.partner_key, target.account, directory, target, is_tls)
    scale = requests / 200000
    for name in names:
        found = CLIENTS[name]
        if found.is_long and requests < LONG_RUN or ("tls" if is_tls else "cleartext") not in found.over or name.startswith("go") and not shutil.which("go"):
            continue
        count = int(found.share * requests) if found.share else found.count if scale >= 1 or found.count < 40 else max(20, int(found.count * scale))
        if name.startswith("nghttp"):
            count = max(20, count // 20 * 20)
        if name == "h2load-many":
            count = max(count, 400)
        started, note = time.monotonic(), ""
        try:
            answers, lost = found.run(job, count)
        except (RuntimeError, OSError, subprocess.SubprocessError, AssertionError, AttributeError) as error:
            answers, lost, note = collections.Counter(), 0, f"{type(error).__name__}: {error}"
        yield Row(f"{name}: {found.title}", count, answers, lost, time.monotonic() - started, note)
