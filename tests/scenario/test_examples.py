# SPDX-License-Identifier: Apache-2.0
"""The programs of etc/examples, which the guides for partners and clients show: each is run here, those that post and those that receive."""
import concurrent.futures
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import time

import pytest

from support.certificates import Certificates
from support.examples import EXAMPLES, POSTERS, RECEIVERS, Poster, Receiver, build_go, headers_of, sign
from support.wait import wait_for

GUIDES = [pathlib.Path(__file__).resolve().parents[2] / "etc/doc" / name for name in ("client-guide.md", "partner-guide.md")]
SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 100ms, 100ms, 100ms, 100ms, 100ms, 100ms, 100ms]"}
OLD, NEW, STRANGE = (f"whsec_{letter * 42}A=" for letter in "abc")
BODY = b'{"id":"order-1","type":"purchase","account":"acc_demo","amount":"129.90","currency":"EUR"}'

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def go_program(tmp_path_factory):
    directory = tmp_path_factory.mktemp("go")
    yield build_go(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=RECEIVERS)
def receiver(request, tmp_path):
    directory = tmp_path / "receiver"
    directory.mkdir()
    receiver = Receiver(request.param, directory, request.getfixturevalue("go_program") if request.param == "go" else None)
    yield receiver
    receiver.stop()


# --- those that receive ---


def post_and_wait(gateway, receiver, number):
    """Posts an event and waits until the client has it. Returns its id and the body."""
    body = json.dumps(gateway.event(number)).encode()
    with gateway.partner() as partner:
        event = partner.post("/v1/events", content=body, headers={"content-type": "application/json"}).json()["event"]
    wait_for(lambda: gateway.states(event) == ["delivered"], lambda: f"the delivery:\n{receiver.output[-2000:]}")
    return event, body


def test_a_delivery_is_stored_once_and_a_secret_can_rotate(make_gateway, receiver):
    gateway = make_gateway(SHORT)
    account, endpoint, old = (gateway.ready[name] for name in ("account", "endpoint", "endpoint_secret"))
    secrets = f"/api/v1/accounts/{account}/endpoints/{endpoint}/secrets"
    done = gateway.tool("endpoint", "change", account, endpoint, "--url", receiver.url)
    assert done.returncode == 0, done.stderr

    receiver.start(old)
    event, body = post_and_wait(gateway, receiver, 1)
    expected = {event: body}
    assert receiver.stored() == expected
    done = gateway.tool("delivery", "retry", f"dlv_{event[4:]}-0", "--force", "--reason", "test")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: f"200 duplicate {event}" in receiver.output, lambda: f"the repeated delivery:\n{receiver.output}")
    assert receiver.stored() == expected

    done = gateway.tool("endpoint", "test", account, endpoint)
    assert done.returncode == 0 and "200 test evt_" in receiver.output, done.stdout + done.stderr

    with gateway.operator() as operator:
        old_id = operator.get(secrets).json()["secrets"][0]["id"]
        new = operator.post(secrets).json()["secret"]
        expected.update([post_and_wait(gateway, receiver, 2)])  # two signatures, and the client has the old secret
        receiver.restart(old, new)
        expected.update([post_and_wait(gateway, receiver, 3)])
        assert operator.delete(f"{secrets}/{old_id}").status_code in (200, 204)
    expected.update([post_and_wait(gateway, receiver, 4)])
    receiver.restart(new)
    expected.update([post_and_wait(gateway, receiver, 5)])
    assert receiver.stored() == expected, "each event once, and no test of the endpoint"
    assert " 401 " not in f" {receiver.output}", receiver.output


