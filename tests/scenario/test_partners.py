# SPDX-License-Identifier: Apache-2.0
"""Who may post: keys, grants and the lock of a partner count from the operator's answer on, and survive a restart."""
import json

import pytest
from support import client as http


@pytest.fixture
def operator(gateway):
    with gateway.operator() as operator:
        yield operator


def add(operator, path, **body):
    answer = operator.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def tool(gateway, *arguments):
    """What a command prints with --json."""
    done = gateway.tool(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def post(gateway, key, number=1, **fields):
    return http.post(f"{gateway.ingress}/v1/events", json=gateway.event(number, **fields), headers={"authorization": f"Bearer {key}"}, timeout=30)


def test_a_disabled_partner_is_locked_out_until_it_is_enabled(gateway, operator):
    key = gateway.ready["api_key"]
    assert post(gateway, key).status_code == 200
    assert operator.patch("/api/v1/partners/partner_demo", json={"enabled": False}).status_code == 200
    refused = post(gateway, key, 2)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    gateway.restart()
    assert post(gateway, key, 2).status_code == 401
    assert tool(gateway, "partner", "change", "partner_demo", "--enabled", "true")["enabled"] is True
    assert post(gateway, key, 2).status_code == 200


def test_a_revoked_key_is_refused_at_once_and_the_others_go_on(gateway, operator):
    first, second = (add(operator, "partners/partner_demo/keys") for _ in range(2))
    with http.client(base_url=gateway.ingress, headers={"authorization": f"Bearer {first['api_key']}"}) as connected:
        assert connected.post("/v1/events", json=gateway.event(1)).status_code == 200
        assert operator.delete(f"/api/v1/partners/partner_demo/keys/{first['id']}").status_code == 200
        assert connected.post("/v1/events", json=gateway.event(2)).status_code == 401, "on the same connection"
    assert post(gateway, second["api_key"], 2).status_code == 200
    gateway.restart()
    assert post(gateway, first["api_key"], 3).status_code == 401
    assert post(gateway, second["api_key"], 3).status_code == 200
    shown = tool(gateway, "partner", "show", "partner_demo")
    assert second["id"] in {key["id"] for key in shown["keys"]}
    assert first["id"] not in {key["id"] for key in shown["keys"]}


def test_a_demo_key_that_was_revoked_is_replaced_when_the_gateway_starts_again(gateway, operator):
    before = gateway.ready["api_key"]
    [key] = operator.get("/api/v1/partners/partner_demo/keys").json()["keys"]
    assert operator.delete(f"/api/v1/partners/partner_demo/keys/{key['id']}").status_code == 200
    assert post(gateway, before).status_code == 401
    gateway.restart()
    assert gateway.ready["api_key"] != before
    assert post(gateway, before).status_code == 401
    assert post(gateway, gateway.ready["api_key"]).status_code == 200


def test_unknown_foreign_and_withdrawn_accounts_look_the_same(gateway, operator):
    key = gateway.ready["api_key"]
    add(operator, "accounts", id="acc_foreign")
    assert post(gateway, key).status_code == 200
    assert operator.delete(f"/api/v1/partners/partner_demo/accounts/{gateway.ready['account']}").status_code == 200
    refused = {}
    for account in ("acc_unknown", "acc_foreign", gateway.ready["account"]):
        answer = post(gateway, key, 2, account=account)
        assert answer.status_code == 403, answer.text
        assert answer.json()["errors"][0]["pointer"] == "/account"
        refused[account] = answer.text
    assert len(set(refused.values())) == 1, refused
    add(operator, "partners/partner_demo/accounts", account=gateway.ready["account"])
    assert post(gateway, key, 2).status_code == 200


def test_the_commands_do_what_the_api_does(gateway):
    made = tool(gateway, "partner", "add", "shop")
    assert made["api_key"].startswith("pk_") and made["id"].startswith("key_")
    account = gateway.ready["account"]
    assert post(gateway, made["api_key"]).status_code == 403
    tool(gateway, "partner", "grant", "shop", account)
    assert tool(gateway, "partner", "accounts", "shop") == {"accounts": [{"account": account}]}
    assert post(gateway, made["api_key"]).status_code == 200
    assert tool(gateway, "partner", "revoke", "shop", account) == {"partner": "shop", "account": account}
    assert post(gateway, made["api_key"]).status_code == 403

    given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    secret = tool(gateway, "partner", "secret", "shop", "--secret", given)
    assert secret["secret"] == given
    another = tool(gateway, "partner", "secret", "shop")
    assert another["secret"].startswith("whsec_") and another["secret"] != given
    tool(gateway, "partner", "secret-remove", "shop", secret["id"])
    assert tool(gateway, "partner", "change", "shop", "--key-pointer", "/data/order")["key_pointer"] == "/data/order"
    tool(gateway, "partner", "key-remove", "shop", made["id"])
    assert post(gateway, made["api_key"]).status_code == 401

    gateway.restart()
    shown = gateway.tool("partner", "show", "shop")
    assert shown.returncode == 0, shown.stderr
    assert "/data/order" in shown.stdout and another["id"] in shown.stdout and secret["id"] not in shown.stdout
    assert "whsec_" not in shown.stdout and "pk_" not in shown.stdout
    assert tool(gateway, "partner", "show", "shop")["keys"] == []


@pytest.mark.parametrize("arguments, code, said", [
    (["partner", "change", "partner_demo"], 64, "--help"),
    (["partner", "change", "partner_demo", "--enabled", "maybe"], 64, "true or false"),
    (["partner", "change", "partner_demo", "--key-pointer", "data"], 65, "/key_pointer"),
    (["partner", "change", "nobody", "--enabled", "true"], 66, 'partner "nobody" does not exist'),
    (["partner", "secret", "partner_demo", "--secret", "password"], 65, "/secret"),
    (["partner", "key-remove", "partner_demo", "key_0000000000000000"], 66, "key_0000000000000000"),
    (["partner", "revoke", "partner_demo", "acc_unknown"], 66, "acc_unknown"),
], ids=["nothing", "flag", "pointer", "partner", "secret", "key", "account"])
def test_mistakes_say_what_is_wrong(gateway, arguments, code, said):
    done = gateway.tool(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and not done.stdout
