# SPDX-License-Identifier: Apache-2.0
"""When the disk won't: no 200 for what is not durable, no send that could not be recorded, and it goes on by itself when the disk does.
The disk is the real one, with tests/support/disk_shim.c in front of it."""
import contextlib
import itertools
import json
import os
import pathlib
import subprocess
import threading

import httpx
import pytest
from support.gateway import BINARY
from support.wait import wait_for

SHIM = pathlib.Path(BINARY).resolve().parent / "tests" / "libdisk_shim.so"
MIB = 1024 * 1024
RESERVE = 32 * MIB

pytestmark = pytest.mark.once


class Disk:
    def __init__(self, path):
        self.path = path

    def be(self, order):
        """Whole, so that nobody reads half an order."""
        new = self.path.with_suffix(".new")
        new.write_text(order)
        os.replace(new, self.path)

    def is_ok(self):
        return not self.path.exists() or self.path.read_text() == "ok"


@pytest.fixture
def disk(tmp_path):
    if not SHIM.parent.exists():
        pytest.skip(f"{BINARY} is of a build without tests, which has no disk shim")
    assert SHIM.exists(), f"{SHIM} is missing, without which nothing here tests a disk: build all of the preset, not only the program"
    return Disk(tmp_path / "disk")


def environment_for(disk, **more):
    environment = {"LD_PRELOAD": str(SHIM), "PENSTOCK_TEST_DISK": str(disk.path), "PENSTOCK_DATA__RESERVE": str(RESERVE),
                   "ASAN_OPTIONS": "verify_asan_link_order=0", "PENSTOCK_DELIVERY__RETRY_SCHEDULE": "[200ms, 200ms, 1s, 1s, 1s, 1s]"}
    environment.update(more)
    return environment


class Poster(threading.Thread):
    """Posts events one after the other until it is told to stop; keeps what was answered."""

    def __init__(self, gateway, **fields):
        super().__init__(daemon=True)
        self.gateway, self.fields = gateway, fields
        self.accepted, self.refused, self.number = {}, [], 0
        self.stopping = threading.Event()

    def run(self):
        with self.gateway.partner() as partner:
            while not self.stopping.is_set():
                self.number += 1
                event = self.gateway.event(self.number, data={"pad": "x" * 20000}, **self.fields)
                try:
                    answer = partner.post("/v1/events", json=event)
                except httpx.TransportError:  # it has ended
                    return
                if answer.status_code == 200:
                    self.accepted[self.number] = answer.json()["event"]
                else:
                    self.refused.append(answer)
                    self.stopping.wait(0.02)

    def stop(self):
        self.stopping.set()
        self.join(30)
        assert not self.is_alive()


def all_delivered(sink, ids):
    return set(ids) <= {d.id for d in sink.deliveries()}


def test_full_disk_refuses_events_records_deliveries_and_recovers_by_itself(make_gateway, sink, disk):
    gateway = make_gateway(environment_for(disk))
    gateway.point_endpoint_at(sink.url())
    sink.behave(status=503)
    poster = Poster(gateway)
    poster.start()
    wait_for(lambda: len(poster.accepted) >= 50, "some events are accepted")
    disk.be("full")
    wait_for(lambda: len(poster.refused) >= 5, "the disk is full")
    before = len(poster.accepted)
    refused = poster.refused[-1]
    assert refused.status_code == 503 and refused.json()["type"] == "urn:penstock:problem:disk-full", refused.text
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    sink.behave(status=200)
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "deliveries go on in the reserve", 60)
    wait_for(lambda: gateway.metric("penstock_deliveries_active") == 0, "their outcomes are recorded", 60)
    disk.be("ok")
    wait_for(lambda: len(poster.accepted) > before + 20, "events are accepted again by themselves", 30)
    poster.stop()
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "what was accepted is delivered", 60)
    assert len(set(poster.accepted.values())) == len(poster.accepted)
    wait_for(lambda: gateway.metric("penstock_journal_space_shortage") == 0, "the reserve is filled again")


def standing(gateway):
    """What readyz, the status in both forms and the metrics say of the first journal: (is ready, lines, journal, text, metrics)."""
    with gateway.operator() as operator:
        ready, status = operator.get("/readyz?verbose"), operator.get("/api/v1/status").json()
    return ready.status_code == 200, ready.text, status["journals"][0], gateway.tool("status").stdout, gateway.metrics()


