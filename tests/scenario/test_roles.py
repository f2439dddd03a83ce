# SPDX-License-Identifier: Apache-2.0
"""Several gateways, one installation: one delivers, the others take events and follow its accounts; and only one may deliver."""
import pytest
from support import client as http
from support.brokered import PARTNER
from support.load import ANSWER_SECONDS_MAX, Load
from support.wait import wait_for

pytestmark = pytest.mark.once


@pytest.fixture
def three(vhost, make_brokered, sink):
    """One that does everything, and two that take events only."""
    leader = make_brokered(vhost)
    leader.point_endpoint_at(sink.url())
    followers = [make_brokered(vhost, leader=leader) for _ in range(2)]
    for brokered in (leader, *followers):
        brokered.wait_for_broker()
    return leader, followers


def test_events_of_ingress_only_gateways_are_delivered_by_the_leader(three, vhost, sink, capsys):
    leader, followers = three
    with Load(followers, sink, rate=200) as load:
        load.more(400)
    report = load.drain(capsys, "two ingress-only, one delivering", leader)
    assert report.duplicates == 0 and report.longest < ANSWER_SECONDS_MAX and report.unavailable == 0
    vhost.wait_until_empty()
    assert leader.received("new") == report.accepted
    for follower in followers:
        assert follower.metric("penstock_attempts_total{result=\"delivered\"}") == 0


def test_the_leader_is_down_for_a_while_and_an_account_changes_meanwhile(three, vhost, sink, capsys):
    """What followers know goes on; what changed with the leader's return reaches them."""
    leader, followers = three
    with Load(followers, sink, rate=150) as load:
        load.more(150)
        leader.kill9()
        load.more(300)
        leader.start()
        leader.add_endpoint("acc_new", sink.url("/new"))
        leader.ask("PATCH", f"accounts/{leader.ready['account']}/endpoints/{leader.ready['endpoint']}", {"url": sink.url("/moved")})
        for follower in followers:
            wait_for(lambda follower=follower: follower.knows_account("acc_new"), "the follower has the new account")
        load.more(150)
    report = load.drain(capsys, "leader down, an account changed", leader)
    assert report.unavailable == 0 and report.longest < ANSWER_SECONDS_MAX
    assert report.duplicates <= 64, "what was with the client at the kill"
    assert len(sink.deliveries("/moved")) >= 150
    event = wait_for_posting(followers[0], "acc_new")
    wait_for(lambda: sink.of(event), "the new account's event is delivered")
    assert sink.of(event)[0].path == "/new"
    vhost.wait_until_empty()


def wait_for_posting(follower, account):
    """An account is known before the partner's grant for it may be."""
    def posted():
        with follower.partner() as partner:
            answer = partner.post("/v1/events", json=follower.event("of-new", account=account))
        return answer.json()["event"] if answer.status_code == 200 else None

    return wait_for(posted, "the partner may post for it")


def test_a_key_that_is_revoked_at_the_leader_is_refused_by_the_followers(three):
    leader, followers = three
    key = leader.ask("POST", f"partners/{PARTNER}/keys")
    with http.client(base_url=followers[0].ingress, headers={"authorization": f"Bearer {key['api_key']}"}) as partner:
        wait_for(lambda: partner.post("/v1/events", json=leader.event("by-new-key")).status_code == 200, "the new key is known")
        leader.ask("DELETE", f"partners/{PARTNER}/keys/{key['id']}")
        wait_for(lambda: partner.post("/v1/events", json=leader.event("by-new-key")).status_code == 401, "and revoked")


def test_a_follower_changes_nothing(three):
    _, followers = three
    with followers[0].operator() as operator:
        answer = operator.post("/api/v1/accounts", json={"id": "acc_mine"})
    assert answer.status_code in (403, 409), answer.text
    assert three[0].ready["admin"] in answer.text, "and says whom to ask"


def test_a_follower_starts_again_without_its_leader(three, vhost, sink):
    leader, followers = three
    assert leader.terminate() == 0
    followers[0].restart()
    event = followers[0].post(1)["event"]
    assert followers[0].metric("penstock_directory_age_seconds") >= 0
    leader.start()
    wait_for(lambda: leader.states(event) == ["delivered"], "delivered")


