# SPDX-License-Identifier: Apache-2.0
"""Gateways that follow another one: what changes in the leader's accounts is theirs soon, and they go on without it."""
import hashlib
import json
import shutil
import socket
import subprocess
import time

import pytest

from support import client as http
from support.gateway import BINARY, clean_environment, tool
from support.ports import free_port
from support.serving import good
from support.wait import wait_for

FOLLOWS = """\
roles: [ingress]
queue:
  kind: rabbitmq
broker:
  addresses: [127.0.0.1:{broker}]
leader:
  url: {url}
  token_file: {token}
"""


def following(leader, **changes):
    """No broker is there: what matters here works without one."""
    return FOLLOWS.format(**{"broker": free_port(), "url": leader.admin, "token": leader.tmp_path / "data/keys/admin.token", **changes})


@pytest.fixture
def leader(make_serving):
    return make_serving("leader")


@pytest.fixture
def follower(make_serving, leader):
    return make_serving("follower", following(leader))


def ask(serving, method, path, body=None, status=(200, 201)):
    with serving.operator() as operator:
        answer = operator.request(method, path, json=body)
    assert answer.status_code in status, answer.text
    return answer.json()


def add_partner(serving, partner="shop", account="acc_1"):
    """Returns the API key."""
    ask(serving, "POST", "/api/v1/partners", {"id": partner})
    ask(serving, "POST", "/api/v1/accounts", {"id": account})
    ask(serving, "POST", f"/api/v1/partners/{partner}/accounts", {"account": account})
    return ask(serving, "POST", f"/api/v1/partners/{partner}/keys")["api_key"]


def post(serving, key, number, account="acc_1"):
    event = {"id": f"order-{number}", "type": "status_update", "account": account}
    return http.post(f"{serving.ingress}/v1/events", json=event, headers={"authorization": f"Bearer {key}"}).status_code


def age(serving):
    return ask(serving, "GET", "/api/v1/status")["directory_age_seconds"]


# --- the feed ---

