# SPDX-License-Identifier: Apache-2.0
"""A short part of tests/attack: attacks are cut or bounded, HTTP/2 is as RFC 9113 asks for, and normal clients are never refused. The whole of it, with
times of other partners, is run by hand: etc/doc/attacks.md."""
import dataclasses
import json
import os
import pathlib
import subprocess
import time

import pytest

from attack import crowd_attacks, h1_attacks, h2_attacks, random_attacks, tls_attacks  # noqa: F401  pylint: disable=unused-import
from attack.conformance import ACCEPTED, run_cases
from attack.house import House, has_option
from attack.judge import PYTHON, measure, text_row
from attack.registry import ATTACKS
from support.gateway import BINARY

pytestmark = pytest.mark.once

HAS_GUARD = pytest.mark.skipif(not has_option("ingress.tls_listen"), reason="this build has no TLS and no guard of its edge")
SHORT = [attack for attack in ATTACKS.values() if attack.is_short and not any(attack.house.values())]
NORMAL_REQUESTS = 3000
OVER_TLS = ["curl-h2*", "h2load*", "node-http2", "go", "httpx-h2", "slow-h1-bytes", "slow-h2-bytes"]
STOP_SECONDS = 13  # an answer may stay unread for 10 s
ATTACK = pathlib.Path(__file__).resolve().parents[1] / "attack"


@pytest.fixture(scope="module")
def house():
    house = House(tls=has_option("ingress.tls_listen"))
    yield house
    assert not house.stop()


def transport_of(number, attack):
    """Every second attack runs over TLS."""
    return attack.transports[number % len(attack.transports)]


@HAS_GUARD
@pytest.mark.parametrize("number, attack", enumerate(SHORT), ids=[attack.name for attack in SHORT])
def test_an_attack_is_cut_or_bounded(house, number, attack):
    attack.seconds = min(attack.seconds, 8 if attack.cut_within > 1 else 2)
    row = measure(house, attack, transport_of(number, attack), number + 2, is_loaded=True)
    assert not row.wrong, text_row(row)


@HAS_GUARD
@pytest.mark.parametrize("name", ["stalled-log", "stalled-log-requests", "silent"])
def test_a_stalled_log_and_a_lack_of_descriptors_stop_nobody(name):
    attack = ATTACKS[name]
    house = House(**attack.house)
    try:
        row = measure(house, attack, attack.transports[0], 2, is_loaded=True)
    finally:
        wrong = house.stop()
    assert not row.wrong and not wrong, text_row(row)


@HAS_GUARD
@pytest.mark.parametrize("name", ["answers-held", "h1-slow-body"])
def test_a_stop_does_not_wait_for_hostile_clients(name):
    house = House()
    target = house.target(False, house.attacker_key, 2, STOP_SECONDS + 10)
    with subprocess.Popen([PYTHON, "-B", pathlib.Path(ATTACK, "client.py"), name, json.dumps(dataclasses.asdict(target))], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        client.stdin.write(b"go\n")
        client.stdin.flush()
        time.sleep(1.5)  # the attack is under way
        started = time.monotonic()
        wrong = house.stop(seconds_max=STOP_SECONDS)
        took = time.monotonic() - started
        client.kill()
    assert not wrong, f"{took:.1f} s: {wrong}"


@HAS_GUARD
def test_http2_is_what_rfc_9113_asks_for(house):
    deviations = [f"{case.section} {case.text}: {case.wants}; seen: {deviation}"
                  for case, deviation in run_cases(house.target(False, house.attacker_key), is_loaded=True)
                  if deviation and (case.section, case.text) not in ACCEPTED]
    assert not deviations, "\n".join(deviations)


@pytest.mark.parametrize("more", [[], pytest.param(["--tls", *OVER_TLS], marks=HAS_GUARD)], ids=["cleartext", "tls"])
def test_normal_clients_are_never_refused(more):
    done = subprocess.run([pathlib.Path(ATTACK, "normal"), "--requests", str(NORMAL_REQUESTS), *more], env={**os.environ, "PENSTOCK_BIN": BINARY},
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
