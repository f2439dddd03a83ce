# SPDX-License-Identifier: Apache-2.0
"""Configuration, commands and the data directory: wrong input is named with its place, and sysexits.h tells scripts what it was."""
import json
import re
import socket

import pytest

from support.certificates import Certificates
from support.gateway import tool
from support.serving import good


def check(tmp_path, text):
    path = tmp_path / "penstock.yaml"
    path.write_text(text)
    return tool("check", "-c", path, directory=tmp_path), path


def test_a_good_file_is_fine(tmp_path):
    done, _ = check(tmp_path, good(tmp_path))
    assert done.returncode == 0, done.stderr


def test_the_sample_file_is_fine(tmp_path):
    sample = tool("check", "--sample", directory=tmp_path)
    assert sample.returncode == 0, sample.stderr
    assert "retry_schedule" in sample.stdout
    done, _ = check(tmp_path, sample.stdout.replace('#directory: "/var/lib/penstock"', f"directory: {tmp_path}/data"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text,line,column,word", [
    ("ingress:\n  lisen: 127.0.0.1:1\n", 2, 3, "lisen"),
    ("ingress:\n  threads: 80x\n", 2, 12, "80x"),
    ("ingress:\n  threads: -1\n", 2, 12, "-1"),
    ("ingres:\n  threads: 1\n", 1, 1, "ingres"),
    ("delivery:\n  retry_schedule: [1s, soon]\n", 2, 24, "soon"),
    ("delivery:\n  allow_http: maybe\n", 2, 15, "maybe"),
    ("log:\n  level: loud\n", 2, 10, "loud"),
    ("log:\n  level: info\n  level: warn\n", 3, 3, "level"),
    ("data:\n  partitions: 5000\n", 2, 15, "4096"),
    ("ingress: [\n", 2, 1, ""),
    ("ingress:\n\tthreads: 1\n", 2, 1, ""),
], ids=["unknown_key", "trailing", "negative", "unknown_section", "list_item", "boolean", "choice", "twice", "range", "syntax", "tab"])
def test_a_wrong_file_is_refused_with_line_and_column(tmp_path, text, line, column, word):
    done, path = check(tmp_path, text)
    assert done.returncode == 78, done.stdout + done.stderr
    assert f"{path}:{line}:{column}: " in done.stderr, done.stderr
    assert word in done.stderr


def test_every_complaint_is_shown_at_once(tmp_path):
    done, path = check(tmp_path, "ingress:\n  threads: x\nlog:\n  level: loud\nnonsense: 1\n")
    assert done.returncode == 78
    assert [f"{path}:{line}:" in done.stderr for line in (2, 4, 5)] == [True, True, True], done.stderr


def test_a_wrong_variable_is_refused_by_its_name(tmp_path):
    done = tool("dev", "--data", tmp_path / "data", directory=tmp_path, environment={"PENSTOCK_DELIVERY__RETRY_SCHEDULE": "soon"})
    assert done.returncode == 78, done.stderr
    assert "PENSTOCK_DELIVERY__RETRY_SCHEDULE" in done.stderr


def test_a_missing_file_is_named(tmp_path):
    done = tool("serve", "-c", tmp_path / "absent.yaml", directory=tmp_path)
    assert done.returncode == 78, done.stderr
    assert str(tmp_path / "absent.yaml") in done.stderr


def test_version_and_help(tmp_path):
    version = tool("--version", directory=tmp_path)
    assert version.returncode == 0
    assert re.search(r"\b\d+\.\d+\.\d+\b", version.stdout)
    helped = tool("--help", directory=tmp_path)
    assert helped.returncode == 0
    for word in ("serve", "check", "dev", "status", "event", "partner", "account", "endpoint"):
        assert word in helped.stdout


@pytest.mark.parametrize("arguments", [["fly"], ["serve", "--fast"], ["event"], ["event", "show"], ["dev", "--ingress"], ["check", "-c"],
                                       ["partner", "grant", "one"], []],
                         ids=["command", "flag", "half_command", "no_id", "no_value", "no_file", "one_word", "nothing"])
def test_wrong_use_is_64_and_says_what_to_do(tmp_path, arguments):
    done = tool(*arguments, directory=tmp_path)
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr.strip()


def test_a_second_process_on_one_data_directory_is_75(gateway):
    done = tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", gateway.data, directory=gateway.directory)
    assert done.returncode == 75, done.stderr
    assert str(gateway.data) in done.stderr
    with gateway.partner() as partner:
        assert partner.post("/v1/events", json=gateway.event(1)).status_code == 200


@pytest.mark.parametrize("listener", ["--ingress", "--admin"])
def test_an_address_in_use_is_69(tmp_path, listener):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = "127.0.0.1:%d" % other.getsockname()[1]
        arguments = {"--ingress": "127.0.0.1:0", "--admin": "127.0.0.1:0", listener: address}
        done = tool("dev", "--data", tmp_path / "data", *(word for pair in arguments.items() for word in pair), directory=tmp_path)
    assert done.returncode == 69, done.stderr
    assert address in done.stderr


