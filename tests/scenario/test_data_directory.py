# SPDX-License-Identifier: Apache-2.0
"""The files of the data directory: one that is missing, foreign, swapped, older, damaged or open to others is refused with 78 and named;
what is gone for good is given up by an explicit command, and the audit names it."""
import json
import os
import shutil
import subprocess

import pytest

from support.gateway import tool
from support.wait import wait_for

TWO_SHARDS = {"PENSTOCK_DATA__SHARDS": "2", "PENSTOCK_DATA__PARTITIONS": "16"}
DATABASES = ["accounts.db", "journal-0.db", "journal-1.db"]


@pytest.fixture
def gateway(make_gateway):
    return make_gateway(TWO_SHARDS)


def post(gateway, *numbers):
    with gateway.partner() as partner:
        answers = [partner.post("/v1/events", json=gateway.event(number)) for number in numbers]
    assert all(answer.status_code == 200 for answer in answers), [answer.text for answer in answers]
    return [answer.json() for answer in answers]


def start_is_refused(gateway):
    """Returns what is said; nothing may have changed by it."""
    before = {path: path.read_bytes() for path in gateway.data.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
    done = tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", gateway.data, directory=gateway.directory,
                environment=TWO_SHARDS)
    assert done.returncode == 78, f"{done.returncode}: {done.stdout}{done.stderr}"
    after = {path: path.read_bytes() for path in gateway.data.rglob("*") if path.is_file() and not path.name.endswith("-shm")}
    assert before == after, "a start that is refused changes nothing"
    return done.stderr


def assert_refused(gateway, file):
    said = start_is_refused(gateway)
    assert str(gateway.data / file) in said, said
    assert f"penstock data accept-loss {file} --data {gateway.data}" in said, said
    return said


def accept(gateway, file, note="the disk died"):
    done = gateway.tool("data", "accept-loss", file, "--reason", note)
    assert done.returncode == 0, done.stderr


def lost_files(gateway, *arguments):
    done = gateway.tool("audit", "--json", *arguments)
    findings = [finding for finding in json.loads(done.stdout)["findings"] if finding["kind"] == "lost-file"]
    assert (done.returncode == 65) == bool(findings), done.stdout
    return [finding["place"] for finding in findings]


@pytest.mark.parametrize("file", [*DATABASES, "keys/receipt.key"])
def test_a_missing_file_is_refused_until_it_is_given_up_and_the_audit_names_it(gateway, file):
    post(gateway, *range(6))
    assert gateway.terminate() == 0
    (gateway.data / file).unlink()
    assert "is missing" in assert_refused(gateway, file)
    accept(gateway, file)
    gateway.start()
    accepted = post(gateway, *range(6, 10))
    wait_for(lambda: all(gateway.states(answer["event"]) == ["delivered"] for answer in accepted), "what came since is delivered")
    assert lost_files(gateway) == [f"{file} (missing): the disk died"]
    assert file in gateway.tool("audit").stdout
    assert lost_files(gateway, "--from", "2099-01-01") == [], "days after the loss are not concerned"
    gateway.restart()
    assert lost_files(gateway) == [f"{file} (missing): the disk died"]


def test_installation_json_is_made_again_from_the_files(gateway):
    first = post(gateway, *range(6))
    path = gateway.data / "installation.json"
    assert gateway.terminate() == 0
    before = json.loads(path.read_text())
    path.unlink()
    assert_refused(gateway, "installation.json")
    accept(gateway, "installation.json")
    after = json.loads(path.read_text())
    assert {name: before[name] for name in ("id", "seed", "partitions", "shards", "files")} == \
        {name: after[name] for name in ("id", "seed", "partitions", "shards", "files")}
    gateway.start()
    again = post(gateway, *range(6))
    assert [(answer["status"], answer["event"]) for answer in again] == [("duplicate", answer["event"]) for answer in first]
    assert lost_files(gateway) == ["installation.json (missing): the disk died"]


