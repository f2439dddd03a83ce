# SPDX-License-Identifier: Apache-2.0
"""Free ports below the kernel's ephemeral range.

A listener that goes away and comes back must not find its port taken by somebody's outgoing connection; and a connect to an ephemeral port
of loopback that nobody listens on can even connect to itself. Several benchmarks and test runs may choose at once: what one has chosen is
locked for a while, until its server listens. Linux and one temporary directory are taken for granted."""
import collections
import contextlib
import fcntl
import os
import pathlib
import random
import socket
import tempfile

_randomness = random.SystemRandom()  # two runs on one machine must not walk in step
_HELD_MAX = 64
_held = collections.deque()  # of the locked files, the oldest first


def _lock(port):
    directory = pathlib.Path(tempfile.gettempdir()) / f"penstock-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return False
    _held.append(fd)
    if len(_held) > _HELD_MAX:
        os.close(_held.popleft())
    return True


def free_port():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest_ephemeral = int(file.read().split()[0])
    for _ in range(1000):
        port = _randomness.randrange(min(10000, lowest_ephemeral - 1000), lowest_ephemeral)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if _lock(port):
                return port
    raise OSError("no free port below the ephemeral range")
