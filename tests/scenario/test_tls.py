# SPDX-License-Identifier: Apache-2.0
"""TLS of the partners' listener: versions, ciphers and protocols as openssl and curl see them, certificates by name, changes of files
under load, and partners with certificates."""
import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest
from support import client as http
from support.certificates import Certificates
from support.connection import read_to_end
from support.ports import free_port
from support.serving import check, good
from support.wait import wait_for

NAME = "gateway.test"
LOOK_SECONDS = 10  # between two looks of the gateway at its files


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Certificates that tests do not change."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("one", f"DNS:{NAME},IP:127.0.0.1")
    made.add("two", "DNS:two.test,DNS:*.wild.test")
    made.add("next", f"DNS:{NAME},IP:127.0.0.1")
    made.add("shop", "DNS:shop.test,URI:spiffe://shop/gate")
    made.add("expired", "DNS:shop.test", days=-1)
    made.add_self_signed("stranger")
    return made


@pytest.fixture
def live(tmp_path, made):
    """The files that the gateway uses: live(NAME) puts a certificate and its key in their place."""
    def put(name):
        for suffix in ("key", "pem"):
            fresh = tmp_path / f"live.{suffix}.new"
            fresh.write_bytes((made.directory / f"{name}.{suffix}").read_bytes())
            fresh.chmod(0o600)
            fresh.rename(tmp_path / f"live.{suffix}")

    put("one")
    return put


def options(tmp_path, **more):
    return {"PENSTOCK_INGRESS__TLS_LISTEN": f"127.0.0.1:{free_port()}", "PENSTOCK_INGRESS__CERTIFICATE_FILE": str(tmp_path / "live.pem"),
            "PENSTOCK_INGRESS__KEY_FILE": str(tmp_path / "live.key"), **more}


@pytest.fixture
def secure(make_gateway, tmp_path, live):
    return make_gateway(options(tmp_path))


def port_of(gateway):
    return urllib.parse.urlsplit(gateway.ready["ingress_tls"]).port


def failures(gateway, reason):
    return gateway.metric(f'penstock_tls_handshake_failures_total{{reason="{reason}"}}')


# --- clients ---

