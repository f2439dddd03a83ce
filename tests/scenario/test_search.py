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
