# SPDX-License-Identifier: Apache-2.0
"""An operator finds an event by what the partner knows of it, and lists events by everything that matters."""
import json

import pytest

from support.wait import wait_for


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def find(gateway, **parameters):
    """The events of all pages, and how many pages there were."""
    events, pages = [], 0
    with gateway.operator() as operator:
        while True:
            answer = operator.get("/api/v1/events", params=parameters)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            events += page["events"]
            pages += 1
            if not page["next"]:
                return events, pages
            parameters["cursor"] = page["next"]


def ids(gateway, **parameters):
    return [event["event"] for event in find(gateway, **parameters)[0]]


@pytest.fixture
def gateway(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms]"})
    gateway.point_endpoint_at(sink.url())
    return gateway


def test_an_event_is_found_by_the_partners_own_id(gateway):
    posted = [post(gateway, number, id=f"order/{number}") for number in range(1, 6)]
    wait_for(lambda: all(gateway.states(event) == ["delivered"] for event in posted), "all are delivered")
    [event] = find(gateway, key="order/3")[0]
    assert event["event"] == posted[2]
    assert event["key"] == "order/3" and event["account"] == gateway.ready["account"] and event["class"] == "critical"
    [delivery] = event["deliveries"]
    assert delivery["state"] == "delivered" and delivery["attempts"] == 1 and delivery["endpoint"]["id"] == gateway.ready["endpoint"]
    assert ids(gateway, key="order/33") == []
    assert ids(gateway, key="order/3", partner="partner_demo") == [posted[2]]

    shown = gateway.tool("event", "find", "order/3")
    assert shown.returncode == 0 and posted[2] in shown.stdout and "delivered" in shown.stdout, shown
    by_id = gateway.tool("event", "find", posted[2], "--json")
    assert [event["event"] for event in json.loads(by_id.stdout)["events"]] == [posted[2]]
    assert gateway.tool("event", "show", "order/3").stdout == gateway.tool("event", "show", posted[2]).stdout
    nothing = gateway.tool("event", "find", "order/33")
    assert nothing.returncode == 66 and 'no event has the key "order/33"' in nothing.stderr and not nothing.stdout, nothing


def test_several_events_may_have_the_same_key(gateway):
    posted = [post(gateway, 0, id="same", type=kind) for kind in ("purchase", "lead", "refund")]
    assert ids(gateway, key="same") == posted[::-1], "newest first"
    assert ids(gateway, key="same", type="lead") == [posted[1]]
    shown = gateway.tool("event", "show", "same")
    assert shown.returncode == 0 and "3 events have this key" in shown.stderr and all(event in shown.stdout for event in posted), shown


def test_a_key_is_found_after_a_restart_and_beyond_what_is_in_memory(gateway):
    first = post(gateway, 0, id="the first")
    lines = [gateway.event(number, id=f"many-{number}") for number in range(1000)]
    with gateway.partner() as partner:
        for part in (lines[:700], lines[700:]):
            answer = partner.post("/v1/events/batch", content="\n".join(json.dumps(line) for line in part),
                                  headers={"content-type": "application/x-ndjson"})
            assert answer.status_code == 200, answer.text
            gateway.restart()
    last = post(gateway, 0, id="the last")
    assert ids(gateway, key="the first") == [first]
    assert ids(gateway, key="the last") == [last]
    for number in (0, 511, 699, 700, 999):
        assert len(ids(gateway, key=f"many-{number}")) == 1, number


def test_events_are_listed_newest_first_in_pages(gateway):
    posted = [post(gateway, number, type="lead" if number % 3 == 0 else "purchase", amount=f"{number}.50", currency="EUR")
              for number in range(30)]
    assert ids(gateway) == posted[::-1]
    events, pages = find(gateway, limit=7)
    assert [event["event"] for event in events] == posted[::-1] and pages >= 5
    assert ids(gateway, type="lead", limit=3) == posted[::3][::-1]
    assert ids(gateway, amount="12.5") == [posted[12]]
    assert ids(gateway, currency="USD") == []
    accepted = find(gateway)[0][10]["accepted_at"]
    assert ids(gateway, since=accepted) == posted[19:][::-1]
    assert ids(gateway, until=accepted) == posted[:19][::-1]
    table = gateway.tool("event", "list", "--type", "lead", "--limit", "4")
    assert table.returncode == 0 and table.stdout.count("evt_") == 4 and "there are more" in table.stderr, table


def test_events_are_listed_by_the_states_of_their_deliveries(gateway, sink):
    good = post(gateway, 1)
    wait_for(lambda: gateway.states(good) == ["delivered"], "it is delivered")
    sink.behave(status=500)
    bad = post(gateway, 2)
    wait_for(lambda: gateway.states(bad) == ["dead"], "it is dead")
    assert ids(gateway, state="dead") == [bad]
    assert ids(gateway, state="delivered") == [good]
    assert ids(gateway, state="dead,delivered") == [bad, good]
    assert ids(gateway, account=gateway.ready["account"], endpoint="sink", state="dead") == [bad]
    assert ids(gateway, endpoint=gateway.ready["endpoint"], state="dead") == [bad]


