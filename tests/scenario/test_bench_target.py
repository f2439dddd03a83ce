# SPDX-License-Identifier: Apache-2.0
"""bench/run --target: what is not Penstock is measured with the same timetable, and what it loses or duplicates is found. Two targets: a
store-and-forward program (support/forwarder.py), and nginx from Debian. The third one is Penstock itself, as if on another host."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from support.certificates import Certificates
from support.gateway import BINARY, ROOT, clean_environment
from support.ports import free_port
from support.wait import wait_for

sys.path.insert(0, str(ROOT / "bench"))

from runner.gateway import Gateway as GatewayOfBench  # noqa: E402
from runner.plan import Plan, PlanWrong  # noqa: E402
from runner.target_file import PLACEHOLDERS, TargetFile  # noqa: E402

BUILD = pathlib.Path(BINARY).resolve().parent
FORWARDER = ROOT / "tests/support/forwarder.py"
PLAN = """
accounts = 4
drain = "30s"
[load]
timetable = "constant:100:3s"
duplicates = "{duplicates}"
types = "purchase=80,notification=20"
[sink]
default = "delay=exp:2ms"
{more}
[levels]
answer_p99_max = "none"
answer_max = "none"
freshness_p99_max = "none"
"""
FORWARDER_TARGET = """
[post]
url = "http://127.0.0.1:{port}"
path = "/hooks/{{account}}?type={{type}}"
body = '{{"order":"{{key}}","amount":{{amount}},"at":{{due_us}},"note":"{{filling}}"}}'
headers = {{ content-type = "application/json", idempotency-key = "{{key}}", authorization = "Bearer {{secret:token}}" }}
[secrets]
token = "token"
[answer]
accepted = "202"
duplicate = "200"
id = "json:/message/id"
[sink]
listen = "127.0.0.1:{sink}"
key = "{key}"
id = "{id}"
due = "json:/payload/at"
quiet = "1500ms"
[processes]
gateway = ["pid_file:forwarder.pid"]
"""
NGINX = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 50;
  upstream clients {{
    server 127.0.0.1:{sink} max_fails=0;
    server 127.0.0.1:{sink} max_fails=0;
    keepalive 8;
  }}
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{http2} http2;
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://clients;
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_next_upstream error timeout http_500 non_idempotent;
      {more}
    }}
    location = /copy {{ internal; proxy_pass http://clients$request_uri; }}
  }}
}}
"""
NGINX_TARGET = """
[post]
url = "http://127.0.0.1:{port}"
http = "{http}"
path = "/{{account}}"
body = '{{"id":"{{key}}","due":{{due_us}},"data":"{{filling}}"}}'
[sink]
listen = "127.0.0.1:{sink}"
key = "json:/id"
due = "json:/due"
body = "same"
quiet = "1s"
[processes]
gateway = ["pid_file:nginx.pid"]
"""

pytestmark = pytest.mark.once


def bench_run(directory, target, duplicates="10%", more="", arguments=()):
    """The command's end, and its result."""
    plan = directory / "short.toml"
    plan.write_text(PLAN.format(duplicates=duplicates, more=more))
    found = subprocess.run([ROOT / "bench/run", plan, "--target", target, "--build", BUILD, "--directory", directory, *arguments],
                           env=clean_environment(directory), capture_output=True, text=True, timeout=120, check=False)
    print(found.stdout, found.stderr)
    file = directory / f"short-{pathlib.Path(target).stem}/result.json"
    return found, json.loads(file.read_text()) if found.returncode in (0, 1) else None


@contextlib.contextmanager
def program(directory, command, port):
    """Runs until the end of the block; ready when it listens."""
    with open(directory / "program.log", "ab") as log:
        process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, 20)
        assert process.poll() is None, (directory / "program.log").read_text()
        yield process
    finally:
        process.terminate()
        process.wait(20)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def forwarder_command(directory, port, sink, *more):
    return [sys.executable, FORWARDER, "--port", port, "--to", f"http://127.0.0.1:{sink}", "--store", directory / "store.db", "--pid",
            directory / "forwarder.pid", *more]


