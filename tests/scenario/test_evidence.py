# SPDX-License-Identifier: Apache-2.0
"""What is on record about an attempt that failed: enough for an operator to tell whose fault it was, in the API and in `event show`."""
import contextlib

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.sink import Sink
from support.wait import wait_for

HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms"}
NOTHING_SENT = {"status": None, "connection": None, "request_bytes": 0, "request_complete": False, "answer_bytes": 0, "first_byte_ms": None}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("good", "IP:127.0.0.1")
    made.add("expired", "IP:127.0.0.1", days=-1)
    made.add("other", "DNS:other.test")
    return made


@pytest.fixture
def gateway(make_gateway, certificates):
    return make_gateway({**HOUR, "PENSTOCK_DELIVERY__CA_FILE": certificates.files("ca")[0], "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "1s"})


def check_last_attempt(deployment, expected, words):
    """Posts an event. Its last attempt has these members, and `event show` these words."""
    [event] = deployment.post()
    [delivery] = wait_for(lambda: [delivery for delivery in deployment.timelines([event]) if delivery["state"] == "waiting"], "it has failed")
    attempt = delivery["attempts"][-1]
    assert {name: attempt[name] for name in expected} == expected
    shown = deployment.gateway.tool("event", "show", event)
    for text in words:
        assert text in shown.stdout, shown.stdout + shown.stderr
    return attempt


def check_times(attempt, **happened):
    """NAME=True: the step has a time; False: it did not happen."""
    assert {name: attempt[f"{name}_ms"] is not None for name in happened} == happened
    for name, did in happened.items():
        assert not did or 0 <= attempt[f"{name}_ms"] <= attempt["duration_ms"], name


def test_connection_that_is_refused(gateway, sink):
    sink.down()
    peer = f"127.0.0.1:{sink.port}"
    attempt = check_last_attempt(Deployment(gateway, sink.url()), {**NOTHING_SENT, "error": "connect", "cause": "connect-refused", "peer": peer, "tls": None},
                                 [f": connection refused by {peer}\n", f"tried to connect to: {peer}\n"])
    check_times(attempt, dns=False, connect=False, tls=False, first_byte=False)


def test_answer_that_does_not_come(gateway, sink):
    sink.behave(mode="hang")
    peer = f"127.0.0.1:{sink.port}"
    attempt = check_last_attempt(
        Deployment(gateway, sink.url()),
        {"status": None, "error": "answer-timeout", "cause": "answer-timeout", "peer": peer, "connection": "new", "request_complete": True, "answer_bytes": 0, "http": "1.1"},
        [f"over a new connection to {peer}, HTTP/1.1: ", "of the request were sent (all of it), 0 bytes of an answer were received\n"])
    check_times(attempt, connect=True, tls=False, first_byte=False)


@pytest.mark.parametrize("name, cause, problem", [("expired", "tls-expired", "certificate has expired (CN=expired, "),
                                                  ("other", "tls-wrong-name", "certificate is for another name (CN=other)")])
def test_certificate_that_is_wrong(gateway, certificates, name, cause, problem):
    with contextlib.closing(Sink((*certificates.files(name), None))) as sink:
        attempt = check_last_attempt(Deployment(gateway, sink.url()),
                                     {**NOTHING_SENT, "error": "tls", "cause": cause, "peer": f"127.0.0.1:{sink.port}"}, [f"TLS: {problem}"])
        assert attempt["tls_problem"].startswith(problem)
        assert attempt["what"].startswith(f"TLS: {problem}") and attempt["remedy"].startswith("Ask the client")
        check_times(attempt, dns=False, connect=True, tls=False, first_byte=False)
        assert sink.count() == 0


def test_redirect(gateway, sink):
    sink.behave(status=307, headers={"location": "https://elsewhere.test/in?a=b"})
    attempt = check_last_attempt(Deployment(gateway, sink.url()), {"status": 307, "error": None, "cause": "http-redirect", "location": "https://elsewhere.test/in?a=b"},
                                 ["redirected to https://elsewhere.test/in?a=b\n", "what to do: Ask the client for the new URL"])
    check_times(attempt, connect=True, first_byte=True)


def test_new_connection_over_tls_and_then_one_that_is_used_again(gateway, certificates):
    with contextlib.closing(Sink((*certificates.files("good"), None))) as sink:
        sink.behave(status=503)
        deployment, peer = Deployment(gateway, sink.url()), f"127.0.0.1:{sink.port}"
        attempt = check_last_attempt(deployment, {"status": 503, "connection": "new", "tls": "TLSv1.3", "http": "1.1", "peer": peer},
                                     [f"over a new connection to {peer}, TLSv1.3, HTTP/1.1: "])
        check_times(attempt, connect=True, tls=True, first_byte=True)
        attempt = check_last_attempt(deployment, {"status": 503, "connection": "warm", "tls": "TLSv1.3", "peer": peer},
                                     [f"over a warm connection to {peer}, TLSv1.3, HTTP/1.1: "])
        check_times(attempt, connect=False, tls=False, first_byte=True)


def test_name_that_was_looked_up(gateway, sink):
    sink.behave(status=500)
    attempt = check_last_attempt(Deployment(gateway, f"http://localhost:{sink.port}/hook"), {"status": 500, "peer": f"127.0.0.1:{sink.port}"},
                                 ["took: name look-up "])
    check_times(attempt, dns=True, connect=True, tls=False)


def test_evidence_survives_a_restart_and_later_attempts(gateway, sink):
    sink.behave(statuses=[302], headers={"location": "/elsewhere"})
    deployment = Deployment(gateway, sink.url())
    [event] = deployment.post()
    wait_for(lambda: deployment.states([event]) == ["waiting"], "it has failed")
    before = deployment.timelines([event])[0]["attempts"]
    gateway.restart()
    deployment.change(policy={"retry_schedule": ["100ms"]})
    wait_for(lambda: deployment.timelines([event])[0]["attempts"][:1] == before, "the first attempt is as it was")
