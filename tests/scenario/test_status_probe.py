# SPDX-License-Identifier: Apache-2.0
"""Status probes: the client itself says whether it has processed a payout whose answer was lost. Then no operator has to decide."""
import time

from support.deployment import Deployment, wait_until_delivered
from support.wait import wait_for

HOUR = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[1h, 1h]", "PENSTOCK_SHUTDOWN__DRAIN": "100ms"}
PAYOUT = {"type": "payout"}
YES, NO, UNKNOWN = {"body": '{"state": "processed"}'}, {"status": 404}, {"body": '{"state": "looking"}'}


def probed(gateway, sink, **probe):
    """An endpoint with a status probe."""
    return Deployment(gateway, sink.url(), policy={
        "guarded_answer_timeout": "1m", "headers": {"X-Api-Key": "s3cret"},
        "status_probe": {"url": sink.url("/status/{id}"), "yes": {"pointer": "/state", "equals": "processed"}, "no": {"statuses": [404]}, **probe}})


def lose_answers(deployment, sink, answers):
    """Posts payouts whose answers the client drops, one for each. It says so about each of them later. Returns their ids."""
    sink.behave(mode="drop")
    events = deployment.post(len(answers), **PAYOUT)
    for event, answer in zip(events, answers):
        sink.behave(f"/status/{event}", **answer)
    wait_until_parked(deployment, events)
    sink.behave()
    return events


def wait_until_parked(deployment, events):
    wait_for(lambda: set(deployment.states(events)) == {"parked"}, lambda: f"parked: {deployment.states(events)}")
    assert {delivery["reason"] for delivery in deployment.timelines(events)} == {"ambiguous"}


def asked(sink, event):
    return sink.deliveries(f"/status/{event}")


def sends(sink, events):
    return [len(sink.of(event)) for event in events]


def test_client_says_what_became_of_a_payout_in_doubt(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = probed(gateway, sink)
    yes, no, unknown = lose_answers(deployment, sink, [YES, NO, UNKNOWN])
    wait_until_delivered(deployment, [yes, no])
    wait_for(lambda: asked(sink, unknown), "it is asked about the third one")
    assert sends(sink, [yes, no, unknown]) == [1, 2, 1]
    assert deployment.states([unknown]) == ["parked"]
    [question] = asked(sink, yes)
    assert question.headers["x-api-key"] == "s3cret" and question.body == b"" and not question.id
    [delivery] = deployment.timelines([yes])
    assert [attempt["error"] for attempt in delivery["attempts"]] == ["answer-lost"]
    shown = gateway.tool("event", "show", yes)
    assert "status probe answers yes, from parked to delivered: status 200, the answer meets the rule for yes" in shown.stdout, \
        shown.stdout + shown.stderr
    assert "operator" not in shown.stdout
    shown = gateway.tool("event", "show", no)
    assert "status probe answers no, from parked to pending: status 404, the answer meets the rule for no" in shown.stdout, shown.stdout
    [resolved] = delivery["operator_actions"]
    assert (resolved["by"], resolved["from"], resolved["to"]) == ("status-probe", "parked", "delivered") and resolved["at"]
    # A new doubt asks about the old one as well.
    sink.behave(f"/status/{unknown}", **YES)
    [other] = lose_answers(deployment, sink, [YES])
    wait_until_delivered(deployment, [other, unknown])
    assert sends(sink, [yes, no, unknown, other]) == [1, 2, 1, 1]


def test_answer_that_says_neither_yes_nor_no_leaves_the_payout_parked(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = probed(gateway, sink, yes={"statuses": ["200-499"], "pointer": "/state", "equals": "processed"})
    error, lost, no_json = {"status": 500}, {"mode": "drop"}, {"body": "processed"}
    both = {"status": 404, "body": '{"state": "processed"}'}
    *events, resolved = lose_answers(deployment, sink, [error, lost, no_json, both, YES])
    wait_until_delivered(deployment, [resolved], "the last one, which the client answers")
    assert [len(asked(sink, event)) for event in events] == [1, 1, 1, 1]
    wait_until_parked(deployment, events)
    assert sends(sink, events) == [1, 1, 1, 1]


def test_client_is_asked_although_its_breaker_is_open_and_nothing_is_left_to_send(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = probed(gateway, sink)
    *events, late = lose_answers(deployment, sink, [YES] * 12 + [NO])
    wait_until_delivered(deployment, events)
    assert sends(sink, events) == [1] * 12
    wait_for(lambda: asked(sink, late), "it is asked about the last one")
    time.sleep(1)
    assert deployment.states([late]) == ["parked"], "a client that fails may still process it: no does not count yet"
    assert sends(sink, [late]) == [1]


def test_payout_that_a_kill_interrupted_is_asked_about_after_the_start(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = probed(gateway, sink)
    wait_until_delivered(deployment, deployment.post(5, **PAYOUT))
    sink.behave(mode="hang")
    events = deployment.post(3, **PAYOUT)
    wait_for(lambda: any(sink.of(event) for event in events), "the client has one")
    gateway.kill9()
    sink.wait_until_all_left()
    sent = [event for event in events if sink.of(event)]
    sink.behave()
    for event in events:
        sink.behave(f"/status/{event}", **YES)
    gateway.start()
    wait_until_delivered(deployment, events)
    assert sends(sink, sent) == [1] * len(sent)
    assert all(asked(sink, event) for event in sent)


def test_idempotent_endpoint_needs_no_status_probe(make_gateway, sink):
    """Its payouts are sent again like all other events."""
    gateway = make_gateway({**HOUR, "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[200ms, 200ms]"})
    deployment = probed(gateway, sink)
    deployment.change(idempotent=True)
    sink.behave(mode="drop")
    events = deployment.post(2, **PAYOUT)
    wait_for(lambda: all(sink.of(event) for event in events), "sent")
    sink.behave()
    wait_until_delivered(deployment, events)
    assert not any(asked(sink, event) for event in events)


def test_status_probe_that_is_added_later_asks_about_what_is_parked(make_gateway, sink):
    gateway = make_gateway(HOUR)
    deployment = Deployment(gateway, sink.url())
    [event] = lose_answers(deployment, sink, [YES])
    probed(gateway, sink)
    wait_until_delivered(deployment, [event])
    assert sends(sink, [event]) == [1]