def forwarder_target(directory, port, sink, key="json:/payload/order", own_id="header:x-message-id", more=""):
    (directory / "token").write_text("not-for-everybody\n")
    target = directory / "forwarder.toml"
    target.write_text(FORWARDER_TARGET.format(port=port, sink=sink, key=key, id=own_id) + more)
    return target


def run_forwarder(directory, *faults, **options):
    port, sink = free_port(), free_port()
    target = forwarder_target(directory, port, sink, **options)
    with program(directory, forwarder_command(directory, port, sink, *faults), port):
        return bench_run(directory, target, more='"1" = "fail=10%"')


@pytest.mark.parametrize("options", [{}, pytest.param({"key": "none"}, marks=pytest.mark.more), pytest.param({"own_id": "none", "key": "body"}, marks=pytest.mark.more)], ids=["key-and-id", "id", "key"])
def test_a_store_and_forward_program_passes(tmp_path, options):
    found, result = run_forwarder(tmp_path, **options)
    assert found.returncode == 0, found.stdout
    verdict = result["verdict"]
    assert result["scenario"]["target"] == "forwarder" and verdict["has_journal"] is False
    assert verdict["events"]["sent"] == verdict["events"]["delivered"] > 250
    assert result["load"]["duplicates"] > 10, "duplicates were posted"
    assert verdict["arrivals"]["freshness"]["p50_us"] > 1000 and verdict["arrivals"]["statuses"]["500"] > 0
    assert verdict["usage"]["gateway"]["cpu_seconds"] > 0 and verdict["usage"]["gateway"]["peak_rss_bytes"] > 2 ** 20
    assert not (tmp_path / "short-forwarder/post.json").exists(), "it has the secrets"


def test_lost_events_are_found(tmp_path):
    found, result = run_forwarder(tmp_path, "--lose-every", "50")
    assert found.returncode == 1
    lost = result["verdict"]["events"]["lost"]
    assert lost == result["verdict"]["events"]["accepted"] // 50 > 0
    assert any(f"{lost} lost: accepted" in reason for reason in result["verdict"]["reasons"])
    assert any("money:" in reason for reason in result["verdict"]["reasons"])


def test_duplicated_events_are_found(tmp_path):
    found, result = run_forwarder(tmp_path, "--duplicate-every", "20")
    assert found.returncode == 1 and result["verdict"]["events"]["lost"] == 0
    assert result["verdict"]["arrivals"]["duplicated"] > 5
    assert [reason.split(":")[0] for reason in result["verdict"]["reasons"]] == ["level duplicates_max"]


def test_a_target_with_commands_is_killed_and_started_again(tmp_path):
    port, sink = free_port(), free_port()
    start = tmp_path / "start"
    words = " ".join(map(str, forwarder_command(tmp_path, port, sink)))
    start.write_text(f"#!/bin/sh\n{words} >>program.log 2>&1 </dev/null &\n")
    stop = tmp_path / "stop"
    stop.write_text("#!/bin/sh\nkill -9 $(cat forwarder.pid)\n")
    for script in (start, stop):
        script.chmod(0o755)
    target = forwarder_target(tmp_path, port, sink, more='[commands]\nstop = ["./stop"]\nstart = "./start"\n')
    subprocess.run([start], cwd=tmp_path, check=True)
    try:
        wait_for(lambda: listens(port), 20)
        before = (tmp_path / "forwarder.pid").read_text()
        found, result = bench_run(tmp_path, target, more="", arguments=[
            "--set", 'fault=[{ at = "1s", do = "kill", for = "300ms" }]', "--set", "levels.duplicates_max=none", "--set",
            "levels.error_share_max=none"])
        assert (tmp_path / "forwarder.pid").read_text() != before
    finally:
        os.kill(int((tmp_path / "forwarder.pid").read_text()), signal.SIGTERM)
    assert found.returncode == 0, found.stdout
    assert result["load"]["reconnects"] > 0 and result["verdict"]["events"]["lost"] == 0


@contextlib.contextmanager
def nginx(directory, more=""):
    port, http2, tls, sink = free_port(), free_port(), free_port(), free_port()
    certificates = Certificates(directory)
    certificates.add("server", "IP:127.0.0.1")
    certificate, key = certificates.files("server")
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(directory=directory, port=port, http2=http2, tls=tls, certificate=certificate,
                                   key=key, sink=sink, more=more, user="user root;" if os.geteuid() == 0 else ""))
    with program(directory, ["/usr/sbin/nginx", "-p", directory, "-c", config], port):
        yield {"1.1": port, "2": http2, "tls": tls}, sink


