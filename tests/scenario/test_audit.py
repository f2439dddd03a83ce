# SPDX-License-Identifier: Apache-2.0
"""P8, money adds up: the audit through the real program, after traffic of every kind, and after somebody has been at the journal's file."""
import contextlib
import decimal
import json
import sqlite3
import threading

import pytest

from support.wait import wait_for

SCHEDULE = "PENSTOCK_DELIVERY__RETRY_SCHEDULE"
SHORT = {SCHEDULE: "[50ms, 50ms]"}
COLUMNS = ("delivered", "in_progress", "parked", "dead", "discarded")


def operate(gateway, method, path, **options):
    with gateway.operator() as operator:
        return operator.request(method, f"/api/v1/{path}", **options)


def audit(gateway, **parameters):
    answer = operate(gateway, "GET", "audit", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def check_adds_up(found):
    """Complete, and each row by our own arithmetic."""
    assert (found["verdict"], found["findings"], found["findings_more"]) == ("complete", [], 0), json.dumps(found["findings"], indent=1)
    for row in found["rows"]:
        assert row["adds_up"]
        assert row["deliveries"]["count"] == sum(row[column]["count"] for column in COLUMNS)
        assert decimal.Decimal(row["deliveries"]["sum"]) == sum(decimal.Decimal(row[column]["sum"]) for column in COLUMNS)
    assert all(row["adds_up"] for row in found["events"])
    for total in found["totals"] + found["accounts"]:
        for rows, name in ((found["rows"], "deliveries"), (found["events"], "accepted")):
            rows = [row for row in rows if row["currency"] == total["currency"] and row["account"] == total.get("account", row["account"])]
            assert total[name]["count"] == sum(row[name]["count"] for row in rows)
            assert decimal.Decimal(total[name]["sum"]) == sum(decimal.Decimal(row[name]["sum"]) for row in rows)


def total_of(found, currency):
    [total] = [total for total in found["totals"] if total["currency"] == currency]
    return total


def post(gateway, number, **fields):
    with gateway.partner() as partner:
        return partner.post("/v1/events", json=gateway.event(number, **fields))


def day_of(gateway, event):
    """The day of acceptance, in UTC, as the audit has it."""
    day, _, time = gateway.timeline(event)["accepted_at"].partition("T")
    assert time.endswith("Z")
    return day


def list_all(gateway, path="deliveries", **parameters):
    """Page after page, in pages of two."""
    items, cursor = [], None
    while True:
        answer = operate(gateway, "GET", path, params={**parameters, "limit": 2, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page[path]) <= 2
        items += page[path]
        cursor = page["next"]
        if not cursor:
            return items


def change_endpoint(gateway, **change):
    answer = operate(gateway, "PATCH", f"accounts/{gateway.ready['account']}/endpoints/{gateway.ready['endpoint']}", json=change)
    assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def journals(gateway):
    """The journals' files, each with a connection of its own beside the gateway."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(sqlite3.connect(path, timeout=10)))
               for path in sorted(gateway.data.glob("journal-*.db"))]


def all_is_in_the_totals(file):
    accepted, counted = (file.execute(query).fetchone() or (0,) for query in (
        "SELECT coalesce(max(seq), 0) FROM events", "SELECT value FROM meta WHERE key = 'totals_through'"))
    return accepted[0] <= counted[0]


def change_row(gateway, statement, event):
    """Runs `statement` on the journal that has the event, once the totals hold it; ? is its number."""
    with journals(gateway) as files:
        wait_for(lambda: all(all_is_in_the_totals(file) for file in files), "the totals are written")
        for file in files:
            found = file.execute("SELECT seq FROM events WHERE id = ?", [bytes.fromhex(event[4:].replace("-", ""))]).fetchone()
            if found:
                assert file.execute(statement, found).rowcount > 0
                file.commit()
                return
    raise AssertionError(f"no journal has {event}")


@pytest.fixture
def busy(make_gateway, sink):
    """Delivered with duplicates and conflicts, dead, parked for two reasons, waiting; {name: event ids}."""
    gateway = make_gateway(dict(SHORT))
    ids = {}

    def put(name, number, **fields):
        answer = post(gateway, number, **fields)
        assert answer.status_code == 200, answer.text
        ids.setdefault(name, []).append(answer.json()["event"])
        return ids[name][-1]

    gateway.point_endpoint_at(sink.url())
    for number, amount in enumerate(("0.1", "0.2", "-0.05", "19.99", "1000000.000000001")):
        put("delivered", number, amount=amount)
        assert post(gateway, number, amount=amount).json()["status"] == "duplicate"
        assert post(gateway, number, amount="7").status_code == 422
    put("delivered", 50, amount="5", currency="USD")
    with gateway.partner() as partner:
        note = partner.post("/v1/events", json={"type": "notification", "account": gateway.ready["account"]})
    ids["delivered"].append(note.json()["event"])
    wait_for(lambda: all(gateway.states(event) == ["delivered"] for event in ids["delivered"]), "delivered")

    sink.behave(status=500)
    put("dead", 100, amount="3.50")
    put("dead", 101, amount="3.50")
    wait_for(lambda: all(gateway.states(event) == ["dead"] for event in ids["dead"]), "dead")
    gateway.environment[SCHEDULE] = "[1h, 1h]"
    gateway.restart()
    sink.behave(status=503)
    put("waiting", 104, amount="0.007")
    wait_for(lambda: gateway.states(ids["waiting"][0]) == ["waiting"], "waiting for its second attempt")
    sink.behave(mode="drop")
    put("ambiguous", 102, type="payout", amount="70")
    wait_for(lambda: gateway.states(ids["ambiguous"][0]) == ["parked"], "parked")
    change_endpoint(gateway, types=["payout", "lead"])
    put("unrouted", 103, amount="2")
    wait_for(lambda: gateway.states(ids["unrouted"][0]) == ["parked"], "unrouted")
    return gateway, ids


def test_traffic_of_every_kind_adds_up_by_api_and_by_command(busy):
    gateway, ids = busy
    found = audit(gateway)
    check_adds_up(found)
    euros = total_of(found, "EUR")
    assert euros["accepted"] == {"count": 10, "sum": "1000099.247000001"}
    assert euros["delivered"] == {"count": 5, "sum": "1000020.240000001"}
    assert (euros["dead"], euros["parked"]) == ({"count": 2, "sum": "7"}, {"count": 2, "sum": "72"})
    assert euros["in_progress"] == {"count": 1, "sum": "0.007"} and gateway.states(ids["waiting"][0]) == ["waiting"]
    assert total_of(found, "USD")["delivered"] == {"count": 1, "sum": "5"}
    assert euros["deliveries"] == euros["accepted"]
    assert total_of(found, None)["accepted"] == {"count": 1, "sum": "0"}
    [unrouted] = [row for row in found["rows"] if row["endpoint"] is None]
    assert unrouted["parked"] == {"count": 1, "sum": "2"}

    shown = gateway.tool("audit")
    assert shown.returncode == 0, shown.stderr
    assert "1000099.247000001" in shown.stdout and "complete" in shown.stdout
    assert json.loads(gateway.tool("audit", "--json").stdout) == found
    gateway.restart()
    assert audit(gateway) == found
    gateway.kill9()
    gateway.start()
    assert audit(gateway) == found


def test_days_and_accounts_narrow_it(busy):
    gateway, ids = busy
    everything = audit(gateway)
    assert audit(gateway, to=day_of(gateway, ids["unrouted"][0]), account=gateway.ready["account"])["rows"] == everything["rows"]
    assert audit(gateway, to="2020-01-01") == {"from": None, "to": "2020-01-01", "account": None, "verdict": "complete", "in_broker": 0, "totals": [],
                                               "accounts": [], "events": [], "rows": [], "findings": [], "findings_more": 0}
    nothing = gateway.tool("audit", "--from", "2019-12-31", "--to", "2020-01-01")
    assert (nothing.returncode, nothing.stdout) == (
        0, "complete: nothing was accepted from 2019-12-31 to 2020-01-01, and nothing is damaged\n"), nothing.stderr


def test_a_period_that_is_none_is_wrong_use(gateway):
    for flags, said in ((["--from", "yesterday"], "is not a value of"), (["--to", "2026-02-31"], "is not a value of"), (["--from", ""], "is not a value of"),
                        (["--from", "2026-02-02", "--to", "2026-02-01"], "is after")):
        wrong = gateway.tool("audit", *flags)
        assert (wrong.returncode, wrong.stdout) == (64, "") and said in wrong.stderr, wrong


UNKNOWN_EVENT = "evt_01890a5d-ac96-774b-bcce-b302099a8057"


def test_a_name_that_does_not_exist_is_an_error_and_no_empty_answer(gateway):
    for command, said in (("audit --account nope", "nope"), ("audit --account nope --json", "nope"),
                          ("delivery list --account nope", "nope"), ("delivery list --account nope --state dead --json", "nope"),
                          ("delivery list --endpoint ep_0123456789abcdef", "ep_0123456789abcdef"),
                          ("event conflicts --account nope", "nope"), (f"event conflicts {UNKNOWN_EVENT}", "event"),
                          (f"event show {UNKNOWN_EVENT}", "event"), ("partner accounts nope", "partner"), ("endpoint list nope", "account")):
        done = gateway.tool(*command.split())
        assert (done.returncode, done.stdout) == (66, "") and said in done.stderr, done
    assert operate(gateway, "GET", "conflicts", params={"partner": "nope"}).status_code == 404


def test_a_name_that_existed_is_still_a_filter(gateway):
    """The history of an endpoint outlives it, and so does that of an account."""
    event = post(gateway, 1).json()["event"]
    wait_for(lambda: gateway.states(event) == ["delivered"], "delivered")
    endpoint = gateway.ready["endpoint"]
    assert operate(gateway, "DELETE", f"accounts/{gateway.ready['account']}/endpoints/{endpoint}").status_code in (200, 204)
    assert [d["event"] for d in list_all(gateway, endpoint=endpoint)] == [event]
    listed = gateway.tool("delivery", "list", "--endpoint", endpoint)
    assert listed.returncode == 0 and event[4:] in listed.stdout, listed.stderr
    nothing_yet = gateway.tool("delivery", "list", "--account", gateway.ready["account"], "--state", "dead")
    assert nothing_yet.returncode == 0, nothing_yet.stderr


def test_an_event_counts_once_and_each_of_its_deliveries_apart(gateway, sink):
    """Three events of 60 EUR for two endpoints; one of them is moved to a third endpoint, and history is kept through a kill."""
    gateway.point_endpoint_at(sink.url())
    answer = operate(gateway, "POST", f"accounts/{gateway.ready['account']}/endpoints", json={"url": sink.url("/b"), "name": "b"})
    assert answer.status_code == 201, answer.text
    events = [post(gateway, number, amount="60").json()["event"] for number in range(3)]
    wait_for(lambda: all(gateway.states(event) == ["delivered"] * 2 for event in events), "delivered")
    change_endpoint(gateway, types=["lead"])
    assert operate(gateway, "DELETE", f"accounts/{gateway.ready['account']}/endpoints/{answer.json()['id']}").status_code in (200, 204)
    unrouted = post(gateway, 9, amount="7").json()["event"]
    wait_for(lambda: gateway.states(unrouted) == ["parked"], "unrouted")

    def check(found, deliveries):
        check_adds_up(found)
        euros = total_of(found, "EUR")
        assert (euros["accepted"], euros["deliveries"]) == ({"count": 4, "sum": "187"}, {"count": 7, "sum": "367"})
        [account] = found["accounts"]
        assert (account["account"], account["accepted"]) == (gateway.ready["account"], euros["accepted"])
        assert sorted(row["deliveries"]["sum"] for row in found["rows"]) == deliveries

    check(audit(gateway), ["180", "180", "7"])
    change_endpoint(gateway, types=[])
    wait_for(lambda: gateway.states(unrouted) == ["delivered"], "routed later")
    check(audit(gateway), ["180", "187"])
    gateway.kill9()
    gateway.start()
    check(audit(gateway), ["180", "187"])
    shown = gateway.tool("audit").stdout
    assert "Events, each counted once:" in shown and "Deliveries, one for each event and endpoint:" in shown
    events_table, deliveries_table = shown.split("Deliveries, one")
    assert ["4", "187"] == events_table.split("total")[1].split()[-2:] and "367" in deliveries_table


def test_each_number_has_its_list(busy):
    gateway, ids = busy
    endpoint = gateway.ready["endpoint"]
    assert {d["event"] for d in list_all(gateway, state="delivered")} == set(ids["delivered"])
    assert {d["event"] for d in list_all(gateway, state="dead", account=gateway.ready["account"])} == set(ids["dead"])
    assert {d["event"] for d in list_all(gateway, state="parked")} == set(ids["ambiguous"] + ids["unrouted"])
    assert [d["event"] for d in list_all(gateway, park_reason="unrouted")] == ids["unrouted"]
    assert [d["event"] for d in list_all(gateway, state="parked", endpoint=endpoint)] == ids["ambiguous"]
    assert [d["event"] for d in list_all(gateway, endpoint="none")] == ids["unrouted"]
    assert len(list_all(gateway, currency="EUR")) == 10
    note = ids["delivered"][-1]
    assert [d["event"] for d in list_all(gateway, currency="none", day=day_of(gateway, note))] == [note]
    assert list_all(gateway, currency="none", day="2020-01-01") == []
    assert [d["event"] for d in list_all(gateway, state="in_progress")] == ids["waiting"]
    every = list_all(gateway)
    assert len(every) == len({d["id"] for d in every}) == 12
    assert [c["times"] for c in list_all(gateway, "conflicts")] == [1] * 5
    assert len(list_all(gateway, "conflicts", event=ids["delivered"][2])) == 1

    shown = gateway.tool("delivery", "list", "--state", "dead", "--json")
    assert {d["event"] for d in json.loads(shown.stdout)["deliveries"]} == set(ids["dead"]), shown.stderr
    table = gateway.tool("delivery", "list", "--limit", "3")
    assert table.stdout.count("dlv_") == 3 and "there are more" in table.stderr
    assert gateway.tool("event", "conflicts", ids["delivered"][0]).stdout.count(ids["delivered"][0]) == 1


def test_a_delivery_that_somebody_deleted_is_named(busy):
    gateway, ids = busy
    lost = ids["delivered"][3]
    change_row(gateway, "DELETE FROM deliveries WHERE id / 16 = ?", lost)
    found = audit(gateway)
    assert found["verdict"] == "incomplete"
    [missing] = [f for f in found["findings"] if f["kind"] == "missing-delivery"]
    assert (missing["event"], missing["delivery"]) == (lost, f"dlv_{lost[4:]}-0")
    assert (missing["account"], missing["amount"], missing["endpoint"]["id"]) == (gateway.ready["account"], "19.99", gateway.ready["endpoint"])
    [totals] = [f for f in found["findings"] if f["kind"] == "totals"]
    assert totals["totals"]["count"] - totals["rows"]["count"] == 1
    assert decimal.Decimal(totals["totals"]["sum"]) - decimal.Decimal(totals["rows"]["sum"]) == decimal.Decimal("19.99")
    shown = gateway.tool("audit")
    assert shown.returncode == 65 and missing["delivery"] in shown.stdout and "DOES NOT ADD UP" in shown.stdout


def test_an_event_that_somebody_deleted_is_named_by_the_dedupe(busy):
    gateway, ids = busy
    lost = ids["dead"][0]
    change_row(gateway, "DELETE FROM deliveries WHERE id / 16 = ?", lost)
    change_row(gateway, "DELETE FROM events WHERE seq = ?", lost)
    found = audit(gateway)["findings"]
    assert {f["kind"]: f for f in found}["missing-event"]["event"] == lost
    totals = {f["counts"]: f["totals"]["count"] - f["rows"]["count"] for f in found if f["kind"] == "totals"}
    assert totals == {"events": 1, "deliveries": 1}


def test_an_amount_that_somebody_changed_is_named(busy):
    gateway, ids = busy
    changed = ids["dead"][1]
    change_row(gateway, "UPDATE events SET amount = '9.50' WHERE seq = ?", changed)
    kinds = {f["kind"]: f for f in audit(gateway)["findings"]}
    assert kinds["damaged-event"]["event"] == changed
    assert "totals" in kinds


def test_under_load_there_is_no_false_alarm(make_gateway, sink):
    """Events are accepted, delivered and routed while one audit follows the other."""
    gateway = make_gateway(SHORT)
    gateway.point_endpoint_at(sink.url())
    stop = threading.Event()
    sent = []

    def send(first):
        with gateway.partner() as partner:
            number = first
            while not stop.is_set():
                answer = partner.post("/v1/events", json=gateway.event(number, amount="0.1", type="lead" if number % 4 == 0 else "purchase"))
                assert answer.status_code == 200, answer.text
                sent.append(answer.json()["event"])
                number += 1

    threads = [threading.Thread(target=send, args=(n * 1000000,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(12):
            change_endpoint(gateway, types=["purchase"] if n % 2 else [])
            check_adds_up(audit(gateway))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    change_endpoint(gateway, types=[])
    wait_for(lambda: total_of(audit(gateway), "EUR")["delivered"]["count"] == len(sent), "all are delivered", 60)
    check_adds_up(audit(gateway))
