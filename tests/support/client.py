# SPDX-License-Identifier: Apache-2.0
"""HTTP clients of the tests: httpx without proxies. To load the machine's CA certificates takes 20 ms of CPU time for each client, which is
more than a request; no test speaks TLS with httpx, so all clients share one empty context."""
import ssl

import httpx

_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**options):
    return httpx.Client(**{"trust_env": False, "verify": _CONTEXT, **options})


def get(url, **options):
    with client() as once:
        return once.get(url, **options)


def post(url, **options):
    with client() as once:
        return once.post(url, **options)
