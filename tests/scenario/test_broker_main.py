# SPDX-License-Identifier: Apache-2.0
"""The main job with a broker between ingress and delivery: what goes through it, what is found late, what is no event at all, and what
other programs see of it (pika stands for them)."""
import json
import re
import time

import pytest
from support.brokered import account_of_partition
from support.broker import PARTITIONS, partition_of, partition_queue
from support.h2 import H2Connection
from support.load import ANSWER_SECONDS_MAX, Load
from support.wait import wait_for


@pytest.fixture
def brokered(vhost, make_brokered, sink):
    """A gateway that does everything, with one ingress thread: whatever is posted meets the same memory of what came lately."""
    brokered = make_brokered(vhost, options={"ingress.threads": 1})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    return brokered


def make_pair(vhost, make_brokered, sink):
    """A leader that does everything, and a follower that takes events only."""
    leader = make_brokered(vhost)
    leader.point_endpoint_at(sink.url())
    follower = make_brokered(vhost, leader=leader)
    leader.wait_for_broker()
    follower.wait_for_broker()
    return leader, follower


def reason_of(brokered, event):
    return brokered.timeline(event)["deliveries"][0].get("reason")


def test_an_event_goes_through_the_broker(vhost, brokered, sink):
    event = brokered.post(1)["event"]
    wait_for(lambda: brokered.states(event) == ["delivered"], "delivered")
    queues = vhost.list_queues()
    assert {partition_queue(n): "quorum" for n in range(PARTITIONS)}.items() <= {name: q["type"] for name, q in queues.items()}.items()
    assert brokered.publishes("acked") == 1 and brokered.received("new") == 1
    assert brokered.metric("penstock_broker_direct_total") == 0
    vhost.wait_until_empty()
    wait_for(lambda: brokered.metric("penstock_broker_unacked") == 0, "nothing is unacked")
    [delivery] = sink.of(event)
    assert json.loads(delivery.body) == brokered.event(1)
    with brokered.partner() as partner:
        timeline = partner.get(f"/v1/events/{event}").json()
    assert timeline["event"] == event and [d["state"] for d in timeline["deliveries"]] == ["delivered"]


def test_a_body_arrives_byte_for_byte(brokered, sink):
    body = json.dumps(brokered.event(1, data={"ä": " \\u00e9 \n", "pad": "x" * 60000}), indent=3, ensure_ascii=False).encode()
    with brokered.partner() as partner:
        answer = partner.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    wait_for(lambda: sink.of(answer.json()["event"]), "delivered")
    assert sink.of(answer.json()["event"])[0].body == body


def test_a_retry_is_the_journals_and_the_message_is_acked(vhost, brokered, sink):
    sink.behave(status=500)
    event = brokered.post(1)["event"]
    wait_for(lambda: len(sink.of(event)) >= 2, "a second attempt")
    vhost.wait_until_empty()
    sink.behave()
    wait_for(lambda: brokered.states(event) == ["delivered"], "delivered")


# --- one acceptance ---