@pytest.mark.parametrize("variable", ["PENSTOCK_DATA__PARTITIONS", "PENSTOCK_DATA__SHARDS"])
def test_what_the_data_directory_was_made_with_is_fixed(make_gateway, variable):
    gateway = make_gateway({"PENSTOCK_DATA__PARTITIONS": "16", "PENSTOCK_DATA__SHARDS": "2"})
    assert gateway.terminate() == 0
    done = tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", gateway.data, directory=gateway.directory,
                environment={variable: "3"})
    assert done.returncode == 78, done.stderr
    assert "3" in done.stderr
    gateway.start()


def test_a_newer_installation_and_a_damaged_one_are_refused_with_78(make_gateway):
    gateway = make_gateway()
    assert gateway.terminate() == 0
    path = gateway.data / "installation.json"
    original = path.read_text()
    for wrong in (json.dumps({**json.loads(original), "format": 999}), json.dumps({**json.loads(original), "format": 1}), "{", "", "[]"):
        path.write_text(wrong)
        done = tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", gateway.data, directory=gateway.directory)
        assert done.returncode == 78, done.stderr
        assert "installation.json" in done.stderr
    path.write_text(original)
    gateway.start()


def test_another_programs_journal_is_left_alone(make_gateway):
    gateway = make_gateway()
    assert gateway.terminate() == 0
    path = gateway.data / "journal-0.db"
    path.rename(gateway.data / "kept")
    path.write_bytes(b"this is no database" * 1000)
    path.chmod(0o600)
    done = tool("dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", gateway.data, directory=gateway.directory)
    assert done.returncode == 78, done.stderr
    assert "journal-0.db" in done.stderr
    assert path.read_bytes() == b"this is no database" * 1000
    path.unlink()
    (gateway.data / "kept").rename(path)
    gateway.start()


def test_tools_say_what_to_do_when_no_gateway_runs(tmp_path):
    done = tool("status", "--data", tmp_path / "nothing", directory=tmp_path)
    assert done.returncode in (66, 69), done.stderr
    assert str(tmp_path / "nothing") in done.stderr


def test_serve_runs_without_the_demo(serving):
    with serving.operator() as operator:
        answer = operator.get("/api/v1/partners")
    assert answer.status_code == 200
    assert answer.json()["partners"] == []


def test_a_reload_of_a_wrong_file_keeps_the_old_one(serving):
    said = serving.reload(serving.text.replace("level: info", "level: loud"))
    assert f"{serving.path}:" in said and "loud" in said, said
    assert serving.is_ready()
    for wrong, what in (("", "is empty"), (serving.text + "retention:\n  bodies: 100d\n", "retention.bodies"),
                        (serving.text.replace("delivery:\n", "delivery:\n  ca_file: /absent.pem\n"), "/absent.pem does not exist"),
                        (serving.text.replace("[127.0.0.0/8]", "[127.0.0.1/8]"), "is not a network")):
        said = serving.reload(wrong)
        assert what in said and "is not reloaded" in said, said
    said = serving.reload(serving.text.replace("level: info", "level: debug"))
    assert "loud" not in said
    assert serving.is_ready()


def test_a_reload_says_what_needs_a_restart(serving):
    said = serving.reload(serving.text.replace("allow_http: true", "allow_http: false"))
    assert "delivery.allow_http" in said and "restart" in said, said
    assert serving.is_ready()


# --- what check, serve and a reload look at together ---

def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def place_of(text, word):
    """line:column of the first `word`."""
    line = next(number for number, line in enumerate(text.splitlines(), 1) if word in line)
    return f"{line}:{text.splitlines()[line - 1].index(word) + 1}"


def refused_files(tmp_path):
    """(more lines of configuration, the option that is named, the value that is pointed at, what is said)"""
    absent, junk, empty = tmp_path / "absent.pem", written(tmp_path, "junk.pem", b"junk"), written(tmp_path, "empty.pem", b"")
    cut = written(tmp_path, "cut.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n")
    tls = Certificates(tmp_path)
    tls.add_self_signed("ours")
    (certificate, key), (_, other_key) = tls.files("ours"), tls.files("ca")
    broker = "queue:\n  kind: rabbitmq\nbroker:\n  tls: true\n"

    def pair(one, its_key):
        return f"{broker}  certificate_file: {one}\n  key_file: {its_key}\n"

    for path, what in ((absent, "does not exist"), (junk, "holds no certificate"), (empty, "is empty"), (tmp_path, "is a directory"),
                       (cut, "holds no certificate")):
        yield f"ca_file: {path}", "delivery.ca_file", path, what
    yield f"{broker}  ca_file: {junk}\n", "broker.ca_file", junk, "holds no certificate"
    yield f"{broker}  credentials_file: {absent}\n", "broker.credentials_file", absent, "does not exist"
    yield pair(absent, key), "broker.certificate_file", absent, "does not exist"
    yield pair(certificate, junk), "broker.key_file", junk, "holds no private key"
    yield pair(certificate, other_key), "broker.key_file", other_key, "is not the key of the certificate"