def nginx_target(directory, ports, sink, version):
    target = directory / "nginx.toml"
    text = NGINX_TARGET.format(port=ports[version], http="1.1" if version == "tls" else version, sink=sink)
    target.write_text(text.replace('url = "http://', 'ca = "ca.pem"\nurl = "https://') if version == "tls" else text)
    return target


@pytest.mark.parametrize("version", ["1.1", *(pytest.param(version, marks=pytest.mark.more) for version in ("2", "tls"))])
def test_nginx_passes(tmp_path, version):
    """It has no ids, retries a 500 with the next upstream, and closes each HTTP/1.1 connection after 50 requests."""
    with nginx(tmp_path) as (ports, sink):
        found, result = bench_run(tmp_path, nginx_target(tmp_path, ports, sink, version), "0%", '"1" = "fail=10%"',
                                  ["--set", "levels.error_share_max=2%", "--set", "levels.availability_min=90%"])
    assert found.returncode == 0, found.stdout
    verdict = result["verdict"]
    assert verdict["events"]["lost"] == 0 and verdict["events"]["accepted"] >= 290
    assert verdict["arrivals"]["statuses"]["500"] > 0 and verdict["arrivals"]["wrong_bytes"] == 0
    assert result["load"]["ends"]["broken"] == 0
    assert 0 < verdict["arrivals"]["freshness"]["p50_us"] < 1_000_000
    assert verdict["usage"]["gateway"]["peak_rss_bytes"] > 2 ** 20


def test_nginx_that_mirrors_requests_to_the_clients_duplicates_them(tmp_path):
    with nginx(tmp_path, "mirror /copy;") as (ports, sink):
        found, result = bench_run(tmp_path, nginx_target(tmp_path, ports, sink, "1.1"), "0%")
    assert found.returncode == 1
    assert result["verdict"]["arrivals"]["duplicated"] == result["verdict"]["events"]["accepted"] == 300


def test_duplicates_of_partners_reach_the_clients_through_a_proxy(tmp_path):
    with nginx(tmp_path) as (ports, sink):
        found, result = bench_run(tmp_path, nginx_target(tmp_path, ports, sink, "1.1"), "10%")
    assert found.returncode == 1
    verdict = result["verdict"]
    assert verdict["arrivals"]["duplicated"] == 300 - verdict["events"]["accepted"] > 10
    assert verdict["arrivals"]["wrong_bytes"] == 0, "each has its own {due_us}"


@pytest.mark.parametrize("batch", ["1", pytest.param("20", marks=pytest.mark.more)])
def test_penstock_elsewhere_is_a_target(tmp_path, batch):
    sink = free_port()
    accounts = [f"shop-{number}" for number in range(4)]
    gateway = GatewayOfBench(BUILD, tmp_path, {}, clean_environment(tmp_path)).start()
    try:
        secrets = gateway.add_accounts(accounts, [f"http://127.0.0.1:{sink}/hooks/{account}" for account in accounts])
        (tmp_path / "key").write_text(f"{gateway.api_key}\n")
        (tmp_path / "secrets").write_text("".join(f"{account} {secret}\n" for account, secret in secrets.items()))
        target = tmp_path / "elsewhere.toml"
        target.write_text(f'[post]\nformat = "penstock"\nurl = "{gateway.ingress}"\napi_key = "key"\n[sink]\nlisten = "0.0.0.0:{sink}"\n'
                          'path = "/hooks/{account}"\nsignatures = "secrets"\nquiet = "1s"\n[accounts]\nnames = "shop-%d"\ncount = 4\n'
                          f'[processes]\ngateway = ["name:penstock"]\n')
        found, result = bench_run(tmp_path, target, arguments=["--set", f"load.batch={batch}", "--set", "load.invalid=2%"])
        assert gateway.program.is_running(), "the run does not end it"
    finally:
        gateway.end()
    assert found.returncode == 0, found.stdout
    assert result["verdict"]["arrivals"]["unchecked_signatures"] == 0 and result["verdict"]["usage"]["gateway"]["cpu_seconds"] > 0


