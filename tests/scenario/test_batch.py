# SPDX-License-Identifier: Apache-2.0
"""POST /v1/events/batch: many events at once, each with its own result; one that is broken fails alone."""
import json

import pytest

from support.h2 import H2Connection
from support.wait import wait_for

ITEMS_MAX = 1000
BYTES_MAX = 1 << 20


def lines(*events):
    return b"\n".join(event if isinstance(event, bytes) else json.dumps(event).encode() for event in events)


def array(*events):
    return b"[" + b" ,\n".join(event if isinstance(event, bytes) else json.dumps(event).encode() for event in events) + b"]"


FORMS = [("application/x-ndjson", lines), ("application/json", array)]


def post(gateway, body, media_type="application/x-ndjson", **headers):
    with gateway.partner() as partner:
        return partner.post("/v1/events/batch", content=body, headers={"content-type": media_type, **headers})


def results(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["results"]


def statuses(answer):
    return [result["status"] for result in results(answer)]


@pytest.mark.parametrize("media_type,batch", FORMS, ids=["lines", "array"])
def test_each_item_has_its_result_and_good_ones_are_delivered_as_they_came(gateway, sink, media_type, batch):
    gateway.point_endpoint_at(sink.url())
    spaced = b'{"type" : "lead",  "account":"%s","id":"l-1", "data":{"a":[1,{"b":"]}\\""}]}}' % gateway.ready["account"].encode()
    items = [gateway.event(1), b'{"type":"lead"', gateway.event(1), gateway.event(1, amount="7"), {"type": "lead"}, spaced,
             gateway.event(2, account="acc_other"), b"[1]", gateway.event(3, id=None)]
    if batch is array:
        items[1] = b'{"type":"lead" "account"}'
    answer = post(gateway, batch(*items), media_type)
    assert statuses(answer) == [200, 400, 200, 422, 422, 200, 403, 400, 422]
    first, broken, second, conflict, incomplete, third, foreign, no_event, no_key = results(answer)
    assert (first["result"], second["result"], third["result"]) == ("accepted", "duplicate", "accepted")
    assert second["event"] == first["event"] and first["receipt"].startswith("r1.a.") and second["receipt"].startswith("r1.d.")
    for result, kind in ((broken, "malformed-json"), (conflict, "conflict"), (incomplete, "invalid"), (foreign, "forbidden"),
                         (no_event, "malformed-json"), (no_key, "invalid")):
        assert result["type"] == f"urn:penstock:problem:{kind}" and result["title"] and result["detail"]
    assert [error["pointer"] for error in incomplete["errors"]] == ["/account"]
    assert no_key["errors"] == [{"pointer": "/id", "detail": "is required for this type"}]  # a batch rejects the header
    assert foreign["detail"] == "You may not post for this account. Check `account`, or ask the operator."
    wait_for(lambda: sink.of(first["event"]) and sink.of(third["event"]), "the deliveries")
    assert sink.of(first["event"])[0].body == json.dumps(items[0]).encode()
    assert sink.of(third["event"])[0].body == spaced
    assert len(sink.of(first["event"])) == 1


def test_lines_end_in_lf_or_cr_lf_and_blank_ones_do_not_count(gateway):
    body = b"\r\n".join((b"", json.dumps(gateway.event(1)).encode(), b"", b"  ", json.dumps(gateway.event(2)).encode(), b"", b""))
    assert statuses(post(gateway, body)) == [200, 200]
    assert results(post(gateway, b"")) == []
    assert results(post(gateway, b"[ ]", "application/json")) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[{}", b"[{},]", b"[,{}]", b"[{}] x", b"[{}][{}]", b"[{} {}]", b"[{}\n{},{}]",
                                  b"\xef\xbb\xbf[]", b"null"])
def test_an_array_that_is_broken_outside_of_its_items_is_refused_whole(gateway, body):
    answer = post(gateway, body, "application/json")
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "urn:penstock:problem:malformed-json"


