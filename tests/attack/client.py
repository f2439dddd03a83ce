#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One attack, in a process of its own: client.py NAME TARGET, with the target as JSON. It says "ready", waits for a line, attacks, and
prints its report as JSON. `run` starts it."""
import json
import os
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from attack import crowd_attacks, h1_attacks, h2_attacks, random_attacks, tls_attacks  # noqa: E402, F401  pylint: disable=unused-import
from attack.registry import ATTACKS  # noqa: E402
from attack.wire import Target  # noqa: E402


def main():
    name, target = sys.argv[1], Target(**json.loads(sys.argv[2]))
    os.nice(5)  # the gateway and the partner have the processors first: the attack has what is left
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192) if hard != resource.RLIM_INFINITY else max(soft, 8192), hard))
    run = ATTACKS[name].prepare(target)
    print("ready", flush=True)
    if sys.stdin.readline():
        print(json.dumps(run().told()), flush=True)


main()
