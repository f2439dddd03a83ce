# SPDX-License-Identifier: Apache-2.0
"""Events that no endpoint wants are parked, and find their way by themselves when one appears that does."""
import json

import pytest
from support.wait import wait_for


@pytest.fixture
def shop(make_gateway):
    """A gateway with an account that has no endpoint, for which the demo partner may post."""
    gateway = make_gateway()
    with gateway.operator() as operator:
        partner = operator.get("/api/v1/partners").json()["partners"][0]["id"]
        assert operator.post("/api/v1/accounts", json={"id": "shop"}).status_code == 201
        assert operator.post(f"/api/v1/partners/{partner}/accounts", json={"account": "shop"}).status_code == 201
    return gateway


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, account="shop", **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


def post_many(gateway, count):
    """In one batch; the ids in order."""
    lines = b"\n".join(json.dumps(gateway.event(n, account="shop")).encode() for n in range(count))
    with gateway.partner() as partner:
        answer = partner.post("/v1/events/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["result"] for result in results] == ["accepted"] * count
    return [result["event"] for result in results]


def add_endpoint(gateway, url, **fields):
    with gateway.operator() as operator:
        answer = operator.post("/api/v1/accounts/shop/endpoints", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def change_endpoint(gateway, endpoint, **fields):
    with gateway.operator() as operator:
        answer = operator.patch(f"/api/v1/accounts/shop/endpoints/{endpoint}", json=fields)
    assert answer.status_code == 200, answer.text


def reason(gateway, event):
    delivery, = gateway.timeline(event)["deliveries"]
    return delivery["state"], delivery.get("reason")


def states_by_endpoint(gateway, event):
    return {delivery["endpoint"]["id"]: delivery["state"] for delivery in gateway.timeline(event)["deliveries"]}


def test_events_without_an_endpoint_are_delivered_when_it_is_added(shop, sink):
    events = post_many(shop, 40)
    assert {reason(shop, event) for event in events} == {("parked", "unrouted")}
    endpoint = add_endpoint(shop, sink.url())
    wait_for(lambda: set(events) == {d.id for d in sink.deliveries()}, "all of them are delivered", 20)
    wait_for(lambda: all(shop.states(event) == ["delivered"] for event in events), "and recorded")
    assert len(sink.deliveries()) == len(events)
    assert shop.timeline(events[0])["deliveries"][0]["endpoint"]["id"] == endpoint


def test_only_what_an_endpoint_takes_goes_to_it_and_the_rest_waits_for_another(shop, sink):
    lead, purchase = post(shop, 1, type="lead"), post(shop, 2)
    first = add_endpoint(shop, sink.url("/leads"), types=["lead"], name="leads")
    wait_for(lambda: shop.states(lead) == ["delivered"], "the lead has found its endpoint")
    assert reason(shop, purchase) == ("parked", "unrouted")
    late = post(shop, 3)
    assert reason(shop, late) == ("parked", "unrouted"), "it is judged by the filter when it comes, too"
    change_endpoint(shop, first, types=["lead", "purch*"])
    wait_for(lambda: shop.states(purchase) == shop.states(late) == ["delivered"], "a wider filter takes the rest")
    assert [d.id for d in sink.deliveries("/leads")].count(lead) == 1


def test_a_disabled_endpoint_takes_nothing_until_it_is_enabled(shop, sink):
    """It is the account's first, and would be given what is unrouted. Behind it is one that is enabled and takes purchases only.
    What comes when both are there is for both, and the disabled one's waits for it."""
    purchase, lead = post(shop, 1), post(shop, 2, type="lead")
    first = add_endpoint(shop, sink.url("/first"), name="first", enabled=False)
    second = add_endpoint(shop, sink.url("/second"), name="second", types=["purchase"])
    late = post(shop, 3)
    wait_for(lambda: shop.states(purchase) == ["delivered"], "the enabled one takes what was unrouted")
    wait_for(lambda: states_by_endpoint(shop, late) == {first: "parked", second: "delivered"}, "and what comes later")
    assert states_by_endpoint(shop, purchase) == {second: "delivered"}
    assert reason(shop, lead) == ("parked", "unrouted")
    assert sink.deliveries("/first") == []
    change_endpoint(shop, first, enabled=True)
    wait_for(lambda: shop.states(lead) == ["delivered"], "the lead is delivered")
    wait_for(lambda: states_by_endpoint(shop, late) == {first: "delivered", second: "delivered"}, "and what waited for it")
    assert sorted(d.id for d in sink.deliveries("/first")) == sorted([lead, late])
    assert sorted(d.id for d in sink.deliveries("/second")) == sorted([purchase, late])


def test_an_endpoint_that_appeared_just_before_the_end_is_found_at_the_next_start(shop, sink):
    """Its event is on disk, and the walk to it may not have been: the start looks through what is unrouted."""
    events = post_many(shop, 300)
    add_endpoint(shop, sink.url())
    shop.kill9()
    shop.start()
    wait_for(lambda: set(events) <= {d.id for d in sink.deliveries()}, "all of them are delivered", 30)