@pytest.mark.parametrize("order, reason", [("full", "full"), ("read-only", "read-only")])
def test_the_refused_classes_and_the_reason_are_shown_and_end_without_traffic(make_gateway, sink, disk, order, reason):
    gateway = make_gateway(environment_for(disk, PENSTOCK_DATA__SHARDS="1"))
    ready, lines, journal, text, _ = standing(gateway)
    assert ready and "[+] journals accept events" in lines and journal["refuses"] == [] and "REFUSES" not in text
    disk.be(order)
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(1, data={"pad": "x" * 20000}))
        assert answer.status_code == 503, answer.text
    ready, lines, journal, text, metrics = standing(gateway)
    assert not ready and f"[-] journal 0: accepts no events ({reason}), " in lines and "MiB free" in lines and "accept events" not in lines, lines
    assert journal["refuses"] == ["critical", "important", "optional"] and journal["reason"] == reason and journal["since"]
    assert f"REFUSES critical, important, optional events: {reason}" in text, text
    assert metrics['penstock_journals_refusing{class="critical"}'] == 1 and metrics[f'penstock_journals_short{{reason="{reason}"}}'] == 1
    disk.be("ok")
    wait_for(lambda: standing(gateway)[0], "it is ready again, though nobody posted", 10)
    assert standing(gateway)[2]["refuses"] == []


def test_only_optional_events_are_shown_as_refused(make_gateway, disk):
    gateway = make_gateway(environment_for(disk, PENSTOCK_DATA__SHARDS="1"))
    disk.be(f"free {4 * RESERVE - MIB}")
    wait_for(lambda: standing(gateway)[2]["refuses"] == ["optional"], "the journal says it without traffic", 20)
    ready, lines, journal, _, metrics = standing(gateway)
    assert ready and "accepts no optional events (reserve)" in lines and journal["wanted_bytes"] == 4 * RESERVE, lines
    assert metrics['penstock_journals_refusing{class="critical"}'] == 0 and metrics['penstock_journals_refusing{class="optional"}'] == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 30 MiB."""
    if os.getuid() != 0:
        pytest.fail("mounts are root's")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(file):
    with open(file, "ab", buffering=0) as filler:
        for size in (65536, 4096):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(b"x" * size)


def test_room_that_comes_back_in_drops_brings_acceptance_back(make_gateway, sink, small_disk):
    """The WAL took every drop, until it was all that the disk held and could go nowhere; or its index found no room, and the process ended."""
    gateway = make_gateway({"PENSTOCK_DATA__RESERVE": "0", "PENSTOCK_DATA__SHARDS": "1"}, start=False)
    gateway.data = small_disk / "data"
    gateway.start()
    gateway.point_endpoint_at(sink.url())
    poster = Poster(gateway)
    poster.start()
    wait_for(lambda: len(poster.accepted) >= 10, "some events are accepted")
    filler = small_disk / "filler"
    fill(filler)
    wait_for(lambda: len(poster.refused) >= 5, "the disk is full")
    while filler.stat().st_size > 12 * MIB:
        os.truncate(filler, filler.stat().st_size - 256 * 1024)
        assert gateway.is_running(), gateway.stderr[-3000:]
        poster.stopping.wait(0.1)
    assert sum(file.stat().st_size for file in gateway.data.glob("journal-0.db-wal")) < 12 * MIB, "the WAL has not taken it all"
    os.truncate(filler, 0)
    before = len(poster.accepted)
    wait_for(lambda: len(poster.accepted) > before + 5, "events are accepted again", 5)
    poster.stop()
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "what was accepted is delivered", 60)


@pytest.mark.parametrize("shards", [1, 4])
def test_optional_events_are_refused_first_and_critical_ones_last(make_gateway, sink, disk, shards):
    """By what is free of the disk that all shards share: four of the whole reserve, and two."""
    gateway = make_gateway(environment_for(disk, PENSTOCK_DATA__SHARDS=str(shards)))
    whole = max(RESERVE, shards * 16 * MIB)
    gateway.point_endpoint_at(sink.url())
    numbers = itertools.count()
    with gateway.partner() as partner:
        def taken():
            """The classes that are accepted now. The shard that gets the events sees the disk's level about once a second."""
            classes = set()
            for kind, event_class in (("notification", "optional"), ("signup", "important"), ("purchase", "critical")):
                answer = partner.post("/v1/events", json=gateway.event(next(numbers), type=kind))
                if answer.status_code == 200:
                    classes.add(event_class)
                else:
                    assert (answer.status_code, answer.json()["type"]) == (503, "urn:penstock:problem:disk-full"), answer.text
            return classes

        for free, level, classes in [(4 * whole - MIB, 1, {"important", "critical"}), (4 * whole + MIB, 0, {"optional", "important", "critical"}),
                                     (2 * whole - MIB, 2, {"critical"}), (2 * whole + MIB, 1, {"important", "critical"})]:
            disk.be(f"free {free}")
            wait_for(lambda: taken() == classes, f"only {classes} are accepted, with {free} bytes free")
            assert taken() == classes, "and it stays so"
            assert shards > 1 or gateway.metric("penstock_journal_space_shortage") == level