def test_a_wrong_parameter_is_named(gateway):
    with gateway.operator() as operator:
        for query, name in (("state=gone", "state"), ("key=", "key"), ("amount=x", "amount"), ("endpoint=main", "endpoint"),
                            ("account=acc_demo&endpoint=nope", "endpoint"), ("since=yesterday", "since"), ("limit=0", "limit"),
                            ("cursor=1", "cursor"), ("cursor=3.1.1.1", "cursor"), ("cursor=1.x", "cursor"), ("day=2026-01-01&since=2026-01-01T00:00:00Z", "day"),
                            ("cause=tls", "cause"), ("colour=red", "colour")):
            answer = operator.get(f"/api/v1/events?{query}")
            assert answer.status_code == 422, (query, answer.text)
            assert answer.json()["errors"][0]["pointer"] == f"/{name}", (query, answer.text)
        assert operator.get("/api/v1/events?account=nope").status_code == 404


def test_a_partner_finds_its_own_events_by_its_own_id(gateway):
    first, second = post(gateway, 0, id="a b/c"), post(gateway, 0, id="a b/c", type="lead")
    wait_for(lambda: gateway.states(first) == ["delivered"], "it is delivered")
    with gateway.operator() as operator:
        assert operator.post("/api/v1/partners", json={"id": "other"}).status_code == 201
        other = operator.post("/api/v1/partners/other/keys", json={}).json()["api_key"]
        limited = operator.post("/api/v1/partners/partner_demo/keys", json={"types": ["lead"]}).json()["api_key"]
    with gateway.partner() as partner:
        answer = partner.get("/v1/events", params={"key": "a b/c"})
        assert answer.status_code == 200, answer.text
        assert [event["event"] for event in answer.json()["events"]] == [second, first] and answer.json()["more"] is False
        [event] = partner.get("/v1/events", params={"key": "a b/c", "type": "purchase"}).json()["events"]
        assert event == partner.get(f"/v1/events/{first}").json(), "it is shown as by its id"
        assert partner.get("/v1/events", params={"key": "nothing"}).status_code == 404
        for query, name in (("", "key"), ("key=", "key"), ("key=a&partner=other", "partner"), ("key=a&account=-", "account")):
            answer = partner.get(f"/v1/events?{query}")
            assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == f"/{name}", (query, answer.text)
        assert partner.get("/v1/events", params={"key": "a b/c"}, headers={"authorization": f"Bearer {other}"}).status_code == 404
        seen = partner.get("/v1/events", params={"key": "a b/c"}, headers={"authorization": f"Bearer {limited}"}).json()["events"]
        assert [event["event"] for event in seen] == [second], "only what the key may post"
        assert partner.get("/v1/events", params={"key": "a b/c"}, headers={"authorization": "Bearer pk_wrong"}).status_code == 401


def test_deliveries_are_listed_by_cause_partner_type_and_key(gateway, sink):
    sink.behave(status=500)
    lead, purchase = post(gateway, 1, type="lead"), post(gateway, 2)
    wait_for(lambda: gateway.states(lead) == gateway.states(purchase) == ["dead"], "both are dead")

    def listed(**parameters):
        with gateway.operator() as operator:
            answer = operator.get("/api/v1/deliveries", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["deliveries"]

    [item] = listed(key="order-2", state="dead")
    assert item["event"] == purchase and item["cause"] == "http-failed" and item["class"] == "critical"
    assert [item["event"] for item in listed(type="le*")] == [lead]
    assert len(listed(partner="partner_demo", state="dead", cause="http-failed")) == 2
    assert listed(state="dead", cause="connect-refused") == []
    assert len(listed(account=gateway.ready["account"], endpoint="sink", since=item["accepted_at"])) == 1
    table = gateway.tool("delivery", "list", "--state", "dead", "--account", gateway.ready["account"], "--endpoint", "sink")
    assert table.returncode == 0 and all(word in table.stdout for word in ("order-1", "lead", "http-failed", "partner_demo")), table


def test_an_endpoint_may_be_named_with_its_account(gateway):
    by_name = gateway.tool("endpoint", "show", gateway.ready["account"], "sink", "--json")
    assert json.loads(by_name.stdout)["id"] == gateway.ready["endpoint"], by_name
    wrong = gateway.tool("delivery", "list", "--account", gateway.ready["account"], "--endpoint", "nope")
    assert wrong.returncode == 65 and "penstock endpoint list" in wrong.stderr, wrong