def test_a_damaged_installation_json_is_refused_and_made_again(gateway):
    path = gateway.data / "installation.json"
    assert gateway.terminate() == 0
    path.unlink()
    path.mkdir(0o700)
    assert_refused(gateway, "installation.json")
    path.rmdir()
    for content in ("", "[]", "{"):
        path.write_text(content)
        path.chmod(0o600)
        assert_refused(gateway, "installation.json")
    accept(gateway, "installation.json")
    gateway.start()
    assert lost_files(gateway) == ["installation.json (damaged): the disk died"]


@pytest.mark.parametrize("file", ["accounts.db", "journal-1.db", "keys/receipt.key"])
def test_a_file_of_another_installation_is_refused(gateway, make_gateway, file):
    other = make_gateway(TWO_SHARDS)
    post(other, 1, 2, 3)
    assert other.terminate() == 0
    assert gateway.terminate() == 0
    (gateway.data / file).rename(gateway.directory / "kept")
    shutil.copy2(other.data / file, gateway.data / file)
    assert_refused(gateway, file)
    (gateway.directory / "kept").replace(gateway.data / file)
    gateway.start()
    assert gateway.tool("audit").returncode == 0


def test_an_installation_json_of_another_installation_is_what_is_named(gateway, make_gateway):
    other = make_gateway(TWO_SHARDS)
    assert other.terminate() == 0
    assert gateway.terminate() == 0
    shutil.copy2(other.data / "installation.json", gateway.data / "installation.json")
    said = assert_refused(gateway, "installation.json")
    assert "journal-0.db" not in said, said


def test_swapped_journals_are_refused(gateway):
    assert gateway.terminate() == 0
    one, other, between = gateway.data / "journal-0.db", gateway.data / "journal-1.db", gateway.data / "between"

    def swap():
        one.rename(between)
        other.rename(one)
        between.rename(other)

    swap()
    said = assert_refused(gateway, "journal-0.db")
    assert "was made as journal-1.db" in said and "was made as journal-0.db" in said, said
    swap()
    gateway.start()


@pytest.mark.parametrize("file", ["accounts.db", "journal-0.db", "installation.json"])
def test_a_file_of_an_older_backup_is_refused_until_its_loss_is_accepted(gateway, file):
    first = post(gateway, *range(6))
    assert gateway.terminate() == 0
    shutil.copy2(gateway.data / file, gateway.directory / "backup")
    gateway.start()
    post(gateway, *range(6, 12))
    assert gateway.terminate() == 0
    shutil.copy2(gateway.directory / "backup", gateway.data / file)
    assert "older" in assert_refused(gateway, file)
    accept(gateway, file)
    gateway.start()
    again = post(gateway, *range(6))
    assert [answer["event"] for answer in again] == [answer["event"] for answer in first], "what the backup held is known"
    assert lost_files(gateway) == [f"{file} (older): the disk died"]


@pytest.mark.parametrize("file,how", [("accounts.db", "text"), ("accounts.db", "directory"), ("journal-1.db", "empty"), ("journal-1.db", "cut")])
def test_a_damaged_database_is_refused_and_moved_aside_when_it_is_given_up(gateway, file, how):
    assert gateway.terminate() == 0
    path = gateway.data / file
    content = path.read_bytes()
    path.unlink()
    if how == "directory":
        path.mkdir(0o700)
    else:
        path.write_bytes({"empty": b"", "cut": content[:4096 * 3], "text": b"this is no database" * 1000}[how])
        path.chmod(0o600)
    assert_refused(gateway, file)
    accept(gateway, file)
    assert [old.is_dir() for old in gateway.data.glob(f"{file}.given-up-*")] == [how == "directory"]
    gateway.start()
    assert lost_files(gateway) == [f"{file} (damaged): the disk died"]


