# SPDX-License-Identifier: Apache-2.0
"""A client deployment that is down, fails, hangs or drops connections: everything arrives in the end, or its end is on record."""
import json
import pathlib
import time

import pytest

from support import signatures
from support.deployment import Deployment, wait_until_delivered
from support.gateway import BINARY
from support.wait import wait_for

LONG = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[" + ", ".join(["200ms"] * 32) + "]"}
SHORT = {"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[100ms, 200ms]"}


def post_many(gateway, count, first=0, **fields):
    """{event id: body}"""
    with gateway.partner() as partner:
        answers = [partner.post("/v1/events", json=gateway.event(n, **fields)) for n in range(first, first + count)]
    assert all(answer.status_code == 200 for answer in answers), answers
    return {answer.json()["event"]: json.loads(answer.request.content) for answer in answers}


def check_attempts(gateway, sink, events):
    """Every attempt has the event's id and body, its own number and a good signature."""
    seen = [d for d in sink.deliveries() if d.id in events]
    for event, body in events.items():
        of_event = [d for d in seen if d.id == event]
        numbers = [d.attempt for d in of_event]
        assert numbers == sorted(set(numbers)), f"attempts of {event}: {numbers}"
        assert all(json.loads(d.body) == body for d in of_event)
    assert all(signatures.verify(gateway.ready["endpoint_secret"], seen))


def test_down_for_several_attempts_then_up(make_gateway, sink):
    gateway = make_gateway(LONG)
    gateway.point_endpoint_at(sink.url())
    sink.down()
    events = post_many(gateway, 1)  # alone: ten failures would open the breaker
    some = next(iter(events))
    wait_for(lambda: len(gateway.timeline(some)["deliveries"][0]["attempts"]) >= 3, "three failed attempts")
    events |= post_many(gateway, 49, first=1)
    attempts = gateway.timeline(some)["deliveries"][0]["attempts"]
    assert {attempt["error"] for attempt in attempts} == {"connect"}
    assert sink.count() == 0
    sink.up()
    wait_for(lambda: set(events) <= {d.id for d in sink.deliveries()}, "all are delivered", 60)
    wait_for(lambda: all(gateway.states(event) == ["delivered"] for event in events), "all are on record as delivered")
    assert len(sink.deliveries()) == len(events), "each arrived once"
    assert sink.of(some)[0].attempt == len(gateway.timeline(some)["deliveries"][0]["attempts"]) >= 4
    check_attempts(gateway, sink, events)


def test_down_across_a_restart(make_gateway, sink):
    gateway = make_gateway(LONG)
    gateway.point_endpoint_at(sink.url())
    sink.down()
    events = post_many(gateway, 20)
    wait_for(lambda: any(state == "waiting" for event in events for state in gateway.states(event)), "something waits")
    gateway.restart()
    sink.up()
    wait_for(lambda: set(events) <= {d.id for d in sink.deliveries()}, "all are delivered", 60)
    assert len(sink.deliveries()) == len(events)
    check_attempts(gateway, sink, events)


@pytest.mark.parametrize("status", [500, 503, 429, 404, 302])
def test_failures_then_success(make_gateway, sink, status):
    gateway = make_gateway(LONG)
    sink.behave(statuses=[status, status])
    gateway.point_endpoint_at(sink.url())
    events = post_many(gateway, 3)
    wait_for(lambda: all(gateway.states(event) == ["delivered"] for event in events), "all are delivered")
    for event in events:
        assert [(d.attempt, d.status) for d in sink.of(event)] == [(1, status), (2, status), (3, 200)]
        [delivery] = gateway.timeline(event)["deliveries"]
        assert [attempt["status"] for attempt in delivery["attempts"]] == [status, status, 200]
    check_attempts(gateway, sink, events)


def test_retry_after_is_honoured(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms, 10s]"})
    sink.behave(statuses=[503], headers={"retry-after": "2"})
    gateway.point_endpoint_at(sink.url())
    [event] = post_many(gateway, 1)
    wait_for(lambda: len(sink.of(event)) == 2, "the second attempt")
    first, second = sink.of(event)
    assert second.at - first.at >= 1.9


def test_dead_after_the_schedule_and_on_record(make_gateway, sink):
    gateway = make_gateway(SHORT)
    sink.behave(status=500)
    gateway.point_endpoint_at(sink.url())
    [event] = post_many(gateway, 1)
    wait_for(lambda: gateway.states(event) == ["dead"], "dead")
    [delivery] = gateway.timeline(event)["deliveries"]
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500, 500]
    assert [attempt["answer"] for attempt in delivery["attempts"]] == ["ok"] * 3
    assert len(sink.of(event)) == 3
    shown = gateway.tool("event", "show", event)
    assert shown.returncode == 0 and "dead" in shown.stdout, shown.stderr
    assert gateway.metric('penstock_attempts_total{result="dead"}') == 1