def s_client(gateway, *arguments):
    """Returns what openssl prints about one handshake."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port_of(gateway)}", *arguments], input="", capture_output=True,
                          text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def is_connected(said):
    return "New, TLSv1" in said


def trusting(made, certificate=None, protocols=("http/1.1",)):
    context = ssl.create_default_context(cafile=str(made.directory / "ca.pem"))
    context.set_alpn_protocols(list(protocols))
    if certificate:
        context.load_cert_chain(*made.files(certificate))
    return context


def common_name(connection):
    return dict(part[0] for part in connection.getpeercert()["subject"])["commonName"]


def post(gateway, context, number, name=NAME):
    """Posts one event over a new connection. Returns the status and the name of the certificate."""
    event = json.dumps(gateway.event(number)).encode()
    head = (f"POST /v1/events HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {gateway.ready['api_key']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(event)}\r\nConnection: close\r\n\r\n").encode()
    with socket.create_connection(("127.0.0.1", port_of(gateway)), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as connection:
            connection.sendall(head + event)
            answer = read_to_end(connection)
            return int(answer.split(b" ")[1]), common_name(connection)


def curl(gateway, made, *arguments):
    """Returns the version of HTTP, the status and the body."""
    event = json.dumps(gateway.event("-".join(arguments) or "curl"))
    done = subprocess.run(["curl", "-sS", "--cacert", made.directory / "ca.pem", "-H", f"Authorization: Bearer {gateway.ready['api_key']}",
                           "-H", "Content-Type: application/json", "-d", event, "-w", "\n%{http_version} %{http_code}", *arguments,
                           f"{gateway.ready['ingress_tls']}/v1/events"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done
    body, _, last = done.stdout.rpartition("\n")
    version, status = last.split()
    return version, int(status), json.loads(body)


# --- versions, ciphers, protocols ---

@pytest.mark.parametrize("arguments", [
    ("-tls1_3",), ("-tls1_2",), ("-tls1_3", "-groups", "X25519"), ("-tls1_3", "-groups", "P-256"), ("-tls1_3", "-groups", "P-384"),
    ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"), ("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"),
], ids=" ".join)
def test_versions_and_ciphers_of_today_are_accepted(secure, arguments):
    said = s_client(secure, *arguments)
    assert is_connected(said), said
    assert "Compression: NONE" in said, said


@pytest.mark.parametrize("arguments, reason, alert", [
    (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "version", "alert protocol version"),
    (("-tls1", "-cipher", "ALL:@SECLEVEL=0"), "version", "alert protocol version"),
    (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"), "cipher", "alert handshake failure"),
    (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"), "cipher", "alert handshake failure"),
    (("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"), "cipher", "alert handshake failure"),
    (("-tls1_2", "-cipher", "AES128-GCM-SHA256"), "cipher", "alert handshake failure"),
    (("-tls1_3", "-groups", "P-521"), "cipher", "alert handshake failure"),
    (("-alpn", "spdy/1,http/1.0"), "alpn", "alert no application protocol"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else value)
def test_what_is_too_old_is_refused_with_an_alert(secure, arguments, reason, alert):
    said = s_client(secure, *arguments)
    assert not is_connected(said) and alert in said, said
    assert failures(secure, reason) == 1
    wait_for(lambda: f"a TLS handshake has failed address=127.0.0.1 reason={reason} " in secure.stderr, lambda: f"it is logged: {secure.stderr}", 5)


def test_a_client_can_not_renegotiate(secure):
    with subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{port_of(secure)}"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        client.stdin.write("R\n")
        client.stdin.flush()
        said, _ = client.communicate(timeout=20)
    assert is_connected(said) and "RENEGOTIATING" in said, said
    assert "no renegotiation" in said or "unexpected eof" in said, said


def test_what_follows_the_end_of_tls_is_not_kept(secure, made):
    """A client that goes on to send after its close_notify is cut, and its bytes take no memory."""
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as plain:
        connection = trusting(made).wrap_socket(plain, server_hostname=NAME, suppress_ragged_eofs=False)
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.unwrap()  # sends close_notify, and does not wait for that of the gateway
        raw = socket.socket(fileno=connection.detach())
        raw.settimeout(20)
        with raw, pytest.raises(OSError):
            for _ in range(1000):
                raw.sendall(b"x" * 65536)
    wait_for(lambda: secure.metric("penstock_ingress_connections") == 0, "the connection is gone", 5)


def test_sessions_are_resumed(secure, tmp_path):
    for version in ("-tls1_2", "-tls1_3"):
        session = tmp_path / f"session{version}"
        # A request, so that openssl reads the tickets of TLS 1.3 before it ends.
        subprocess.run(["openssl", "s_client", version, "-connect", f"127.0.0.1:{port_of(secure)}", "-sess_out", session, "-ign_eof"],
                       input="GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", capture_output=True, text=True, timeout=20, check=False)
        assert "Reused, " in s_client(secure, version, "-sess_in", str(session)), version
    assert secure.metric('penstock_tls_handshakes_total{result="resumed"}') == 2


def test_curl_speaks_both_versions_of_http(secure, made):
    assert curl(secure, made)[:2] == ("2", 200)
    assert curl(secure, made, "--http1.1")[:2] == ("1.1", 200)
    assert curl(secure, made, "--no-alpn")[:2] == ("1.1", 200)
    assert curl(secure, made, "--http1.1", "--no-keepalive")[2]["status"] == "accepted"
    wait_for(lambda: "ingress_tls=https://127.0.0.1:" in secure.stderr, "the log has the address")


def test_a_client_keeps_to_the_protocol_that_it_has_chosen(secure, made):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for protocol, sent in (("h2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("http/1.1", preface)):
        context = trusting(made, protocols=(protocol,))
        with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=NAME) as connection:
                assert connection.selected_alpn_protocol() == protocol
                connection.sendall(sent)
                assert connection.recv(1) == b"", protocol


# --- what is no TLS ---

@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "POST /v1/events HTTP/1.1", "OPTIONS * HTTP/1.1", "PRI * HTTP/2.0"])
def test_cleartext_on_the_tls_port_gets_a_hint(secure, request_line):
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as connection:
        connection.sendall(f"{request_line}\r\nHost: a\r\n\r\n".encode())
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https" in answer, answer
    assert failures(secure, "cleartext") == 1


def test_clients_that_leave_or_send_garbage_are_counted(secure):
    for sent in (b"", b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as connection:
            connection.sendall(sent)
    wait_for(lambda: failures(secure, "closed") == 2, "both are counted")
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as connection:
        connection.sendall(b"\x80" * 100)
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            pass
    wait_for(lambda: failures(secure, "malformed") == 1, "it is counted")


def test_a_long_hello_is_cut_before_it_takes_memory(secure):
    """A few bytes say that 128 KiB follow."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20)) for _ in range(50)]
        for connection in connections:
            connection.sendall(b"\x16\x03\x01\x00\x40\x01\x01\xff\xff\x03\x03" + b"x" * 58)
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    assert failures(secure, "malformed") == 50
    wait_for(lambda: "longer than 16384 bytes" in secure.stderr, "the log says why", 5)