def test_forged_old_and_changed_requests_are_refused(receiver):
    receiver.start(OLD, NEW)
    now = int(time.time())
    good = headers_of(NEW, "evt_1", BODY, now)
    right, wrong = good["webhook-signature"], sign(STRANGE, "evt_1", now, BODY)
    refused = [
        ("webhook-signature", headers_of(STRANGE, "evt_1", BODY), BODY),
        ("webhook-signature", good, BODY.replace(b"129.90", b"929.90")),
        ("webhook-signature", good, BODY + b" "),
        ("webhook-signature", good, b""),
        ("webhook-signature", {**good, "webhook-id": "evt_2"}, BODY),
        ("webhook-signature", {**good, "webhook-timestamp": str(now + 1)}, BODY),
        ("webhook-signature", {**good, "webhook-signature": right.replace("v1,", "v2,")}, BODY),
        ("webhook-signature", {**good, "webhook-signature": right.removeprefix("v1,")}, BODY),
        ("webhook-signature", {**good, "webhook-signature": right[:-1]}, BODY),
        ("webhook-signature", {**good, "webhook-signature": ""}, BODY),
        ("webhook-signature", {name: value for name, value in good.items() if name != "webhook-signature"}, BODY),
        ("webhook-timestamp", headers_of(NEW, "evt_1", BODY, now - 360), BODY),
        ("webhook-timestamp", headers_of(NEW, "evt_1", BODY, now + 360), BODY),
        ("webhook-timestamp", {**good, "webhook-timestamp": "9" * 400}, BODY),
        ("webhook-timestamp", {name: value for name, value in good.items() if name != "webhook-timestamp"}, BODY),
        ("webhook-id", headers_of(NEW, "../evt_1", BODY), BODY),
        ("webhook-id", headers_of(NEW, "", BODY), BODY),
    ]
    for reason, headers, body in refused:
        answer = receiver.post(headers, body)
        assert answer.status_code == 401 and answer.text.startswith(reason), (headers, body, answer.status_code, answer.text)
    assert receiver.post(headers_of(NEW, "evt_1", b" " * 65537), b" " * 65537).status_code == 413
    assert receiver.stored() == {}

    for number, headers in enumerate([headers_of(OLD, "evt_0", BODY, now - 240), good, {**good, "webhook-id": "evt_2", "webhook-signature":
                                      f"{wrong} {sign(NEW, 'evt_2', now, BODY)}"}]):
        answer = receiver.post(headers, BODY)
        assert (answer.status_code, answer.text) == (200, f"stored evt_{number}")
        assert receiver.stored()[f"evt_{number}"] == BODY, "it is stored before the answer"


def test_requests_at_the_same_time_are_stored_once_and_without_a_store_the_answer_is_503(receiver):
    receiver.start(NEW)
    headers = headers_of(NEW, "evt_1", BODY)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: receiver.post(headers, BODY), range(8)))
    assert sorted(answer.text for answer in answers) == ["duplicate evt_1"] * 7 + ["stored evt_1"]

    if receiver.is_database:  # in place of the store is what cannot be one
        receiver.store.unlink()
        receiver.store.mkdir()
    else:
        shutil.rmtree(receiver.store)
        receiver.store.write_bytes(b"")
    assert receiver.post(headers_of(NEW, "evt_2", BODY), BODY).status_code == 503


# --- those that post ---


@pytest.fixture(params=sorted(POSTERS))
def run(request, tmp_path):
    """Starts the program. Each language runs each test."""
    made = []

    def start(gateway, events, *arguments, key=None, url=None, ca=None):
        made.append(Poster(request.param, tmp_path, url or gateway.ingress, key or gateway.ready["api_key"], events, *arguments, ca=ca))
        return made[-1]

    start.language = request.param
    yield start
    for poster in made:
        poster.stop()


def events_of(gateway, *numbers, **fields):
    return [json.dumps(gateway.event(number, **fields)) for number in numbers]


def answers_of(poster, exit_code=0):
    assert poster.wait() == exit_code, poster.stdout + poster.stderr
    return [json.loads(line) for line in poster.stdout.splitlines()]


def test_posted_events_are_accepted_and_repeated_ones_are_duplicates(gateway, run):
    events = events_of(gateway, *range(5))
    first = answers_of(run(gateway, events))
    assert [answer["status"] for answer in first] == ["accepted"] * 5
    again = answers_of(run(gateway, events))
    assert [answer["status"] for answer in again] == ["duplicate"] * 5
    assert {answer["event"] for answer in first} == {answer["event"] for answer in again}

    wrong = [*events_of(gateway, 5), '{"id":"order-6","type":"purchase"}', *events_of(gateway, 7)]
    answers = answers_of(run(gateway, wrong), 1)
    assert sorted(str(answer["status"]) for answer in answers) == ["422", "accepted", "accepted"]
    assert [answer["errors"][0]["pointer"] for answer in answers if "errors" in answer] == ["/account"]

    if run.language != "curl":
        results = answers_of(run(gateway, [*wrong, *events_of(gateway, 8)], "--batch"), 1)
        assert [(result["status"], result.get("result")) for result in results] == [
            (200, "duplicate"), (422, None), (200, "duplicate"), (200, "accepted")]
        assert answers_of(run(gateway, events_of(gateway, 9), "--batch", key="pk_wrong"), 1)[0]["status"] == 401


@pytest.mark.parametrize("run", ["node", "python"], indirect=True)
def test_a_large_file_is_posted_in_several_batches(gateway, run):
    results = answers_of(run(gateway, [*events_of(gateway, *range(1100)), *events_of(gateway, *range(1100, 1130), data="x" * 60000)], "--batch"))
    assert [result["result"] for result in results] == ["accepted"] * 1130


