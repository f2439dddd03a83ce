# SPDX-License-Identifier: Apache-2.0
"""Bad input: the status and the field by name, as problem+json, and the connection goes on."""
import json
import pathlib
import re

import httpx
import pytest

from support.h2 import H2Connection
from support.wait import wait_for

MINIMAL = {"type": "signup", "account": "acc_demo"}
CORPUS = pathlib.Path(__file__).resolve().parents[1] / "support/json_corpus.txt"


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
    ("duplicate_field_in_data", b'{"type":"signup","account":"acc_demo","data":{"a":{"b":1,"\\u0062":2}}}', 400, []),
    ("nul", b'{"type":"signup","account":"acc_demo","id":"a\x00"}', 400, []),
    ("escaped_nul", b'{"type":"signup","account":"acc_demo","id":"a\\u0000"}', 400, []),
    ("unterminated_behind", event() + b' "', 400, []),
    ("not_a_number_as_text", event(amount="NaN", currency="EUR"), 422, ["/amount"]),
    ("not_a_number", b'{"type":"signup","account":"acc_demo","amount":NaN}', 400, []),
    ("deep", b'{"type":"signup","account":"acc_demo","data":' + b"[" * 20000 + b"]" * 20000 + b"}", 400, []),
    ("deeper_than_32", b'{"type":"signup","account":"acc_demo","data":' + b"[" * 32 + b"]" * 32 + b"}", 400, []),
    ("depth_of_100000", b"[" * 100000, 413, []),
    ("nothing", b"{}", 422, ["/type", "/account"]),
    ("no_type", without("type"), 422, ["/type"]),
    ("no_account", without("account"), 422, ["/account"]),
    ("type_number", event(type=7), 422, ["/type"]),
    ("account_list", event(account=["acc_demo"]), 422, ["/account"]),
    ("time_number", event(occurred_at=1769860800), 422, ["/occurred_at"]),
    ("amount_boolean", event(amount=True, currency="EUR"), 422, ["/amount"]),
    ("currency_number", event(amount="1", currency=978), 422, ["/currency"]),
    ("type_null", event(type=None), 422, ["/type"]),
    ("type_with_space", event(type="sign up"), 422, ["/type"]),
    ("id_number", event(id=17), 422, ["/id"]),
    ("id_empty", event(id=""), 422, ["/id"]),
    ("id_long", event(id="x" * 257), 422, ["/id"]),
    ("id_control", event(id="a\r\nb"), 422, ["/id"]),
    ("id_not_ascii", event(id="caf\u00e9"), 422, ["/id"]),
    ("time", event(occurred_at="yesterday"), 422, ["/occurred_at"]),
    ("time_without_offset", event(occurred_at="2026-01-31T12:00:00"), 422, ["/occurred_at"]),
    ("time_with_space", event(occurred_at="2026-01-31 12:00:00Z"), 422, ["/occurred_at"]),
    ("time_of_no_day", event(occurred_at="2026-02-29T12:00:00Z"), 422, ["/occurred_at"]),
    ("time_of_no_leap_second", event(occurred_at="2026-01-30T12:00:60Z"), 422, ["/occurred_at"]),
    ("no_currency", event(amount="1"), 422, ["/currency"]),
    ("null_currency", event(amount="1", currency=None), 422, ["/currency"]),
    ("account_null", event(account=None), 422, ["/account"]),
    ("type_by_case", event(type="Purchase"), 422, ["/type"]),
    ("null_id_for_money", event(type="payout", id=None), 422, ["/id"]),
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
    ("id_of_1", event(id="x")),
    ("id_of_256", event(id="x" * 256)),
    ("depth_of_32", b'{"type":"signup","account":"acc_demo","data":' + b"[" * 31 + b"]" * 31 + b"}"),
    ("huge_exponent_in_data", b'{"type":"signup","account":"acc_demo","data":1e9999}'),
    ("leap_second", event(occurred_at="2016-12-31t23:59:60.5z")),
    ("dots_and_quotes", event(id="../'\"%00")),
    ("negative", event(amount="-0.1", currency="EUR")),
    ("zero", event(amount="-0", currency="EUR")),
    ("number", event(amount=12.5, currency="EUR")),
    ("nulls", event(id=None, occurred_at=None, amount=None, currency=None, data=None)),
    ("null_amount", event(amount=None, currency="EUR")),
    ("currency_alone", event(currency="EUR")),
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
def test_a_bad_body_is_refused_by_field_and_the_connection_stays_open(partner, body, status, pointers):
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
    for size in (1 << 20, 4 << 20):
        with gateway.partner() as partner:
            try:
                check_problem(post(partner, padded(size)), 413)
            except httpx.TransportError:
                pass
    with gateway.partner() as partner:
        assert post(partner, event()).status_code == 200