RIGHT = {"post": {"url": '"http://127.0.0.1:9"', "body": "'{\"id\":\"{key}\"}'"}, "sink": {"listen": '"127.0.0.1:10"'}}


def write_target(directory, changes):
    """`changes`: section.key to TOML, or None."""
    sections = {section: dict(keys) for section, keys in RIGHT.items()}
    for name, value in changes.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, {})[key] = value
    lines = []
    for section, keys in sorted(sections.items()):
        lines += [f"[{section}]"] if section else []
        lines += [f"{key} = {value}" for key, value in keys.items() if value is not None]
    path = directory / "target.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


WRONG = [
    ({"post.url": None}, "post.url: is missing"),
    ({"post.url": '"127.0.0.1:80"'}, "post.url: \"127.0.0.1:80\" should be http://HOST:PORT"),
    ({"post.url": '"http://h:80/path"'}, "the path is post.path"),
    ({"post.methd": '"PUT"'}, 'post: "methd" does not exist'),
    ({"post.method": '"GET"'}, 'post.method: "GET" should be one of POST, PUT, PATCH'),
    ({"post.http": '"3"'}, 'post.http: "3" should be one of 1.1, 2'),
    ({"post.http": "2"}, "post.http: should be a text, in quotes"),
    ({"post.path": '"a"'}, 'post.path: "a" should begin with "/"'),
    ({"post.path": '"/{body}"'}, "post.path: {body} is no placeholder here; there are: {key}"),
    ({"post.body": "'{acount}'"}, "post.body: {acount} is no placeholder here; there are: {key}"),
    ({"post.body": "'{secret:a}'"}, "post.body: {secret:a} is no placeholder here"),
    ({"post.body": "'x'"}, "sink.key: the post does not have it: put {key} into post.body"),
    ({"post.body": f"'{'x' * 16385}'"}, "post.body: should have at most 16384 bytes"),
    ({"post.body_file": '"none.json"'}, "post.body_file: leave out this or post.body"),
    ({"post.body": None, "post.body_file": '"none.json"'}, "cannot be read"),
    ({"post.headers": '{ a = "{secret:t}" }'}, "post.headers.a: {secret:t} has no file: add it to [secrets]"),
    ({"post.headers": "{ " + ", ".join(f'h{n} = ""' for n in range(25)) + " }"}, "post.headers: should be a table of at most 24"),
    ({"post.api_key": '"x"'}, "post.api_key: is for format = \"penstock\""),
    ({"post.format": '"penstock"'}, 'post.body: does not go with format = "penstock": leave it out'),
    ({"post.ca": '"none.pem"'}, "post.ca:"),
    ({"secrets.a": '"none"'}, "secrets.a:"),
    ({"answer.accepted": '"2xx"'}, 'answer.accepted: "2xx" should be statuses such as'),
    ({"answer.id": '"body"'}, 'answer.id: "body" should be header:NAME, json:/POINTER, none'),
    ({"sink.listen": '"localhost:80"'}, 'sink.listen: "localhost:80" should be IP:PORT'),
    ({"sink.listen": '"0.0.0.0:0"'}, 'sink.listen: "0.0.0.0:0" should be IP:PORT'),
    ({"sink.listen": None}, "sink.listen: is missing"),
    ({"sink.path": '"/{key}"'}, 'sink.path: "/{key}" should begin'),
    ({"sink.key": '"none"'}, 'sink.key: with "none", sink.id is needed'),
    ({"sink.id": '"header:x"'}, "sink.id: needs answer.id"),
    ({"sink.due": '"json:/due"'}, "sink.due: the post does not have it: put {due_us}"),
    ({"sink.quiet": '"soon"'}, 'sink.quiet: "soon" is not a duration'),
    ({"sink.body": '"other"'}, 'sink.body: "other" should be one of changed, same'),
    ({"sink.signatures": '"none"'}, "sink.signatures:"),
    ({"accounts.names": '"acc"'}, 'accounts.names: "acc" should be'),
    ({"accounts.count": "0"}, "accounts.count: should be a number from 1"),
    ({"processes.gateway": '["nginx"]'}, 'processes.gateway: "nginx" should be name:NAME'),
    ({"processes.nginx": '["name:nginx"]'}, 'processes: "nginx" does not exist'),
    ({"commands.stop": "[]"}, "commands.stop: should be a text or a list of words"),
]