def test_read_only_disk_accepts_and_sends_nothing_until_it_is_writable_again(make_gateway, sink, disk):
    gateway = make_gateway(environment_for(disk))
    gateway.point_endpoint_at(sink.url())
    sink.behave(status=503, delay=1)  # some are in flight when the disk takes nothing any more
    poster = Poster(gateway, type="payout")
    poster.start()
    wait_for(lambda: len(poster.accepted) >= 20, "some events are accepted")
    disk.be("read-only")
    wait_for(lambda: len(poster.refused) >= 5, "the disk takes nothing")
    before = len(poster.accepted)
    assert poster.refused[-1].status_code == 503, poster.refused[-1].text
    wait_for(lambda: "refuses to record" in gateway.stderr, "delivery has noticed")
    sink.behave(status=200)
    sent = sink.count()
    wait_for(lambda: len(poster.refused) >= 60, "a while passes")
    assert sink.count() <= sent + 64, "nothing new is begun while outcomes can't be recorded"
    disk.be("ok")
    wait_for(lambda: len(poster.accepted) > before + 20, "events are accepted again by themselves", 30)
    poster.stop()
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "what was accepted is delivered", 60)
    ids = [d.id for d in sink.deliveries() if d.status == 200]
    assert len(ids) == len(set(ids)), "no payout was delivered twice"


def test_a_sync_that_failed_once_is_no_200_and_the_gateway_ends_to_start_again_from_the_disk(make_gateway, sink, disk):
    gateway = make_gateway(environment_for(disk, PENSTOCK_DATA__SHARDS="1"))
    gateway.point_endpoint_at(sink.url())
    poster = Poster(gateway)
    poster.start()
    wait_for(lambda: len(poster.accepted) >= 20, "some events are accepted")
    disk.be("sync-fails")
    wait_for(lambda: gateway.process.poll() is not None, "it ends by itself", 40)
    poster.stopping.set()
    assert disk.is_ok(), "the error was told"
    assert gateway.process.returncode != 0
    assert "the journal's disk failed" in gateway.stderr
    gateway.start()
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "what was answered with 200 is delivered", 60)
    with gateway.partner() as partner:
        answer = partner.post("/v1/events", json=gateway.event(poster.number + 1))
    assert answer.status_code == 200, answer.text


def test_short_writes_are_completed(make_gateway, sink, disk):
    gateway = make_gateway(environment_for(disk))
    gateway.point_endpoint_at(sink.url())
    disk.be("short")
    poster = Poster(gateway)
    poster.start()
    wait_for(lambda: len(poster.accepted) >= 100, "events are accepted", 60)
    poster.stop()
    gateway.kill9()
    disk.be("ok")
    gateway.start()
    wait_for(lambda: all_delivered(sink, poster.accepted.values()), "what was accepted is delivered", 60)
    assert not poster.refused


@pytest.mark.xdist_group("brokered")
def test_a_slow_disk_holds_back_what_is_consumed_and_keeps_the_connections(vhost, make_brokered, sink, disk):
    """Each commit takes almost a heartbeat: the broker keeps what the journal can't take, and nobody's connection is given up."""
    prefetch, count = 64, 1000
    brokered = make_brokered(vhost, environment=environment_for(disk), options={"broker.prefetch": prefetch, "broker.heartbeat": "2s"})
    brokered.point_endpoint_at(sink.url())
    brokered.wait_for_broker()
    lines = "\n".join(json.dumps(brokered.event(number)) for number in range(count))
    commits = brokered.metric("penstock_journal_commits_total")
    disk.be("slow 1500")
    with brokered.partner() as partner:
        answer = partner.post("/v1/events/batch", content=lines, headers={"content-type": "application/x-ndjson"}, timeout=30)
    assert {result["status"] for result in answer.json()["results"]} == {200}, "the broker has them"
    wait_for(lambda: brokered.metric("penstock_journal_commits_total") >= commits + 6, "nine seconds of commits", 60)
    assert brokered.metric("penstock_broker_unacked") <= prefetch * brokered.options["data.partitions"]
    assert brokered.is_through_broker()
    assert sum(vhost.messages().values()) > 0, "the broker keeps the rest"
    disk.be("ok")
    wait_for(lambda: sink.count() >= count, lambda: f"all are sent: {sink.count()} of {count}", 60)
    vhost.wait_until_empty()
    assert len({delivery.id for delivery in sink.deliveries()}) == sink.count() == count
    assert "is lost" not in brokered.stderr