def test_a_handshake_has_five_seconds(secure):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as connection:
        assert connection.recv(1) == b""
    assert 4.5 < time.monotonic() - began < 7
    assert failures(secure, "timeout") == 1


def test_a_stop_does_not_wait_for_handshakes(secure):
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as silent:
        with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=20) as half:
            half.sendall(b"\x16\x03\x01\x02\x00\x01")
            began = time.monotonic()
            assert secure.terminate() == 0
            assert time.monotonic() - began < 5
            with contextlib.suppress(ConnectionResetError):
                assert silent.recv(1) == b""


# --- certificates by name ---

def test_the_name_selects_the_certificate(make_gateway, tmp_path, made):
    files = [made.files(name) for name in ("one", "two")]
    gateway = make_gateway(options(tmp_path, PENSTOCK_INGRESS__CERTIFICATE_FILE=",".join(pem for pem, _ in files),
                                   PENSTOCK_INGRESS__KEY_FILE=", ".join(key for _, key in files)))
    context = trusting(made)
    assert post(gateway, context, 1) == (200, "one")
    assert post(gateway, context, 2, "two.test") == (200, "two")
    assert post(gateway, context, 3, "a.wild.test") == (200, "two")
    for name in ("a.b.wild.test", "wild.test", "nobody.test"):
        assert "subject=CN = one" in s_client(gateway, "-servername", name), name
    assert "subject=CN = one" in s_client(gateway, "-noservername")


# --- changes of the files ---

class NewConnections:
    """Partners that connect again for every event: every answer must be 200. `names` has the certificates in the order in which they were
    first seen."""
    def __init__(self, gateway, context):
        self.gateway, self.context = gateway, context
        self.names, self.count, self.problem = [], 0, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        try:
            while not self.stopping.is_set():
                status, name = post(self.gateway, self.context, f"new-{self.count}")
                assert status == 200, status
                self.count += 1
                if name not in self.names:
                    self.names.append(name)
        except (AssertionError, OSError, ValueError) as problem:
            self.problem = problem


