# SPDX-License-Identifier: Apache-2.0
"""What operators set for one endpoint: accepted and refused by the API and the command, shown without secrets, kept over restarts."""
import json
import sqlite3
import subprocess

import pytest

from support.certificates import Certificates
from support.gateway import BINARY, clean_environment

RULES = {"retry_schedule": ["1s", "1m", "2h"], "horizon": "2d", "connect_timeout": "2s", "answer_timeout": "10s",
         "guarded_answer_timeout": "2m", "final_statuses": ["400-499", 301], "in_flight_max": 8}
MEMBERS = [
    {},
    *[{name: value} for name, value in RULES.items()],
    {"final_statuses": []}, {"rate_max": 0.5}, {"rate_max": 50}, {"http": "1.1"}, {"http": "2"}, {"horizon": None},
    {"classes": {"critical": RULES, "important": {}, "optional": {"horizon": "10m"}}},
    {"success": {}}, {"success": {"statuses": ["200-299", 409]}},
    {"success": {"contains": ["ok"], "contains_not": ["error", "fail"]}},
    *[{"success": {"pointer": "/a/0", "equals": value}} for value in (True, False, None, "yes", 0, 1.5)],
    {"status_probe": {"url": "https://client.example/{id}", "yes": {"statuses": [200]}, "no": {"statuses": [404]}}},
    {"headers": {"X-Partner": "7", "Cookie": "a=b"}},
    {"authorization": {"basic": {"user": "u", "password": "p:ä"}}}, {"authorization": {"bearer": "t0ken"}},
]
WRONG = [
    ("text", "/policy"), ({"unknown": 1}, "/policy/unknown"),
    ({"retry_schedule": ["1s", "1"]}, "/policy/retry_schedule/1"), ({"retry_schedule": []}, "/policy/retry_schedule"),
    ({"horizon": "forever"}, "/policy/horizon"), ({"connect_timeout": 5}, "/policy/connect_timeout"),
    ({"answer_timeout": "1d"}, "/policy/answer_timeout"), ({"guarded_answer_timeout": "0s"}, "/policy/guarded_answer_timeout"),
    ({"final_statuses": [429]}, "/policy/final_statuses/0"), ({"final_statuses": ["400-599"]}, "/policy/final_statuses/0"),
    ({"in_flight_max": 0}, "/policy/in_flight_max"), ({"rate_max": -1}, "/policy/rate_max"), ({"http": "3"}, "/policy/http"),
    ({"classes": {"urgent": {}}}, "/policy/classes/urgent"),
    ({"classes": {"critical": {"horizon": 1}}}, "/policy/classes/critical/horizon"),
    ({"success": {"pointer": "/a"}}, "/policy/success/equals"), ({"success": {"contains": [7]}}, "/policy/success/contains/0"),
    ({"status_probe": {"url": "https://client.example/", "yes": {}}}, "/policy/status_probe/url"),
    ({"status_probe": {"url": "gopher://client.example/{id}", "yes": {}}}, "/policy/status_probe/url"),
    ({"status_probe": {"url": "https://client.example/{id}"}}, "/policy/status_probe/yes"),
    ({"headers": {"Webhook-Id": "x"}}, "/policy/headers/Webhook-Id"), ({"headers": {"X-A": "a\r\nX-B: b"}}, "/policy/headers/X-A"),
    ({"headers": {f"X-{number}": "x" for number in range(17)}}, "/policy/headers"),
    ({"authorization": {"basic": {"user": "a:b", "password": "p"}}}, "/policy/authorization/basic/user"),
    ({"authorization": {"bearer": "***"}}, "/policy/authorization/bearer"),
    ({"tls": {"ca": "-----BEGIN CERTIFICATE-----"}}, "/policy/tls/ca"), ({"tls": {"key": "x"}}, "/policy/tls/certificate"),
]


def path(gateway):
    return f"/api/v1/accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}"


def change(gateway, status=200, **fields):
    with gateway.operator() as operator:
        answer = operator.patch(path(gateway), json=fields)
    assert answer.status_code == status, answer.text
    return answer.json()


def show(gateway):
    with gateway.operator() as operator:
        answer = operator.get(path(gateway))
    assert answer.status_code == 200, answer.text
    return answer.json()


def stored(gateway):
    """Returns the policy as accounts.db has it."""
    with sqlite3.connect(f"file:{gateway.data}/accounts.db?mode=ro", uri=True) as database:
        [[text]] = database.execute("SELECT policy FROM endpoints WHERE deleted = 0").fetchall()
    return json.loads(text) if text else None


def masked(value):
    """Returns what the API shows of a policy of this test."""
    hidden = json.loads(json.dumps(value))
    if "bearer" in hidden.get("authorization", {}):
        hidden["authorization"]["bearer"] = "***"
    if "basic" in hidden.get("authorization", {}):
        hidden["authorization"]["basic"]["password"] = "***"
    if "Cookie" in hidden.get("headers", {}):
        hidden["headers"]["Cookie"] = "***"
    if "key" in hidden.get("tls", {}):
        hidden["tls"]["key"] = "***"
    return hidden


