# SPDX-License-Identifier: Apache-2.0
"""What a client may answer, or not answer, and what becomes of the event: judged as the contract says, on record, the connection freed. The
answers that are plain failures, and 410, stand in test_client_down.py; lost ones in test_lost_answer.py."""
import dataclasses
import datetime
import ssl
import time

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.names import Hosts, dead_address
from support.sink import Sink
from support.wait import wait_for

SOON = {
    "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["200ms"] * 32) + "]",
    "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "1s",
    "PENSTOCK_DELIVERY__GUARDED_ANSWER_TIMEOUT": "1s",
}
ANSWER_BYTES_MAX = 256 * 1024  # what is read of headers and body together, with room for what comes with the last read
EXCERPT_BYTES = 512
STATUS_LINE = "HTTP/1.1 200 OK\r\n"


@dataclasses.dataclass
class Answer:
    title: str
    raw: str
    then: str
    error: str  # as it is on record; "" for a status
    status: int = None
    excerpt: str = ""


AMBIGUOUS = [
    Answer("nothing", "", "hang", "answer-timeout"),
    Answer("garbage", "this is no HTTP\r\n", "close", "answer-malformed", excerpt="this is no HTTP\r\n"),
    Answer("endless-garbage", "", "endless", "answer-malformed", excerpt="x" * EXCERPT_BYTES),
    Answer("half-headers", STATUS_LINE + "date: x\r\n", "hang", "answer-timeout", excerpt=STATUS_LINE + "date: x\r\n"),
    Answer("cut-headers", STATUS_LINE + "date: x\r\n", "close", "answer-lost", excerpt=STATUS_LINE + "date: x\r\n"),
    Answer("endless-header", STATUS_LINE + "date: ", "endless", "answer-malformed", excerpt=STATUS_LINE),
    Answer("502", "HTTP/1.1 502 X\r\ncontent-length: 2\r\n\r\nno", "close", "", 502, "no"),
    Answer("504", "HTTP/1.1 504 X\r\ncontent-length: 2\r\n\r\nno", "close", "", 504, "no"),
]
PLAIN = [
    Answer("500-endless", "HTTP/1.1 500 X\r\n\r\n", "endless", "", 500, "x" * EXCERPT_BYTES),
    Answer("500-stalls", "HTTP/1.1 500 X\r\ncontent-length: 99\r\n\r\nwhy", "hang", "", 500, "why"),
    Answer("429", "HTTP/1.1 429 X\r\nretry-after: 0\r\ncontent-length: 4\r\n\r\nslow", "close", "", 429, "slow"),
    Answer("404", "HTTP/1.1 404 X\r\ncontent-length: 2\r\n\r\nno", "close", "", 404, "no"),
]
SUCCESSES = [
    Answer("200-endless", "HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n", "endless", "", 200),
    Answer("200-without-end", "HTTP/1.1 202 X\r\n\r\n", "endless", "", 202),
    Answer("200-stalls", "HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\nhalf", "hang", "", 200),
    Answer("200-cut", "HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\nhalf", "close", "", 200),
    Answer("204-after-100", "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 X\r\nconnection: close\r\n\r\n", "hang", "", 204),
]


