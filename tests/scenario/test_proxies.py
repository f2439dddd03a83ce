# SPDX-License-Identifier: Apache-2.0
"""Who a partner is behind a proxy: the header Forwarded and the PROXY protocol, from configured proxies only."""
import ipaddress
import json
import socket
import ssl
import struct

import pytest
from support.certificates import Certificates
from support.connection import exchange
from support.ports import free_port
from support.wait import wait_for

OWN, OTHER = "203.0.113.7", "198.51.100.9"
HERE = "127.0.0.1"


def lock_to_own_network(gateway):
    done = gateway.tool("partner", "change", "partner_demo", "--allow-networks", "203.0.113.0/24,2001:db8::/32")
    assert done.returncode == 0, done.stderr


def proxy_header(source, command=1):
    """Version 2 of the PROXY protocol: TCP from `source` to a made-up address of the same family."""
    address = ipaddress.ip_address(source)
    family, target = (0x11, ipaddress.ip_address("192.0.2.1")) if address.version == 4 else (0x21, ipaddress.ip_address("2001:db8::1"))
    body = address.packed + target.packed + struct.pack("!HH", 40000, 443)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def request_of(gateway, number, headers=()):
    body = json.dumps(gateway.event(number)).encode()
    lines = ["POST /v1/events HTTP/1.1", "Host: gateway", "Connection: close", "Content-Type: application/json",
             f"Authorization: Bearer {gateway.ready['api_key']}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def send(gateway, data):
    """Returns the status and the body of the answer; 0 when the connection ends without one."""
    answer = exchange(gateway.ingress, data)
    return (int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()) if answer else (0, "")


def test_without_a_configured_proxy_nobody_says_who_they_are(make_gateway):
    gateway = make_gateway()
    lock_to_own_network(gateway)
    status, body = send(gateway, request_of(gateway, 1, [f"Forwarded: for={OWN}"]))
    assert status == 403 and HERE in body, body
    assert send(gateway, proxy_header(OWN) + request_of(gateway, 2))[0] in (0, 400)


@pytest.mark.parametrize("fields, status", [
    ([f"Forwarded: for={OWN}"], 200),
    ([f"Forwarded: for={OWN};proto=https;by=192.0.2.1"], 200),
    (['Forwarded: for="[2001:db8::17]:4711"'], 200),
    ([f"Forwarded: for={OTHER}"], 403),
    ([f"Forwarded: for={OWN}, for={OTHER}"], 403),  # the client wrote the first element
    ([f"Forwarded: for={OWN}", f"Forwarded: for={OTHER}"], 403),
    ([f"Forwarded: for={OTHER}, for={OWN}"], 200),
    ([f"Forwarded: for={OWN}, for={HERE}"], 200),  # a second proxy in a row
    (["Forwarded: for=unknown"], 403),
    (["Forwarded: for=;;"], 403),
    ([], 403),
])
def test_forwarded_of_a_proxy_counts(make_gateway, fields, status):
    gateway = make_gateway({"PENSTOCK_INGRESS__PROXIES": "[127.0.0.0/8]"})
    lock_to_own_network(gateway)
    got, body = send(gateway, request_of(gateway, 1, fields))
    assert got == status, body
    if status == 403:
        assert (OTHER if any(OTHER in field for field in fields) else HERE) in body, body


def test_proxy_protocol_says_it_for_the_whole_connection(make_gateway):
    gateway = make_gateway({"PENSTOCK_INGRESS__PROXIES": "[127.0.0.0/8]", "PENSTOCK_INGRESS__PROXY_PROTOCOL": "true"})
    lock_to_own_network(gateway)
    assert send(gateway, proxy_header(OWN) + request_of(gateway, 1))[0] == 200
    assert send(gateway, proxy_header("2001:db8::17") + request_of(gateway, 2))[0] == 200
    status, body = send(gateway, proxy_header(OTHER) + request_of(gateway, 3, [f"Forwarded: for={OWN}"]))
    assert status == 403 and OTHER in body, body
    status, body = send(gateway, proxy_header(OWN, command=0) + request_of(gateway, 4))  # LOCAL: the proxy itself
    assert status == 403 and HERE in body, body
    assert send(gateway, request_of(gateway, 5))[0] == 0, "without a header the connection ends"
    assert gateway.metric('penstock_refusals_total{reason="proxy-header"}') == 1
    wait_for(lambda: "does not begin with a PROXY protocol header" in gateway.stderr, "the log says why")


def test_version_1_of_the_proxy_protocol_is_refused_with_its_reason(make_gateway):
    gateway = make_gateway({"PENSTOCK_INGRESS__PROXIES": "[127.0.0.0/8]", "PENSTOCK_INGRESS__PROXY_PROTOCOL": "true"})
    assert send(gateway, f"PROXY TCP4 {OWN} 192.0.2.1 40000 443\r\n".encode() + request_of(gateway, 1))[0] == 0
    wait_for(lambda: "uses version 1 of the PROXY protocol" in gateway.stderr, "the log says why")


@pytest.mark.parametrize("at_once", [False, True], ids=["in_two_pieces", "in_one_piece"])
def test_tls_begins_after_the_header_of_the_proxy(make_gateway, tmp_path, at_once):
    """A proxy that does not end TLS sends its header in cleartext before the ClientHello."""
    made = Certificates(tmp_path)
    made.add("one", "DNS:gateway.test")
    port = free_port()
    gateway = make_gateway({"PENSTOCK_INGRESS__PROXIES": "127.0.0.0/8", "PENSTOCK_INGRESS__PROXY_PROTOCOL": "true",
                            "PENSTOCK_INGRESS__TLS_LISTEN": f"127.0.0.1:{port}", "PENSTOCK_INGRESS__CERTIFICATE_FILE": made.files("one")[0],
                            "PENSTOCK_INGRESS__KEY_FILE": made.files("one")[1]})
    lock_to_own_network(gateway)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    for source, status in ((OWN, b"200"), (OTHER, b"403")):
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, sent, server_hostname="gateway.test")
        with socket.create_connection((HERE, port), timeout=10) as connection:
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            pieces = [proxy_header(source), sent.read()]
            for piece in [b"".join(pieces)] if at_once else pieces:
                connection.sendall(piece)
            request, answer = request_of(gateway, 1), b""
            while not answer:
                try:
                    tls.do_handshake()
                    if request:
                        tls.write(request)
                        request = b""
                    answer = tls.read(100)
                except ssl.SSLWantReadError:
                    connection.sendall(sent.read())
                    piece = connection.recv(65536)
                    assert piece, gateway.stderr
                    received.write(piece)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
