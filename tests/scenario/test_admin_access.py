# SPDX-License-Identifier: Apache-2.0
"""Who may use the admin listener: names and origins, tokens that change, the token that may only read, TLS, and a follower that uses
both."""
import re
import signal
import ssl

import pytest
from support import client as http
from support.certificates import Certificates
from support.gateway import tool
from support.ports import free_port
from support.serving import check, good
from support.wait import wait_for

STATUS = "/api/v1/status"


def token(serving, name="admin"):
    return (serving.tmp_path / f"data/keys/{name}.token").read_text().strip()


def ask(serving, method="GET", path=STATUS, bearer=None, **headers):
    all_headers = {"authorization": f"Bearer {bearer or token(serving)}", **headers}
    with http.client(base_url=serving.admin) as operator:
        return operator.request(method, path, headers=all_headers, json={"id": "acc_1"} if method == "POST" else None)


# --- names and origins ---

@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9640", 200), ("localhost", 200), ("LocalHost:1", 200), ("[::1]:9640", 200), ("192.0.2.1", 200),
    ("gateway.example", 200), ("gateway.example:9640", 200), ("attacker.example", 403), ("127.0.0.1.attacker.example", 403),
    ("localhost.attacker.example:9640", 403), ("gateway.example.attacker.example", 403), ("[::1", 403), ("[localhost]", 403)])
def test_only_our_names_are_answered(make_serving, host, status):
    serving = make_serving("one", change=lambda text: text.replace("admin:\n", "admin:\n  hosts: [gateway.example]\n"))
    for path in (STATUS, "/metrics"):
        answer = ask(serving, path=path, host=host)
        assert answer.status_code == status, (path, answer.text)
        assert status == 200 or "admin.hosts" in answer.json()["detail"]
    assert ask(serving, path="/livez", host=host).status_code == 200


@pytest.mark.parametrize("origin, status", [
    (None, 200), ("http://127.0.0.1:9640", 200), ("https://127.0.0.1:9640", 200), ("http://127.0.0.1:9641", 403),
    ("http://attacker.example", 403), ("null", 403), ("", 403), ("http://127.0.0.1:9640.attacker.example", 403)])
def test_requests_of_other_sites_are_rejected(make_serving, origin, status):
    serving = make_serving("one")
    headers = {"host": "127.0.0.1:9640", **({"origin": origin} if origin is not None else {})}
    answer = ask(serving, **headers)
    assert answer.status_code == status, answer.text


# --- tokens ---

def test_the_readonly_token_may_only_read(make_serving):
    serving = make_serving("one")
    readonly = token(serving, "readonly")
    assert (serving.tmp_path / "data/keys/readonly.token").stat().st_mode & 0o777 == 0o600
    for path in (STATUS, "/api/v1/accounts", "/api/v1/changes", "/api/v1/installation"):
        assert ask(serving, path=path, bearer=readonly).status_code == 200, path
    refusal = ask(serving, "POST", "/api/v1/accounts", bearer=readonly)
    assert refusal.status_code == 403 and "only read" in refusal.json()["detail"], refusal.text
    assert ask(serving, "DELETE", "/api/v1/partners/a/keys/b", bearer=readonly).status_code == 403
    assert ask(serving, "POST", "/api/v1/accounts").status_code == 201
    assert ask(serving, bearer="at_unknown").status_code == 401


def test_tokens_are_read_again_at_a_reload(make_serving):
    serving = make_serving("one")
    old, fresh = token(serving), "at_fresh_token_of_this_test"
    (serving.tmp_path / "data/keys/admin.token").write_text(fresh + "\n")
    assert ask(serving, bearer=old).status_code == 200
    serving.reload(serving.text)
    wait_for(lambda: ask(serving, bearer=fresh).status_code == 200, "the new token is accepted")
    assert ask(serving, bearer=old).status_code == 401
    (serving.tmp_path / "data/keys/admin.token").write_text("short\n")
    serving.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the admin tokens are not reloaded" in serving.log.read_text(), "the log says so")
    assert ask(serving, bearer=fresh).status_code == 200
    (serving.tmp_path / "data/keys/admin.token").write_text(fresh + "\n")


# --- where it listens ---

