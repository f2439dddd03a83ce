# SPDX-License-Identifier: Apache-2.0
"""Which types are critical, optional or guarded is the operator's to say, and a reload says it anew."""
import httpx
import pytest

from support.gateway import tool

TYPES = "events:\n  critical_types: {critical}\n  optional_types: {optional}\n  guarded_types: {guarded}\n"


@pytest.fixture(name="partner")
def one_partner(serving):
    """A partner with an account to post for, and its key in a client."""
    with serving.operator() as operator:
        for path, body in (("partners", {"id": "shop"}), ("accounts", {"id": "acc_1"}), ("partners/shop/accounts", {"account": "acc_1"})):
            answer = operator.post(f"/api/v1/{path}", json=body)
            assert answer.status_code == 201, answer.text
        key = operator.post("/api/v1/partners/shop/keys").json()["api_key"]
    with httpx.Client(base_url=serving.ingress, headers={"authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as partner:
        yield partner


def post(partner, event_type, **fields):
    return partner.post("/v1/events", json={"type": event_type, "account": "acc_1", **fields})


def shown(serving, answer):
    """What the admin API says of an accepted event: its class, and whether it is guarded."""
    assert answer.status_code == 200, answer.text
    with serving.operator() as operator:
        event = operator.get(f"/api/v1/events/{answer.json()['event']}").json()
    return event["class"], event["guarded"]


def test_the_defaults(serving, partner):
    for event_type, expected in (("lead", ("critical", False)), ("purchase", ("critical", False)), ("payout", ("critical", True)),
                                 ("notification", ("optional", False)), ("status_update", ("optional", False)),
                                 ("signup", ("important", False)), ("payouts", ("important", False))):
        assert shown(serving, post(partner, event_type, id=event_type)) == expected, event_type


def test_a_reload_changes_what_a_type_is(serving, partner):
    before = post(partner, "refund")
    assert shown(serving, before) == ("important", False)
    assert post(partner, "lead").status_code == 422, "critical: it needs a key"
    said = serving.reload(serving.text + TYPES.format(critical='["re*"]', optional="[lead]", guarded="[order.paid, refund]"))
    assert "restart" not in said, said
    refused = post(partner, "refund")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/id"
    after = post(partner, "refund", id="r-1")
    assert shown(serving, after) == ("critical", True)
    assert shown(serving, post(partner, "return", id="r-2")) == ("critical", False)
    assert shown(serving, post(partner, "order.paid", id="r-3")) == ("critical", True)
    assert shown(serving, post(partner, "lead")) == ("optional", False), "no key is needed any more"
    assert shown(serving, post(partner, "payout")) == ("important", False)
    assert shown(serving, before) == ("important", False), "an event stays what it was when it was accepted"
    done = tool("event", "show", after.json()["event"], "--data", serving.tmp_path / "data", directory=serving.tmp_path)
    assert "critical, guarded" in done.stdout, done.stdout + done.stderr


def test_a_type_that_changes_its_class_loses_no_key(serving, partner):
    first = post(partner, "signup", id="s-1")
    assert first.json()["status"] == "accepted"
    serving.reload(serving.text + TYPES.format(critical="[signup]", optional="[]", guarded="[]"))
    again = post(partner, "signup", id="s-1")
    assert again.json()["status"] == "duplicate"
    assert again.json()["event"] == first.json()["event"]


def test_a_wrong_type_leaves_the_rules_as_they_were(serving, partner):
    said = serving.reload(serving.text + TYPES.format(critical="[lead, pay out]", optional="[]", guarded="[]"))
    assert "events.critical_types" in said and "pay out" in said, said
    assert post(partner, "lead").status_code == 422
    assert shown(serving, post(partner, "payout", id="p-1")) == ("critical", True)