def post(gateway, number=1, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def attempts(gateway, event):
    return gateway.timeline(event)["deliveries"][0]["attempts"]


def first_attempt(gateway, event):
    return wait_for(lambda: attempts(gateway, event), "an attempt is on record")[0]


def behave(gateway, sink, answer):
    """From now on the gateway's endpoint is one that answers so. Returns its path."""
    path = f"/{answer.title}"
    sink.behave(path, mode="raw", raw=answer.raw.encode(), then=answer.then)
    gateway.point_endpoint_at(sink.url(path))
    return path


def check_record(attempt, answer):
    title = answer.title
    assert (attempt["status"], attempt["error"] or "") == (answer.status, answer.error), title
    assert attempt.get("answer", "") == answer.excerpt, title
    assert attempt["request_complete"] is True, title
    if answer.then == "endless":
        assert attempt["answer_bytes"] <= ANSWER_BYTES_MAX, f"{title}: it is not read for ever"
    else:
        assert attempt["answer_bytes"] == len(answer.raw), title


@pytest.mark.parametrize("kind", ["purchase", "payout"])
def test_what_is_plainly_no_success_is_tried_again(make_gateway, sink, kind):
    gateway = make_gateway(SOON)
    for number, answer in enumerate(PLAIN if kind == "payout" else PLAIN + AMBIGUOUS):
        path = behave(gateway, sink, answer)
        event = post(gateway, number, type=kind)
        check_record(first_attempt(gateway, event), answer)
        sink.behave(path)
        wait_for(lambda: gateway.states(event) == ["delivered"], f"{answer.title}: delivered")
        wait_for(lambda: sink.connections() <= 1, f"{answer.title}: only the connection that worked is kept")


def test_a_payout_with_an_ambiguous_end_is_parked(make_gateway, sink):
    gateway = make_gateway(SOON)
    events = []
    for number, answer in enumerate(AMBIGUOUS):
        behave(gateway, sink, answer)
        events.append(post(gateway, number, type="payout"))
        wait_for(lambda: gateway.states(events[-1]) == ["parked"], f"{answer.title}: parked")
        assert gateway.timeline(events[-1])["deliveries"][0]["reason"] == "ambiguous", answer.title
        [attempt] = attempts(gateway, events[-1])
        check_record(attempt, answer)
        assert attempt["connection"] == "new", answer.title
        wait_for(lambda: sink.connections() == 0, f"{answer.title}: its connection is closed")
    gateway.point_endpoint_at(sink.url())
    other = post(gateway, "other", type="payout")
    wait_for(lambda: gateway.states(other) == ["delivered"], "a later one")
    assert [len(sink.of(event)) for event in events] == [1] * len(AMBIGUOUS)


@pytest.mark.parametrize("kind", ["purchase", "payout"])
def test_a_success_is_one_whatever_its_body_does(make_gateway, sink, kind):
    gateway = make_gateway(SOON)
    for number, answer in enumerate(SUCCESSES):
        behave(gateway, sink, answer)
        event = post(gateway, number, type=kind)
        wait_for(lambda: gateway.states(event) == ["delivered"], f"{answer.title}: delivered")
        assert [attempt["status"] for attempt in attempts(gateway, event)] == [answer.status], answer.title
        assert len(sink.of(event)) == 1, answer.title
        wait_for(lambda: sink.connections() == 0, f"{answer.title}: the connection is freed")


def test_a_redirect_is_not_followed(make_gateway, sink):
    gateway = make_gateway(SOON)
    gateway.point_endpoint_at(sink.url())
    sink.behave(statuses=[302, 307], headers={"location": sink.url("/elsewhere")})
    event = post(gateway)
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert [attempt["status"] for attempt in attempts(gateway, event)] == [302, 307, 200]
    assert sink.deliveries("/elsewhere") == []


def http_date(seconds_from_now):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)).strftime(
        "%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_429_waits_as_long_as_it_asks(make_gateway, sink, as_date):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms, 10s]"})
    gateway.point_endpoint_at(sink.url())
    sink.behave(statuses=[429], headers={"retry-after": http_date(3) if as_date else "2"})
    event = post(gateway)
    assert first_attempt(gateway, event)["status"] == 429
    wait_for(lambda: len(sink.of(event)) == 2, "the second attempt")
    first, second = sink.of(event)
    assert 1.5 <= second.at - first.at < 8, "a date has whole seconds; the bounds leave room for a busy machine"


def test_a_4xx_is_final_where_the_endpoint_says_so(make_gateway, sink):
    gateway = make_gateway(SOON)
    gateway.point_endpoint_at(sink.url())
    with gateway.operator() as operator:
        answer = operator.patch(f"/api/v1/accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}",
                                json={"final_4xx": True})
        assert answer.status_code == 200, answer.text
    sink.behave(statuses=[429, 422])
    event = post(gateway)
    wait_for(lambda: gateway.states(event) == ["dead"], "dead")
    assert [attempt["status"] for attempt in attempts(gateway, event)] == [429, 422], "429 is temporary all the same"


