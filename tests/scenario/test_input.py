# SPDX-License-Identifier: Apache-2.0
"""Bad input: the status and the field by name, as problem+json, and the connection goes on."""
import json

import httpx
import pytest

from support.h2 import H2Connection

MINIMAL = {"type": "signup", "account": "acc_demo"}


def event(**fields):
    return json.dumps({**MINIMAL, **fields}).encode()


def without(name):
    return json.dumps({k: v for k, v in MINIMAL.items() if k != name}).encode()


BODIES = [
    # name, body, status, pointers
    ("empty", b"", 400, []),
    ("no_json", b"type=signup", 400, []),
    ("cut", b'{"type":"signup"', 400, []),
    ("array", b"[]", 400, []),
    ("string", b'"signup"', 400, []),
    ("two_objects", event() + event(), 400, []),
    ("byte_order_mark", b"\xef\xbb\xbf" + event(), 400, []),
    ("bad_utf8", b'{"type":"signup","account":"acc_demo","data":"\xff"}', 400, []),
    ("overlong_utf8", b'{"type":"signup","account":"acc_demo","data":"\xc0\xaf"}', 400, []),
    ("lone_surrogate", b'{"type":"signup","account":"acc_demo","id":"a\\ud800"}', 400, []),
    ("duplicate_field", b'{"type":"signup","account":"acc_demo","type":"signup"}', 400, []),
    ("not_a_number", b'{"type":"signup","account":"acc_demo","amount":NaN}', 400, []),
    ("deep", b'{"type":"signup","account":"acc_demo","data":' + b"[" * 20000 + b"]" * 20000 + b"}", 400, []),
    ("nothing", b"{}", 422, ["/type", "/account"]),
    ("no_type", without("type"), 422, ["/type"]),
    ("no_account", without("account"), 422, ["/account"]),
    ("type_number", event(type=7), 422, ["/type"]),
    ("type_with_space", event(type="sign up"), 422, ["/type"]),
    ("id_number", event(id=17), 422, ["/id"]),
    ("id_empty", event(id=""), 422, ["/id"]),
    ("id_long", event(id="x" * 257), 422, ["/id"]),
    ("id_control", event(id="a\r\nb"), 422, ["/id"]),
    ("id_not_ascii", event(id="caf\u00e9"), 422, ["/id"]),
    ("time", event(occurred_at="yesterday"), 422, ["/occurred_at"]),
    ("time_without_offset", event(occurred_at="2026-01-31T12:00:00"), 422, ["/occurred_at"]),
    ("no_currency", event(amount="1"), 422, ["/currency"]),
    ("currency", event(amount="1", currency="euro"), 422, ["/currency"]),
    ("exponent", event(amount="1e3", currency="EUR"), 422, ["/amount"]),
    ("huge_exponent", b'{"type":"signup","account":"acc_demo","amount":1e9999,"currency":"EUR"}', 422, ["/amount"]),
    ("forty_digits", event(amount="1" * 40, currency="EUR"), 422, ["/amount"]),
    ("ten_decimals", event(amount="0.1234567890", currency="EUR"), 422, ["/amount"]),
    ("no_key_for_money", event(type="payout"), 422, ["/id"]),
    ("several", event(id=1, amount="x", currency="x"), 422, ["/id", "/amount", "/currency"]),
    ("foreign_account", event(account="acc_other"), 403, ["/account"]),
]

GOOD = [
    ("minimal", event()),
    ("id_of_256", event(id="x" * 256)),
    ("dots_and_quotes", event(id="../'\"%00")),
    ("negative", event(amount="-0.1", currency="EUR")),
    ("zero", event(amount="-0", currency="EUR")),
    ("number", event(amount=12.5, currency="EUR")),
    ("emoji", event(data="\U0001f600")),
]


def check_problem(answer, status, pointers=()):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:penstock:problem:")
    assert problem["title"] and problem["detail"]
    assert [error["pointer"] for error in problem.get("errors", [])] == list(pointers), problem
    assert all(error["detail"] for error in problem.get("errors", []))


@pytest.fixture(name="gateway", scope="module")
def one_gateway(tmp_path_factory):
    """These tests change nothing: one gateway for all of them."""
    from support.gateway import Gateway
    gateway = Gateway(tmp_path_factory.mktemp("input")).start()
    assert gateway.ready["account"] == MINIMAL["account"]
    yield gateway
    try:
        gateway.finish()
    finally:
        if gateway.is_running():
            gateway.kill9()