@pytest.mark.parametrize("changes, complaint", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_a_wrong_target_file_names_the_key_and_the_remedy(tmp_path, changes, complaint):
    with pytest.raises(PlanWrong) as wrong:
        TargetFile(write_target(tmp_path, changes))
    assert complaint in str(wrong.value) and str(wrong.value).startswith("target.toml: "), wrong.value


def plan_of(**data):
    return Plan("test", {"load": {"timetable": "constant:1:1s"}, **data})


@pytest.mark.parametrize("data, complaint", [
    ({"queue": "rabbitmq"}, "--queue: a target has its own queue"),
    ({"accounts": 9}, "accounts.count: the plan has 9 accounts: add accounts, or use --set accounts=8"),
    ({"fault": [{"at": "1s", "do": "kill"}]}, "commands.start: the plan's fault kill at 1s needs it"),
    ({"fault": [{"at": "1s", "do": "stop", "for": "1s"}]}, "the fault stop of the gateway at 1s cannot be done to a target"),
    ({"fault": [{"at": "1s", "do": "reload", "options": {}}]}, "the fault reload of the gateway at 1s cannot be done"),
    ({"group": {"a": {"named": True}}}, "group a has host names"),
    ({"sink": {"1": "fail=1%"}}, "sink.path: the plan's accounts behave differently"),
    ({"fault": [{"at": "1s", "do": "behave", "account": 1, "words": ""}]}, "sink.path: the plan's accounts behave differently"),
    ({"load": {"timetable": "constant:1:1s", "batch": 10}}, "use --set load.batch=1"),
], ids=lambda value: value.split(":")[0].split(" ")[0] if isinstance(value, str) else "")
def test_what_cannot_be_done_to_a_target_is_refused(tmp_path, data, complaint):
    file = TargetFile(write_target(tmp_path, {"sink.path": '"/all"', "accounts.count": "8", "commands.stop": '"true"'}))
    with pytest.raises(PlanWrong) as wrong:
        file.adapt(plan_of(**data))
    assert complaint in str(wrong.value)


def test_what_means_nothing_to_a_target_is_left_out_with_a_note(tmp_path):
    file = TargetFile(write_target(tmp_path, {}))
    plan = plan_of(load={"timetable": "constant:1:1s", "conflicts": "1%", "invalid": "1%", "duplicates": "1%"},
                   gateway={"delivery.timeout": "1s"})
    notes = file.adapt(plan)
    assert plan.load == {"timetable": "constant:1:1s", "duplicates": "1%"} and len(notes) == 3
    assert "delivery.timeout" in notes[0] and "conflicts are left out" in notes[1]


def test_a_wrong_file_and_a_target_that_is_down_end_the_command(tmp_path):
    found, _ = bench_run(tmp_path, write_target(tmp_path, {"post.url": '"x"'}))
    assert found.returncode == 64 and "target.toml: post.url" in found.stderr
    found, _ = bench_run(tmp_path, tmp_path / "none.toml")
    assert found.returncode == 64 and "none.toml" in found.stderr
    found, _ = bench_run(tmp_path, write_target(tmp_path, {"post.url": f'"http://127.0.0.1:{free_port()}"'}))
    assert found.returncode == 69 and "takes connections (post.url)" in found.stderr


def test_the_samples_are_right_and_all_placeholders_are_documented():
    for name in ("forwarder", "nginx"):
        assert TargetFile(ROOT / f"bench/targets/{name}.toml").post
    with pytest.raises(PlanWrong, match="penstock.toml: post.(ca|api_key)"):
        TargetFile(ROOT / "bench/targets/penstock.toml")  # its files are the user's
    text = subprocess.run([BUILD / "bin/penstock-load", "--help"], capture_output=True, text=True, check=True).stdout
    document = (ROOT / "bench/targets/README.md").read_text()
    for name in PLACEHOLDERS:
        assert f"  {{{name}}} " in text and f"`{{{name}}}`" in document, name
