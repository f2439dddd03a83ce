# SPDX-License-Identifier: Apache-2.0
"""`partner rejections`: what a partner was answered and why, for an operator who is asked about it."""
import json
import pathlib

from support.wait import wait_for


def rejections(gateway, token="admin_token", partner="partner_demo"):
    with gateway.operator() as operator:
        if token != "admin_token":
            operator.headers["authorization"] = f"Bearer {token}"
        answer = operator.get(f"/api/v1/partners/{partner}/rejections")
    assert answer.status_code == 200, answer.text
    return answer.json()["rejections"]


def post(gateway, event, **headers):
    with gateway.partner() as partner:
        return partner.post("/v1/events", json=event, headers=headers)


def test_rejected_post_is_found_by_its_request_id(gateway):
    assert gateway.tool("partner", "rejections", "partner_demo").stderr == "none since the start of this gateway\n"
    answer = post(gateway, gateway.event(1, amount="many", note="pk_0123456789 is not for logs"))
    assert answer.status_code == 422
    [found] = rejections(gateway)
    assert found["request"] == answer.headers["x-request-id"]
    assert (found["status"], found["code"], found["account"], found["type"]) == (422, "invalid", gateway.ready["account"], "purchase")
    assert found["address"] == "127.0.0.1" and found["detail"] == answer.json()["detail"] and found["errors"] == answer.json()["errors"]
    assert found["body"].startswith('{"id": "order-1"') and "pk_********** is not" in found["body"] and found["similar"] == 0
    shown = gateway.tool("partner", "rejections", "partner_demo")
    assert shown.returncode == 0
    for text in (f"  422 invalid  {found['request']}  from 127.0.0.1\n", f"    a purchase for {gateway.ready['account']}\n", "    /amount ",
                 f"    body, {found['body_bytes']} bytes:\n", '      {"id": "order-1"'):
        assert text in shown.stdout, shown.stdout
    assert json.loads(gateway.tool("partner", "rejections", "partner_demo", "--json").stdout) == {"rejections": [found]}
    stderr = wait_for(lambda: gateway.stderr if "refused: " in gateway.stderr else None, "the log says so")
    assert f"request={found['request']} field=/amount " in stderr and "order-1" not in stderr
    assert gateway.ready["api_key"] not in json.dumps(found)


def test_dev_shows_them_as_they_happen(gateway):
    answer = post(gateway, gateway.event(1, amount="many"))

    def line():
        lines = [line for line in (gateway.directory / "stdout").read_text().splitlines() if "422 invalid" in line]
        return lines[0] if lines else None

    shown = wait_for(line, "a line")
    assert f"  partner_demo -> {gateway.ready['account']}  purchase  422 invalid  /amount " in shown
    assert shown.endswith(answer.headers["x-request-id"])


def test_reader_gets_no_bodies(gateway):
    post(gateway, gateway.event(1, amount="many"))
    token = (pathlib.Path(gateway.data) / "keys" / "readonly.token").read_text().strip()
    [found] = rejections(gateway, token)
    assert "body" not in found and found["body_bytes"] > 0 and found["code"] == "invalid"


def test_all_ways_to_be_rejected(gateway):
    with gateway.operator() as operator:
        operator.post("/api/v1/accounts", json={"id": "acc_foreign"})
    with gateway.partner() as partner:
        assert partner.post("/v1/events", content=b" " * 70000, headers={"content-type": "application/json"}).status_code == 413
        assert partner.post("/v1/events", content=b"{", headers={"content-type": "application/json"}).status_code == 400
        assert partner.post("/v1/events", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
        assert partner.post("/v1/events", json=gateway.event(1, account="acc_foreign")).status_code == 403
        assert partner.post("/v1/events", json=gateway.event(1)).status_code == 200
        assert partner.post("/v1/events", json=gateway.event(1, amount="1.00")).status_code == 422
        batch = partner.post("/v1/events/batch", json=[gateway.event(2), gateway.event(3, currency="euro")]).json()["results"]
        assert [result["status"] for result in batch] == [200, 422]
    assert {found["code"] for found in rejections(gateway)} == {"too-large", "malformed-json", "media-type", "forbidden", "conflict", "invalid"}
    with gateway.operator() as operator:
        assert operator.patch("/api/v1/partners/partner_demo", json={"rules": {"events_per_second": 1, "events_burst": 1}}).status_code == 200
    answers = [post(gateway, gateway.event(number)).status_code for number in range(10, 14)]
    assert 429 in answers and rejections(gateway)[0]["code"] == "rate-limited"
    with gateway.operator() as operator:
        assert operator.patch("/api/v1/partners/partner_demo", json={"enabled": False}).status_code == 200
    assert post(gateway, gateway.event(20)).status_code == 401
    assert post(gateway, gateway.event(20), authorization="Bearer pk_unknown").status_code == 401
    assert [found["code"] for found in rejections(gateway)].count("unauthenticated") == 1
    assert gateway.ready["api_key"] not in json.dumps(rejections(gateway))


def test_flood_is_sampled_and_the_list_is_bounded(gateway):
    with gateway.partner() as partner:
        for number in range(400):
            assert partner.post("/v1/events", json=gateway.event(number, amount="many")).status_code == 422
    found = rejections(gateway)
    assert 1 <= len(found) <= 20
    if len(found) < 20:  # none has left the list
        assert sum(1 + one["similar"] for one in found) == 400
    gateway.restart()
    assert rejections(gateway) == [], "they are in memory only"


def test_partner_that_does_not_exist(gateway):
    done = gateway.tool("partner", "rejections", "nobody")
    assert done.returncode == 66, done.stderr
