# SPDX-License-Identifier: Apache-2.0
"""`endpoint test`: a marked event that an operator sends to an endpoint. It shows how far it got, and leaves no trace in the journal."""
import contextlib
import json

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.sink import Sink
from support.wait import wait_for

EX_PROTOCOL = 76


@pytest.fixture
def gateway(make_gateway):
    return make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "1s"})


def run(deployment, *flags):
    return deployment.gateway.tool("endpoint", "test", deployment.account, deployment.endpoint, *flags)


def ask(deployment):
    """As an operator does over HTTP. Returns the answer, and the attempt in it."""
    with deployment.gateway.operator() as operator:
        answer = operator.post(f"/api/v1/accounts/{deployment.account}/endpoints/{deployment.endpoint}/test")
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.json()["attempt"]


def counted(gateway):
    """All that deliveries add to, except durations of the process itself."""
    return {name: value for name, value in gateway.metrics().items()
            if name.startswith(("penstock_attempt", "penstock_deliveries", "penstock_events", "penstock_freshness", "penstock_breakers"))}


def test_success_is_shown_and_leaves_no_trace(gateway, sink):
    deployment = Deployment(gateway, sink.url())
    wait_until_delivered(deployment, deployment.post())
    before = counted(gateway)
    done = run(deployment)
    assert done.returncode == 0, done.stdout + done.stderr
    [sent] = [delivery for delivery in sink.deliveries() if delivery.headers.get("penstock-test") == "true"]
    body = json.loads(sent.body)
    assert (body["type"], body["id"], body["test"], body["account"]) == ("penstock.test", sent.id, True, deployment.account)
    for text in (f"POST {sink.url()}\n", f"webhook-id: {sent.id}\n", f"webhook-signature: {sent.headers['webhook-signature']}\n",
                 "penstock-test: true\n", sent.body.decode(), f"over a new connection to 127.0.0.1:{sink.port}, HTTP/1.1: ",
                 "took: connection ", "first byte of the answer ", "answered: ok\n", "\nsuccess\n"):
        assert text in done.stdout, done.stdout
    assert counted(gateway) == before
    assert gateway.tool("event", "show", sent.id).returncode != 0, "no journal has it"
    gateway.restart()
    assert gateway.tool("audit").returncode == 0
    assert len(sink.deliveries()) == 2, "it is not sent again"


def test_answer_that_is_no_success(gateway, sink):
    deployment = Deployment(gateway, sink.url(), policy={"final_statuses": [404]})
    sink.behave(status=503, body="we are closed")
    done = run(deployment)
    assert done.returncode == EX_PROTOCOL
    assert "answered: we are closed\n" in done.stdout
    assert "no success: the client is not available: 503. A real event would be sent again later.\n" in done.stdout
    sink.behave(status=404)
    assert ask(deployment)[0]["verdict"] == "dead"
    sink.behave(status=410)
    assert ask(deployment)[0]["verdict"] == "disabled"
    assert deployment.show()["enabled"], "a test disables nothing"


def test_json_says_the_same(gateway, sink):
    done = run(Deployment(gateway, sink.url()), "--json")
    answer = json.loads(done.stdout)
    assert answer["success"] and answer["why"] is None and answer["attempt"]["status"] == 200
    assert answer["request"]["url"] == sink.url()


def test_connection_that_is_refused_and_answer_that_does_not_come(gateway, sink):
    deployment = Deployment(gateway, sink.url())
    sink.behave(mode="hang")
    answer, attempt = ask(deployment)
    assert attempt["error"] == "answer-timeout" and attempt["request_complete"] and 1000 <= attempt["duration_ms"] < 5000
    assert answer["why"].startswith("no answer within ")
    sink.down()
    answer, attempt = ask(deployment)
    assert (attempt["error"], attempt["peer"], attempt["connection"]) == ("connect", f"127.0.0.1:{sink.port}", None)


def test_address_that_is_not_allowed(gateway, sink):
    deployment = Deployment(gateway, f"http://localhost:{sink.port}/hook")
    assert ask(deployment)[1]["dns_ms"] is not None
    gateway.environment["PENSTOCK_DELIVERY__ALLOW_NETWORKS"] = "10.0.0.0/8"
    gateway.restart()
    answer, attempt = ask(deployment)
    assert (attempt["error"], answer["success"]) == ("address-refused", False), "the guard is the one of real attempts"


def test_tls(make_gateway, tmp_path):
    certificates = Certificates(tmp_path)
    certificates.add("good", "IP:127.0.0.1")
    certificates.add("expired", "IP:127.0.0.1", days=-1)
    gateway = make_gateway({"PENSTOCK_DELIVERY__CA_FILE": certificates.files("ca")[0]})
    with contextlib.closing(Sink((*certificates.files("good"), None))) as sink:
        deployment = Deployment(gateway, sink.url())
        answer, attempt = ask(deployment)
        assert answer["success"] and attempt["tls"] == "TLSv1.3" and attempt["tls_ms"] > 0
    with contextlib.closing(Sink((*certificates.files("expired"), None))) as sink:
        deployment = Deployment(gateway, sink.url())
        done = run(deployment)
        assert done.returncode == EX_PROTOCOL and "TLS: certificate has expired (CN=expired, " in done.stdout, done.stdout


def test_settings_of_the_endpoint_count(gateway, sink):
    deployment = Deployment(gateway, sink.url(), policy={
        "headers": {"X-Api-Key": "hidden-value", "X-Shop": "hidden-too"}, "authorization": {"bearer": "secret-token"},
        "success": {"contains": ["booked"]}})
    sink.behave(body='{"result":"ignored"}')
    answer, attempt = ask(deployment)
    [sent] = sink.deliveries()
    assert (sent.headers["x-api-key"], sent.headers["authorization"]) == ("hidden-value", "Bearer secret-token")
    shown = json.dumps(answer)
    assert not [secret for secret in ("hidden-value", "hidden-too", "secret-token") if secret in shown], shown
    assert "X-Api-Key: (not shown)" in answer["request"]["headers"]
    assert not answer["success"] and attempt["rule"]
    sink.behave(body='{"result":"booked"}')
    assert ask(deployment)[0]["success"]


def test_endpoint_that_is_disabled_or_has_an_open_breaker(gateway, sink):
    deployment = Deployment(gateway, sink.url())
    deployment.change(enabled=False)
    done = run(deployment)
    assert done.returncode == 0 and "The endpoint is disabled: " in done.stdout
    assert not deployment.show()["enabled"]
    deployment.change(enabled=True)
    sink.behave(status=500)
    deployment.post(20)
    wait_for(lambda: gateway.metric("penstock_breakers_open") == 1, "the breaker is open")
    answer, _ = ask(deployment)
    assert answer["breaker_open"] and not answer["success"]


def test_endpoint_that_does_not_exist(gateway):
    done = gateway.tool("endpoint", "test", gateway.ready["account"], "ep_0123456789abcdef")
    assert done.returncode == 66 and "endpoint list" in done.stderr