def start_load(gateway, tmp_path, seconds):
    """Kept connections of HTTP/2."""
    body = tmp_path / "event.json"
    body.write_text(json.dumps(gateway.event("kept")))
    return subprocess.Popen(["h2load", "-D", str(seconds), "-c", "4", "-m", "4", "-d", body, "-H",
                             f"authorization: Bearer {gateway.ready['api_key']}", "-H", "content-type: application/json",
                             f"{gateway.ready['ingress_tls']}/v1/events"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check_load(load, seconds):
    said, _ = load.communicate(timeout=seconds + 30)
    total, good_ones = (int(re.search(pattern, said).group(1)) for pattern in (r"requests: (\d+) total", r"(\d+) 2xx"))
    assert total == good_ones > 0 and "0 failed, 0 errored, 0 timeout" in said, said


@pytest.mark.parametrize("how", ["by_itself", "at_sighup"])
def test_changed_files_are_read_again_under_load_without_a_failure(secure, live, made, tmp_path, how):
    seconds = 2 * LOOK_SECONDS + 5 if how == "by_itself" else 6
    load = start_load(secure, tmp_path, seconds)
    with NewConnections(secure, trusting(made)) as connections:
        wait_for(lambda: connections.names == ["one"] or connections.problem, "the first certificate is used")
        live("next")
        if how == "at_sighup":
            secure.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "next" in connections.names or connections.problem, "the next certificate is used", seconds)
    check_load(load, seconds)
    assert connections.problem is None and connections.names == ["one", "next"], connections.problem
    if how == "by_itself":
        wait_for(lambda: "the certificates of ingress.tls_listen have changed" in secure.stderr, "it is logged", 5)


def test_a_broken_file_leaves_the_old_certificate(secure, live, made, tmp_path):
    (tmp_path / "live.key").write_bytes((made.directory / "two.key").read_bytes())
    secure.process.send_signal(signal.SIGHUP)
    said = wait_for(lambda: "not the key of the certificate" in secure.stderr and secure.stderr, "the log says why")
    assert str(tmp_path / "live.key") in said and "remains" in said, said
    assert post(secure, trusting(made), 1) == (200, "one")
    live("next")
    secure.process.send_signal(signal.SIGHUP)
    wait_for(lambda: post(secure, trusting(made), 2) == (200, "next"), "the corrected files are used")


# --- partners with certificates ---

@pytest.fixture
def mutual(make_gateway, tmp_path, live, made):
    return make_gateway(options(tmp_path, PENSTOCK_INGRESS__CLIENT_CA_FILE=str(made.directory / "ca.pem")))


@pytest.mark.parametrize("certificate", [None, "shop"])
def test_a_partner_may_have_a_certificate(mutual, made, certificate):
    assert post(mutual, trusting(made, certificate), 1) == (200, "one")


@pytest.mark.parametrize("certificate, why, alert", [("expired", "certificate has expired", "certificate expired"),
                                                      ("stranger", "self-signed certificate", "unknown ca")])
def test_a_certificate_that_is_not_valid_ends_the_handshake(mutual, made, certificate, why, alert):
    pem, key = made.files(certificate)
    for number, version in enumerate(("-tls1_2", "-tls1_3"), 1):
        said = subprocess.run(["openssl", "s_client", version, "-connect", f"127.0.0.1:{port_of(mutual)}", "-cert", pem, "-key", key, "-ign_eof"],
                              input="GET / HTTP/1.1\r\nHost: a\r\n\r\n", capture_output=True, text=True, timeout=20, check=False)
        assert f"alert {alert}" in said.stdout + said.stderr, said
        wait_for(lambda number=number: failures(mutual, "client_certificate") == number, "it is counted")
    wait_for(lambda: why in mutual.stderr and f"/CN={certificate}" in mutual.stderr, lambda: f"the log says why: {mutual.stderr}", 5)


def fingerprint(made, certificate):
    done = subprocess.run(["openssl", "x509", "-in", made.files(certificate)[0], "-noout", "-fingerprint", "-sha256"], capture_output=True,
                          text=True, timeout=20, check=True)
    return "sha256:" + done.stdout.strip().partition("=")[2]


def require(gateway, names):
    done = gateway.tool("partner", "change", "partner_demo", "--certificate-required", "true", "--certificates", names)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["dns:SHOP.test", "uri:spiffe://shop/gate", None], ids=["dns", "uri", "fingerprint"])
def test_a_partner_must_have_its_certificate_if_its_rules_say_so(mutual, made, name):
    require(mutual, name or fingerprint(made, "shop"))
    assert post(mutual, trusting(made, "shop"), 1)[0] == 200
    for certificate in (None, "two"):
        assert post(mutual, trusting(made, certificate), 2)[0] == 403, certificate
    assert http.post(f"{mutual.ingress}/v1/events", json=mutual.event(3), headers={"authorization": f"Bearer {mutual.ready['api_key']}"},
                     timeout=30).status_code == 403, "in cleartext there is no certificate"
    assert mutual.metric('penstock_access_refusals_total{reason="certificate"}') == 3
    pem, key = made.files("shop")
    assert curl(mutual, made, "--http2", "--cert", str(pem), "--key", str(key))[:2] == ("2", 200)
    assert curl(mutual, made, "--http2")[:2] == ("2", 403)