def test_410_disables_the_endpoint_visibly_until_an_operator_enables_it(make_gateway, sink):
    gateway = make_gateway(SHORT)
    deployment = Deployment(gateway, sink.url())
    sink.behave(status=410)
    [first] = deployment.post()
    wait_for(lambda: deployment.states([first]) == ["parked"], "parked")
    wait_for(lambda: deployment.show()["enabled"] is False, "disabled")
    later = deployment.post(20)
    wait_for(lambda: set(deployment.states(later)) == {"parked"}, "later ones are parked")
    assert {delivery["reason"] for delivery in deployment.timelines([first] + later)} == {"disabled"}
    requests = sink.count()
    assert requests == 1, "nothing is sent to it any more"
    because = f"it answered 410 to {first}"
    gateway.restart()
    shown = deployment.show()
    assert shown["disabled_because"] == because and shown["disabled_since"]
    assert f"since {shown['disabled_since']} because {because}" in gateway.tool("endpoint", "show", deployment.account, deployment.endpoint).stdout
    assert f"the endpoint answered 410 and is disabled; its events are parked until it is enabled account=acc_demo endpoint={deployment.endpoint}" \
        in gateway.stderr
    assert gateway.metric("penstock_endpoints_disabled") == 1 and "disabled 1" in gateway.tool("status").stdout
    assert sink.count() == requests
    sink.behave(status=200)
    deployment.change(enabled=True)
    wait_until_delivered(deployment, [first] + later)
    assert gateway.metric("penstock_endpoints_disabled") == 0 and deployment.show()["disabled_since"] is None


