# SPDX-License-Identifier: Apache-2.0
"""Who may post: keys with an end, a scope and a last use; the networks and certificates of a partner."""
import base64
import datetime
import hashlib
import hmac
import json
import socket
import time

import pytest
from support import client as http
from support.h2 import H2Connection
from support.wait import wait_for

REFUSED = 'penstock_access_refusals_total{{reason="{}"}}'


@pytest.fixture
def operator(gateway):
    with gateway.operator() as operator:
        yield operator


def ask(operator, method, path, **body):
    answer = operator.request(method, f"/api/v1/{path}", json=body or None)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def add_key(operator, **members):
    return ask(operator, "POST", "partners/partner_demo/keys", **members)


def in_seconds(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()


def post(gateway, key, number=1, **fields):
    return http.post(f"{gateway.ingress}/v1/events", json=gateway.event(number, **fields), headers={"authorization": f"Bearer {key}"}, timeout=30)


def post_signed(gateway, secret, number):
    body = json.dumps(gateway.event(number)).encode()
    now = str(int(time.time()))
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"msg_{number}.{now}.".encode() + body, hashlib.sha256)
    headers = {"content-type": "application/json", "webhook-id": f"msg_{number}", "webhook-timestamp": now,
               "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode()}
    return http.post(f"{gateway.ingress}/v1/partners/partner_demo/events", content=body, headers=headers, timeout=30)


def shown_key(gateway, key):
    done = gateway.tool("partner", "show", "partner_demo", "--json")
    assert done.returncode == 0, done.stderr
    [found] = [shown for shown in json.loads(done.stdout)["keys"] if shown["id"] == key["id"]]
    return found


def test_an_expired_key_is_answered_like_an_unknown_one(gateway, operator):
    key = add_key(operator, label="till 7", expires_at=in_seconds(3))
    assert post(gateway, key["api_key"]).status_code == 200
    wait_for(lambda: post(gateway, key["api_key"], 2).status_code == 401, "the key has expired")
    expired, unknown = post(gateway, key["api_key"], 2), post(gateway, "pk_unknown", 2)
    assert expired.text == unknown.text and expired.headers["www-authenticate"] == unknown.headers["www-authenticate"]
    assert gateway.metric(REFUSED.format("expired-key")) >= 2 and gateway.metric(REFUSED.format("unknown-key")) == 1
    assert shown_key(gateway, key)["expired"] is True
    gateway.restart()
    assert post(gateway, key["api_key"], 2).status_code == 401
    done = gateway.tool("partner", "key-change", "partner_demo", key["id"], "--expires-at", "never")
    assert done.returncode == 0, done.stderr
    assert post(gateway, key["api_key"], 2).status_code == 200


def test_the_old_key_of_a_rotation_works_until_its_end(gateway, operator):
    old, new = add_key(operator), add_key(operator)
    done = gateway.tool("partner", "key-change", "partner_demo", old["id"], "--expires-at", in_seconds(3), "--label", "old")
    assert done.returncode == 0, done.stderr
    assert post(gateway, old["api_key"], 1).status_code == 200
    assert post(gateway, new["api_key"], 2).status_code == 200
    wait_for(lambda: post(gateway, old["api_key"], 1).status_code == 401, "the old key has ended")
    assert post(gateway, new["api_key"], 3).status_code == 200
    refused = gateway.tool("partner", "key-change", "partner_demo", new["id"], "--expires-at", "2020-01-01T00:00:00Z")
    assert refused.returncode == 65 and "/expires_at" in refused.stderr


def test_a_key_posts_and_sees_only_what_is_in_its_scope(gateway, operator):
    account = gateway.ready["account"]
    ask(operator, "POST", "accounts", id="acc_2")
    ask(operator, "POST", "partners/partner_demo/accounts", account="acc_2")
    done = gateway.tool("partner", "key", "partner_demo", "--label", "leads only", "--accounts", account, "--types", "lead,lead.*", "--json")
    assert done.returncode == 0, done.stderr
    leads = json.loads(done.stdout)["api_key"]
    accepted = post(gateway, leads, 1, type="lead.new")
    assert accepted.status_code == 200, accepted.text
    for fields, pointers in (({"type": "purchase"}, {"/type"}), ({"type": "lead", "account": "acc_2"}, {"/account"}),
                             ({"type": "payout", "account": "acc_2"}, {"/account", "/type"}),
                             ({"type": "lead", "account": "acc_unknown"}, {"/account"})):
        refused = post(gateway, leads, 2, **fields)
        assert refused.status_code == 403, refused.text
        assert {error["pointer"] for error in refused.json()["errors"]} == pointers
    assert gateway.metric(REFUSED.format("scope")) == 4
    everything = post(gateway, gateway.ready["api_key"], 3, type="purchase", account="acc_2")
    assert everything.status_code == 200

    def status_of(answer, key):
        return http.get(f"{gateway.ingress}/v1/events/{answer.json()['event']}", headers={"authorization": f"Bearer {key}"}).status_code

    assert status_of(accepted, leads) == 200
    assert status_of(everything, leads) == 404
    assert status_of(everything, gateway.ready["api_key"]) == 200


def test_the_last_use_is_shown_at_once_and_survives_a_restart(gateway, operator):
    key = add_key(operator)
    assert shown_key(gateway, key)["last_used_at"] is None
    before = datetime.datetime.now(datetime.timezone.utc)
    assert post(gateway, key["api_key"]).status_code == 200
    used = shown_key(gateway, key)["last_used_at"]
    assert before <= datetime.datetime.fromisoformat(used.replace("Z", "+00:00")) <= datetime.datetime.now(datetime.timezone.utc)
    assert used in gateway.tool("partner", "show", "partner_demo").stdout
    assert gateway.tool("partner", "list").stdout == "partner_demo\n"
    gateway.restart()
    assert shown_key(gateway, key)["last_used_at"] == used


def test_posts_from_other_networks_are_refused_with_the_address(gateway, operator):
    secret = ask(operator, "POST", "partners/partner_demo/secrets")["secret"]
    done = gateway.tool("partner", "change", "partner_demo", "--allow-networks", "203.0.113.0/24,2001:db8::/32")
    assert done.returncode == 0, done.stderr
    assert gateway.tool("partner", "list").stdout == "partner_demo  with rules\n"
    for _ in range(2):
        key = gateway.ready["api_key"]
        refused = [post(gateway, key), post_signed(gateway, secret, 1),
                   http.get(f"{gateway.ingress}/v1/events/evt_01890a5d-ac96-774b-bcce-b302099a8057", headers={"authorization": f"Bearer {key}"})]
        for answer in refused:
            assert answer.status_code == 403 and "127.0.0.1" in answer.json()["detail"], answer.text
        assert post(gateway, "pk_unknown").status_code == 401
        gateway.restart()
    assert gateway.tool("partner", "change", "partner_demo", "--allow-networks", "203.0.113.0/24,127.0.0.0/8").returncode == 0
    assert post(gateway, gateway.ready["api_key"]).status_code == 200
    assert post_signed(gateway, secret, 2).status_code == 200


def test_a_required_certificate_is_a_second_factor(gateway):
    done = gateway.tool("partner", "change", "partner_demo", "--certificate-required", "true")
    assert done.returncode == 65 and "/rules/certificates" in done.stderr
    done = gateway.tool("partner", "change", "partner_demo", "--certificate-required", "true", "--certificates", "dns:post.shop.example")
    assert done.returncode == 0, done.stderr
    refused = post(gateway, gateway.ready["api_key"])
    assert refused.status_code == 403 and "client certificate" in refused.json()["detail"], refused.text
    assert gateway.metric(REFUSED.format("certificate")) == 1
    assert gateway.tool("partner", "change", "partner_demo", "--certificate-required", "false").returncode == 0
    assert post(gateway, gateway.ready["api_key"]).status_code == 200


@pytest.mark.parametrize("other", ["pk_unknown", None], ids=["another key", "the same key"])
def test_two_authorization_headers_are_refused_on_http_1_and_http_2(gateway, other):
    key = gateway.ready["api_key"]
    body = json.dumps(gateway.event(1)).encode()
    for first, second in ((key, other or key), (other or key, key)):
        parts = gateway.ingress.removeprefix("http://").split(":")
        with socket.create_connection((parts[0], int(parts[1])), timeout=10) as connection:
            connection.sendall(f"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nauthorization: Bearer {first}\r\n"
                               f"Authorization: Bearer {second}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        connection = H2Connection(gateway.ingress, first)
        connection.post("twice", body, [("authorization", f"Bearer {second}")])
        (_, status, said), = connection.receive_all()
        connection.close()
        assert status == 400 and b"authorization" in said, said
    assert gateway.metric('penstock_events_total{result="accepted"}') == 0


def test_no_key_and_no_secret_is_in_the_log(gateway, operator):
    key = add_key(operator, label="till 7")
    secret = ask(operator, "POST", "partners/partner_demo/secrets")["secret"]
    assert post(gateway, key["api_key"]).status_code == 200
    assert post_signed(gateway, secret, 2).status_code == 200
    ask(operator, "PATCH", "partners/partner_demo", rules={"allow_networks": ["203.0.113.1"]})
    for made_up in (key["api_key"], "pk_wrong"):
        assert post(gateway, made_up, 3).status_code in (401, 403)
    assert gateway.terminate() == 0
    for hidden in (key["api_key"], "pk_wrong", secret):
        assert hidden not in gateway.stderr
