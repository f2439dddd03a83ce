# SPDX-License-Identifier: Apache-2.0
"""Limits of partners and of addresses, against the real program: who gets what, what it is answered, and who is not affected."""
import json
import os
import re
import socket
import threading
import time
import urllib.parse

import pytest

from support import client as http
from support.gateway import tool
from support.wait import wait_for

LIMIT = 200  # events per second
THREADS = {"PENSTOCK_INGRESS__THREADS": "2"}
COUNT_ALL = {**THREADS, "PENSTOCK_INGRESS__ADDRESS_EXEMPT": "[]"}  # loopback addresses have limits as well


# --- structured fields (RFC 9651), as much as the two headers need; anything else fails

ITEM = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]*)"((?:;[a-z*][a-z0-9_\-.*]*(?:=(?:\d{1,15}|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))?)*)')
PARAMETER = re.compile(r';([a-z*][a-z0-9_\-.*]*)=(?:(\d{1,15})|"([^"]*)")')


def parse_list(text):
    found, at = {}, 0
    while True:
        item = ITEM.match(text, at)
        assert item, text[at:]
        found[item[1]] = {name: int(number) if number else string for name, number, string in PARAMETER.findall(item[2])}
        at = item.end()
        if at == len(text):
            return found
        comma = re.compile(r"[ \t]*,[ \t]*").match(text, at)
        assert comma and comma.end() < len(text), text[at:]
        at = comma.end()


# --- a partner on a plain socket, from any loopback address

class Wire:
    def __init__(self, url, source=None):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=20, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, data):
        """Returns status, headers and body; status 0 if the connection has ended."""
        try:
            self.socket.sendall(data)
            while b"\r\n\r\n" not in self.rest:
                piece = self.socket.recv(65536)
                if not piece:
                    return 0, {}, b""
                self.rest += piece
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            while len(self.rest) < int(headers["content-length"]):
                self.rest += self.socket.recv(65536)
        except OSError:
            return 0, {}, b""
        length = int(headers["content-length"])
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(lines[0].split()[1]), headers, body