@pytest.mark.parametrize("headers", [
    {"content-type": "text/plain"}, {"content-type": "application/jsonx"}, {"content-type": "application/x-www-form-urlencoded"}, {},
    {"content-type": "application/x-ndjson"}, {"content-type": "application/json", "content-encoding": "gzip"},
    {"content-type": "application/json", "content-encoding": "identity, gzip"},
], ids=["text", "nearly", "form", "none", "lines", "gzip", "several"])
def test_another_media_type_or_encoding_is_refused(partner, headers):
    check_problem(partner.post("/v1/events", content=event(), headers=headers), 415)


def test_media_type_parameters_and_case_do_not_matter(partner):
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=utf-8"):
        assert partner.post("/v1/events", content=event(), headers={"content-type": media_type}).status_code == 200
    assert post(partner, event(), content_encoding="Identity").status_code == 200


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
    check_problem(partner.get("/v1/events"), 422, ["/key"])
    for method in ("PUT", "DELETE", "PATCH"):
        answer = partner.request(method, "/v1/events")
        check_problem(answer, 405)
        assert "POST" in answer.headers["allow"]
    assert post(partner, event()).status_code == 200


def corpus(sign):
    """The texts of the JSON corpus that are to be taken (+) or refused (-)."""
    texts = [line[2:] for line in CORPUS.read_text(encoding="ascii").splitlines() if line.startswith(sign)]
    assert len(texts) > 100
    return [re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), text.encode()) for text in texts]


def as_data(text):
    return b'{"type":"signup","account":"acc_demo","data":' + text + b"}"


def post_all(gateway, bodies):
    connection = H2Connection(gateway.ingress, gateway.ready["api_key"])
    answers = {}
    for start in range(0, len(bodies), 50):
        for number, body in enumerate(bodies[start:start + 50], start):
            connection.post(number, body, flush=False)
        connection.flush()
        answers.update({number: (status, json.loads(body)) for number, status, body in connection.receive_all()})
    connection.close()
    return [answers[number] for number in range(len(bodies))]


def test_what_is_no_json_is_refused_with_400_and_never_with_500(gateway):
    bodies = [body for text in corpus("-") for body in (text, as_data(text))]
    for body, (status, answer) in zip(bodies, post_all(gateway, bodies)):
        assert status == 400 and answer["type"] == "urn:penstock:problem:malformed-json" and answer["detail"], (body, status, answer)


def test_what_is_json_is_taken_and_delivered_byte_by_byte(make_gateway, sink):
    gateway = make_gateway()
    gateway.point_endpoint_at(sink.url())
    bodies = [as_data(text) for text in corpus("+")]
    accepted = {}
    for body, (status, answer) in zip(bodies, post_all(gateway, bodies)):
        assert status == 200, (body, answer)
        accepted[answer["event"]] = body
    wait_for(lambda: sink.count() >= len(bodies), "the deliveries")
    assert {delivery.id: delivery.body for delivery in sink.deliveries()} == accepted


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
