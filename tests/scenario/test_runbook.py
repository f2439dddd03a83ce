# SPDX-License-Identifier: Apache-2.0
"""Walks through etc/doc/runbook.md, command by command, with a real gateway, and holds the outputs against the document. Each
chapter begins with a world of its own. What happens between the commands is a step: a method of World."""
import os
import pathlib
import re
import shutil

import pytest

from support import client as http
from support.console import Command, Ids, Step, chapters_of, run
from support.gateway import BINARY
from support.wait import wait_for

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "etc/doc/runbook.md"
CHAPTERS = chapters_of(DOCUMENT.read_text())
SHIM = pathlib.Path(BINARY).resolve().parent / "tests" / "libdisk_shim.so"
PARTNER, ACCOUNT = "shop_network", "acc_42"
BROKER, DISK = "The broker is down", "The disk is full"

pytestmark = pytest.mark.once


def change_options(text):
    """The document shows one shard, and two threads of ingress."""
    return (text.replace("[1s, 2s]", "[1s, 5s, 15s, 30s, 1m, 2m]").replace("shards: 2", "shards: 1")
            .replace("ingress:\n", "ingress:\n  threads: 2\n"))


class World:
    """A gateway with one partner, one account, and one endpoint `main` that leads to a sink."""

    def __init__(self, title, request, sink, directory):
        self.sink, self.directory, self.disk = sink, directory, directory / "disk"
        self.relay = request.getfixturevalue("relay") if title == BROKER else None
        self.gateway = request.getfixturevalue("make_serving")(
            "runbook", more=self.options(request), change=change_options,
            environment={"LD_PRELOAD": str(SHIM), "PENSTOCK_TEST_DISK": str(self.disk)} if title == DISK else None)
        self.data, self.backup = self.gateway.tmp_path / "data", directory / "backup"
        bin_directory = directory / "bin"
        bin_directory.mkdir()
        (bin_directory / "penstock").symlink_to(pathlib.Path(BINARY).resolve())
        self.environment = {"PATH": f"{bin_directory}:{os.environ['PATH']}", "PENSTOCK_DATA__DIRECTORY": str(self.data), "HOME": str(directory)}
        self.events, self.had = {}, {}
        self.ask("POST", "/api/v1/partners", {"id": PARTNER})
        self.key = self.ask("POST", f"/api/v1/partners/{PARTNER}/keys", {})["api_key"]
        self.ask("POST", "/api/v1/accounts", {"id": ACCOUNT})
        self.ask("POST", f"/api/v1/partners/{PARTNER}/accounts", {"account": ACCOUNT})
        self.endpoint = self.ask("POST", f"/api/v1/accounts/{ACCOUNT}/endpoints", {"url": sink.url(), "name": "main"})["id"]

    def options(self, request):
        if not self.relay:
            return ""
        return (f"queue:\n  kind: rabbitmq\nbroker:\n  addresses: [{self.relay.address}]\n  confirm_timeout: 1s\n  heartbeat: 2s\n"
                f"  vhost: {request.getfixturevalue('own_broker').name}\n")

    def ask(self, method, path, body=None):
        with self.gateway.operator() as operator:
            answer = operator.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def post(self, number, status=200, **fields):
        event = {"id": f"order-{number}", "type": "purchase", "account": ACCOUNT, "amount": "129.90", "currency": "EUR", **fields}
        answer = http.post(f"{self.gateway.ingress}/v1/events", json=event, headers={"authorization": f"Bearer {self.key}"})
        assert answer.status_code == status, answer.text
        if status == 200:
            self.events[number] = answer.json()["event"]
        return answer.json()

    def states(self, number):
        """Empty while the event is on its way through the broker."""
        with self.gateway.operator() as operator:
            answer = operator.get(f"/api/v1/events/{self.events[number]}")
        return [delivery["state"] for delivery in answer.json().get("deliveries", [])]

    def wait_for_state(self, state, *numbers):
        wait_for(lambda: all(self.states(number) == [state] for number in numbers), lambda: f"{numbers} are {state}: {[*map(self.states, numbers)]}", 60)

    def counts(self):
        """How often the client got each event."""
        return {number: len(self.sink.of(event)) for number, event in self.events.items()}

    def change_policy(self, **policy):
        self.ask("PATCH", f"/api/v1/accounts/{ACCOUNT}/endpoints/{self.endpoint}", {"policy": policy})

    # --- steps ---

    def many_deliveries_fail(self):
        """Three are dead, and five wait."""
        self.change_policy(retry_schedule=["100ms"])
        self.sink.behave(status=503)
        for number in range(1001, 1004):
            self.post(number)
        self.wait_for_state("dead", *range(1001, 1004))
        self.change_policy(retry_schedule=["1h", "1h"])
        for number in range(1004, 1009):
            self.post(number)
        self.wait_for_state("waiting", *range(1004, 1009))

    def the_client_works_again(self):
        self.sink.behave()

    def everything_is_delivered(self):
        self.wait_for_state("delivered", *self.events)

    def the_client_is_down(self):
        self.change_policy(in_flight_max=1)  # ten failures, not one more
        self.sink.down()
        for number in range(1001, 1021):
            self.post(number)
        status = "/api/v1/status"
        wait_for(lambda: self.ask("GET", status)["breakers_open"] == 1, "the breaker is open")
        wait_for(lambda: all(self.states(number) != ["sending"] for number in self.events), "nothing is in flight")

    def the_client_is_back(self):
        self.sink.up()
        self.everything_is_delivered()

    def the_broker_is_down(self):
        self.post(1001)
        self.everything_is_delivered()
        self.relay.refuse()
        self.relay.reset()

        def are_refused():
            links = [link for link in self.ask("GET", "/api/v1/status")["broker"] if link["role"] != "keep"]
            return all(not link["good"] and "refuses" in link["why"] for link in links)

        wait_for(are_refused, "no link is left")
        self.post(1002)
        self.everything_is_delivered()

    def the_broker_is_back(self):
        self.relay.restore()
        wait_for(lambda: all(link["good"] for link in self.ask("GET", "/api/v1/status")["broker"]), "all links are back", 60)
        wait_for(lambda: self.ask("GET", "/api/v1/audit")["verdict"] == "complete", "the broker says what it holds", 60)

    def the_disk_is_full(self):
        self.post(1001)
        self.everything_is_delivered()
        self.disk.write_text("full")

        def is_refused():
            event = {"id": "order-1002", "type": "purchase", "account": ACCOUNT, "amount": "129.90", "currency": "EUR"}
            return http.post(f"{self.gateway.ingress}/v1/events", json=event, headers={"authorization": f"Bearer {self.key}"}).status_code == 503

        wait_for(is_refused, "posts are refused")

    def there_is_space_again(self):
        self.disk.write_text("ok")
        wait_for(lambda: self.ask("GET", "/api/v1/status")["ready"], "the gateway is ready", 60)
        self.post(1002)
        self.everything_is_delivered()

    def a_payout_gets_no_answer(self):
        self.sink.behave(mode="drop")
        self.post(1001, type="payout")
        self.wait_for_state("parked", 1001)
        self.sink.behave()

    def the_payout_is_delivered(self):
        self.wait_for_state("delivered", 1001)

    def a_key_is_posted_again_with_another_amount(self):
        self.post(1001)
        self.wait_for_state("delivered", 1001)
        self.post(1001, status=422, amount="1299.00")

    def a_backup_was_made_and_the_machine_is_lost(self):
        self.sink.behave(status=503)
        self.post(1001)
        self.post(1002, type="payout")
        self.wait_for_state("waiting", 1001, 1002)
        self.gateway.finish()
        shutil.copytree(self.data, self.backup)
        self.gateway.start()
        wait_for(self.gateway.is_ready, "ready again", 60)
        self.sink.behave()
        self.everything_is_delivered()
        self.had = self.counts()
        self.gateway.kill()

    def the_backup_is_started(self):
        shutil.rmtree(self.data)
        shutil.copytree(self.backup, self.data)
        self.gateway.flags = ["--deliveries-off", "restored from the backup of the night"]
        self.gateway.start()
        wait_for(self.gateway.is_ready, "ready again", 60)

    def the_open_deliveries_are_parked(self):
        self.wait_for_state("parked", 1001, 1002)

    def all_but_the_payout_are_sent(self):
        self.everything_is_delivered()
        wait_for(lambda: self.counts()[1001] == self.had[1001] + 1, "the purchase is sent again")
        assert self.counts()[1002] == self.had[1002], "the payout is not sent again"

    def a_client_loses_what_it_got(self):
        for number in range(1001, 1006):
            self.post(number)
        self.post(1006, type="payout")
        self.everything_is_delivered()

    def the_replay_has_ended(self):
        wait_for(lambda: all(replay["state"] == "done" for replay in self.ask("GET", "/api/v1/replays")["replays"]), "the replay has ended")
        self.everything_is_delivered()

    def a_partner_posts_everything_twice(self):
        for _ in range(2):
            for number in range(1001, 1006):
                self.post(number)
        self.everything_is_delivered()


@pytest.mark.parametrize("title", CHAPTERS, ids=lambda title: re.sub(r"\W+", "_", title.lower()))
def test_chapter(title, request, sink, tmp_path):
    world, ids = World(title, request, sink, tmp_path), Ids()
    for part in CHAPTERS[title]:
        if isinstance(part, Step):
            getattr(world, part.name.replace(" ", "_"))()
        elif isinstance(part, Command):
            run(part, ids, world.environment, tmp_path)


def test_document_has_all_chapters():
    wanted = ["An incident", "A client is down", BROKER, DISK, "A payout is in doubt", "A conflict", "A machine is lost",
              "A client lost events", "A partner sends everything twice"]
    assert [title for title in wanted if title not in CHAPTERS] == []