def test_what_is_wrong_with_the_request(gateway):
    body = lines(gateway.event(1))
    for media_type in ("application/ndjson", "text/plain", "application/x-ndjsonx", ""):
        assert post(gateway, body, media_type).status_code == 415, media_type
    assert post(gateway, body, "Application/X-NDJSON; charset=utf-8").status_code == 200
    assert post(gateway, body, **{"content-encoding": "gzip"}).status_code == 415
    refused = post(gateway, body, **{"idempotency-key": "k"})
    assert refused.status_code == 422 and "own id" in refused.json()["detail"]
    assert post(gateway, body, authorization="Bearer pk_wrong").status_code == 401
    with gateway.partner() as partner:
        assert partner.get("/v1/events/batch").status_code == 404  # an event of that name


def test_a_thousand_items_and_a_megabyte_and_not_one_more(gateway):
    many = lines(*(gateway.event(n) for n in range(ITEMS_MAX)))
    assert statuses(post(gateway, many)) == [200] * ITEMS_MAX
    assert {result["result"] for result in results(post(gateway, many))} == {"duplicate"}
    assert post(gateway, many + b"\n{}").status_code == 413
    assert statuses(post(gateway, many + b"\n" * (BYTES_MAX - len(many)))) == [200] * ITEMS_MAX
    assert post(gateway, many + b"\n" * (BYTES_MAX + 1 - len(many))).status_code == 413


def test_an_item_may_be_as_large_as_an_event(gateway):
    def event(number, size):
        body = json.dumps(gateway.event(number, data="")).encode()
        return body[:-2] + b"x" * (size - len(body)) + body[-2:]

    answer = post(gateway, lines(event(1, 65536), event(2, 65537), b"[" * 100000, event(3, 65536)))
    assert statuses(answer) == [200, 413, 413, 200]


def test_a_batch_is_counted_by_its_items(gateway):
    before = {result: gateway.metric(f'penstock_events_total{{result="{result}"}}') for result in ("accepted", "duplicate", "refused")}
    post(gateway, lines(gateway.event(1), gateway.event(2), gateway.event(2), b"x", b"y", b"z"))
    after = {result: gateway.metric(f'penstock_events_total{{result="{result}"}}') for result in before}
    assert {result: after[result] - before[result] for result in before} == {"accepted": 2, "duplicate": 1, "refused": 3}


def test_many_batches_at_once_over_http2_accept_each_event_once(gateway, sink):
    """Twenty batches of the same fifty events on four connections: one of each is accepted, and delivered once."""
    gateway.point_endpoint_at(sink.url())
    body = lines(*(gateway.event(n) for n in range(50)))
    connections = [H2Connection(gateway.ingress, gateway.ready["api_key"]) for _ in range(4)]
    for connection in connections:
        for n in range(5):
            connection.request(n, "POST", "/v1/events/batch", [("content-type", "application/x-ndjson")], body)
    accepted, duplicates = [], 0
    for connection in connections:
        for _, status, answer in connection.receive_all():
            assert status == 200
            for result in json.loads(answer)["results"]:
                assert result["status"] == 200, result
                if result["result"] == "accepted":
                    accepted.append(result["event"])
                else:
                    duplicates += 1
        connection.close()
    assert len(accepted) == len(set(accepted)) == 50
    assert duplicates == 19 * 50
    wait_for(lambda: all(sink.of(event) for event in accepted), "the deliveries")
    assert all(len(sink.of(event)) == 1 for event in accepted)


def test_what_a_batch_accepted_survives_a_kill(gateway, sink):
    gateway.point_endpoint_at(sink.url())
    answer = post(gateway, lines(*(gateway.event(n) for n in range(200))))
    assert statuses(answer) == [200] * 200
    gateway.kill9()
    gateway.start()
    again = post(gateway, lines(*(gateway.event(n) for n in range(200))))
    assert [result["result"] for result in results(again)] == ["duplicate"] * 200
    assert [result["event"] for result in results(again)] == [result["event"] for result in results(answer)]