@pytest.mark.parametrize("file", ["accounts.db", "journal-1.db"])
def test_a_wal_that_is_missing_after_a_crash_is_refused(gateway, file):
    post(gateway, *range(6))
    gateway.kill9()
    wal = gateway.data / f"{file}-wal"
    wal.rename(gateway.directory / "wal")
    assert_refused(gateway, wal.name)
    wal.touch(0o600)
    assert_refused(gateway, wal.name)
    (gateway.directory / "wal").replace(wal)
    gateway.start()
    assert gateway.tool("audit").returncode == 0
    gateway.kill9()
    wal.unlink()
    accept(gateway, wal.name)
    gateway.start()
    assert lost_files(gateway) == [f"{wal.name} (missing): the disk died"]


def test_the_wal_of_another_journal_is_refused(gateway):
    post(gateway, *range(6))
    gateway.kill9()
    shutil.copy2(gateway.data / "journal-1.db-wal", gateway.directory / "wal")
    (gateway.data / "journal-0.db-wal").rename(gateway.directory / "kept")
    shutil.copy2(gateway.directory / "wal", gateway.data / "journal-0.db-wal")
    assert "journal-0.db" in start_is_refused(gateway)
    (gateway.directory / "kept").replace(gateway.data / "journal-0.db-wal")
    gateway.start()


def test_a_file_that_others_can_read_or_change_is_refused(gateway):
    assert gateway.terminate() == 0
    for file, mode in (("journal-0.db", 0o644), ("accounts.db", 0o660), ("installation.json", 0o666), ("keys", 0o755),
                       ("keys/receipt.key", 0o640), ("keys/admin.token", 0o644)):
        path = gateway.data / file
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        said = start_is_refused(gateway)
        assert str(path) in said and "chmod" in said, said
        path.chmod(before)
    gateway.start()


def test_a_file_of_another_user_is_refused(gateway):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    assert gateway.terminate() == 0
    path = gateway.data / "journal-0.db"
    os.chown(path, 12345, -1)
    said = start_is_refused(gateway)
    assert str(path) in said and "belongs to user 12345" in said, said
    os.chown(path, 0, -1)
    gateway.start()


def test_a_journal_beyond_the_shards_is_refused(gateway):
    assert gateway.terminate() == 0
    (gateway.data / "journal-2.db").write_bytes(b"events of somebody")
    assert str(gateway.data / "journal-2.db") in start_is_refused(gateway)


def test_nothing_is_refused_after_kills_and_stops_at_any_time(gateway):
    """The files' epochs and installation.json's are written one after the other, and so are the WALs removed at a stop."""
    for number in range(6):
        post(gateway, number)
        gateway.process.terminate()
        try:
            gateway.process.wait(timeout=0.004 * number)
        except subprocess.TimeoutExpired:  # still stopping: killed in the middle of it
            gateway.kill9()
        gateway.start()
    assert gateway.tool("audit").returncode == 0


def test_only_what_is_wrong_can_be_given_up_and_only_with_a_reason(gateway):
    running = gateway.tool("data", "accept-loss", "journal-0.db", "--reason", "why")
    assert running.returncode == 75, running.stderr
    assert gateway.terminate() == 0
    (gateway.data / "journal-1.db").rename(gateway.directory / "kept")
    sound = gateway.tool("data", "accept-loss", "journal-0.db", "--reason", "why")
    assert sound.returncode == 64 and "nothing is wrong with journal-0.db" in sound.stderr and "journal-1.db" in sound.stderr, sound.stderr
    silent = gateway.tool("data", "accept-loss", "journal-1.db")
    assert silent.returncode == 64 and "--reason" in silent.stderr, silent.stderr
    (gateway.directory / "kept").replace(gateway.data / "journal-1.db")
    gateway.start()
    assert lost_files(gateway) == []


def test_a_journal_that_is_found_again_after_it_was_given_up_is_taken(gateway):
    first = post(gateway, *range(6))
    assert gateway.terminate() == 0
    (gateway.data / "journal-0.db").rename(gateway.directory / "kept")
    accept(gateway, "journal-0.db")
    (gateway.directory / "kept").rename(gateway.data / "journal-0.db")
    gateway.start()
    assert [answer["event"] for answer in post(gateway, *range(6))] == [answer["event"] for answer in first]
    assert len(lost_files(gateway)) == 1