def test_no_other_answer_disables_an_endpoint(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[50ms]"})
    statuses = [400, 401, 403, 404, 421, 500, 503]
    for status in statuses:
        sink.behave(f"/{status}", status=status)
    deployments = [Deployment(gateway, sink.url(f"/{status}"), str(status)) for status in statuses]
    for deployment, events in [(deployment, deployment.post()) for deployment in deployments]:
        wait_for(lambda: deployment.states(events) == ["dead"], "dead")
        assert deployment.show()["enabled"] is True


@pytest.mark.parametrize("mode", ["drop", "garbage"])
def test_an_unguarded_event_whose_answer_was_lost_is_sent_again(make_gateway, sink, mode):
    gateway = make_gateway(LONG)
    sink.behave(mode=mode)
    gateway.point_endpoint_at(sink.url())
    [event] = post_many(gateway, 1)
    wait_for(lambda: len(sink.of(event)) >= 2, "a second attempt")
    sink.behave()
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    assert {d.id for d in sink.deliveries()} == {event}


@pytest.mark.parametrize("mode", ["drop", "garbage"])
@pytest.mark.parametrize("warm", [False, True], ids=["new", "warm"])
def test_a_payout_whose_answer_was_lost_is_sent_once_and_parked(make_gateway, sink, mode, warm):
    gateway = make_gateway(LONG)
    gateway.point_endpoint_at(sink.url())
    if warm:
        post_many(gateway, 3, type="payout")
        wait_for(lambda: sink.count() == 3, "a connection is open")
    sink.behave(mode=mode)
    with gateway.partner() as partner:
        event = partner.post("/v1/events", json=gateway.event("once", type="payout")).json()["event"]
    wait_for(lambda: gateway.states(event) == ["parked"], "parked")
    assert gateway.timeline(event)["deliveries"][0]["reason"] == "ambiguous"
    sink.behave()
    other = next(iter(post_many(gateway, 1, type="lead")))
    wait_for(lambda: sink.of(other), "a later event")
    assert len(sink.of(event)) == 1


def test_a_payout_interrupted_by_a_crash_is_parked_and_never_sent_again(make_gateway, sink):
    """The client has answered several requests at the same time before, so that it gets several payouts."""
    gateway = make_gateway(LONG)
    gateway.point_endpoint_at(sink.url())
    sink.behave(delay=0.1)
    deployment = Deployment(gateway, sink.url())
    wait_until_delivered(deployment, deployment.post(40))
    sink.behave(mode="hang")
    events = deployment.post(5, type="payout")
    wait_for(lambda: sum(bool(sink.of(event)) for event in events) >= 2, "several are with the client")
    gateway.kill9()
    sink.wait_until_all_left()
    sent = [event for event in events if sink.of(event)]
    sink.behave()
    gateway.start()
    for delivery in deployment.timelines(sent):
        assert (delivery["state"], delivery["reason"]) == ("parked", "ambiguous")
    [other] = deployment.post(type="lead")
    wait_for(lambda: sink.of(other), "a later event")
    assert all(len(sink.of(event)) == 1 for event in sent)


def add_account(gateway, account, url):
    """A second client of the demo partner, made with the commands that an operator has. Returns (endpoint, secret)."""
    for command in (["account", "add", account], ["partner", "grant", "partner_demo", account]):
        done = gateway.tool(*command, "--json")
        assert done.returncode == 0, (command, done.stderr)
    done = gateway.tool("endpoint", "add", account, "--url", url, "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return made["id"], made["secret"]


def test_a_hanging_client_delays_nobody_else(make_gateway, sink):
    gateway = make_gateway({"PENSTOCK_DELIVERY__ANSWER_TIMEOUT": "20s"})
    sink.behave("/hang", mode="hang")
    _, secret = add_account(gateway, "acc_healthy", sink.url("/healthy"))
    gateway.point_endpoint_at(sink.url("/hang"))
    hanging = post_many(gateway, 100)
    wait_for(lambda: sink.deliveries("/hang"), "the hanging client has got something")
    for n in range(20):
        started = time.monotonic()
        with gateway.partner() as partner:
            answer = partner.post("/v1/events", json=gateway.event(n, account="acc_healthy"))
        assert answer.status_code == 200, answer.text
        event = answer.json()["event"]
        wait_for(lambda: sink.of(event), "delivered to the healthy one", 5)
        assert sink.of(event)[0].at - started < 2, "milliseconds as a rule; the bound leaves room for a busy machine"
    assert all(signatures.verify(secret, sink.deliveries("/healthy")))
    assert not any(signatures.verify(gateway.ready["endpoint_secret"], sink.deliveries("/healthy")[:1]))
    assert len(sink.deliveries("/hang")) < len(hanging), "what is in flight to one endpoint is bounded"


def test_a_new_partner_key_works_at_once_and_only_where_granted(gateway, sink):
    add_account(gateway, "acc_new", sink.url("/new"))
    done = gateway.tool("partner", "add", "partner_new", "--json")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["api_key"]
    with gateway.partner() as partner:
        partner.headers["authorization"] = f"Bearer {key}"
        assert partner.post("/v1/events", json=gateway.event(1, account="acc_new")).status_code == 403
        assert gateway.tool("partner", "grant", "partner_new", "acc_new").returncode == 0
        answer = partner.post("/v1/events", json=gateway.event(1, account="acc_new"))
        assert answer.status_code == 200, answer.text
        event = answer.json()["event"]
        wait_for(lambda: sink.of(event), "delivered")
        assert partner.get(f"/v1/events/{event}").status_code == 200
    with gateway.partner() as demo:
        assert demo.get(f"/v1/events/{event}").status_code == 404, "somebody else's event"


# --- the clock ---

CLOCK_SHIM = pathlib.Path(BINARY).resolve().parent / "tests" / "libclock_shim.so"
HOUR_S, DAY_S = 3600, 86400


@pytest.mark.parametrize("back_s", [HOUR_S, 10 * DAY_S], ids=["an-hour", "ten-days"])
def test_a_clock_that_is_set_back_over_a_restart_delays_nothing_by_more_than_a_step(make_gateway, sink, back_s):
    """And what was accepted before is known as a duplicate still."""
    gateway = make_gateway({"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[6s, 6s, 6s]", "LD_PRELOAD": str(CLOCK_SHIM),
                            "ASAN_OPTIONS": "verify_asan_link_order=0"})
    gateway.point_endpoint_at(sink.url())
    sink.behave(status=500)
    with gateway.partner() as partner:
        posted = partner.post("/v1/events", json=gateway.event("clock")).json()
    event = posted["event"]
    wait_for(lambda: gateway.states(event) == ["waiting"], "it waits")
    gateway.kill9()
    gateway.environment["PENSTOCK_TEST_CLOCK_S"] = str(-back_s)
    sink.behave(status=200)
    gateway.start()
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered", 20)
    assert len(sink.of(event)) == 2
    with gateway.partner() as partner:
        again = partner.post("/v1/events", json=gateway.event("clock")).json()
        other = partner.post("/v1/events", json=gateway.event("other")).json()
    assert (again["status"], again["event"]) == ("duplicate", event)
    assert other["status"] == "accepted"
    wait_for(lambda: gateway.states(other["event"]) == ["delivered"], "what comes now as well")