def test_a_post_is_repeated_after_429_over_tls(make_gateway, run, tmp_path):
    certificates = Certificates(tmp_path)
    certificates.add("server", "IP:127.0.0.1")  # a name may lead to ::1 first, and Node 18 tries only one address
    certificate, key = certificates.files("server")
    gateway = make_gateway({"PENSTOCK_INGRESS__TLS_LISTEN": "127.0.0.1:0", "PENSTOCK_INGRESS__CERTIFICATE_FILE": certificate,
                            "PENSTOCK_INGRESS__KEY_FILE": key})
    secure = {"url": gateway.ready["ingress_tls"], "ca": certificates.files("ca")[0]}
    done = gateway.tool("partner", "change", "partner_demo", "--events-per-second", "1", "--events-burst", "1")
    assert done.returncode == 0, done.stderr
    poster = run(gateway, events_of(gateway, 1, 2), **secure)
    assert [answer["status"] for answer in answers_of(poster)] == ["accepted"] * 2
    assert re.search("429: again in|HTTP error. Will retry in", poster.stderr)
    if run.language != "curl":
        poster = run(gateway, events_of(gateway, 3, 4), "--batch", **secure)
        assert [result["result"] for result in answers_of(poster)] == ["accepted"] * 2, "what was accepted is not posted again"
        assert "1 events again" in poster.stderr or "429: again in" in poster.stderr


def test_a_post_is_repeated_until_there_is_an_answer_and_waits_as_long_as_503_asks(gateway, run):
    assert gateway.terminate() == 0
    poster = run(gateway, events_of(gateway, 1))
    wait_for(lambda: poster.stderr, "the first attempt")
    assert poster.process.poll() is None
    gateway.start()
    assert [answer["status"] for answer in answers_of(poster)] == ["accepted"]

    assert gateway.tool("switch", "ingress", "off", "--reason", "test").returncode == 0
    poster = run(gateway, events_of(gateway, 1, 2))
    wait_for(lambda: re.search(r"(again|retry) in [345]\d", poster.stderr), lambda: f"Retry-After is read:\n{poster.stderr}")
    poster.stop()  # killed, and later run again with the same file
    assert gateway.tool("switch", "ingress", "on", "--reason", "test").returncode == 0
    assert sorted(answer["status"] for answer in answers_of(run(gateway, events_of(gateway, 1, 2)))) == ["accepted", "duplicate"]


# --- the guides ---


def test_the_guides_show_what_the_examples_have():
    """A block below `<!-- from FILE -->` is a part of the file, line by line."""
    shown = set()
    for guide in GUIDES:
        for name, block in re.findall(r"<!-- from ([\w.]+) -->\n+```\w+\n(.*?)```\n", guide.read_text(), re.S):
            assert block in (EXAMPLES / name).read_text(), f"{guide.name} shows what {name} does not have:\n{block}"
            shown.add(name)
    assert shown == {"receive.mjs", "receive.py", "receive.php", "receive.go", "post.py"}


def test_the_commands_of_the_ten_minutes_work(gateway, tmp_path):
    """The first terminal is the gateway's. The other commands are those of the guide, with our ports."""
    section = GUIDES[0].read_text().split("## Try it in ten minutes")[1].split("\n## ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", section, re.S) for line in block.splitlines()]
    assert commands[:3] == ["etc/run", "export SECRETS=whsec_...", "python3 etc/examples/receive.py"]
    secret = wait_for(lambda: re.search(r"are signed with (whsec_\S+)\n", gateway.stdout), "the secret is shown").group(1)
    receiver = Receiver("python", tmp_path).start(secret)
    try:
        for command in commands[3:]:
            program, *arguments = shlex.split(command.replace("127.0.0.1:9000", f"127.0.0.1:{receiver.port}"))
            assert program == "build/release/penstock"
            done = gateway.tool(*arguments)
            assert done.returncode == 0, command + done.stdout + done.stderr
        assert "200 test evt_" in receiver.output
        curl = wait_for(lambda: re.search(r"^  (curl .*)\n", gateway.stdout, re.M), "the command is shown").group(1)
        event = json.loads(subprocess.run(shlex.split(curl) + ["-s"], check=True, capture_output=True, timeout=30).stdout)["event"]
        wait_for(lambda: f"200 stored {event}" in receiver.output, "the first delivery")
        again = re.search(r"`build/release/penstock (delivery retry .*?)`", section).group(1)
        done = gateway.tool(*shlex.split(again.replace("dlv_...", f"dlv_{event[4:]}")))
        assert done.returncode == 0, done.stderr
        wait_for(lambda: f"200 duplicate {event}" in receiver.output, "the repeated delivery")
    finally:
        receiver.stop()


def test_the_guides_link_each_example():
    linked = {name for guide in GUIDES for name in re.findall(r"\]\(\.\./examples/([\w.]+)\)", guide.read_text())}
    assert linked == {path.name for path in EXAMPLES.iterdir()}