@pytest.mark.parametrize("address, more, code", [
    ("127.0.0.1", "", 0), ("127.1.2.3", "", 0), ("\"[::1]", "", 0), ("\"*", "", 78), ("0.0.0.0", "", 78), ("192.0.2.1", "", 78),
    ("\"[::]", "", 78), ("\"*", "  allow_cleartext: true\n", 0)])
def test_cleartext_stays_on_loopback(tmp_path, address, more, code):
    quote = '"' if address.startswith('"') else ""
    text = re.sub(r"admin:\n  listen: \S+\n", f"admin:\n  listen: {address}:{free_port()}{quote}\n{more}", good(tmp_path))
    got, said = check(tmp_path, text)
    assert got == code, said
    assert code == 0 or ("admin.listen" in said and "admin.tls_listen" in said), said


def test_dev_does_not_listen_beyond_loopback_in_cleartext(tmp_path):
    done = tool("dev", "--admin", f"0.0.0.0:{free_port()}", "--ingress", f"127.0.0.1:{free_port()}", "--data", tmp_path / "data",
                directory=tmp_path)
    assert done.returncode == 78 and "admin.allow_cleartext" in done.stderr, done.stderr


# --- with TLS, and followers ---

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("leader", "DNS:localhost,IP:127.0.0.1")
    made.add("operator", "DNS:operator.test")
    return made


def with_tls(made, port, more=""):
    lines = f"  tls_listen: 127.0.0.1:{port}\n  certificate_file: {made.directory}/leader.pem\n  key_file: {made.directory}/leader.key\n{more}"
    return lambda text: text.replace("admin:\n", f"admin:\n{lines}")


def operator_of(made, certificate=None):
    context = ssl.create_default_context(cafile=str(made.directory / "ca.pem"))
    if certificate:
        context.load_cert_chain(*made.files(certificate))
    return http.client(verify=context)


def test_operators_may_need_a_certificate(make_serving, made):
    port = free_port()
    serving = make_serving("one", change=with_tls(made, port, f"  client_ca_file: {made.directory}/ca.pem\n"))
    headers = {"authorization": f"Bearer {token(serving)}"}
    with operator_of(made, "operator") as operator:
        assert operator.get(f"https://127.0.0.1:{port}{STATUS}", headers=headers).status_code == 200
    with operator_of(made) as nobody, pytest.raises(Exception, match="(?i)certificate required|handshake|closed|reset|disconnected"):
        nobody.get(f"https://127.0.0.1:{port}{STATUS}", headers=headers)
    assert ask(serving).status_code == 200, "the listener on loopback is another one"


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


def test_a_follower_uses_tls_and_the_token_that_may_only_read(make_serving, made):
    port = free_port()
    leader = make_serving("leader", change=with_tls(made, port))
    for path, body in (("accounts", {"id": "acc_1"}), ("partners", {"id": "shop"}),
                       ("accounts/acc_1/endpoints", {"url": "https://client.example/hooks/secret-path?key=secret-query"})):
        with leader.operator() as operator:
            assert operator.post(f"/api/v1/{path}", json=body).status_code == 201
    follows = FOLLOWS.format(broker=free_port(), url=f"https://localhost:{port}", token=leader.tmp_path / "data/keys/readonly.token")
    follower = make_serving("follower", change=lambda text: text + follows + f"  ca_file: {made.directory}/ca.pem\n")
    shown = wait_for(lambda: ask(follower, path="/api/v1/accounts/acc_1/endpoints").json().get("endpoints"), "the endpoint is there")
    assert shown[0]["url"] == "https://client.example/"
    assert "secret-" not in ask(leader, path="/api/v1/changes").text
    assert leader.metrics()['penstock_tls_handshakes_total{result="full"}'] >= 1


@pytest.mark.parametrize("url, code", [("http://leader.example:9640", 78), ("http://192.0.2.1:9640", 78), ("http://127.0.0.1@leader.example", 78),
                                       ("https://leader.example:9643", 0), ("http://127.0.0.1:9640", 0), ("http://localhost:9640", 0),
                                       ("\"http://[::1]:9640\"", 0)])
def test_a_leader_beyond_loopback_needs_https(tmp_path, url, code):
    (tmp_path / "token").write_text("at_a_token_of_this_test\n")
    got, said = check(tmp_path, good(tmp_path) + FOLLOWS.format(broker=free_port(), url=url, token=tmp_path / "token"))
    assert got == code, said
    assert code == 0 or "leader.url" in said, said