def test_files_that_options_name_are_looked_at(tmp_path):
    for lines, option, path, what in refused_files(tmp_path):
        text = good(tmp_path)
        text = text.replace("delivery:\n", f"delivery:\n  {lines}\n") if lines.startswith("ca_file") else text + lines
        done, file = check(tmp_path, text)
        assert done.returncode == 78, f"{lines}: {done.stderr}"
        line = next(number for number, line in enumerate(text.splitlines(), 1) if line.endswith(f"{option.split('.')[1]}: {path}"))
        column = text.splitlines()[line - 1].index(str(path)) + 1
        assert f"{file}:{line}:{column}: {option}: {path} {what}" in done.stderr, done.stderr
        served = tool("serve", "-c", file, directory=tmp_path)
        assert (served.returncode, served.stderr) == (78, done.stderr)
        assert not (tmp_path / "data").exists(), "check and a serve that is refused make nothing"
    certificate, key = tmp_path / "ours.pem", tmp_path / "ours.key"
    done, _ = check(tmp_path, good(tmp_path) + "queue:\n  kind: rabbitmq\nbroker:\n  tls: true\n"
                    f"  ca_file: {certificate}\n  certificate_file: {certificate}\n  key_file: {key}\n")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lines,option,value,what", [
    ("data:\n  directory: state/penstock\n", "data.directory", "state/penstock", "is relative"),
    ("data:\n  directory: /dev/null\n", "data.directory", "/dev/null", "is not a directory"),
    ("data:\n  directory: /dev/null/penstock\n", "data.directory", "/dev/null/penstock", "cannot be reached"),
    ("data:\n  shards: 32\n  partitions: 16\n", "data.shards", "32", "data.partitions"),
    ("events:\n  optional_types: [news, purchase]\n", "events.optional_types", "[news", '"purchase" is critical as well'),
    ("events:\n  optional_types: [lead.test]\n  critical_types: [lead.*]\n", "events.optional_types", "[lead.test", '"lead.test" is critical'),
    ("events:\n  critical_types: []\n  optional_types: [payout]\n", "events.optional_types", "[payout", '"payout" is guarded'),
    ("retention:\n  bodies: 100d\n", "retention.bodies", "100d", "retention.history"),
    ("retention:\n  bodies: 0s\n", "retention.bodies", "0s", "retention.history"),
    ("delivery:\n  in_flight_per_endpoint: 64\n  in_flight_per_shard: 32\n", "delivery.in_flight_per_endpoint", "64", "in_flight_per_shard"),
    ("delivery:\n  allow_networks: [10.0.0.1/8]\n", "delivery.allow_networks", "[10.0.0.1/8", "is not a network"),
    ("ingress:\n  proxies: [10.0.0.1/8]\n", "ingress.proxies", "[10.0.0.1/8", "is not a network"),
    ("ingress:\n  proxy_protocol: true\n", "ingress.proxy_protocol", "true", "ingress.proxies"),
    ("ingress:\n  listen: nowhere\n", "ingress.listen", "nowhere", '"nowhere"'),
], ids=["relative", "no_directory", "below_a_file", "shards", "both_types", "covered", "guarded", "bodies", "bodies_for_ever", "in_flight",
        "network", "proxies", "proxy_protocol", "listen"])
def test_options_that_contradict_one_another_are_refused_with_their_place(tmp_path, lines, option, value, what):
    text = lines if lines.startswith("data:\n  directory") else lines.replace("data:\n", f"data:\n  directory: {tmp_path}/data\n")
    if "directory" not in text:
        text += f"data:\n  directory: {tmp_path}/data\n"
    done, path = check(tmp_path, text)
    assert done.returncode == 78, done.stderr
    assert f"{path}:{place_of(text, value)}: {option}: " in done.stderr and what in done.stderr, done.stderr


def test_a_wider_optional_pattern_and_equal_retentions_are_fine(tmp_path):
    done, _ = check(tmp_path, good(tmp_path) + 'events:\n  optional_types: ["*"]\nretention:\n  bodies: 9d\n  history: 9d\n')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    for command in ("check", "serve"):
        path = tmp_path / "penstock.yaml"
        path.write_text(text)
        done = tool(command, "-c", path, directory=tmp_path, environment={"PENSTOCK_DATA__DIRECTORY": str(tmp_path / "data")})
        assert done.returncode == 78 and f"{path}: is empty" in done.stderr, done.stderr


def test_a_variable_that_contradicts_is_named(tmp_path):
    path = written(tmp_path, "penstock.yaml", good(tmp_path).encode())
    done = tool("check", "-c", path, directory=tmp_path, environment={"PENSTOCK_DELIVERY__CA_FILE": str(tmp_path / "absent")})
    assert done.returncode == 78 and "PENSTOCK_DELIVERY__CA_FILE: " in done.stderr, done.stderr
