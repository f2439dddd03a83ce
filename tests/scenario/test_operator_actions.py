# SPDX-License-Identifier: Apache-2.0
"""What operators do to a delivery: retry, discard, resolve. Done only where the delivery is believed to be, kept with it, and
answered after the commit."""
import pytest

from support.wait import wait_for

SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms]"}


def action(gateway, delivery, verb, **body):
    with gateway.operator() as operator:
        return operator.post(f"/api/v1/deliveries/{delivery}/{verb}", json=body)


def show(gateway, delivery):
    with gateway.operator() as operator:
        answer = operator.get(f"/api/v1/deliveries/{delivery}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def delivery_of(event, index=0):
    return f"dlv_{event[4:]}-{index}"


def endpoints(gateway, *more, account=None):
    return "/".join([f"/api/v1/accounts/{account or gateway.ready['account']}/endpoints", *more])


def add_endpoint(gateway, url, name, account=None):
    with gateway.operator() as operator:
        answer = operator.post(endpoints(gateway, account=account), json={"url": url, "name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def totals(gateway):
    """Of the euros, {name: count}; and the audit is complete at every moment that a test asks."""
    with gateway.operator() as operator:
        found = operator.get("/api/v1/audit").json()
    assert found["verdict"] == "complete", found["findings"]
    [euros] = [total for total in found["totals"] if total["currency"] == "EUR"]
    return {name: number["count"] for name, number in euros.items() if isinstance(number, dict) and number["count"]}


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(number, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()["event"]


@pytest.fixture
def gateway(make_gateway, sink):
    gateway = make_gateway(SHORT)
    gateway.point_endpoint_at(sink.url())
    return gateway


def park(gateway, sink, number=1):
    """A payout that nobody knows the end of."""
    sink.behave(mode="drop")
    event = post(gateway, number, type="payout")
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    sink.behave()
    return event


def kill(gateway, sink, number=1):
    sink.behave(status=500)
    event = post(gateway, number)
    wait_for(lambda: gateway.states(event) == ["dead"], "dead")
    sink.behave()
    return event


@pytest.mark.parametrize("end", ["delivered", "discarded"])
def test_a_parked_payout_is_resolved_and_never_sent_again(gateway, sink, end):
    event = park(gateway, sink)
    answer = action(gateway, delivery_of(event), "resolve", **{"as": end, "expect": "parked", "reason": "the client says so: café"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": delivery_of(event), "event": event, "from": "parked", "state": end, "reason": "the client says so: café"}
    gateway.restart()
    found = show(gateway, delivery_of(event))
    assert (found["state"], found["event"], found["amount"]) == (end, event, "129.90")
    [done] = found["operator_actions"]
    assert (done["by"], done["from"], done["to"], done["reason"]) == ("operator", "parked", end, "the client says so: café")
    assert gateway.timeline(event)["deliveries"][0]["operator_actions"] == [done]
    marker = post(gateway, 2)
    wait_for(lambda: sink.of(marker), "a later event")
    assert len(sink.of(event)) == 1


def test_a_parked_payout_is_sent_again_with_the_same_id(gateway, sink):
    event = park(gateway, sink)
    answer = action(gateway, delivery_of(event), "retry", guarded=True, reason="not there")
    assert (answer.status_code, answer.json()["state"]) == (200, "pending"), answer.text
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert [d.attempt for d in sink.of(event)] == [1, 2]


def test_a_dead_delivery_is_retried_or_discarded(gateway, sink):
    replayed, discarded = kill(gateway, sink, 1), kill(gateway, sink, 2)
    assert action(gateway, delivery_of(replayed), "retry").status_code == 200
    wait_for(lambda: gateway.states(replayed) == ["delivered"], "delivered")
    assert action(gateway, delivery_of(discarded), "discard", expect="dead", reason="too late").status_code == 200
    assert gateway.states(discarded) == ["discarded"]
    assert gateway.tool("audit").returncode == 0


def waits(gateway, sink, number=1, **fields):
    """A delivery whose next attempt is an hour away."""
    sink.behave(status=500)
    event = post(gateway, number, **fields)
    wait_for(lambda: gateway.states(event) == ["waiting"], "waiting")
    sink.behave()
    return event


@pytest.fixture
def slow_gateway(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h]"})
    gateway.point_endpoint_at(sink.url())
    return gateway


def test_a_waiting_delivery_is_sent_now_or_given_up(slow_gateway, sink):
    gateway = slow_gateway
    sent, given_up = waits(gateway, sink, 1), waits(gateway, sink, 2)
    answer = action(gateway, delivery_of(sent), "retry", reason="they are back")
    assert (answer.status_code, answer.json()["from"], answer.json()["state"]) == (200, "waiting", "pending"), answer.text
    wait_for(lambda: gateway.states(sent) == ["delivered"], "delivered")
    shown = gateway.tool("delivery", "discard", delivery_of(given_up), "--reason", "the order was cancelled")
    assert shown.returncode == 0 and "waiting -> discarded" in shown.stdout, shown.stderr
    for restarts in range(2):
        assert gateway.states(given_up) == ["discarded"]
        assert totals(gateway) == {"accepted": 2, "deliveries": 2, "delivered": 1, "discarded": 1}
        gateway.restart()
    marker = post(gateway, 3)
    wait_for(lambda: gateway.states(marker) == ["delivered"], "a later event")
    assert (len(sink.of(sent)), len(sink.of(given_up))) == (2, 1)


def test_a_second_manual_retry_works(slow_gateway, sink):
    gateway = slow_gateway
    event = waits(gateway, sink)
    sink.behave(status=503)
    assert action(gateway, delivery_of(event), "retry").status_code == 200
    wait_for(lambda: len(sink.of(event)) == 2 and gateway.states(event) == ["waiting"], "it has failed again")
    sink.behave()
    assert action(gateway, delivery_of(event), "retry", expect="waiting").status_code == 200
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert [d.attempt for d in sink.of(event)] == [1, 2, 3]


def test_what_is_being_sent_is_left_alone(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[2s, 1h]"})
    gateway.point_endpoint_at(sink.url())
    event = waits(gateway, sink)
    sink.behave(mode="hang")
    wait_for(lambda: len(sink.of(event)) == 2, "the second attempt is in flight")
    assert gateway.states(event) == ["waiting"]
    for verb in ("retry", "discard"):
        refused = action(gateway, delivery_of(event), verb)
        assert refused.status_code == 409 and "is sent without your help" in refused.json()["detail"], refused.text
    assert show(gateway, delivery_of(event))["operator_actions"] == []


def test_a_payout_in_doubt_is_sent_again_only_on_purpose(gateway, sink):
    event = park(gateway, sink)
    refused = action(gateway, delivery_of(event), "retry", reason="let us see")
    assert refused.status_code == 422 and "may have the event already" in refused.json()["detail"], refused.text
    refused = action(gateway, delivery_of(event), "discard")
    assert refused.status_code == 422 and "is in doubt" in refused.json()["detail"], refused.text
    refused = action(gateway, delivery_of(event), "retry", guarded=True)
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/reason", refused.text
    assert gateway.tool("delivery", "retry", delivery_of(event)).returncode == 65
    assert len(sink.of(event)) == 1
    assert gateway.tool("delivery", "retry", delivery_of(event), "--guarded", "--reason", "asked them").returncode == 0
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")


def test_what_was_delivered_is_sent_again_only_by_force(gateway, sink):
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    refused = action(gateway, delivery_of(event), "retry", expect="delivered")
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/expect"
    refused = action(gateway, delivery_of(event), "retry")
    assert refused.status_code == 409 and "set force to true" in refused.json()["detail"], refused.text
    assert action(gateway, delivery_of(event), "retry", force=True, reason="asked for").status_code == 200
    wait_for(lambda: len(sink.of(event)) == 2, "the second one")
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered again")
    assert [attempt["number"] for attempt in show(gateway, delivery_of(event))["attempts"]] == [1, 2]


def test_what_has_moved_on_stays_where_it_is(gateway, sink):
    event = kill(gateway, sink)
    moved = action(gateway, delivery_of(event), "retry", expect="parked")
    assert moved.status_code == 409, moved.text
    assert (moved.json()["type"], moved.json()["detail"]) == ("urn:penstock:problem:moved-on", "The state of the delivery is dead, not parked.")
    assert gateway.states(event) == ["dead"] and show(gateway, delivery_of(event))["operator_actions"] == []
    assert action(gateway, f"dlv_{event[4:]}-7", "retry", expect="parked").status_code == 404
    assert action(gateway, "dlv_01890a5d-ac96-774b-bcce-b302099a8057-0", "retry", expect="parked").status_code == 404


def test_what_has_no_endpoint_can_be_discarded_but_not_sent(gateway, sink):
    with gateway.operator() as operator:
        operator.patch(f"/api/v1/accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}", json={"types": ["lead"]})
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    refused = action(gateway, delivery_of(event), "retry", expect="parked")
    assert refused.status_code == 422 and "no endpoint" in refused.json()["detail"]
    assert action(gateway, delivery_of(event), "discard", expect="parked").status_code == 200
    assert gateway.states(event) == ["discarded"]


def test_the_commands_do_the_same(gateway, sink):
    parked, dead = park(gateway, sink, 1), kill(gateway, sink, 2)
    shown = gateway.tool("delivery", "show", delivery_of(parked))
    assert shown.returncode == 0 and "parked: ambiguous" in shown.stdout, shown.stderr
    assert gateway.tool("delivery", "resolve", delivery_of(parked)).returncode == 64
    moved = gateway.tool("delivery", "discard", delivery_of(parked), "--expect", "dead")
    assert moved.returncode == 65 and "The state of the delivery is parked, not dead." in moved.stderr
    resolved = gateway.tool("delivery", "resolve", delivery_of(parked), "--as", "delivered", "--expect", "parked", "--reason", "by phone")
    assert resolved.returncode == 0 and "parked -> delivered" in resolved.stdout, resolved.stderr
    replayed = gateway.tool("delivery", "retry", delivery_of(dead))
    assert replayed.returncode == 0, replayed.stderr
    wait_for(lambda: gateway.states(dead) == ["delivered"], "delivered")
    assert gateway.tool("delivery", "retry", delivery_of(dead)).returncode == 65
    assert gateway.tool("delivery", "retry", delivery_of(dead), "--force", "--reason", "asked for").returncode == 0
    wait_for(lambda: len(sink.of(dead)) == 4, "sent again")
    shown = gateway.tool("event", "show", parked)
    assert "operator action, from parked to delivered: by phone" in shown.stdout


def deliver(gateway, number=1, **fields):
    event = post(gateway, number, **fields)
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    return event


def replay_by_force(gateway, event):
    answer = action(gateway, delivery_of(event), "retry", expect="delivered", force=True, reason="asked for")
    assert answer.status_code == 200, answer.text


def seen_by_partner(gateway, event):
    with gateway.partner() as partner:
        [delivery] = partner.get(f"/v1/events/{event}").json()["deliveries"]
    return delivery["state"], delivery["changed_at"]


@pytest.mark.parametrize("type, behaviour, last", [
    ("purchase", {"status": 500}, {"status": 500}),
    ("payout", {"mode": "drop"}, {"error": "answer-lost"}),
    ("purchase", {"status": 410}, {"status": 410}),
], ids=["fails", "ends-ambiguously", "disables-its-endpoint"])
def test_a_forced_replay_that_fails_leaves_it_delivered(gateway, sink, type, behaviour, last):
    event = deliver(gateway, type=type)
    before = seen_by_partner(gateway, event)
    first = show(gateway, delivery_of(event))
    sink.behave(**behaviour)
    replay_by_force(gateway, event)
    wait_for(lambda: show(gateway, delivery_of(event))["replay"] == "failed", "the replay has failed")
    for restarts in range(2):
        found = show(gateway, delivery_of(event))
        assert (found["state"], found["replay"], found["delivered_at"]) == ("delivered", "failed", first["delivered_at"])
        assert (found["attempts"][0], found["attempts"][-1].items() >= last.items()) == (first["attempts"][0], True), found["attempts"]
        assert [(action["from"], action["to"]) for action in found["operator_actions"]] == [("delivered", "pending")]
        assert totals(gateway) == {"accepted": 1, "deliveries": 1, "delivered": 1}
        assert seen_by_partner(gateway, event) == before == ("delivered", first["delivered_at"])
        gateway.restart()
    assert "the last forced replay failed" in gateway.tool("delivery", "show", delivery_of(event)).stdout
    assert gateway.metric('penstock_attempts_total{result="dead"}') == gateway.metric('penstock_attempts_total{result="parked"}') == 0
    sink.behave()
    with gateway.operator() as operator:
        operator.patch(endpoints(gateway, gateway.ready["endpoint"]), json={"enabled": True})
    replay_by_force(gateway, event)
    wait_for(lambda: show(gateway, delivery_of(event))["replay"] == "delivered", "the second replay")
    found = show(gateway, delivery_of(event))
    assert (found["state"], found["delivered_at"]) == ("delivered", first["delivered_at"])
    assert [attempt["number"] for attempt in found["attempts"]] == list(range(1, len(found["attempts"]) + 1))


def test_while_a_forced_replay_is_in_flight_it_counts_as_delivered_and_nothing_else_is_done_to_it(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h]"})
    gateway.point_endpoint_at(sink.url())
    event = deliver(gateway)
    sink.behave(status=500)
    replay_by_force(gateway, event)
    wait_for(lambda: gateway.states(event) == ["waiting"], "the replay waits to be tried again")
    for kill in (False, True):
        if kill:
            gateway.kill9()
            gateway.start()
        assert totals(gateway) == {"accepted": 1, "deliveries": 1, "delivered": 1}
        assert show(gateway, delivery_of(event))["replay"] == "in_progress"
        assert seen_by_partner(gateway, event)[0] == "delivered"
        for verb, body in (("retry", {"expect": "delivered", "force": True, "reason": "asked for"}), ("discard", {"expect": "dead"}),
                           ("resolve", {"expect": "parked", "as": "discarded"}), ("retry", {"expect": "parked"})):
            refused = action(gateway, delivery_of(event), verb, **body)
            assert refused.status_code == 409 and "The state of the delivery is waiting" in refused.json()["detail"], refused.text
    with gateway.operator() as operator:
        listed = operator.get("/api/v1/deliveries", params={"state": "delivered"}).json()["deliveries"]
        assert [(item["id"], item["replay"]) for item in listed] == [(delivery_of(event), "in_progress")]
    assert "a forced replay is in progress" in gateway.tool("event", "show", event).stdout
    assert action(gateway, delivery_of(event), "discard", reason="enough").status_code == 200
    found = show(gateway, delivery_of(event))
    assert (found["state"], found["replay"]) == ("delivered", "failed"), "it ends the replay only"
    assert totals(gateway) == {"accepted": 1, "deliveries": 1, "delivered": 1}


def test_a_replay_that_a_kill_interrupts_stays_delivered(gateway, sink):
    event = deliver(gateway, type="payout")
    sink.behave(mode="hang")
    replay_by_force(gateway, event)
    wait_for(lambda: len(sink.of(event)) == 2 and gateway.states(event) == ["sending"], "in flight")
    gateway.kill9()
    sink.behave()
    gateway.start()
    found = show(gateway, delivery_of(event))
    assert (found["state"], found["replay"], found["attempts"][-1]["error"]) == ("delivered", "failed", "interrupted")
    assert totals(gateway) == {"accepted": 1, "deliveries": 1, "delivered": 1}


def remove_endpoint(gateway, endpoint):
    with gateway.operator() as operator:
        assert operator.delete(endpoints(gateway, endpoint)).status_code in (200, 204)


def test_what_was_for_an_endpoint_that_is_gone_is_sent_to_another_one_of_its_account(gateway, sink):
    parked, dead, had = park(gateway, sink, 1), kill(gateway, sink, 2), deliver(gateway, 3)
    old = gateway.ready["endpoint"]
    new = add_endpoint(gateway, sink.url("/new"), "new")
    remove_endpoint(gateway, old)
    for event, state in ((parked, "parked"), (dead, "dead")):
        refused = action(gateway, delivery_of(event), "retry", expect=state, guarded=True, reason="asked")
        assert refused.status_code == 422 and old in refused.json()["detail"] and "has been removed" in refused.json()["detail"], refused.text
        assert gateway.states(event) == [state] and show(gateway, delivery_of(event))["operator_actions"] == []
    refused = action(gateway, delivery_of(had), "retry", expect="delivered", force=True, reason="asked for")
    assert refused.status_code == 422 and "has been removed" in refused.json()["detail"], refused.text
    refused = action(gateway, delivery_of(had), "retry", expect="delivered", force=True, endpoint=new, reason="asked for")
    assert refused.status_code == 422 and "cannot change its endpoint" in refused.json()["detail"], refused.text

    sent = gateway.tool("delivery", "retry", delivery_of(parked), "--guarded", "--to", new, "--reason", "they moved")
    assert sent.returncode == 0 and f"to new ({new})" in sent.stdout, sent.stderr
    answer = action(gateway, delivery_of(dead), "retry", expect="dead", endpoint=new)
    assert answer.status_code == 200 and answer.json()["endpoint"]["id"] == new, answer.text
    for event in (parked, dead):
        wait_for(lambda: gateway.states(event) == ["delivered"], "delivered to the new one")
        assert [d.path for d in sink.of(event)][-1] == "/new"
        found = show(gateway, delivery_of(event))
        assert found["endpoint"]["id"] == new and found["operator_actions"][-1]["from_endpoint"]["id"] == old
        assert found["operator_actions"][-1]["to_endpoint"]["id"] == new
    assert f"from {old} to new ({new})" in gateway.tool("delivery", "show", delivery_of(parked)).stdout
    with gateway.operator() as operator:
        found = operator.get("/api/v1/audit").json()
    rows = {row["endpoint"]["id"]: row["deliveries"]["count"] for row in found["rows"]}
    assert (found["verdict"], rows) == ("complete", {old: 1, new: 2}), found
    gateway.kill9()
    gateway.start()
    with gateway.operator() as operator:
        assert operator.get("/api/v1/audit").json() == found


def test_what_could_never_be_delivered_is_refused_with_the_reason(gateway, sink):
    main = gateway.ready["endpoint"]
    second = add_endpoint(gateway, sink.url("/second"), "second")
    with gateway.operator() as operator:
        assert operator.post("/api/v1/accounts", json={"id": "acc_other"}).status_code == 201
    foreign = add_endpoint(gateway, sink.url("/foreign"), "main", account="acc_other")
    sink.behave(status=500)
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event).count("dead") + gateway.states(event).count("delivered") == 2, "at their ends")
    index = [d["endpoint"]["id"] for d in gateway.timeline(event)["deliveries"]].index(main)
    third = add_endpoint(gateway, sink.url("/third"), "third")
    with gateway.operator() as operator:
        operator.patch(endpoints(gateway, third), json={"enabled": False})
        operator.patch(endpoints(gateway, main), json={"enabled": False})
    for endpoint, reason in ((None, "is disabled"), (third, "is disabled"), (foreign, "belongs to another account"),
                             ("ep_0123456789abcdef", "does not exist"), (second, delivery_of(event, 1 - index))):
        body = {"expect": "dead", **({"endpoint": endpoint} if endpoint else {})}
        refused = action(gateway, delivery_of(event, index), "retry", **body)
        assert refused.status_code == 422 and reason in refused.json()["detail"], refused.text
    malformed = action(gateway, delivery_of(event, index), "retry", expect="dead", endpoint="main")
    assert malformed.status_code == 422 and malformed.json()["errors"][0]["pointer"] == "/endpoint"
    shown = gateway.tool("delivery", "retry", delivery_of(event, index), "--expect", "dead")
    assert shown.returncode == 65 and "enable it, or choose another" in shown.stderr
    assert show(gateway, delivery_of(event, index))["state"] == "dead"
    assert show(gateway, delivery_of(event, index))["operator_actions"] == []


def test_what_is_unrouted_is_sent_to_the_endpoint_that_is_named(gateway, sink):
    with gateway.operator() as operator:
        operator.patch(endpoints(gateway, gateway.ready["endpoint"]), json={"types": ["lead"]})
    event = post(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    answer = action(gateway, delivery_of(event), "retry", expect="parked", endpoint=gateway.ready["endpoint"])
    assert answer.status_code == 200, answer.text
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert totals(gateway) == {"accepted": 1, "deliveries": 1, "delivered": 1}