@pytest.fixture(name="partner", scope="module")
def one_connection(gateway):
    """One kept-alive connection for everything."""
    with gateway.partner() as partner:
        yield partner


def post(partner, body, **headers):
    return partner.post("/v1/events", content=body, headers={"content-type": "application/json",
                                                             **{k.replace("_", "-"): v for k, v in headers.items()}})


@pytest.mark.parametrize("body,status,pointers", [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_a_bad_body_is_refused_by_field_and_the_connection_goes_on(partner, body, status, pointers):
    check_problem(post(partner, body), status, pointers)
    assert post(partner, event()).status_code == 200


@pytest.mark.parametrize("body", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_a_good_body_is_taken(partner, body):
    answer = post(partner, body)
    assert answer.status_code == 200, answer.text


def test_the_idempotency_key_is_checked_and_counts_for_money(partner):
    assert post(partner, event(type="lead"), idempotency_key="lead-by-header").status_code == 200
    assert post(partner, event(type="lead"), idempotency_key="lead-by-header").json()["status"] == "duplicate"
    check_problem(post(partner, event(type="lead"), idempotency_key="x" * 257), 422)


def padded(size):
    body = event(data="")
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


def test_a_body_may_have_64_kib_and_not_one_byte_more(partner):
    assert post(partner, padded(65536)).status_code == 200
    check_problem(post(partner, padded(65537)), 413)
    assert post(partner, event()).status_code == 200


def test_a_huge_body_is_refused(gateway):
    """The gateway answers 413 from the headers and closes; a partner that goes on writing may see only the end of the connection."""
    with gateway.partner() as partner:
        try:
            assert post(partner, padded(1 << 20)).status_code == 413
        except httpx.TransportError:
            pass
    with gateway.partner() as partner:
        assert post(partner, event()).status_code == 200


@pytest.mark.parametrize("headers", [
    {"content-type": "text/plain"}, {"content-type": "application/jsonx"}, {"content-type": "application/x-www-form-urlencoded"}, {},
    {"content-type": "application/json", "content-encoding": "gzip"},
], ids=["text", "nearly", "form", "none", "gzip"])
def test_another_media_type_or_encoding_is_refused(partner, headers):
    check_problem(partner.post("/v1/events", content=event(), headers=headers), 415)


def test_media_type_parameters_and_case_do_not_matter(partner):
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=utf-8"):
        assert partner.post("/v1/events", content=event(), headers={"content-type": media_type}).status_code == 200


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer pk_wrong", "Basic cGs6", "pk_x", "Bearer " + "x" * 4000],
                         ids=["none", "empty", "no_key", "wrong", "basic", "bare", "long"])
def test_who_you_are_comes_first(gateway, value):
    with gateway.partner() as partner:
        if value is None:
            del partner.headers["authorization"]
        else:
            partner.headers["authorization"] = value
        answer = post(partner, b"{}")
        check_problem(answer, 401)
        assert "www-authenticate" in answer.headers


def test_a_cut_key_is_unknown(gateway):
    with gateway.partner() as partner:
        partner.headers["authorization"] = partner.headers["authorization"][:-1]
        check_problem(post(partner, event()), 401)


def test_unknown_paths_and_methods(partner):
    for path in ("/", "/v1", "/v1/event", "/v1/events/", "/v2/events", "/v1/events/x/y", "/%2e%2e/v1/events"):
        check_problem(partner.get(path), 404)
    for path in ("/v1/events/evt_1", "/v1/events/evt_01890a5d-ac96-774b-bcce-b302099a8057"):
        check_problem(partner.get(path), 404)
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = partner.request(method, "/v1/events")
        check_problem(answer, 405)
        assert "POST" in answer.headers["allow"]
    assert post(partner, event()).status_code == 200


def test_http2_answers_the_same(gateway):
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    for name, body, _, _ in BODIES:
        connection.post(name, body)
    connection.post("good", event())
    answers = {tag: (status, json.loads(body)) for tag, status, body in connection.receive_all()}
    connection.close()
    assert answers.pop("good")[0] == 200
    for name, _, status, pointers in BODIES:
        assert answers[name][0] == status, (name, answers[name])
        assert [error["pointer"] for error in answers[name][1].get("errors", [])] == pointers, name
