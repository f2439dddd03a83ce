# SPDX-License-Identifier: Apache-2.0
"""What a gateway does not give away: its memory, and secrets in its log."""
import pathlib
import re

import pytest

from support import client as http
from support.deployment import Deployment, wait_until_delivered
from support.wait import wait_for

SECRET_HEADER, BODY_TEXT, WRONG_KEY = "s3cret-of-a-header", "text-of-a-body", "pk_wrong_0123456789abcdef"


def core_limits(gateway):
    return re.search(r"^Max core file size\s+(\S+)\s+(\S+)", pathlib.Path(f"/proc/{gateway.process.pid}/limits").read_text(), re.M).groups()


@pytest.mark.parametrize("allowed", [False, True])
def test_core_dumps_are_forbidden_unless_the_operator_allows_them(make_gateway, allowed):
    gateway = make_gateway({"PENSTOCK_PROCESS__CORE_DUMPS": "true"} if allowed else None)
    own = re.search(r"^Max core file size\s+(\S+)\s+(\S+)", pathlib.Path("/proc/self/limits").read_text(), re.M).groups()
    assert core_limits(gateway) == (own if allowed else ("0", "0"))


def test_log_has_no_secret_and_no_body(make_gateway, sink):
    """At its most talkative, with partners, operators and a client that make mistakes."""
    gateway = make_gateway({"PENSTOCK_LOG__LEVEL": "debug", "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 100ms, 1h]"})
    sink.behave(statuses=[500, 302], headers={"location": "https://elsewhere.test/"})
    deployment = Deployment(gateway, sink.url(), policy={"headers": {"X-Secret": SECRET_HEADER},
                                                         "authorization": {"basic": {"user": "u", "password": SECRET_HEADER}}})
    wait_until_delivered(deployment, deployment.post(2, data={"text": BODY_TEXT}))
    for key in (WRONG_KEY, gateway.ready["admin_token"]):
        assert http.post(f"{gateway.ingress}/v1/events", json={"id": BODY_TEXT}, headers={"authorization": f"Bearer {key}"}).status_code == 401
    with gateway.partner() as partner:
        assert partner.post("/v1/events", content=f'{{"type": "{BODY_TEXT}').status_code in (400, 415)
        assert partner.post("/v1/events", json={"type": BODY_TEXT, "account": "acc_none"}).status_code >= 400
    assert http.get(f"{gateway.admin}/api/v1/status", headers={"authorization": f"Bearer {WRONG_KEY}"}).status_code == 401
    assert http.get(f"{gateway.admin}/api/v1/nothing?token={WRONG_KEY}",
                    headers={"authorization": f"Bearer {gateway.ready['admin_token']}"}).status_code == 404
    assert gateway.terminate() == 0
    wait_for(lambda: gateway.stderr, "the log is written")
    secrets = [gateway.ready[name] for name in ("api_key", "admin_token", "endpoint_secret")]
    for text in [*secrets, *(secret.split("_", 1)[-1] for secret in secrets), SECRET_HEADER, BODY_TEXT, WRONG_KEY]:
        assert text not in gateway.stderr, f"{text} is in the log"