# --- TLS ---


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """{name: (certificate file, key file)}: `ca`, and what it has signed."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("good", "IP:127.0.0.1")
    made.add("expired", "IP:127.0.0.1", days=-1)
    made.add("other", "DNS:other.test")
    return {name: made.files(name) for name in ("ca", "good", "expired", "other")}


@pytest.mark.parametrize("kind", ["purchase", "payout"])
@pytest.mark.parametrize("fault", ["expired", "other", "too-old"])
def test_bad_tls_is_a_failure_of_its_own_kind_and_nothing_is_sent(make_gateway, certificates, fault, kind):
    gateway = make_gateway({**SOON, "PENSTOCK_DELIVERY__CA_FILE": certificates["ca"][0]})
    if fault == "too-old":
        sink = Sink((*certificates["good"], ssl.TLSVersion.TLSv1_1))
    else:
        sink = Sink((*certificates[fault], None))
    try:
        gateway.point_endpoint_at(sink.url())
        event = post(gateway, type=kind)
        attempt = first_attempt(gateway, event)
        assert (attempt["status"], attempt["error"]) == (None, "tls")
        assert (attempt["connection"], attempt["request_bytes"], attempt["request_complete"]) == (None, 0, False)
        assert sink.count() == 0
        sink.down()
        sink.use_tls(*certificates["good"])
        sink.up()
        wait_for(lambda: gateway.states(event) == ["delivered"], "delivered when it is repaired")
        assert [d.id for d in sink.deliveries()] == [event]
    finally:
        sink.stop()


# --- names and addresses ---


def test_a_name_that_does_not_exist_fails_alone(make_gateway, sink):
    gateway = make_gateway({**SOON, "PENSTOCK_DELIVERY__CONNECT_TIMEOUT": "500ms"})
    account = gateway.ready["account"]
    gateway.point_endpoint_at("http://nowhere.invalid/hook")
    for command in (["account", "add", "acc_healthy"], ["partner", "grant", "partner_demo", "acc_healthy"],
                    ["endpoint", "add", "acc_healthy", "--url", sink.url("/healthy")]):
        done = gateway.tool(*command)
        assert done.returncode == 0, (command, done.stderr)
    lost = [post(gateway, number, account=account) for number in range(5)]
    for number in range(5):
        started = time.monotonic()
        event = post(gateway, number, account="acc_healthy")
        wait_for(lambda: sink.of(event), "delivered to the healthy one", 5)
        assert sink.of(event)[0].at - started < 2, "milliseconds as a rule; the bound leaves room for a busy machine"
    for event in lost:
        attempt = first_attempt(gateway, event)
        assert (attempt["status"], attempt["error"], attempt["request_bytes"]) == (None, "name-lookup", 0)
    gateway.point_endpoint_at(sink.url("/repaired"))
    wait_for(lambda: all(gateway.states(event) == ["delivered"] for event in lost), "delivered when it is repaired")


@pytest.mark.parametrize("dead_first", [True, False])
def test_dead_address_of_a_name_is_tried_past(make_gateway, sink, tmp_path, dead_first):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h]", "PENSTOCK_DELIVERY__CONNECT_TIMEOUT": "60s",
                            "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "2m"}, start=False)
    hosts = Hosts(gateway, tmp_path)
    hosts.set(shop=["127.0.0.11", "127.0.0.1"] if dead_first else ["127.0.0.1", "127.0.0.11"])
    gateway.start()
    with dead_address("127.0.0.11", sink.port):
        deployment = Deployment(gateway, f"http://shop.example:{sink.port}/hook")
        for kind in ("purchase", "payout"):
            events = deployment.post(5, type=kind)
            wait_until_delivered(deployment, events, "long before the timeout", 20)
            assert all(len(sink.of(event)) == len(delivery["attempts"]) == 1 for event, delivery in zip(events, deployment.timelines(events)))


def test_addresses_that_are_not_public_are_refused(gateway):
    endpoint = f"/api/v1/accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}"
    with gateway.operator() as operator:
        for host in ("169.254.169.254", "10.0.0.1", "[::ffff:10.0.0.1]", "[fd00::1]", "0x0a000001"):
            answer = operator.patch(endpoint, json={"url": f"http://{host}/hook"})
            assert answer.status_code == 422, (host, answer.text)
            assert [error["pointer"] for error in answer.json()["errors"]] == ["/url"], host


# --- how long a client may put us off ---


def due_in_s(delivery):
    due = datetime.datetime.fromisoformat(delivery["due_at"].replace("Z", "+00:00"))
    return (due - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


@pytest.mark.parametrize("asked", ["604800", "99999999999999999999", "Fri, 01 Jan 2100 00:00:00 GMT", "Fri Jan  1 00:00:00 2100"])
def test_a_client_gets_two_hours_at_most(make_gateway, sink, asked):
    gateway = make_gateway()
    gateway.point_endpoint_at(sink.url())
    sink.behave(status=503, headers={"retry-after": asked})
    event = post(gateway)
    first_attempt(gateway, event)
    wait_for(lambda: gateway.states(event) == ["waiting"], "it waits")
    assert 7000 < due_in_s(gateway.timeline(event)["deliveries"][0]) <= 7200


def test_an_operator_limits_the_wait_that_a_client_may_ask_for(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_AFTER_MAX": "10m"})
    sink.behave(status=503, headers={"retry-after": "3600"})
    deployment = Deployment(gateway, sink.url())
    [event] = deployment.post()
    wait_for(lambda: deployment.states([event]) == ["waiting"], "it waits")
    assert 500 < due_in_s(deployment.timelines([event])[0]) <= 600


@pytest.mark.parametrize("asked", ["100", "-1", "1.5", "2000ms", "soon", "2"])
def test_a_delivery_dies_at_its_horizon_whatever_its_client_asks_for(make_gateway, sink, asked):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1s, 1s, 1s, 1s]"})
    gateway.point_endpoint_at(sink.url())
    sink.behave(status=503, headers={"retry-after": asked})
    event = post(gateway)
    wait_for(lambda: gateway.states(event) == ["dead"], "dead", 30)
    requests = sink.of(event)
    assert [request.attempt for request in requests] == list(range(1, len(requests) + 1))
    assert len(requests) == {"100": 2, "2": 3}.get(asked, 5)
    assert 3.1 <= requests[-1].at - requests[0].at < 6, "4 s and 20 % either way; the bound leaves room for a busy machine"


def test_the_longest_of_several_retry_afters_counts(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 1h]"})
    sink.behave("/several", mode="raw", then="close",
                raw=b"HTTP/1.1 503 X\r\nretry-after: 1\r\nRetry-After: 600\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n")
    gateway.point_endpoint_at(sink.url("/several"))
    event = post(gateway)
    first_attempt(gateway, event)
    wait_for(lambda: gateway.states(event) == ["waiting"], "it waits")
    assert 500 < due_in_s(gateway.timeline(event)["deliveries"][0]) <= 600
