# SPDX-License-Identifier: Apache-2.0
"""Checks deliveries with the reference implementation of Standard Webhooks (npm package
standardwebhooks)."""
import base64
import json
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
MODULES = pathlib.Path(os.environ.get("PENSTOCK_SIGNATURES", HERE.parents[1] / "build/signatures"))


def verify(secret, deliveries):
    """Returns whether each delivery is valid. The library also rejects timestamps that are more
    than five minutes off."""
    assert (MODULES / "node_modules/standardwebhooks").is_dir(), \
        f"{MODULES} has no packages: etc/test installs them (npm ci in a copy of tests/support/signatures)"
    lines = [json.dumps({"secret": secret, "headers": d.headers, "body": base64.b64encode(d.body).decode()}) for d in deliveries]
    done = subprocess.run(["node", str(HERE / "signatures/verify.mjs"), str(MODULES)], input="\n".join(lines) + "\n", capture_output=True,
                          text=True, timeout=120, check=True)
    results = [line == "true" for line in done.stdout.split()]
    assert len(results) == len(deliveries), done.stderr
    return results
