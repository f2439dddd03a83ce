# SPDX-License-Identifier: Apache-2.0
"""The process: how it stops, once and twice, and what it shows on a terminal."""
import fcntl
import json
import os
import pathlib
import pty
import signal
import subprocess
import threading
import time

import httpx
import pytest

from support import client as http
from support.gateway import BINARY, clean_environment
from support.h2 import H2Connection
from support.wait import wait_for


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def is_listening(url):
    try:
        http.get(url, timeout=5)
        return True
    except httpx.TransportError:
        return False


def test_sigterm_waits_for_what_is_in_flight(make_gateway, sink):
    gateway = make_gateway()
    sink.behave(delay=1.5)
    gateway.point_endpoint_at(sink.url())
    event = post(gateway, 1)
    wait_for(lambda: sink.of(event), "the client works on it")
    assert gateway.terminate() == 0
    gateway.start()
    assert gateway.states(event) == ["delivered"]
    assert len(sink.of(event)) == 1


def test_a_second_sigterm_ends_it_at_once_and_nothing_is_lost(make_gateway, sink, tmp_path):
    # Ending at once leaves threads behind on purpose.
    tsan = clean_environment(tmp_path)["TSAN_OPTIONS"] + ":report_thread_leaks=0"
    gateway = make_gateway({"PENSTOCK_SHUTDOWN__DRAIN": "10m", "TSAN_OPTIONS": tsan})
    sink.behave(mode="hang")
    gateway.point_endpoint_at(sink.url())
    event = post(gateway, 1)
    wait_for(lambda: sink.of(event), "it is in flight")
    ingress = gateway.ingress
    gateway.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not is_listening(ingress), "no new events are taken")
    assert gateway.is_running(), "it did not wait for what is in flight"
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(20) == 75
    sink.behave(mode="answer")
    gateway.start()
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered after the restart", 60)
    assert {d.id for d in sink.deliveries()} == {event}


