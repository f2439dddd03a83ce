# SPDX-License-Identifier: Apache-2.0
"""Free ports below the kernel's ephemeral range.

A listener that goes away and comes back must not find its port taken by somebody's outgoing connection; and a connect to an ephemeral port
of loopback that nobody listens on can even connect to itself."""
import random
import socket

_randomness = random.SystemRandom()  # two test runs on one machine must not walk in step


def free_port():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest_ephemeral = int(file.read().split()[0])
    for _ in range(1000):
        port = _randomness.randrange(min(10000, lowest_ephemeral - 1000), lowest_ephemeral)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below the ephemeral range")
