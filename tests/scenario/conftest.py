# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario tests: gateways that are checked at the end of each test, sinks, and brokers."""
import contextlib
import itertools
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.brokered import BrokeredGateway  # noqa: E402
from support.broker import Broker, Vhost, restart, start_cluster, stop_cluster  # noqa: E402
from support.gateway import BINARY, Gateway  # noqa: E402
from support.relay import Relay  # noqa: E402
from support.serving import Serving  # noqa: E402
from support.sink import Sink  # noqa: E402
from support.wait import wait_for  # noqa: E402


# Files whose tests run one after the other, in one process, with the brokers that they share. All other tests run anywhere, also beside them.
# The groups take longest, so they come first.
GROUPS = {
    "faults": ["test_broker_faults", "test_broker_power"],
    "ownership": ["test_broker_ownership", "test_broker_backlog"],
    "tls": ["test_broker_tls", "test_cluster"],
    "drops": ["test_broker_drops"],
    "brokered": ["test_broker_main", "test_broker_flow", "test_broker_lag", "test_roles"],
    "bench": ["test_bench"],
    "attack": ["test_attack"],
    "report": ["test_report"],
    "figures": [],    # some tests of test_bench.py, which say so
    "scenarios": [],  # ... of test_bench_scenarios.py
}
_GROUP_OF = {file: group for group, files in GROUPS.items() for file in files}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """For `--dist loadgroup` of pytest-xdist."""
    def place(item):
        mark = item.get_closest_marker("xdist_group")
        return list(GROUPS).index(mark.args[0]) if mark else len(GROUPS)

    for item in items:
        if item.path.stem in _GROUP_OF and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_GROUP_OF[item.path.stem]))
    items.sort(key=place)


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"{BINARY} is missing: build it first (etc/test does), or set PENSTOCK_BIN", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())
    if call.when == "teardown" and not any(getattr(item, f"report_{when}", None) and getattr(item, f"report_{when}").failed
                                           for when in ("setup", "call", "teardown")):
        remove_place((getattr(item, "funcargs", None) or {}).get("tmp_path"))


def pytest_runtest_logreport(report):
    """For the summary of etc/test: which failed, and the end of what was said about it. Also of a worker's tests, from the one that collects."""
    place = os.environ.get("PENSTOCK_FAILED_TESTS")
    if place and report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        said = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
        with open(place, "a", encoding="utf-8") as file:
            file.write("\n".join([f"{report.nodeid} ({report.when})", *(f"    {line[:400]}" for line in said[:3] + said[3:][-3:])]) + "\n")


def remove_place(directory):
    """What passed leaves nothing: a data directory alone has a reserve of 64 MiB. (Debian's pytest keeps all of them.)"""
    if directory and not any(place.is_mount() for place in directory.iterdir() if place.is_dir()):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """The directories of brokers and others that tests share, when no test failed: until then their logs may be what is asked for."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory and not session.testsfailed and not session.shouldstop:
        remove_place(factory._basetemp)  # pylint: disable=protected-access


@contextlib.contextmanager
def checked(request):
    """A list for the gateways of a test. Each is checked at the end: no sanitizer report, SIGTERM ends in exit code 0."""
    made = []
    yield made
    try:
        for gateway in reversed(made):
            gateway.finish()
    finally:
        for gateway in made:
            if gateway.is_running():
                gateway.kill9()
            if getattr(request.node, "report_call", None) and request.node.report_call.failed:
                print(f"--- stderr of {gateway.directory}\n{gateway.stderr[-6000:] if gateway.process else ''}")


@pytest.fixture
def make_gateway(tmp_path, request):
    """Makes gateways of the command dev (environment=...)."""
    with checked(request) as made:
        def make(environment=None, start=True):
            directory = tmp_path / f"gateway-{len(made)}"
            directory.mkdir()
            gateway = Gateway(directory, environment)
            made.append(gateway)
            return gateway.start() if start else gateway

        yield make


@pytest.fixture
def gateway(make_gateway):
    return make_gateway()


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture
def serving(tmp_path):
    """`penstock serve` with a configuration file that a test may change."""
    serving = Serving(tmp_path)
    try:
        wait_for(serving.is_ready, "ready", 60)
        yield serving
        serving.finish()
    finally:
        serving.kill()


@pytest.fixture
def make_serving(tmp_path):
    """Makes gateways of the command serve, each in a directory of its own (see Serving), and stops them in reverse order."""
    made = []

    def make(name, more="", change=lambda text: text, environment=None):
        directory = tmp_path / name
        directory.mkdir()
        serving = Serving(directory, more, change, environment)
        made.append(serving)
        wait_for(serving.is_ready, lambda: f"{name} is ready:\n{serving.log.read_text()[-3000:]}", 60)
        return serving

    yield make
    try:
        for serving in reversed(made):
            if serving.process.poll() is None:
                serving.finish()
    finally:
        for serving in made:
            serving.kill()


# --- with a broker ---

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def broker_node(tmp_path_factory):
    """The node that tests share. One that kills it, stops it or sets off its alarms has its own (own_broker)."""
    with Broker(tmp_path_factory.mktemp("broker")) as node:
        yield node


@pytest.fixture
def vhost(broker_node):
    """A virtual host of the test's own on the shared node."""
    vhost = Vhost(broker_node, f"test-{next(_numbers)}")
    yield vhost
    vhost.delete()


@pytest.fixture(scope="session")
def fault_node(tmp_path_factory):
    """The node that tests do something to: one for each process of pytest-xdist."""
    with Broker(tmp_path_factory.mktemp("fault-broker")) as node:
        yield node


@pytest.fixture
def own_broker(fault_node, request):
    """A virtual host on a node that the test may kill, stop and alarm: it is put right again behind it."""
    vhost = Vhost(fault_node, f"test-{next(_numbers)}")
    yield vhost
    if not fault_node.pids():
        fault_node.start()
    fault_node.thaw()
    if getattr(request.node, "report_call", None) and request.node.report_call.failed:
        restart(fault_node)  # whatever is wrong with it
    vhost.delete()


@pytest.fixture(scope="module")
def broker_cluster(tmp_path_factory):
    """Three nodes."""
    nodes = start_cluster(tmp_path_factory.mktemp("cluster"))
    yield nodes
    stop_cluster(nodes)


@pytest.fixture
def make_brokered(tmp_path, request):
    """Makes gateways with a broker: make(vhost, options=..., environment=..., leader=...)."""
    with checked(request) as made:
        def make(vhost, start=True, **how):
            directory = tmp_path / f"brokered-{len(made)}"
            directory.mkdir()
            brokered = BrokeredGateway(directory, vhost, **how)
            made.append(brokered)
            return brokered.start() if start else brokered

        yield make


@pytest.fixture
def relay(own_broker):
    """Between a gateway and the test's own node."""
    relay = Relay(own_broker.node.port)
    yield relay
    relay.stop()
