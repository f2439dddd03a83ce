# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario tests: gateways that are checked at the end of each test, and sinks."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.gateway import BINARY, Gateway  # noqa: E402
from support.serving import Serving  # noqa: E402
from support.sink import Sink  # noqa: E402
from support.wait import wait_for  # noqa: E402


def pytest_sessionstart(session):
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"{BINARY} is missing: build it first (etc/test does), or set PENSTOCK_BIN", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.fixture
def make_gateway(tmp_path, request):
    """Makes gateways (environment=...), and checks each at the end: no sanitizer report, SIGTERM ends in exit code 0."""
    made = []

    def make(environment=None, start=True):
        directory = tmp_path / f"gateway-{len(made)}"
        directory.mkdir()
        gateway = Gateway(directory, environment)
        made.append(gateway)
        return gateway.start() if start else gateway

    yield make
    try:
        for gateway in made:
            gateway.finish()
    finally:
        for gateway in made:
            if gateway.is_running():
                gateway.kill9()
            if getattr(request.node, "report_call", None) and request.node.report_call.failed:
                print(f"--- stderr of {gateway.directory}\n{gateway.stderr[-6000:] if gateway.process else ''}")


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