def post_bytes(key, event):
    body = json.dumps(event).encode()
    return (f"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Poster(threading.Thread):
    """Posts new events on one connection until it is stopped; `pause` between two."""

    def __init__(self, gateway, key, name, pause=0.0):
        super().__init__(daemon=True)
        self.gateway, self.key, self.name_, self.pause = gateway, key, name, pause
        self.ends = False
        self.answers = []  # when, status, seconds
        self.start()

    def run(self):
        with Wire(self.gateway.ingress) as wire:
            number = 0
            while not self.ends:
                number += 1
                began = time.monotonic()
                status, _, _ = wire.ask(post_bytes(self.key, self.gateway.event(f"{self.name_}-{number}")))
                now = time.monotonic()
                self.answers.append((now, status, now - began))
                time.sleep(self.pause)

    def stop(self):
        self.ends = True
        self.join(30)
        return self.answers


def new_partner(gateway, name):
    made = gateway.tool("partner", "add", name, "--json")
    granted = gateway.tool("partner", "grant", name, gateway.ready["account"])
    assert made.returncode == granted.returncode == 0, made.stderr + granted.stderr
    return json.loads(made.stdout)["api_key"]


def percentile(answers, percent):
    seconds = sorted(answer[2] for answer in answers)
    return 1000 * seconds[len(seconds) * percent // 100]


# --- partners

@pytest.mark.once
def test_ten_times_the_limit_gets_the_limit_and_others_are_not_slower(make_gateway, capsys):
    gateway = make_gateway({**THREADS, "PENSTOCK_INGRESS__PARTNER_EVENTS_PER_SECOND": str(LIMIT)})
    assert gateway.tool("switch", "deliveries", "off", "--reason", "a test").returncode == 0
    other_key = new_partner(gateway, "partner_other")
    other = Poster(gateway, other_key, "alone", pause=0.02)
    time.sleep(4)
    alone = other.stop()
    greedy = [Poster(gateway, gateway.ready["api_key"], f"greedy-{n}", pause=0.002) for n in range(8)]
    other = Poster(gateway, other_key, "beside", pause=0.02)
    wait_for(lambda: sum(status == 429 for poster in greedy for _, status, _ in poster.answers) > 100, "the limit is reached")
    began = time.monotonic()
    time.sleep(10)
    ended = time.monotonic()
    beside = other.stop()
    answers = [answer for poster in greedy for answer in poster.stop()]
    inside = [status for at, status, _ in answers if began <= at < ended]
    accepted, expected = inside.count(200), LIMIT * (ended - began)
    with capsys.disabled():
        print(f"\n    limit {LIMIT}/s: {len(inside) / (ended - began):.0f}/s posted, {accepted / (ended - began):.1f}/s accepted; "
              f"p99 of another partner {percentile(alone, 99):.1f} ms alone, {percentile(beside, 99):.1f} ms beside")
    assert set(inside) == {200, 429}
    assert len(inside) > 2 * accepted, "it must have tried more than its limit"
    assert abs(accepted - expected) <= 0.02 * expected, (accepted, expected)
    assert {status for _, status, _ in alone + beside} == {200}
    assert gateway.metric('penstock_refusals_total{reason="rate-limited"}') > 100


def test_every_answer_shows_the_limits_and_429_says_when_to_return(make_gateway):
    gateway = make_gateway({"PENSTOCK_INGRESS__PARTNER_EVENTS_PER_SECOND": "2", "PENSTOCK_INGRESS__PARTNER_EVENTS_BURST": "6",
                            "PENSTOCK_INGRESS__PARTNER_BYTES_PER_SECOND": "1MiB"})
    with gateway.partner() as partner:
        answers = [partner.post("/v1/events", json=gateway.event(number)) for number in range(8)]
        for answer in answers:
            policy = parse_list(answer.headers["ratelimit-policy"])
            assert policy == {"events": {"q": 6, "w": 3}, "bytes": {"q": 1048576, "qu": "content-bytes", "w": 1}}
            left = parse_list(answer.headers["ratelimit"])
            assert set(left) == {"events", "bytes"}
            assert 0 <= left["events"]["r"] < 6 and left["events"]["t"] == 1
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and {answer.status_code for answer in answers} == {200, 429}
        for answer in refused:
            assert answer.json()["type"] == "urn:penstock:problem:rate-limited"
            assert int(answer.headers["retry-after"]) >= parse_list(answer.headers["ratelimit"])["events"]["t"]
        time.sleep(int(refused[-1].headers["retry-after"]))
        assert partner.post("/v1/events", json=gateway.event(100)).status_code == 200
        wrong = partner.post("/v1/events", json={"type": "purchase"})
        assert wrong.status_code in (422, 429) and "ratelimit" in wrong.headers


def test_a_batch_above_the_limit_is_accepted_in_part(make_gateway):
    gateway = make_gateway({"PENSTOCK_INGRESS__PARTNER_EVENTS_PER_SECOND": "1", "PENSTOCK_INGRESS__PARTNER_EVENTS_BURST": "10"})
    events = [gateway.event(number) for number in range(15)]
    with gateway.partner() as partner:
        results = partner.post("/v1/events/batch", json=events).json()["results"]
        assert [result["status"] for result in results] in ([200] * n + [429] * (15 - n) for n in (10, 11))
        assert results[-1]["type"] == "urn:penstock:problem:rate-limited"
        again = partner.post("/v1/events/batch", json=events)
        assert again.status_code == 429 or again.json()["results"][0]["result"] == "duplicate"


def test_lookups_above_their_limit_are_refused_and_posts_are_not(make_gateway):
    gateway = make_gateway({**THREADS, "PENSTOCK_INGRESS__PARTNER_LOOKUPS_PER_SECOND": "5"})
    other_key = new_partner(gateway, "partner_other")
    with gateway.partner() as partner:
        path = f"/v1/events/{partner.post('/v1/events', json=gateway.event(1)).json()['event']}"
        answers = [partner.get(path) for _ in range(80)]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert 50 <= [answer.status_code for answer in answers].count(200) < 80
        refused = [answer for answer in answers if answer.status_code == 429][-1]
        assert refused.json()["type"] == "urn:penstock:problem:rate-limited" and "look-ups" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) >= parse_list(refused.headers["ratelimit"])["lookups"]["t"]
        assert parse_list(refused.headers["ratelimit-policy"]) == {"lookups": {"q": 50, "w": 10}}
        assert gateway.metric('penstock_refusals_total{reason="rate-limited"}') == [answer.status_code for answer in answers].count(429)
        posted = partner.post("/v1/events", json=gateway.event(2))
        assert posted.status_code == 200 and "ratelimit" not in posted.headers
        assert partner.get(path, headers={"authorization": f"Bearer {other_key}"}).status_code == 404, "another partner has its own limit"
        time.sleep(int(refused.headers["retry-after"]))
        assert partner.get(path).status_code == 200


def test_a_partner_has_a_limit_of_its_own(gateway):
    done = gateway.tool("partner", "change", "partner_demo", "--events-per-second", "3")
    assert done.returncode == 0, done.stderr
    other_key = new_partner(gateway, "partner_other")
    with gateway.partner() as partner:
        answers = [partner.post("/v1/events", json=gateway.event(number)) for number in range(6)]
        assert parse_list(answers[0].headers["ratelimit-policy"]) == {"events": {"q": 3, "w": 1}}
        assert [answer.status_code for answer in answers].count(429) >= 1
    with Wire(gateway.ingress) as wire:
        status, headers, _ = wire.ask(post_bytes(other_key, gateway.event(100)))
        assert status == 200 and "ratelimit" not in headers


def test_a_reload_changes_the_limit(serving):
    def command(*arguments):
        done = tool(*arguments, "--json", "--data", serving.tmp_path / "data", directory=serving.tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    command("account", "add", "acc_1")
    key = command("partner", "add", "shop")["api_key"]
    command("partner", "grant", "shop", "acc_1")
    event = {"type": "signup", "account": "acc_1"}
    with http.client(base_url=serving.ingress, headers={"authorization": f"Bearer {key}"}) as partner:
        assert "ratelimit" not in partner.post("/v1/events", json=event).headers
        serving.reload(serving.text.replace("ingress:\n", "ingress:\n  partner_events_per_second: 1\n"))
        assert [partner.post("/v1/events", json=event).status_code for _ in range(3)].count(429) >= 1
        serving.reload(serving.text)
        assert {partner.post("/v1/events", json=event).status_code for _ in range(5)} == {200}


# --- addresses

def ask_until(wire, request, statuses, most=400):
    """Asks until a status that is not in `statuses`, or the end. Returns all answers."""
    answers = []
    for _ in range(most):
        answers.append(wire.ask(request))
        if answers[-1][0] not in statuses:
            break
    return answers


def is_accepted(url, source, request):
    with Wire(url, source) as wire:
        return wire.ask(request)[0] not in (0, 429)


def test_wrong_keys_are_slowed_then_429_then_cut_and_others_are_not(make_gateway):
    gateway = make_gateway({**COUNT_ALL, "PENSTOCK_INGRESS__ADDRESS_FAILURES_MAX": "20"})
    wrong, right = post_bytes("pk_wrong", gateway.event(1)), post_bytes(gateway.ready["api_key"], gateway.event(2))
    bad = "127.0.0.2"
    with Wire(gateway.ingress, bad) as slowed:
        assert [slowed.ask(wrong)[0] for _ in range(2)] == [401, 401]
        began = time.monotonic()
        assert slowed.ask(wrong)[0] == 401
        assert time.monotonic() - began >= 1
    wires = [Wire(gateway.ingress, bad) for _ in range(30)]
    for wire in wires:  # at the same time: the delay does not help against many connections
        wire.socket.sendall(wrong)
    answers = [wire.ask(b"") for wire in wires]
    assert {answer[0] for answer in answers} <= {0, 401, 429}
    busy = [answer for answer in answers if answer[0] == 429]
    assert busy and all(int(answer[1]["retry-after"]) >= 1 for answer in busy)
    assert any(answer[1].get("connection") == "close" for answer in busy), "some were cut"
    for wire in wires:
        wire.socket.close()
    accepted = [is_accepted(gateway.ingress, bad, wrong) for _ in range(20)]
    assert not any(accepted), accepted
    assert is_accepted(gateway.ingress, "127.0.0.3", right), "another address"
    wait_for(lambda: is_accepted(gateway.ingress, bad, right), "the right key is accepted from the refused address", 20)
    assert all(is_accepted(gateway.ingress, bad, right) for _ in range(5)), "and that ends the refusal"
    assert gateway.metric('penstock_refusals_total{reason="address-failures"}') > 10


def test_one_wrong_key_does_not_lock_out_others_behind_the_address(make_gateway):
    gateway = make_gateway({**COUNT_ALL, "PENSTOCK_INGRESS__ADDRESS_FAILURES_MAX": "10"})
    wrong, right = post_bytes("pk_wrong", gateway.event(1)), post_bytes(gateway.ready["api_key"], gateway.event(2))
    source = "127.0.0.4"
    with Wire(gateway.ingress, source) as good:
        assert good.ask(right)[0] == 200
        cut = 0
        for _ in range(40):
            wires = [Wire(gateway.ingress, source) for _ in range(10)]
            for wire in wires:
                wire.socket.sendall(wrong)
            for wire in wires:
                wire.socket.shutdown(socket.SHUT_WR)
                wire.socket.close()
            cut += 10
        wait_for(lambda: gateway.metric('penstock_refusals_total{reason="address-failures"}') > 0, "the failures exceed the limit")
        assert good.ask(right)[0] == 200
        assert all(is_accepted(gateway.ingress, source, right) for _ in range(10))


def test_clients_behind_a_proxy_are_counted_one_by_one(make_gateway):
    gateway = make_gateway({**COUNT_ALL, "PENSTOCK_INGRESS__ADDRESS_REQUESTS_PER_SECOND": "10", "PENSTOCK_INGRESS__PROXIES": "[127.0.0.8/32]"})

    def statuses(wire, client, count):
        return [wire.ask(f"GET /.env HTTP/1.1\r\nHost: a\r\nForwarded: for={client}\r\n\r\n".encode())[0] for _ in range(count)]

    with Wire(gateway.ingress, "127.0.0.8") as proxy:
        bad = statuses(proxy, "203.0.113.1", 300)
        assert bad[:50] == [404] * 50 and set(bad[150:]) == {429}, bad
        assert statuses(proxy, "203.0.113.2", 5) == [404] * 5, "another client, on the same connection"
        assert proxy.ask(post_bytes(gateway.ready["api_key"], gateway.event(1)))[0] == 200


def test_unknown_paths_are_429_and_then_cut(make_gateway):
    gateway = make_gateway({**COUNT_ALL, "PENSTOCK_INGRESS__ADDRESS_REQUESTS_PER_SECOND": "10"})
    with Wire(gateway.ingress, "127.0.0.5") as wire:
        answers = ask_until(wire, b"GET /.env HTTP/1.1\r\nHost: a\r\n\r\n", (404, 429), most=100000)
    statuses = [answer[0] for answer in answers]
    assert statuses.count(404) >= 50 and statuses.count(429) >= 50 and statuses[-1] == 0, statuses[-5:]
    assert answers[-2][1]["connection"] == "close"


def test_connections_of_an_address_are_limited(make_gateway):
    gateway = make_gateway({**COUNT_ALL, "PENSTOCK_INGRESS__ADDRESS_CONNECTIONS_MAX": "5"})
    wires = [Wire(gateway.ingress, "127.0.0.6") for _ in range(5)]
    for wire in wires:
        assert wire.ask(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 404
    assert not is_accepted(gateway.ingress, "127.0.0.6", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert is_accepted(gateway.ingress, "127.0.0.7", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    for wire in wires:
        wire.socket.close()
    wait_for(lambda: is_accepted(gateway.ingress, "127.0.0.6", b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"), "there is room again")


# --- refusals, overload, descriptors

def test_refusals_are_counted_and_sampled_in_the_log_without_secrets(make_gateway):
    gateway = make_gateway()
    key = gateway.ready["api_key"]
    began = time.monotonic()
    with Wire(gateway.ingress) as wire:
        for number in range(300):
            assert wire.ask(post_bytes("pk_secretsecret", gateway.event(number)))[0] == 401
            assert wire.ask(post_bytes(key, {"type": "purchase", "account": "acc_secret", "id": "secret"}))[0] == 403
    seconds = time.monotonic() - began
    metrics = gateway.metrics()
    assert metrics['penstock_refusals_total{reason="unauthenticated"}'] == 300
    assert metrics['penstock_refusals_total{reason="forbidden"}'] == 300

    def lines(reason):
        return [line for line in gateway.stderr.splitlines() if f"refused: reason={reason} " in line]

    def logged(reason):
        found = lines(reason)
        return sum("status=" in line for line in found) + sum(int(line.rpartition("left_out=")[2]) for line in found)

    for reason, partner in (("unauthenticated", "-"), ("forbidden", "partner_demo")):
        wait_for(lambda: logged(reason) == 300, "each refusal has a line or is counted in one", 10)
        assert len(lines(reason)) <= seconds + 3
        assert re.search(rf"status=40[13] partner={partner} address=127\.0\.0\.1 request=req_[0-9a-z]{{26}} field=\S+ left_out=0", lines(reason)[0])
    assert "secret" not in gateway.stderr and key not in gateway.stderr


def test_the_status_shows_overload(gateway):
    done = gateway.tool("status", "--json")
    assert json.loads(done.stdout)["overload"] == {"refuses": [], "signs": []}
    assert "[+] ingress is not overloaded" in http.get(f"{gateway.admin}/readyz?verbose").text


@pytest.mark.parametrize("files", [90, 256])
def test_connections_of_partners_never_take_the_last_descriptors(make_gateway, sink, files):
    gateway = make_gateway({**THREADS, "PENSTOCK_DATA__SHARDS": "2"}, start=False)
    gateway.prefix = ["prlimit", f"--nofile={files}:{files}"]
    gateway.start()
    gateway.point_endpoint_at(sink.url())

    def in_use():
        return len(os.listdir(f"/proc/{gateway.process.pid}/fd"))

    wires = []
    try:
        for _ in range(2 * files):
            wires.append(Wire(gateway.ingress))
        event = None
        for number in range(20):  # some of these connections may be closed to make room
            with Wire(gateway.ingress) as wire:
                status, _, body = wire.ask(post_bytes(gateway.ready["api_key"], gateway.event(number)))
            if status == 200:
                event = json.loads(body)["event"]
        assert event, "a partner is answered beside silent connections"
        assert in_use() <= files - 4
        for _ in range(5):
            assert http.get(f"{gateway.admin}/livez", timeout=20).status_code == 200
        wait_for(lambda: gateway.states(event) == ["delivered"], "delivered", 60)
        assert gateway.metric("penstock_accept_failures_total") == 0
    finally:
        for wire in wires:
            wire.socket.close()
