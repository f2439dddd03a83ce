# SPDX-License-Identifier: Apache-2.0
"""P3, whose word the key is: the Idempotency-Key header, else where the partner's rule points, else the event's id."""
import json

import pytest
from support import client as http

POINTER = "/data/orders/0/no~1"


@pytest.fixture(name="partner")
def one_partner(gateway):
    with gateway.partner() as partner:
        yield partner


def set_rule(gateway, pointer):
    with gateway.operator() as operator:
        answer = operator.patch("/api/v1/partners/partner_demo", json={"key_pointer": pointer})
    assert answer.status_code == 200, answer.text


def body(event_id, pointed):
    """An event whose order has the number `pointed`, as JSON text."""
    return ('{"type":"purchase","account":"acc_demo","id":"%s","data":{"no/":"x","orders":[{"no":0,"no/":%s},{"no/":"y"}]}}'
            % (event_id, pointed)).encode()


def post(partner, content, **headers):
    return partner.post("/v1/events", content=content, headers={"content-type": "application/json", **headers})


def key_of(gateway, answer):
    assert answer.status_code == 200, answer.text
    return gateway.timeline(answer.json()["event"])["key"]


def test_the_order_of_precedence(gateway, partner):
    set_rule(gateway, POINTER)
    by_header = post(partner, body("i-1", '"p-1"'), **{"idempotency-key": "h-1"})
    by_rule = post(partner, body("i-1", '"p-1"'))
    assert [key_of(gateway, answer) for answer in (by_header, by_rule)] == ["h-1", "p-1"]
    assert by_header.json()["status"] == by_rule.json()["status"] == "accepted"
    again = post(partner, body("i-2", '"\\u0070-1"'))
    assert (again.json()["status"], again.json()["event"]) == ("duplicate", by_rule.json()["event"]), "another id, the same order"
    assert key_of(gateway, post(partner, body("i-3", "17.50"))) == "17.50"
    assert post(partner, body("i-4", "17.50")).json()["status"] == "duplicate"
    assert post(partner, body("i-4", "17.5")).json()["status"] == "accepted", "a number's key is its text"
    without = b'{"type":"purchase","account":"acc_demo","id":"i-5","data":{"orders":[]}}'
    assert key_of(gateway, post(partner, without)) == "i-5"


def test_null_is_no_key(gateway, partner):
    set_rule(gateway, POINTER)
    assert key_of(gateway, post(partner, body("i-1", "null"))) == "i-1", "as if nothing were there"


@pytest.mark.parametrize("value", ["true", "{}", "[1]", '""', '"a\\n"', '"caf\\u00e9"', '" a"', "1" * 257])
def test_what_the_rule_finds_must_be_a_key(gateway, partner, value):
    set_rule(gateway, POINTER)
    refused = post(partner, body("i-1", value))
    assert refused.status_code == 422, refused.text
    assert [error["pointer"] for error in refused.json()["errors"]] == [POINTER]
    assert post(partner, body("i-1", value), **{"idempotency-key": "h-1"}).status_code == 200, "nobody asks the rule"


def test_a_rule_applies_to_batches_and_can_be_removed(gateway, partner):
    set_rule(gateway, POINTER)
    lines = b"\n".join((body("i-1", '"p-1"'), body("i-2", '"p-1"'), body("i-3", '"p-2"'), body("i-4", "false")))
    answer = partner.post("/v1/events/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    assert [result.get("result", result["status"]) for result in answer.json()["results"]] == ["accepted", "duplicate", "accepted", 422]
    missing = post(partner, json.dumps({"type": "payout", "account": "acc_demo"}).encode())
    assert [error["pointer"] for error in missing.json()["errors"]] == [POINTER], "where a key was to be"
    set_rule(gateway, "")
    assert key_of(gateway, post(partner, body("i-9", '"p-1"'))) == "i-9"


def test_a_quoted_key_is_the_same_key(gateway, partner):
    """The draft's form is a quoted string, most partners send the bare key."""
    def posted(key):
        return post(partner, body("i-1", "1"), **{"idempotency-key": key})
    first = posted("k-1")
    assert key_of(gateway, first) == "k-1"
    again = posted('"k-1"')
    assert (again.json()["status"], again.json()["event"]) == ("duplicate", first.json()["event"])
    assert key_of(gateway, posted('"a \\"b\\" \\\\"')) == 'a "b" \\'
    assert key_of(gateway, posted("x" * 256)) == "x" * 256
    assert posted('"' + "x" * 256 + '"').json()["status"] == "duplicate"
    for wrong in ('"k', '"k"x', '"k";a=1', '""', '"\\k"', '" k"', '"', "", "x" * 257, '"' + "x" * 257 + '"', '"' + '\\"' * 300 + '"'):
        refused = posted(wrong)
        assert refused.status_code == 422 and "Idempotency-Key" in refused.json()["detail"], (wrong, refused.text)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("name, values", [("idempotency-key", ("k-1", "k-2")), ("Idempotency-Key", ("k-1", "k-1")), ("authorization", (None, "Bearer pk_x")),
                                          ("content-type", ("application/json", "text/plain")), ("content-encoding", ("identity", "gzip")),
                                          ("webhook-id", ("a", "b"))])
def test_a_header_that_counts_once_is_refused_twice(gateway, name, values, http2):
    plain = {"authorization": f"Bearer {gateway.ready['api_key']}", "content-type": "application/json"}
    twice = [header for header in plain.items() if header[0] != name] + [(name, value or plain[name]) for value in values]
    with http.client(base_url=gateway.ingress, http1=not http2, http2=http2, timeout=30) as client:
        refused = client.post("/v1/events", content=body("i-1", "1"), headers=twice)
        assert refused.status_code == 400, refused.text
        assert name.lower() in refused.json()["detail"]
        assert client.post("/v1/events", content=body("i-1", "1"), headers=plain).status_code == 200, "the connection goes on"
