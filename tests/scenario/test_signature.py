# SPDX-License-Identifier: Apache-2.0
"""Partners who sign (Standard Webhooks) instead of sending a key: POST /v1/partners/{partner}/events."""
import base64
import dataclasses
import hashlib
import hmac
import json
import time

import pytest

from support import client as http
from support import signatures
from support.wait import wait_for

PARTNER = "partner_demo"


def sign(secret, body, webhook_id="msg_1", timestamp=None):
    """The headers of a signed request, made without our own code."""
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {"content-type": "application/json", "webhook-id": webhook_id, "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(mac).decode()}


def post(gateway, body, headers, partner=PARTNER):
    return http.post(f"{gateway.ingress}/v1/partners/{partner}/events", content=body, headers=headers, timeout=30)


def add_secret(gateway, partner=PARTNER):
    with gateway.operator() as operator:
        answer = operator.post(f"/api/v1/partners/{partner}/secrets")
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.json()["secret"]


def body_of(gateway, number, **fields):
    return json.dumps(gateway.event(number, **fields)).encode()


def is_refused(answer):
    """A 401 that does not ask for a bearer key."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "bearer" not in answer.headers["www-authenticate"].lower()
    return answer.json()["detail"]


@dataclasses.dataclass
class Signed:
    headers: dict
    body: bytes


def test_a_signed_event_is_delivered_as_usual(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    _, secret = add_secret(gateway)
    body = body_of(gateway, 1)
    headers = sign(secret, body)
    assert signatures.verify(secret, [Signed(headers, body)]) == [True], "the reference implementation signs as we do"
    answer = post(gateway, body, headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "accepted"
    event = answer.json()["event"]
    wait_for(lambda: sink.of(event), "the delivery")
    assert sink.of(event)[0].body == body
    again = post(gateway, body, headers).json()
    assert (again["status"], again["event"]) == ("duplicate", event)
    assert gateway.timeline(event)["partner"] == PARTNER


def test_the_webhook_id_is_the_key_when_nothing_else_gives_one(gateway):
    _, secret = add_secret(gateway)
    body = json.dumps({"type": "purchase", "account": gateway.ready["account"]}).encode()
    first = post(gateway, body, sign(secret, body, "msg.1")).json()
    again = post(gateway, body, sign(secret, body, "msg.1", int(time.time()) - 1)).json()
    other = post(gateway, body, sign(secret, body, "msg.2")).json()
    assert (first["status"], again["status"], other["status"]) == ("accepted", "duplicate", "accepted")
    assert again["event"] == first["event"] != other["event"]


@pytest.mark.parametrize("age,status", [(-290, 200), (290, 200), (-310, 401), (310, 401), (86400, 401), (10 ** 11, 401)])
def test_old_and_future_timestamps(gateway, age, status):
    _, secret = add_secret(gateway)
    body = body_of(gateway, 1)
    answer = post(gateway, body, sign(secret, body, timestamp=abs(int(time.time()) - age)))
    assert answer.status_code == status, answer.text
    if status == 401:
        assert "300 s" in is_refused(answer)


def test_several_signatures_and_secrets_in_rotation(gateway):
    old_id, old = add_secret(gateway)
    _, new = add_secret(gateway)
    body = body_of(gateway, 1)
    for secret in (old, new):
        headers = sign(secret, body)
        right = headers["webhook-signature"]
        for several in (f"v1,{base64.b64encode(bytes(32)).decode()} {right}", f"v2,abc {right} v1a,xyz", f"v1, {right}"):
            assert post(gateway, body, {**headers, "webhook-signature": several}).status_code == 200, several
        flood = " ".join([f"v1,{base64.b64encode(bytes(32)).decode()}"] * 16 + [right])
        is_refused(post(gateway, body, {**headers, "webhook-signature": flood}))
    with gateway.operator() as operator:
        assert operator.delete(f"/api/v1/partners/{PARTNER}/secrets/{old_id}").status_code == 200
    is_refused(post(gateway, body, sign(old, body)))
    assert post(gateway, body, sign(new, body)).status_code == 200
    gateway.restart()
    is_refused(post(gateway, body, sign(old, body)))
    assert post(gateway, body, sign(new, body)).status_code == 200


def test_who_does_not_know_a_secret_learns_nothing(gateway):
    body = body_of(gateway, 1)
    strange = "whsec_" + base64.b64encode(b"s" * 32).decode()
    zeros = "whsec_" + base64.b64encode(bytes(32)).decode()
    said = {is_refused(post(gateway, body, sign(strange, body)))}  # no secret yet
    _, secret = add_secret(gateway)
    said.add(is_refused(post(gateway, body, sign(strange, body))))
    for partner in (PARTNER, "nobody", "%6eobody", "x" * 300):
        said.add(is_refused(post(gateway, body, sign(zeros, body), partner)))
    said.add(is_refused(post(gateway, body, sign(secret, body), "nobody")))
    with gateway.operator() as operator:
        assert operator.patch(f"/api/v1/partners/{PARTNER}", json={"enabled": False}).status_code == 200
    said.add(is_refused(post(gateway, body, sign(secret, body))))
    assert len(said) == 1, said


def test_the_signature_covers_exactly_these_bytes(gateway):
    _, secret = add_secret(gateway)
    body = body_of(gateway, 1)
    headers = sign(secret, body)
    for other in (body + b" ", b" " + body, body.replace(b"129.90", b"129.91"), body[:-1]):
        is_refused(post(gateway, other, headers))
    is_refused(post(gateway, body, {**headers, "webhook-id": "msg_2"}))
    is_refused(post(gateway, body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}))
    is_refused(post(gateway, body, {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}))
    is_refused(post(gateway, body, {**headers, "webhook-signature": headers["webhook-signature"][:-4]}))
    for absent in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        is_refused(post(gateway, body, {name: value for name, value in headers.items() if name != absent}))
    is_refused(post(gateway, body, {"content-type": "application/json", "authorization": f"Bearer {gateway.ready['api_key']}"}))
    assert post(gateway, body, headers).status_code == 200


def test_errors_of_a_signed_event_are_answered_as_elsewhere(gateway):
    _, secret = add_secret(gateway)
    for body, status in ((b"{", 400), (b"{}", 422), (body_of(gateway, 1, account="acc_other"), 403)):
        assert post(gateway, body, sign(secret, body)).status_code == status
    body = body_of(gateway, 1)
    assert post(gateway, body, {**sign(secret, body), "content-type": "text/plain"}).status_code == 415
    assert post(gateway, body, {**sign(secret, body), "content-encoding": "gzip"}).status_code == 415
