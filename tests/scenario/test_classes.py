# SPDX-License-Identifier: Apache-2.0
"""Which types are critical, optional or guarded is the operator's to say, and a reload says it anew."""
import pytest

from support import client as http
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
    with http.client(base_url=serving.ingress, headers={"authorization": f"Bearer {key}"}, timeout=30) as partner:
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


def problem_of_type(answer):
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["errors"]
    assert problem["pointer"] == "/type"
    return problem["detail"]


def test_case_does_not_make_a_payout_something_else(serving, partner):
    for event_type, meant in (("PAYOUT", "payout"), ("Payout", "payout"), ("Purchase", "purchase"), ("Notification", "notification")):
        assert f'"{meant}"' in problem_of_type(post(partner, event_type, id="p-1"))
    assert shown(serving, post(partner, "payout", id="p-1")) == ("critical", True)
    lines = b'{"type":"Lead","account":"acc_1","id":"l-1"}\n{"type":"lead","account":"acc_1","id":"l-1"}\n'
    results = partner.post("/v1/events/batch", content=lines, headers={"content-type": "application/x-ndjson"}).json()["results"]
    assert [result["status"] for result in results] == [422, 200]
    serving.reload(serving.text + TYPES.format(critical="[lead, purchase, payout]", optional="[Payout]", guarded="[payout]"))
    assert shown(serving, post(partner, "Payout", id="p-2")) == ("optional", False), "the operator has named it"


def test_only_allowed_types_are_taken(serving, partner):
    serving.reload(serving.text + "events:\n  allowed_types: [purchase, order.*]\n")
    assert "is not an allowed type" in problem_of_type(post(partner, "signup"))
    assert shown(serving, post(partner, "order.paid")) == ("important", False)
    assert shown(serving, post(partner, "purchase", id="p-1")) == ("critical", False)


def test_a_conversion_without_an_amount_is_answered_with_a_warning(serving, partner):
    for fields in ({}, {"amount": None}, {"currency": "EUR"}, {"amount": None, "currency": "EUR"}):
        for expected in ("accepted", "duplicate"):
            answer = post(partner, "purchase", id=f"w-{fields}", **fields).json()
            assert answer["status"] == expected
            assert [warning["pointer"] for warning in answer["warnings"]] == ["/amount"]
    assert "warnings" not in post(partner, "purchase", id="w-9", amount="1.50", currency="EUR").json()
    assert "warnings" not in post(partner, "signup", id="w-9").json()
    batch = [{"type": "lead", "account": "acc_1", "id": "b-1"}, {"type": "lead", "account": "acc_1", "id": "b-2", "amount": 1, "currency": "EUR"}]
    results = partner.post("/v1/events/batch", json=batch).json()["results"]
    assert ["warnings" in result for result in results] == [True, False]


def test_a_currency_alone_is_no_money(serving, partner):
    """It is taken, and whatever it says: an event without an amount is the same event."""
    first = post(partner, "purchase", id="c-1", currency="EUR").json()
    again = post(partner, "purchase", id="c-1", currency="USD").json()
    assert (first["status"], again["status"]) == ("accepted", "duplicate")
    with serving.operator() as operator:
        event = operator.get(f"/api/v1/events/{first['event']}").json()
    assert not event.get("currency"), event
    assert post(partner, "purchase", id="c-1", amount="1", currency="EUR").status_code == 422, "with an amount it is other money"


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