def test_changes_come_by_version_and_wait_for_the_next(leader):
    key = add_partner(leader)
    page = ask(leader, "GET", "/api/v1/changes")
    assert page["version"] == 5 and not page["more"] and not page["restart"]
    assert sorted(change["kind"] for change in page["changes"]) == ["account", "account", "credential", "grant", "partner"], "one account is the operators'"
    [credential] = [change for change in page["changes"] if change["kind"] == "credential"]
    assert credential["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert ask(leader, "GET", "/api/v1/changes?after=5")["changes"] == []

    with leader.operator() as operator, leader.operator() as other:
        began = time.monotonic()
        request = operator.build_request("GET", "/api/v1/changes?after=5&wait=1")
        assert operator.send(request).json()["version"] == 5
        assert time.monotonic() - began >= 0.9
        other.post("/api/v1/accounts", json={"id": "acc_2"})
        page = operator.get("/api/v1/changes?after=5&wait=30").json()
    assert time.monotonic() - began < 15
    assert [change["id"] for change in page["changes"]] == ["acc_2"]


# --- following ---

def test_a_follower_is_of_the_leaders_installation(leader, follower):
    mine, its = (json.loads((serving.tmp_path / "data/installation.json").read_text()) for serving in (follower, leader))
    for member in ("id", "seed", "partitions", "shards"):
        assert mine[member] == its[member], member
    assert (follower.tmp_path / "data/keys/receipt.key").read_bytes() == (leader.tmp_path / "data/keys/receipt.key").read_bytes()
    assert (follower.tmp_path / "data/keys/receipt.key").stat().st_mode & 0o777 == 0o600
    status = ask(follower, "GET", "/api/v1/status")
    assert status["roles"] == ["ingress"] and status["queue"] == "rabbitmq" and status["leader"] == leader.admin


def test_what_changes_at_the_leader_changes_at_the_follower(leader, follower):
    key = add_partner(leader)
    wait_for(lambda: post(follower, key, 1) == 200, "the follower knows the partner")
    ask(leader, "DELETE", "/api/v1/partners/shop/accounts/acc_1")
    wait_for(lambda: post(follower, key, 2) == 403, "the grant is gone")
    ask(leader, "POST", "/api/v1/partners/shop/accounts", {"account": "acc_1"})
    wait_for(lambda: post(follower, key, 3) == 200, "the grant is back")
    endpoint = ask(leader, "POST", "/api/v1/accounts/acc_1/endpoints", {"name": "main", "url": "http://127.0.0.1:1/"})
    wait_for(lambda: len(ask(follower, "GET", "/api/v1/accounts/acc_1/endpoints")["endpoints"]) == 1, "the endpoint is there")
    ask(leader, "DELETE", f"/api/v1/accounts/acc_1/endpoints/{endpoint['id']}")
    wait_for(lambda: not ask(follower, "GET", "/api/v1/accounts/acc_1/endpoints")["endpoints"], "the endpoint is gone")
    [first] = ask(leader, "GET", "/api/v1/partners/shop/keys")["keys"]
    ask(leader, "DELETE", f"/api/v1/partners/shop/keys/{first['id']}")
    wait_for(lambda: post(follower, key, 4) == 401, "the key is revoked")


def test_rules_and_the_ends_and_scopes_of_keys_count_at_the_follower(leader, follower):
    key = add_partner(leader)
    limited = ask(leader, "POST", "/api/v1/partners/shop/keys", {"label": "leads", "types": ["lead"], "accounts": ["acc_1"]})
    wait_for(lambda: post(follower, limited["api_key"], 1) == 403, "the follower knows the key and its scope")
    assert post(follower, key, 1) == 200
    [shown] = [found for found in ask(follower, "GET", "/api/v1/partners/shop/keys")["keys"] if found["id"] == limited["id"]]
    assert shown["label"] == "leads" and shown["types"] == ["lead"] and shown["accounts"] == ["acc_1"]
    [first] = [found["id"] for found in ask(leader, "GET", "/api/v1/partners/shop/keys")["keys"] if found["id"] != limited["id"]]
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    ask(leader, "PATCH", f"/api/v1/partners/shop/keys/{first}", {"expires_at": expires_at})
    wait_for(lambda: post(follower, key, 2) == 401, "the key has ended")
    other = ask(leader, "POST", "/api/v1/partners/shop/keys")["api_key"]
    wait_for(lambda: post(follower, other, 3) == 200, "the follower knows another key")
    ask(leader, "PATCH", "/api/v1/partners/shop", {"rules": {"allow_networks": ["203.0.113.0/24"]}})
    wait_for(lambda: post(follower, other, 4) == 403, "the partner's networks count")


def test_policy_and_its_secrets_stay_at_the_leader(leader, follower):
    add_partner(leader)
    policy = {"headers": {"X-Api-Key": "k-4711"}, "authorization": {"bearer": "t-4711"}}
    made = ask(leader, "POST", "/api/v1/accounts/acc_1/endpoints", {"url": "https://client.example/", "policy": policy})
    path = f"/api/v1/accounts/acc_1/endpoints/{made['id']}"
    ask(leader, "PATCH", path, {"enabled": False, "reason": "the client asked"})
    shown = wait_for(lambda: (found := ask(follower, "GET", path, status=(200, 404))).get("disabled_since") and found, "the follower has it")
    leaders = ask(leader, "GET", path)
    assert leaders["policy"] == {"headers": {"X-Api-Key": "***"}, "authorization": {"bearer": "***"}}
    assert shown["policy"] is None
    assert (shown["disabled_since"], shown["disabled_because"]) == (leaders["disabled_since"], "the client asked")
    assert "4711" not in json.dumps(ask(leader, "GET", "/api/v1/changes"))
    follower.finish()
    for file in (follower.tmp_path / "data").glob("accounts.db*"):
        assert b"4711" not in file.read_bytes(), file


@pytest.mark.parametrize("first", ["leader", "follower"])
def test_neither_waits_for_the_other_when_it_stops(leader, follower, first):
    """The follower's question is on its way, or waits at the leader, nearly all the time."""
    add_partner(leader)
    wait_for(lambda: ask(follower, "GET", "/api/v1/partners")["partners"], "the follower follows")
    stopping = {"leader": leader, "follower": follower}[first]
    began = time.monotonic()
    stopping.finish()
    assert time.monotonic() - began < 10


def test_a_follower_is_changed_at_its_leader(leader, follower):
    for method, path, body in (("POST", "/api/v1/partners", {"id": "x"}), ("POST", "/api/v1/accounts", {"id": "x"}),
                               ("GET", "/api/v1/changes", None), ("GET", "/api/v1/installation", None)):
        refusal = ask(follower, method, path, body, status=(403,))
        assert leader.admin in refusal["detail"], refusal


def test_without_the_leader_it_continues_and_catches_up_later(leader, follower):
    key = add_partner(leader)
    wait_for(lambda: post(follower, key, 1) == 200, "the follower knows the partner")
    assert age(follower) <= 30
    leader.kill()
    wait_for(lambda: "the leader cannot be followed" in follower.log.read_text(), "the follower says so")
    assert post(follower, key, 2) == 200
    wait_for(lambda: age(follower) >= 3, "its age grows")
    follower.finish()
    follower.start()
    wait_for(follower.is_ready, "the follower starts without the leader", 60)
    assert post(follower, key, 3) == 200

    leader.start()
    wait_for(leader.is_ready, "the leader is back", 60)
    ask(leader, "PATCH", "/api/v1/partners/shop", {"enabled": False})
    wait_for(lambda: post(follower, key, 4) in (401, 403), "what changed meanwhile is there", 60)
    wait_for(lambda: "the leader is back" in follower.log.read_text(), "the follower says so")
    assert age(follower) <= 30


def test_a_leader_that_was_set_back_is_followed_from_the_start(leader, follower):
    key = add_partner(leader)
    leader.finish()
    backup = leader.tmp_path / "backup"
    shutil.copytree(leader.tmp_path / "data", backup)
    leader.start()
    wait_for(leader.is_ready, "the leader runs", 60)
    later = add_partner(leader, "late", "acc_late")
    wait_for(lambda: post(follower, later, 1, "acc_late") == 200, "the follower knows it")
    leader.finish()
    shutil.rmtree(leader.tmp_path / "data")
    backup.rename(leader.tmp_path / "data")
    leader.start()
    wait_for(leader.is_ready, "the leader runs", 60)
    wait_for(lambda: post(follower, later, 2, "acc_late") == 401, "what the leader has forgotten is gone", 60)
    assert post(follower, key, 3) == 200


# --- what does not fit ---

def serve(tmp_path, name, more):
    directory = tmp_path / name
    directory.mkdir(exist_ok=True)
    (directory / "penstock.yaml").write_text(good(directory) + more)
    return subprocess.run([BINARY, "serve", "-c", directory / "penstock.yaml"], env=clean_environment(directory), capture_output=True,
                          text=True, timeout=60, check=False)


def test_the_first_start_needs_the_leader(tmp_path, leader):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "http://127.0.0.1:%d" % silent.getsockname()[1]
    done = serve(tmp_path, "lonely", following(leader, url=address))
    assert done.returncode == 69, done.stderr
    assert address in done.stderr and "first start needs the leader" in done.stderr
    assert not (tmp_path / "lonely/data/installation.json").exists()


def test_a_wrong_token_is_a_matter_of_configuration(tmp_path, leader):
    (tmp_path / "token").write_text("at_somebody_elses_token\n")
    done = serve(tmp_path, "stranger", following(leader, token=tmp_path / "token"))
    assert done.returncode == 78, done.stderr
    assert "leader.token_file" in done.stderr
    done = serve(tmp_path, "stranger", following(leader, token=tmp_path / "absent"))
    assert done.returncode == 78, done.stderr
    assert "leader.token_file" in done.stderr and str(tmp_path / "absent") in done.stderr


def test_another_installation_is_not_followed(make_serving, tmp_path, leader, follower):
    other = make_serving("other")
    follower.finish()
    done = serve(tmp_path, "follower", following(other))
    assert done.returncode == 78, done.stderr
    assert "installation" in done.stderr and other.admin in done.stderr


def test_a_follower_is_not_followed(tmp_path, leader, follower):
    done = serve(tmp_path, "third", following(follower))
    assert done.returncode == 78, done.stderr
    assert leader.admin in done.stderr


def test_a_followers_copy_can_not_lead(tmp_path, leader, follower):
    follower.finish()
    done = serve(tmp_path, "follower", "")
    assert done.returncode == 78, done.stderr
    assert "follower's copy" in done.stderr


@pytest.mark.parametrize("more,word", [
    ("roles: [delivery]\n", "roles: "),
    ("roles: [ingress]\n", "queue.kind"),
    ("roles: [ingress]\nqueue:\n  kind: rabbitmq\n", "leader.url"),
    ("leader:\n  url: http://127.0.0.1:1\n  token_file: /token\n", "leader.url"),
    ("broker:\n  key_file: /key\n  tls: true\n", "broker.certificate_file"),
], ids=["delivery_alone", "without_a_broker", "without_a_leader", "a_leader_that_follows", "half_a_certificate"])
def test_roles_that_do_not_fit_are_refused(tmp_path, more, word):
    path = tmp_path / "penstock.yaml"
    path.write_text(good(tmp_path) + more)
    for command in ("check", "serve"):
        done = tool(command, "-c", path, directory=tmp_path)
        assert done.returncode == 78, done.stderr
        assert word in done.stderr


def test_a_take_over_is_for_gateways_that_deliver_through_a_broker(tmp_path):
    path = tmp_path / "penstock.yaml"
    path.write_text(good(tmp_path))
    done = tool("serve", "-c", path, "--take-over", directory=tmp_path)
    assert done.returncode == 64, done.stderr
    assert "rabbitmq" in done.stderr
