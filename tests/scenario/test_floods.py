# SPDX-License-Identifier: Apache-2.0
"""Clients that never end their answers (tests/support/floods.py), over HTTP/1.1 with and without TLS and over HTTP/2: each attempt ends soon, says
why, and closes its connection, and the deliveries of other clients are not late."""
import contextlib
import time

import pytest

from support.certificates import Certificates
from support.deployment import Deployment, wait_until_delivered
from support.floods import NAMES, Floods
from support.wait import wait_for

BYTES_MAX = 256 * 1024  # src/client/inflow.h, and at most one read more
READ_MAX = 32 * 1024
HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms", "PENSTOCK_DATA__SHARDS": "1"}
TOO_LARGE, MALFORMED, LOST = "answer-too-large", "answer-malformed", "answer-lost"

# (status, error) of the attempt. After a complete header the status counts, and what follows changes nothing.
ENDS = {
    "chunk-extension": {(500, None)}, "chunk-size-digits": {(500, None)}, "small-chunks": {(500, None)}, "trailers": {(500, None)},
    "trailer-line": {(500, None)}, "tiny-records": {(500, None)}, "body": {(500, None)}, "data": {(500, None)}, "empty-data": {(500, None)},
    "padded-data": {(500, None)},
    "hints": {(None, TOO_LARGE)}, "hints-with-fields": {(None, TOO_LARGE)}, "header-lines": {(None, TOO_LARGE)},
    "header-line": {(None, MALFORMED)}, "blank-lines": {(None, MALFORMED), (None, TOO_LARGE)},
    "ping-ack": {(None, TOO_LARGE)}, "window-update": {(None, TOO_LARGE)}, "priority": {(None, TOO_LARGE)}, "unknown-frames": {(None, TOO_LARGE)},
    "large-unknown-frames": {(None, TOO_LARGE)}, "goaway": {(None, TOO_LARGE)},
    # libnghttp2 has limits of its own for these.
    "ping": {(None, TOO_LARGE), (None, LOST)}, "settings": {(None, TOO_LARGE), (None, LOST)},
    "header-fields": {(None, TOO_LARGE), (None, LOST), (None, MALFORMED)}, "empty-continuation": {(None, LOST), (None, MALFORMED)},
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.add("good", "IP:127.0.0.1")
    return made


@pytest.fixture(scope="module")
def floods(certificates):
    with contextlib.closing(Floods(*certificates.files("good"))) as made:
        yield made


def deploy(gateway, floods, name):
    return Deployment(gateway, floods.url(name), name.replace("/", "-"), policy={"http": "2" if name.startswith("h2/") else "1.1"})


def ends_of(name):
    return {(500, None)} if name == "h2/trailers" else ENDS[name.split("/")[1]]


def check(name, delivery):
    attempt = delivery["attempts"][0]
    assert (attempt["status"], attempt["error"]) in ends_of(name), f"{name}: {attempt}"
    assert attempt["answer_bytes"] <= BYTES_MAX + READ_MAX, f"{name}: {attempt}"
    # After a status the rest of an answer has 5 s, and all floods but one are faster than that.
    assert attempt["duration_ms"] < (5500 if "tiny-records" in name else 3000), f"{name}: {attempt}"
    if attempt["error"] == TOO_LARGE and name.startswith("h2/") and "hints" not in name:  # these are lines of headers
        assert attempt["answer_bytes"] > BYTES_MAX, f"{name}: the raw bytes are on record: {attempt}"


def test_attempts_end_soon_and_say_why(make_gateway, certificates, floods):
    gateway = make_gateway({**HOUR, "PENSTOCK_DELIVERY__CA_FILE": certificates.files("ca")[0]})
    posted = {}
    for name in NAMES:
        deployment = deploy(gateway, floods, name)
        posted[name] = deployment, deployment.post()
    for name, (deployment, events) in posted.items():
        [delivery] = wait_for(lambda: [d for d in deployment.timelines(events) if d["state"] == "waiting"], f"{name}: the attempt has ended", 20)
        check(name, delivery)
    wait_for(lambda: gateway.metrics()["penstock_deliveries_in_flight"] == 0, "nothing is in flight")
    payouts = {name: deploy_payout(posted[name][0]) for name in ("h1/hints", "h1s/hints", "h2/ping-ack")}
    for name, (deployment, events) in payouts.items():
        wait_for(lambda: deployment.states(events) == ["parked"], f"{name}: it is unknown whether the client did the work", 20)


def deploy_payout(deployment):
    return deployment, deployment.post(type="payout")


@pytest.mark.once
@pytest.mark.parametrize("kind", ["h1", "h1s", "h2"])
def test_deliveries_of_others_are_not_late(make_gateway, certificates, floods, sink, kind):
    """As many requests to each flood as an endpoint gets, again and again: the schedule is short."""
    gateway = make_gateway({**HOUR, "PENSTOCK_DELIVERY__CA_FILE": certificates.files("ca")[0],
                            "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["100ms"] * 32) + "]"})
    healthy = Deployment(gateway, sink.url())
    wait_until_delivered(healthy, healthy.post(3))
    flooding = [deploy(gateway, floods, name) for name in NAMES if name.split("/")[0] == kind]
    for deployment in flooding:
        deployment.post(16)
    posted = []
    for _ in range(64):
        posted.append((time.monotonic(), healthy.post()[0]))
        time.sleep(0.05)
    wait_for(lambda: all(sink.of(event) for _, event in posted[-1:]), "the last one is delivered")
    waits = sorted(sink.of(event)[0].at - at for at, event in posted)
    assert waits[-1] < 1.5, f"{kind}: the longest waits are {waits[-5:]}"