@pytest.mark.parametrize("no_color", [False, True])
def test_the_live_line_on_a_terminal(tmp_path, no_color):
    """Colour for people, none for NO_COLOR; a file never gets any."""
    try:
        controller, terminal = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminals here: {error}")
    ready, plain = tmp_path / "ready.json", tmp_path / "plain"
    environment = clean_environment(tmp_path, {"NO_COLOR": "1"} if no_color else {})
    if not no_color:
        environment.pop("NO_COLOR", None)
    shown = []

    def read():
        try:
            while data := os.read(controller, 65536):
                shown.append(data)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with open(plain, "wb") as err:
        process = subprocess.Popen([BINARY, "dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", tmp_path / "data",
                                    "--ready-file", ready], env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=err)
    os.close(terminal)
    try:
        wait_for(ready.exists, lambda: f"ready: {plain.read_text()}", 60)
        told = json.loads(ready.read_text())
        event = {"id": "1", "type": "purchase", "account": told["account"], "amount": "1.00", "currency": "EUR"}
        answer = http.post(f"{told['ingress']}/v1/events", json=event, headers={"authorization": f"Bearer {told['api_key']}"})
        assert answer.status_code == 200, answer.text
        line = f"-> {told['account']} -> sink".encode()
        wait_for(lambda: line in b"".join(shown), lambda: f"the live line: {b''.join(shown)}")
        banner = b"".join(shown).decode().replace("\r", "")
        command = next(text.strip() for text in banner.splitlines() if " event show EVENT" in text)
        assert command.endswith(f" --data '{tmp_path / 'data'}'"), command
        done = subprocess.run(["/bin/sh", "-c", command.replace("EVENT", answer.json()["event"])], env=clean_environment(tmp_path),
                              capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and answer.json()["event"] in done.stdout, done
    finally:
        process.terminate()
        assert process.wait(40) == 0, plain.read_text()
        reader.join()
        os.close(controller)
    text = b"".join(shown)
    assert b"curl --http2-prior-knowledge" in text
    assert (b"\033[" in text) != no_color, text


def test_a_file_gets_no_colour(gateway):
    event = post(gateway, 1)
    wait_for(lambda: f"{gateway.ready['account']} -> sink" in gateway.stdout and event in gateway.stdout, "the live line")
    assert "\033[" not in gateway.stdout


def test_what_it_writes_is_its_users_alone(gateway):
    post(gateway, 1)
    files = [path for path in gateway.data.rglob("*") if path.is_file()]
    assert {"journal-0.db", "accounts.db", "installation.json", "admin.token"} <= {path.name for path in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []


@pytest.mark.once
def test_output_that_cannot_be_written_is_an_error_of_every_command(gateway, sink):
    """Each command of the help that prints something, on a full device: 74, and a word on stderr."""
    gateway.point_endpoint_at(sink.url())
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    account, endpoint, delivery = gateway.ready["account"], gateway.ready["endpoint"], f"dlv_{event[4:]}-0"
    [partner] = [line.split()[0] for line in gateway.tool("partner", "list").stdout.splitlines()]
    key = json.loads(gateway.tool("partner", "key", partner, "--json").stdout)["id"]
    secret = json.loads(gateway.tool("endpoint", "secret", account, endpoint, "--json").stdout)["id"]
    words = {"switch": ["deliveries", "on", "--reason", "a test"], "event show": [event], "event find": [event], "delivery show": [delivery], "data accept-loss": None, "delivery resolve": None, "delivery discard": None,
             "delivery retry": [delivery, "--force", "--reason", "a test"], "replay create": ["--reason", "a test"], "replay show": None, "replay pause": None,
             "replay resume": None, "replay cancel": None, "partner add": ["p2"], "partner show": [partner],
             "partner change": ["p2", "--enabled", "false"], "partner key": ["p2"], "partner key-change": [partner, key, "--label", "old"],
             "partner key-remove": [partner, key],
             "partner secret": ["p2"], "partner secret-remove": None, "partner accounts": [partner], "partner rejections": [partner], "partner grant": ["p2", account],
             "partner revoke": ["p2", account], "account add": ["acc_2"], "endpoint add": ["acc_2", "--url", sink.url()],
             "endpoint list": [account], "endpoint show": [account, endpoint], "endpoint test": [account, endpoint], "endpoint change": [account, endpoint, "--types", "purchase"],
             "endpoint remove": None, "endpoint secret": [account, endpoint], "endpoint secret-remove": [account, endpoint, secret]}
    listed = [line[2:24].strip() for line in gateway.tool("--help").stdout.split("Commands:")[1].split("penstock COMMAND")[0].splitlines()
              if line.startswith("  ")]
    assert {"audit", "status", *words} <= set(listed)
    calls = [[*name.split(), *words.get(name, []), "--data", gateway.data] for name in listed
             if name not in ("dev", "serve", "check") and words.get(name, []) is not None]
    calls += [[*call, "--json"] for call in calls if call[0] in ("audit", "status", "event") or call[1] in ("list", "show")]
    calls += [["check", "--sample"], ["--help"], ["--version"], ["audit", "--help"]]
    quiet = ("event conflicts", "event poison", "partner key-remove", "endpoint secret-remove", "partner grant", "partner revoke", "partner rejections",
             "operator-event list")
    for call in calls:
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([BINARY, *map(str, call)], env=clean_environment(gateway.directory), stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=30, check=False)
        may_say_nothing = " ".join(map(str, call[:2])) in quiet and done.returncode == 0
        assert may_say_nothing or (done.returncode == 74 and "the output cannot be written" in done.stderr), (call, done)
    closed = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", BINARY, "--version"], capture_output=True, text=True, timeout=30,
                            check=False)
    assert closed.returncode == 74, closed


UNKNOWN_FRAME = b"\x00\x00\x00\x7f\x00\x00\x00\x00\x00"  # nothing of it must be understood; h2o prints a line for each


NOISY_SHIM = pathlib.Path(BINARY).resolve().parent / "tests" / "libnoisy_shim.so"
NOISY = {"LD_PRELOAD": str(NOISY_SHIM), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def make_it_print(ingress, connections=8, reads=30):
    """Enough connections that each ingress thread has some, enough lines that no pipe takes them all."""
    opened = [H2Connection(ingress, "") for _ in range(connections)]
    for _ in range(reads):
        for connection in opened:
            connection.socket.settimeout(20)
            try:
                connection.socket.sendall(UNKNOWN_FRAME)
            except OSError:
                pass  # a gateway that hangs takes no more
        time.sleep(0.01)
    return opened


@pytest.fixture
def stalled_pipe():
    """The writing end of a pipe that is full and that nobody reads."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"#" * 4096)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.mark.once  # the shim is of the dev build
@pytest.mark.parametrize("stdout", ["read", "stalled"])
def test_output_that_nobody_reads_holds_nothing_up(tmp_path, stalled_pipe, stdout):
    """Neither stderr, with what a library prints on a loop, nor the live lines on stdout; nor the end."""
    ready_file = tmp_path / "ready.json"
    process = subprocess.Popen([BINARY, "dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", tmp_path / "data",
                                "--ready-file", ready_file], env={**clean_environment(tmp_path), **NOISY}, stdin=subprocess.DEVNULL,
                               stdout=stalled_pipe if stdout == "stalled" else subprocess.DEVNULL, stderr=stalled_pipe)
    try:
        wait_for(lambda: process.poll() is None and ready_file.exists(), "it is ready", 60)
        ready = json.loads(ready_file.read_text())
        noisy = make_it_print(ready["ingress"])
        headers = {"authorization": f"Bearer {ready['api_key']}"}
        for number in range(16):
            with http.client(timeout=10, headers=headers) as partner:
                answer = partner.post(f"{ready['ingress']}/v1/events", json={
                    "id": f"order-{number}", "type": "purchase", "account": ready["account"], "amount": "1.00", "currency": "EUR"})
            assert answer.status_code == 200, answer.text
        for connection in noisy:
            connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.once
def test_what_a_library_prints_is_logged_a_few_times_a_second_and_counted(make_gateway):
    gateway = make_gateway(NOISY)
    noisy = make_it_print(gateway.ingress, connections=1, reads=30)
    said = "a library printed: a noisy library"
    wait_for(lambda: said in gateway.stderr, "its line is in the log")
    wait_for(lambda: "log lines dropped: a library printed too many lines" in gateway.stderr, "the rest is counted")
    assert gateway.metric("penstock_log_dropped_total") > 900
    assert gateway.stderr.count(said) < 60
    noisy[0].close()
