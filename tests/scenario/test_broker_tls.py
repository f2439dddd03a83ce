# SPDX-License-Identifier: Apache-2.0
"""TLS with the broker: the certificates of both sides, what is said of one that is refused, and a broker that dies or stands still under it. Partners
get their 200s all the while."""
import contextlib
import json

import pytest
from support.broker import Broker, kill_under_load
from support.certificates import Certificates
from support.load import ANSWER_SECONDS_MAX, Load
from support.ports import free_port
from support.wait import wait_for

RATE = 150
# Two nodes, by whom their certificates name. The strict one wants to see the gateway's as well.
NODES = {"open": "DNS:localhost", "strict": "IP:127.0.0.1"}
GOOD = {"open": ("localhost", "ca", None), "strict": ("127.0.0.1", "ca", "gateway")}  # host, CA, certificate of the gateway


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A directory: `ca`, what it has signed, and `stranger`, which has signed itself."""
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add_self_signed("stranger")
    for name, subject in {**NODES, "gateway": "DNS:gateway.test"}.items():
        made.add(name, subject)
    return made.directory


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, certificates):
    """{name: (node, its port with TLS)}. The test itself comes without."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name in NODES:
            port, strict = free_port(), name == "strict"
            lines = [f"listeners.ssl.local = 127.0.0.1:{port}", f"ssl_options.cacertfile = {certificates}/ca.pem",
                     f"ssl_options.certfile = {certificates}/{name}.pem", f"ssl_options.keyfile = {certificates}/{name}.key",
                     f"ssl_options.verify = {'verify_peer' if strict else 'verify_none'}",
                     f"ssl_options.fail_if_no_peer_cert = {json.dumps(strict)}"]
            started[name] = stack.enter_context(Broker(tmp_path_factory.mktemp(f"{name}-broker"), lines)), port
        yield started


@pytest.fixture
def name():
    return "open"


@pytest.fixture
def fault_node(nodes, name):
    return nodes[name][0]


@pytest.fixture
def options_for(nodes, name, certificates):
    """The gateway's options: options_for(host, ca, certificate)."""
    def options_for(host, ca, certificate):
        own = [f"{certificates}/{certificate}.{ending}" if certificate else "" for ending in ("pem", "key")]
        return {"broker.tls": True, "broker.addresses": [f"{host}:{nodes[name][1]}"], "broker.ca_file": f"{certificates}/{ca}.pem",
                "broker.certificate_file": own[0], "broker.key_file": own[1]}

    return options_for


@pytest.fixture
def brokered(own_broker, make_brokered, options_for, sink, name):
    brokered = make_brokered(own_broker, options=options_for(*GOOD[name]))
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    return brokered


def check(load, capsys, what, vhost, brokered):
    """Nothing is lost, nothing comes twice, and all goes through the broker (again)."""
    report = load.drain(capsys, f"TLS, {what}")
    assert report.duplicates == 0 and report.unavailable == 0 and report.longest < ANSWER_SECONDS_MAX
    brokered.wait_for_broker()
    vhost.wait_until_empty(60)
    return report


@pytest.mark.parametrize("name,subject", [("open", ""), ("strict", "CN=gateway")], ids=GOOD)
def test_all_goes_through_a_broker_with_a_good_certificate(own_broker, brokered, sink, name, subject, capsys):
    with Load([brokered], sink, rate=RATE) as load:
        load.more(200)
        assert brokered.metric("penstock_broker_publishers_open") == brokered.options["ingress.threads"]
        said = json.loads(own_broker.ctl("list_connections", "vhost", "ssl", "peer_cert_subject", "--formatter", "json"))
        ready = [connection for connection in said if connection["vhost"]]  # one that is being made has none yet
        assert len(ready) >= 2 * brokered.options["ingress.threads"], "publishers and consumers"
        assert all(connection == {"vhost": own_broker.name, "ssl": True, "peer_cert_subject": subject} for connection in ready), said
    report = check(load, capsys, f"{name} node", own_broker, brokered)
    direct = brokered.metric("penstock_broker_direct_total")  # on a busy machine: confirmed too late
    assert brokered.publishes("acked") >= report.accepted - direct > report.accepted / 2


@pytest.mark.parametrize("name,how,why", [
    ("open", ("localhost", "stranger", None), "self-signed certificate"),
    ("open", ("127.0.0.1", "ca", None), "IP address mismatch"),
    ("strict", ("localhost", "ca", "gateway"), "hostname mismatch"),
    ("strict", ("127.0.0.1", "ca", None), "certificate required"),
    ("strict", ("127.0.0.1", "ca", "stranger"), "bad certificate"),
], ids=["another-ca", "another-address", "another-name", "no-certificate", "a-strangers-certificate"])
def test_a_certificate_that_is_refused(own_broker, brokered, make_brokered, options_for, sink, how, why, capsys):
    """It is said why, and all takes the direct path. (The very first start of a gateway needs the broker.)"""
    code, said = make_brokered(own_broker, start=False, options=options_for(*how)).refuses_to_start()
    assert code == 69 and why in said, said
    assert brokered.terminate() == 0
    brokered.options.update(options_for(*how))
    brokered.start()
    with Load([brokered], sink, rate=RATE) as load:
        load.more(100)
        wait_for(lambda: why in brokered.readiness().text, lambda: brokered.readiness().text)
        wait_for(lambda: any(why in standing["why"] for standing in brokered.status()["broker"]), lambda: brokered.status())
        assert "direct path" in brokered.readiness().text and brokered.readiness().status_code == 200
    report = load.drain(capsys, f"TLS, {why}")
    assert report.duplicates == 0 and report.unavailable == 0 and report.longest < ANSWER_SECONDS_MAX
    assert brokered.metric("penstock_broker_direct_total") == report.accepted
    assert brokered.metric("penstock_broker_publishers_open") == 0 and brokered.publishes("acked") == 0


@pytest.mark.once
def test_a_broker_that_is_killed_and_comes_back(own_broker, brokered, sink, capsys):
    with Load([brokered], sink, rate=RATE) as load:
        kill_under_load(own_broker, brokered, load)
    check(load, capsys, "broker killed", own_broker, brokered)


@pytest.mark.once
def test_a_broker_that_is_frozen(own_broker, brokered, sink, capsys):
    """It is frozen for two heartbeats: the gateway then closes its connections."""
    with Load([brokered], sink, rate=RATE) as load:
        load.more(100)
        own_broker.node.freeze()
        wait_for(lambda: brokered.metric("penstock_broker_channels_consuming") == 0
                 and brokered.metric("penstock_broker_publishers_open") == 0, "all of them are", 20)
        load.more(100)
        assert "direct path" in brokered.readiness().text
        own_broker.node.thaw()
        brokered.wait_for_broker()
        load.more(100)
    check(load, capsys, "broker stopped", own_broker, brokered)