def test_duplicates_of_what_is_on_its_way_wait_for_it(brokered, sink):
    connection = H2Connection(brokered.ingress, brokered.ready["api_key"])
    for n in range(20):
        connection.post(n, json.dumps(brokered.event(1)).encode(), flush=False)
    connection.flush()
    results = connection.receive_all()
    connection.close()
    assert [status for _, status, _ in results] == [200] * 20
    answers = [json.loads(body) for _, _, body in results]
    assert sorted(answer["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 19
    assert len({answer["event"] for answer in answers}) == 1
    again = brokered.post(1)
    assert (again["status"], again["event"]) == ("duplicate", answers[0]["event"]), "and lately is known as well"
    wait_for(lambda: brokered.states(again["event"]) == ["delivered"], "delivered")
    assert sink.count() == 1 and brokered.publishes("acked") == 1


def test_other_money_is_a_conflict_by_value(brokered, sink):
    first = brokered.post(1, amount="1.10")
    assert brokered.post(1, amount="1.100")["status"] == "duplicate"
    with brokered.partner() as partner:
        answer = partner.post("/v1/events", json=brokered.event(1, amount="1.11"))
    assert answer.status_code == 422 and first["event"] in answer.json()["detail"]
    wait_for(lambda: sink.of(first["event"]), "delivered")
    assert sink.count() == 1


def test_a_duplicate_that_is_found_late_is_an_alias_of_the_first(vhost, make_brokered, sink):
    leader, follower = make_pair(vhost, make_brokered, sink)
    first = leader.post(1)["event"]
    wait_for(lambda: leader.states(first) == ["delivered"], "delivered")
    second = follower.post(1)
    assert second["status"] == "accepted", "the other gateway has not seen it"
    wait_for(lambda: leader.received("alias") == 1, "the dedupe store has")
    vhost.wait_until_empty()
    with leader.partner() as partner:
        timeline = partner.get(f"/v1/events/{second['event']}").json()
    assert timeline["event"] == first and timeline["alias"] == second["event"]
    assert leader.timeline(second["event"])["alias"] == second["event"]
    leader.restart()
    assert leader.timeline(second["event"])["alias"] == second["event"]
    assert len(sink.deliveries()) == 1


def test_a_conflict_that_is_found_late_is_parked(vhost, make_brokered, sink):
    leader, follower = make_pair(vhost, make_brokered, sink)
    first = leader.post(1, amount="1")["event"]
    wait_for(lambda: leader.states(first) == ["delivered"], "delivered")
    second = follower.post(1, amount="2")["event"]
    wait_for(lambda: leader.received("conflict") == 1, "it is found")
    assert leader.states(second) == ["parked"] and reason_of(leader, second) == "conflict"
    vhost.wait_until_empty()
    assert {d.id for d in sink.deliveries()} == {first}


def test_the_accepted_event_is_known_while_only_the_broker_has_it(vhost, make_brokered, sink):
    leader, follower = make_pair(vhost, make_brokered, sink)
    assert leader.terminate() == 0
    event = follower.post(1)["event"]
    with follower.partner() as partner:
        for _ in range(6):  # whichever thread is asked
            answer = partner.get(f"/v1/events/{event}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["event"] == event and answer.json()["deliveries"] == [], answer.text
            assert answer.json()["status"] == "accepted"
        assert partner.get("/v1/events/evt_01890000-0000-7000-8000-000000000000").status_code == 404
    leader.start()
    wait_for(lambda: leader.states(event) == ["delivered"], "delivered")


# --- what is no event, or not in its place ---


def headers_of(**changes):
    return {"format": 1, "account": "acc_demo", "partner": "partner_demo", "class": "critical", "received_us": int(time.time() * 1e6), **changes}


GOOD_ID = "evt_01890000-0000-7000-8000-0000000000%02d"
POISON = {
    "nothing but bytes": (b"\xff\x00 no event", {}),
    "empty": (b"", {}),
    "an id that is none": (b"{}", {"message_id": "42", "app_id": "penstock", "type": "purchase", "headers": headers_of()}),
    "another program's": (b"{}", {"message_id": GOOD_ID % 1, "app_id": "shop", "type": "purchase", "headers": headers_of()}),
    "a format of the future": (b"{}", {"message_id": GOOD_ID % 2, "app_id": "penstock", "type": "purchase", "headers": headers_of(format=99)}),
    "no partner": (b"{}", {"message_id": GOOD_ID % 3, "app_id": "penstock", "type": "purchase", "headers": headers_of(partner="")}),
    "no account": (b"{}", {"message_id": GOOD_ID % 4, "app_id": "penstock", "type": "purchase", "headers": headers_of(account="two words")}),
    "no class": (b"{}", {"message_id": GOOD_ID % 5, "app_id": "penstock", "type": "purchase", "headers": headers_of(**{"class": "golden"})}),
    "larger than any event": (b"x" * 3000000, {"message_id": GOOD_ID % 6, "app_id": "penstock", "type": "purchase", "headers": headers_of()}),
}


def test_poison_is_kept_for_a_person_and_acked(vhost, brokered, sink):
    for what, (body, properties) in POISON.items():
        vhost.publish(partition_queue(0), body, **properties)
        wait_for(lambda: len(brokered.poison()) > list(POISON).index(what), f"kept: {what}")
    vhost.wait_until_empty()
    kept = brokered.poison()
    assert len(kept) == len(POISON) == brokered.received("poison")
    assert {item["queue"] for item in kept} == {partition_queue(0)} and all(item["reason"] for item in kept)
    assert sorted(item["bytes"] for item in kept) == sorted(len(body) for body, _ in POISON.values())
    assert {item["message_id"] for item in kept} == {None, "42", *(GOOD_ID % n for n in range(1, 7))}
    event = brokered.post(1)["event"]
    wait_for(lambda: sink.of(event), "what is an event goes on")
    assert sink.count() == 1


def test_an_event_in_another_accounts_partition_is_parked(vhost, make_brokered, sink):
    leader, follower = make_pair(vhost, make_brokered, sink)
    assert leader.terminate() == 0
    event = follower.post(1)["event"]
    right = partition_of(event)
    properties, body = vhost.get(partition_queue(right))
    wrong = (right + 1) % PARTITIONS
    vhost.publish(partition_queue(wrong), body, message_id=properties.message_id, app_id=properties.app_id, type=properties.type,
                  headers=properties.headers, timestamp=properties.timestamp, content_type=properties.content_type)
    leader.start()
    wait_for(lambda: leader.states(event) == ["parked"], "parked")
    assert reason_of(leader, event) == "mismatch"
    vhost.wait_until_empty()
    assert sink.count() == 0


def test_a_queue_of_another_kind_is_a_clear_error(vhost, make_brokered, sink):
    """At the start; and when it is found later, no outage."""
    vhost.declare_queue(partition_queue(1), kind="classic")
    brokered = make_brokered(vhost, start=False)
    code, said = brokered.refuses_to_start()
    assert code == 78, said
    for word in (partition_queue(1), "inequivalent arg", f"rabbitmqctl list_queues -p {vhost.name}", f"rabbitmqctl delete_queue -p {vhost.name}"):
        assert word in said, said
    vhost.delete_queue(partition_queue(1))
    brokered.start()
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    before = len(brokered.stderr)
    vhost.replace_queue(partition_queue(1), kind="classic")
    vhost.close_connections()
    wait_for(lambda: re.search(rf"{partition_queue(1)}.*rabbitmqctl list_queues -p ", brokered.stderr[before:]), "it is said")
    event = brokered.post(1)["event"]
    wait_for(lambda: brokered.states(event) == ["delivered"], "the direct path goes on")
    vhost.delete_queue(partition_queue(1))
    brokered.wait_for_broker()


# --- taps ---


def bind_tap(vhost, queue, pattern, **arguments):
    with vhost.channel() as channel:
        channel.queue_declare(queue, durable=True, arguments=arguments)
        channel.queue_bind(queue, "penstock.events", pattern)


def test_a_tapped_event_has_every_property_and_the_exact_body(vhost, brokered, sink):
    bind_tap(vhost, "tap", "purchase.*")
    body = json.dumps(brokered.event(7, data={"note": "ä"}), indent=1).encode()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    before = time.time()
    with brokered.partner() as partner:
        assert partner.post("/v1/events", json=brokered.event(6, type="lead")).status_code == 200
        answer = partner.post("/v1/events", content=body, headers={"content-type": "application/json", "traceparent": trace})
    event = answer.json()["event"]
    properties, tapped = vhost.get("tap")
    assert tapped == body
    assert properties.message_id == event and properties.type == "purchase" and properties.app_id == "penstock"
    assert properties.content_type == "application/json" and properties.delivery_mode == 2
    assert before - 2 <= properties.timestamp <= time.time() + 1
    headers = dict(properties.headers)
    assert before - 1 <= headers.pop("received_us") / 1e6 <= time.time() + 1
    assert headers == {"format": 1, "account": brokered.ready["account"], "partner": "partner_demo", "class": "critical", "key": "order-7",
                       "traceparent": trace}
    wait_for(lambda: brokered.metric('penstock_taps_total{result="sent"}') >= 2, "both were offered")
    with vhost.channel() as channel:
        assert channel.basic_get("tap")[0] is None, "the lead was not asked for"


def test_a_payout_says_that_it_is_guarded(vhost, brokered):
    bind_tap(vhost, "tap", "#")
    brokered.post(1, type="payout")
    properties, _ = vhost.get("tap")
    assert properties.headers["guarded"] is True


def test_neither_a_full_nor_a_missing_tap_matters(vhost, brokered, sink, capsys):
    """Full, and it refuses; then its exchange is gone, and then all connections."""
    bind_tap(vhost, "full", "#", **{"x-max-length": 1, "x-overflow": "reject-publish"})
    with Load([brokered], sink) as load:
        load.more(100)
        with vhost.channel() as channel:
            channel.exchange_delete("penstock.events")
        load.more(100)
        vhost.close_connections()
        load.more(100)
    report = load.drain(capsys, "taps that are full or gone")
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX


# --- intake ---


@pytest.fixture
def taking(vhost, make_brokered, sink):
    """A gateway that reads the intake queue."""
    brokered = make_brokered(vhost, options={"intake.partner": "partner_demo"})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    wait_for(lambda: "penstock.intake" in vhost.list_queues(), "the queue is there")
    return brokered


def test_what_other_systems_publish_is_an_event_like_any_other(vhost, taking, sink):
    for n in range(3):
        vhost.publish("penstock.intake", json.dumps(taking.event(n)).encode(), content_type="application/json")
    vhost.publish("penstock.intake", json.dumps(taking.event(1)).encode())
    wait_for(lambda: sink.count() == 3, "three are delivered")
    wait_for(lambda: taking.metric('penstock_intake_total{result="accepted"}') == 4, "a duplicate is nothing wrong")
    wait_for(lambda: vhost.messages()["penstock.intake"] == 0, "acked")
    assert {json.loads(d.body)["id"] for d in sink.deliveries()} == {"order-0", "order-1", "order-2"}
    assert vhost.messages()["penstock.intake.errors"] == 0


@pytest.mark.parametrize("body,word", [
    (b"{", "malformed"), (b'{"type": "purchase", "account": "acc_demo"}', "required"),
    (json.dumps({"id": "1", "type": "purchase", "account": "acc_elsewhere"}).encode(), "account")], ids=["malformed", "keyless", "foreign"])
def test_what_is_refused_goes_to_the_errors_with_its_reason(vhost, taking, sink, body, word):
    keys = {} if word == "required" else {"message_id": "their-id"}  # it would be the key
    vhost.publish("penstock.intake", body, content_type="application/json", **keys)
    properties, returned = vhost.get("penstock.intake.errors")
    assert returned == body and properties.content_type == "application/json"
    assert word in properties.headers["x-penstock-reason"], properties.headers
    wait_for(lambda: vhost.messages()["penstock.intake"] == 0, "acked")
    assert taking.metric('penstock_intake_total{result="refused"}') == 1
    assert sink.count() == 0


def test_a_message_id_is_the_key_if_nothing_else_gives_one(vhost, taking, sink):
    body = {key: value for key, value in taking.event(1).items() if key != "id"}
    for _ in range(2):
        vhost.publish("penstock.intake", json.dumps(body).encode(), message_id="theirs-1")
    wait_for(lambda: taking.metric('penstock_intake_total{result="accepted"}') == 2, "both are taken")
    wait_for(lambda: sink.count() == 1, "once")
    wait_for(lambda: vhost.messages()["penstock.intake"] == 0, "acked")


def test_the_intake_survives_its_connection(vhost, taking, sink):
    vhost.close_connections()
    vhost.publish("penstock.intake", json.dumps(taking.event(1)).encode())
    wait_for(lambda: sink.count() == 1, "delivered", 40)


def test_accounts_are_spread_over_the_partitions(brokered, sink):
    for partition in range(PARTITIONS):
        account = account_of_partition(brokered, partition, sink.url(f"/{partition}"))
        event = brokered.post(f"one-{partition}", account=account)["event"]
        assert partition_of(event) == partition
        wait_for(lambda: sink.of(event), f"delivered from partition {partition}")
