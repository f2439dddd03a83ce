# SPDX-License-Identifier: Apache-2.0
"""The table of attacks. Each has one row in the table of etc/doc/attacks.md, for each transport."""
import dataclasses
import typing

H2, H1, TLS = "h2", "h1", "tls"  # what an attack speaks; TLS: only on a TLS listener


@dataclasses.dataclass
class Attack:
    name: str
    title: str
    prepare: typing.Callable  # (target) -> a function that runs the attack and returns a Report
    speaks: str
    cut_within: float = 1  # seconds
    seconds: float = 4  # how long the attack lasts if it is not cut
    bounded: str = ""  # why it need not be cut, and what bounds it
    stalls_stderr: bool = False  # the gateway's stderr is a pipe that nobody reads
    files: int = 0  # how many descriptors the gateway may have; 0: as many as we
    is_short: bool = False  # part of the run of etc/test

    @property
    def transports(self):
        return {H2: ("h2c", "h2 tls"), H1: ("h1", "h1 tls"), TLS: ("tls",)}[self.speaks]

    @property
    def house(self):
        """What the gateway under attack must be like."""
        return {"stalls_stderr": self.stalls_stderr, "files": self.files}


ATTACKS = {}


def attack(name, title, speaks=H2, **how):
    def add(prepare):
        assert name not in ATTACKS, name
        ATTACKS[name] = Attack(name, title, prepare, speaks, **how)
        return prepare

    return add