def test_a_follower_without_a_leader_at_its_first_start_says_so(vhost, make_brokered):
    leader = make_brokered(vhost, start=False)
    leader.ready = {"admin": f"http://127.0.0.1:{leader.ports[1]}"}
    (leader.data / "keys").mkdir(parents=True)
    (leader.data / "keys/admin.token").write_text("nobody\n")
    follower = make_brokered(vhost, leader=leader, start=False)
    code, said = follower.refuses_to_start(90)
    assert code == 69 and leader.ready["admin"] in said, said


def test_a_second_delivering_gateway_refuses_to_start(vhost, make_brokered, sink):
    first = make_brokered(vhost)
    first.wait_for_broker()
    second = make_brokered(vhost, start=False)
    code, said = second.refuses_to_start()
    assert code == 78, said
    assert "owns delivery since" in said and "--take-over" in said, said
    assert first.terminate() == 0
    code, said = second.refuses_to_start()
    assert code == 78, "whether or not it runs: its journal knows what was sent"
    first.start()


def test_a_forced_take_over_parks_payouts_that_may_have_been_sent(vhost, make_brokered, sink, capsys):
    """The first one is lost for good, with events in the broker; another takes its place."""
    first = make_brokered(vhost)
    first.point_endpoint_at(sink.url("/first"))
    follower = make_brokered(vhost, leader=first)
    first.wait_for_broker()
    follower.wait_for_broker()
    first.kill9()
    payouts = [follower.post(n, type="payout")["event"] for n in range(3)]
    purchases = [follower.post(n)["event"] for n in range(3)]
    assert follower.terminate() == 0
    take_place(first)
    first.flags = ["--take-over"]
    first.start()
    first.flags = []
    wait_for(lambda: all(first.states(event) == ["parked"] for event in payouts), "payouts wait for a person")
    assert {first.timeline(event)["deliveries"][0]["reason"] for event in payouts} == {"taken-over"}
    wait_for(lambda: all(first.states(event) == ["delivered"] for event in purchases), "all else is delivered")
    later = first.post("later", type="payout")["event"]
    wait_for(lambda: first.states(later) == ["delivered"], "what is accepted from now on is nobody else's")
    first.restart()
    again = first.post("again", type="payout")["event"]
    wait_for(lambda: first.states(again) == ["delivered"], "also after a restart")
    vhost.wait_until_empty()
    with capsys.disabled():
        print(f"\nforced take-over: accepted={len(payouts + purchases) + 2} delivered={len(sink.deliveries())} parked={len(payouts)} ", end="")


def take_place(brokered):
    """A machine that has the installation and its accounts from a backup, and an empty journal: not the one that delivered."""
    journals = [path.name for path in brokered.data.glob("journal-?.db")]
    for path in brokered.data.glob("journal-*.db*"):
        path.unlink()
    for name in journals:
        done = brokered.tool("data", "accept-loss", name, "--reason", "another machine")
        assert done.returncode == 0, done.stderr
    (brokered.data / "delivery.json").unlink()


def test_what_is_held_can_not_be_abandoned_by_a_change_of_role(vhost, make_brokered, sink):
    """An outbox that only a broker can empty, deliveries that only a delivering gateway can finish: refused, with the counts."""
    brokered = make_brokered(vhost)
    brokered.wait_for_broker()
    sink.behave(status=500)
    brokered.point_endpoint_at(sink.url())
    event = brokered.post(1)["event"]
    wait_for(lambda: brokered.states(event) == ["waiting"], "it waits for a retry")
    leader = make_brokered(vhost, start=False)
    leader.ready = {"admin": f"http://127.0.0.1:{leader.ports[1]}"}
    assert brokered.terminate() == 0
    brokered.options.update({"roles": ["ingress"], "leader.url": leader.ready["admin"], "leader.token_file": str(brokered.data / "keys/admin.token")})
    code, said = brokered.refuses_to_start()
    assert code == 78 and "1" in said, said
    for key in ("roles", "leader.url", "leader.token_file"):
        del brokered.options[key]
    sink.behave()
    brokered.start()
    wait_for(lambda: brokered.states(event) == ["delivered"], "it is finished by who can")