def test_a_certificate_is_no_credential_and_its_resumed_session_keeps_it(mutual, made):
    require(mutual, "dns:shop.test")
    context = trusting(made, "shop", ["http/1.1"])
    head = "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n"
    session = None
    for number, (key, status) in enumerate([("", 401), ("Authorization: Bearer pk_wrong\r\n", 401),
                                            (f"Authorization: Bearer {mutual.ready['api_key']}\r\n", 200)]):
        event = json.dumps(mutual.event(number)).encode()
        with socket.create_connection(("127.0.0.1", port_of(mutual)), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=NAME, session=session) as connection:
                connection.sendall(head.format(len(event), key).encode() + event)
                answer = read_to_end(connection)
                assert int(answer.split(b" ")[1]) == status, answer
                assert connection.session_reused is (number > 0)
                session = connection.session


# --- the configuration ---

@pytest.mark.parametrize("lines, words", [
    ("", ()),
    ("  certificate_file: {one}.pem\n", ("ingress.key_file", "is missing")),
    ("  key_file: {one}.key\n", ("ingress.certificate_file", "is missing")),
    ("  certificate_file: {one}.pem\n  key_file: {two}.key\n", ("ingress.key_file", "is not the key of")),
    ("  certificate_file: {one}.pem\n  key_file: /nowhere\n", ("ingress.key_file", "/nowhere does not exist")),
    ("  certificate_file: {one}.pem,{two}.pem\n  key_file: {one}.key\n", ("ingress.key_file", "names 1 files")),
    ("  certificate_file: {one}.pem\n  key_file: {one}.key\n  client_ca_file: {one}.key\n", ("ingress.client_ca_file", "CA certificates")),
    ("  certificate_file: {expired}.pem\n  key_file: {expired}.key\n", ("ingress.certificate_file", "expired at")),
], ids=["nothing", "no_key", "no_certificate", "another_key", "absent", "too_few", "no_ca", "expired"])
def test_check_names_what_does_not_fit(tmp_path, made, lines, words):
    names = {name: made.directory / name for name in ("one", "two", "expired")}
    text = good(tmp_path).replace("admin:\n", f"  tls_listen: 127.0.0.1:{free_port()}\n{lines.format(**names)}admin:\n", 1)
    code, said = check(tmp_path, text)
    assert code == 78 and all(word in said for word in words or ("ingress.certificate_file", "is missing")), said


def test_check_warns_of_a_key_that_everybody_can_read(tmp_path, made):
    key = tmp_path / "open.key"
    key.write_bytes((made.directory / "one.key").read_bytes())
    key.chmod(0o644)
    text = good(tmp_path).replace("admin:\n", f"  tls_listen: 127.0.0.1:{free_port()}\n  certificate_file: {made.directory}/one.pem\n"
                                  f"  key_file: {key}\nadmin:\n", 1)
    code, said = check(tmp_path, text)
    assert code == 0 and "warning: ingress.key_file" in said and "0600" in said, said
    assert "expires at" in said, "it has two days"


def test_tls_files_without_a_listener_are_a_mistake(tmp_path, made):
    code, said = check(tmp_path, good(tmp_path).replace("admin:\n", f"  certificate_file: {made.directory}/one.pem\nadmin:\n", 1))
    assert code == 78 and "ingress.certificate_file: has no effect without ingress.tls_listen" in said, said


def test_a_gateway_may_listen_with_tls_only(tmp_path, made):
    def text(more):
        return re.sub(r"  listen: 127.0.0.1:\d+\nadmin", f'  listen: ""\n{more}admin', good(tmp_path))

    code, said = check(tmp_path, text(f"  tls_listen: 127.0.0.1:{free_port()}\n  certificate_file: {made.directory}/one.pem\n"
                                      f"  key_file: {made.directory}/one.key\n"))
    assert code == 0, said
    code, said = check(tmp_path, text(""))
    assert code == 78 and "ingress.listen: must not be empty" in said, said
