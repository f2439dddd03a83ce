# SPDX-License-Identifier: Apache-2.0
"""TLS with the broker: certificates of both sides, the reasons why one is refused, and the broker's faults under it. Partners get their 200s."""
import json
import subprocess
import time

import pytest
from support.broker import Broker
from support.load import Load
from support.ports import free_port
from support.wait import wait_for

RATE = 150
STOPPED_SECONDS = 4
NODES = {  # subjectAltName, and whether it asks for the gateway's certificate
    "named": ("DNS:localhost", False),
    "strict": ("IP:127.0.0.1", True),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A directory: what `ca` has signed, and `stranger`, which signs as well, but nobody knows it."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=directory, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *new_key, "-days", 2, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    names = {"gateway": "DNS:gateway.test", **{name: subject for name, (subject, _) in NODES.items()}}
    for name, subject in names.items():
        (directory / "extensions").write_text(f"subjectAltName={subject}\n")
        openssl("req", *new_key, "-new", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request.pem")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2, "-extfile",
                "extensions", "-out", f"{name}.pem")
    return directory


@pytest.fixture(scope="module")
def port():
    """Where the nodes, one after the other, speak TLS."""
    return free_port()


@pytest.fixture(scope="module", params=["named"])
def fault_node(tmp_path_factory, certificates, port, request):
    """One of NODES."""
    asks = NODES[request.param][1]
    files = {"cacertfile": "ca.pem", "certfile": f"{request.param}.pem", "keyfile": f"{request.param}.key"}
    lines = [f"listeners.ssl.local = 127.0.0.1:{port}", *(f"ssl_options.{name} = {certificates / file}" for name, file in files.items()),
             f"ssl_options.verify = verify_{'peer' if asks else 'none'}", f"ssl_options.fail_if_no_peer_cert = {str(asks).lower()}"]
    with Broker(tmp_path_factory.mktemp("tls-broker"), lines) as node:
        yield node


@pytest.fixture
def make(own_broker, make_bridge, sink, certificates, port):
    """Makes a gateway that speaks TLS with the node, as `host`: make(host, ca, certificate)."""
    def make(host="localhost", ca="ca", certificate=None, environment=None):
        options = {"broker.tls": True, "broker.addresses": [f"{host}:{port}"], "broker.ca_file": str(certificates / f"{ca}.pem")}
        if certificate:
            options.update({"broker.certificate_file": str(certificates / f"{certificate}.pem"),
                            "broker.key_file": str(certificates / f"{certificate}.key")})
        bridge = make_bridge(own_broker, options=options, environment=environment)
        bridge.point_endpoint_at(sink.url())
        return bridge

    return make


def connections(vhost):
    """What the node says of those to this virtual host."""
    found = json.loads(vhost.ctl("list_connections", "vhost", "ssl", "ssl_protocol", "peer_cert_subject", "--formatter", "json"))
    return [connection for connection in found if connection["vhost"] == vhost.name]


@pytest.mark.parametrize("fault_node,host,certificate", [("named", "localhost", None), ("strict", "127.0.0.1", "gateway")],
                         indirect=["fault_node"])
def test_all_goes_through_a_broker_that_is_who_it_says(own_broker, make, sink, host, certificate, capsys):
    bridge = make(host, certificate=certificate)
    bridge.wait_for_broker()
    assert bridge.metric("penstock_broker_publishers_open") == bridge.options["ingress.threads"]
    print(connections(own_broker))
    with Load([bridge], sink, rate=RATE) as load:
        load.more(300)
    report = load.settle(capsys, f"TLS, {'with' if certificate else 'without'} a client certificate")
    assert report.duplicates == 0 and report.unavailable == 0
    assert bridge.metric("penstock_broker_direct_total") == 0 and bridge.publishes("acked") == report.accepted
    own_broker.wait_until_empty()
    print(bridge.readiness().text, bridge.stderr)
    assert 0


@pytest.mark.parametrize("fault_node,host,ca,certificate,why", [
    ("named", "localhost", "stranger", None, "self-signed"),
    ("named", "127.0.0.1", "ca", None, "address mismatch"),
    ("strict", "localhost", "ca", "gateway", "ostname mismatch"),
    ("strict", "127.0.0.1", "ca", None, "certificate required"),
    ("strict", "127.0.0.1", "ca", "stranger", "unknown ca"),
], indirect=["fault_node"], ids=["another-ca", "another-address", "another-name", "no-certificate", "a-strangers-certificate"])
@pytest.mark.parametrize("newest", ["TLSv1.3", "TLSv1.2"])
def test_refused(own_broker, make, sink, host, ca, certificate, why, newest, tmp_path, capsys):
    (tmp_path / "openssl.cnf").write_text(f"openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = {newest}\n")
    t = time.monotonic()
    bridge = make(host, ca, certificate, environment={"OPENSSL_CONF": str(tmp_path / "openssl.cnf")})
    print("started in", time.monotonic() - t)
    with Load([bridge], sink, rate=RATE) as load:
        load.more(300)
    report = load.settle(capsys, f"TLS refused: {why}")
    print(connections(own_broker))
    print(bridge.readiness().text, bridge.status(), bridge.stderr)
    assert 0


def check(load, capsys, what, vhost, bridge):
    report = load.settle(capsys, what)
    assert report.duplicates == 0 and report.unavailable == 0 and report.longest < 2
    bridge.wait_for_broker()
    vhost.wait_until_empty(60)


def test_a_broker_that_is_killed_and_comes_back(own_broker, make, sink, capsys):
    bridge = make()
    bridge.wait_for_broker()
    with Load([bridge], sink, rate=RATE) as load:
        load.more(200)
        own_broker.kill9()
        load.more(100)
        own_broker.node.start()
        bridge.wait_for_broker()
        before = bridge.publishes("acked")
        load.more(100)
        assert bridge.publishes("acked") > before
    check(load, capsys, "TLS, broker killed", own_broker, bridge)


def test_a_broker_that_stands_still(own_broker, make, sink, capsys):
    bridge = make()
    bridge.wait_for_broker()
    with Load([bridge], sink, rate=RATE) as load:
        load.more(100)
        own_broker.node.freeze()
        wait_for(lambda: bridge.is_diverted() or bridge.metric("penstock_broker_publishers_open") == 0, "the direct way", 10)
        time.sleep(STOPPED_SECONDS)
        own_broker.node.thaw()
        bridge.wait_for_broker()
        load.more(100)
    check(load, capsys, f"TLS, broker stopped for {STOPPED_SECONDS} s", own_broker, bridge)