def test_each_member_is_accepted_and_shown_without_secrets(gateway, tmp_path):
    certificates = Certificates(tmp_path)
    certificates.add("client", "DNS:client.example")
    ca, certificate, key = ((tmp_path / name).read_text() for name in ("ca.pem", "client.pem", "client.key"))
    tls = [{"tls": {"ca": ca}}, {"tls": {"certificate": certificate, "key": key}}, {"tls": {"ca": ca, "certificate": certificate, "key": key}}]
    for policy in MEMBERS + tls:
        assert change(gateway, policy=policy)["policy"] == masked(policy)
        assert show(gateway)["policy"] == masked(policy)
        assert stored(gateway) == policy
    whole = {name: value for policy in MEMBERS + tls for name, value in policy.items()}
    change(gateway, policy=whole)
    gateway.restart()
    assert show(gateway)["policy"] == masked(whole) and stored(gateway) == whole
    assert change(gateway, policy=show(gateway)["policy"])["policy"] == masked(whole)
    assert stored(gateway) == whole, "what was read and written back has kept its secrets"
    assert change(gateway, idempotent=True)["policy"] == masked(whole)
    assert change(gateway, policy=None)["policy"] is None
    assert stored(gateway) is None
    assert "t0ken" not in gateway.stderr and "PRIVATE KEY" not in gateway.stderr


def test_wrong_members_are_named_and_change_nothing(gateway):
    change(gateway, policy={"horizon": "3d"})
    for policy, pointer in WRONG:
        answer = change(gateway, 422, policy=policy)
        assert pointer in [error["pointer"] for error in answer["errors"]], (policy, answer)
        assert all(error["detail"] for error in answer["errors"])
    assert show(gateway)["policy"] == {"horizon": "3d"}


def test_key_of_another_certificate_is_refused(gateway, tmp_path):
    certificates = Certificates(tmp_path)
    certificates.add("one", "DNS:one.example")
    certificates.add("other", "DNS:other.example")
    answer = change(gateway, 422, policy={"tls": {"certificate": (tmp_path / "one.pem").read_text(), "key": (tmp_path / "other.key").read_text()}})
    assert [error["pointer"] for error in answer["errors"]] == ["/policy/tls/key"]


def test_new_endpoint_may_have_a_policy(gateway):
    with gateway.operator() as operator:
        answer = operator.post(f"/api/v1/accounts/{gateway.ready['account']}/endpoints",
                               json={"name": "second", "url": "https://client.example/", "policy": {"authorization": {"bearer": "t"}}})
        assert answer.status_code == 201, answer.text
        assert answer.json()["policy"] == {"authorization": {"bearer": "***"}}
        listed = operator.get(f"/api/v1/accounts/{gateway.ready['account']}/endpoints").json()["endpoints"]
    assert [endpoint["policy"] for endpoint in listed] == [None, {"authorization": {"bearer": "***"}}]


def command(gateway, *arguments, text=None):
    account, endpoint = gateway.ready["account"], gateway.ready["endpoint"]
    return subprocess.run([BINARY, "endpoint", arguments[0], account, endpoint, *arguments[1:], "--data", gateway.data], input=text,
                          env=clean_environment(gateway.directory), capture_output=True, text=True, timeout=30, check=False)


def test_command_takes_a_file_or_stdin(gateway, tmp_path):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"horizon": "2d", "authorization": {"bearer": "t0ken"}}))
    done = command(gateway, "change", "--policy", file)
    assert done.returncode == 0, done.stderr
    assert '"horizon": "2d"' in done.stdout and "t0ken" not in done.stdout
    shown = command(gateway, "show")
    assert '"bearer": "***"' in shown.stdout, shown.stdout
    read = json.loads(command(gateway, "show", "--json").stdout)["policy"]
    done = command(gateway, "change", "--policy", "-", text=json.dumps({**read, "rate_max": 0.1}))
    assert done.returncode == 0, done.stderr
    assert stored(gateway) == {"horizon": "2d", "authorization": {"bearer": "t0ken"}, "rate_max": 0.1}
    assert command(gateway, "change", "--policy", "-", text="null").returncode == 0
    assert show(gateway)["policy"] is None


@pytest.mark.parametrize("text, code, said", [
    ('{"horizon": 5}', 65, "/policy/horizon"), ("{", 65, "stdin:1:"), ('{"horizon": "1d", "horizon": "2d"}', 65, "duplicate"),
    (None, 66, "does not exist"),
], ids=["member", "json", "twice", "missing"])
def test_command_says_what_is_wrong(gateway, tmp_path, text, code, said):
    done = command(gateway, "change", "--policy", tmp_path / "missing.json" if text is None else "-", text=text)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and not done.stdout, done.stderr


def test_disabled_endpoint_says_since_when_and_why(gateway):
    assert (show(gateway)["disabled_since"], show(gateway)["disabled_because"]) == (None, None)
    assert "disabled 0" in gateway.tool("status").stdout
    done = command(gateway, "change", "--enabled", "false", "--reason", "the client asked, ticket 4711")
    assert done.returncode == 0, done.stderr
    since = show(gateway)["disabled_since"]
    change(gateway, enabled=False, reason="again")
    gateway.restart()
    assert (show(gateway)["disabled_since"], show(gateway)["disabled_because"]) == (since, "the client asked, ticket 4711")
    assert gateway.metric("penstock_endpoints_disabled") == 1
    assert f"since {since} because the client asked, ticket 4711" in command(gateway, "show").stdout
    assert "because the client asked" in gateway.tool("endpoint", "list", gateway.ready["account"]).stdout
    assert "disabled 1" in gateway.tool("status").stdout
    with gateway.operator() as operator:
        assert operator.get("/api/v1/status").json()["endpoints_disabled"] == 1
    assert change(gateway, enabled=True)["disabled_since"] is None
    assert gateway.metric("penstock_endpoints_disabled") == 0
    assert change(gateway, 422, reason="x")["errors"][0]["pointer"] == "/reason"
