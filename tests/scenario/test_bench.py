# SPDX-License-Identifier: Apache-2.0
"""The bench itself: a healthy gateway passes its verdict, a gateway that misbehaves does not, and the generator's clock tells the truth.

The failpoints are those of base/failpoint.h: only builds for tests have them."""
import json
import pathlib
import subprocess
import sys

import pytest

from support import client as http
from support.gateway import BINARY, ROOT, clean_environment
from support.wait import wait_for

sys.path.insert(0, str(ROOT / "bench"))

from runner import recovery  # noqa: E402
from runner.aims import aims_of  # noqa: E402
from runner.figures import ALONE, MORE_PARTS, PARTS, parts_of  # noqa: E402
from runner.gateway import Gateway as GatewayOfBench  # noqa: E402
from runner.outages import Case, compare  # noqa: E402
from runner.plan import Plan, PlanWrong, load_plan, plan_names  # noqa: E402
from runner.scenario import Scenario, Sink  # noqa: E402

BUILD = pathlib.Path(BINARY).resolve().parent

HEALTHY = {
    "accounts": 4,
    "load": {"timetable": "constant:300:4s,burst:40:1s:2s", "duplicates": "10%", "conflicts": "2%", "invalid": "2%",
             "types": "purchase=80,notification=20"},  # a payout whose answer is dropped is parked for a person
    "gateway": {"delivery.retry_schedule": "[100ms, 200ms, 500ms, 1s, 1s]"},
    "sink": {"default": "delay=exp:2ms", "1": "fail=10%", "2": "drop=2%"},
    # Neither speed nor the re-sends of dropped answers are what these tests are about; a sanitizer makes everything slow.
    "levels": {"answer_p99_max": "none", "answer_max": "none", "freshness_p99_max": "none", "error_share_max": "none"},
    "drain": "60s",
}

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def sanitizers(monkeypatch, tmp_path):
    """The bench's own programs inherit the environment: what the sanitizers need to know must be in it."""
    for name, value in clean_environment(tmp_path).items():
        if name.endswith("SAN_OPTIONS"):
            monkeypatch.setenv(name, value)


def run(directory, changes=None, failpoint=None, **load):
    plan = Plan("test", {**HEALTHY, **(changes or {}), "load": {**HEALTHY["load"], **load}})
    environment = clean_environment(directory, {"PENSTOCK_TEST_FAILPOINT": failpoint} if failpoint else None)
    scenario = Scenario(plan, BUILD, directory, environment)
    code, text, details = scenario.run()
    print(text)
    assert code == (0 if details["verdict"] == "PASS" else 1)
    return details, text


def reasons_of(details):
    assert details["verdict"] == "FAIL", "the failpoint was not found"
    return "\n".join(details["reasons"])


def test_a_healthy_gateway_passes(tmp_path):
    details, text = run(tmp_path)
    assert details["verdict"] == "PASS", text
    assert "\nPASS\n\nImpact\n  No event was lost.\n" in text


def test_a_healthy_gateway_with_a_broker_passes(tmp_path):
    details, text = run(tmp_path, {"queue": "rabbitmq"})
    assert details["verdict"] == "PASS", text


def test_a_broker_that_is_killed_and_stopped_changes_nothing(tmp_path):
    faults = [{"at": "2s", "do": "kill", "what": "broker", "for": "500ms"}, {"at": "19s", "do": "stop", "what": "broker", "for": "2s"}]
    details, text = run(tmp_path, {"queue": "rabbitmq", "fault": faults}, timetable="constant:200:25s")
    assert details["verdict"] == "PASS", text


def bench_run(directory, *arguments):
    return subprocess.run([ROOT / "bench/run", *arguments, "--build", BUILD, "--directory", directory], env=clean_environment(directory),
                          capture_output=True, text=True, timeout=300, check=False)


def test_the_command_runs_a_plan_and_ends_with_its_verdict(tmp_path):
    plan = tmp_path / "short.toml"
    plan.write_text('[load]\ntimetable = "constant:200:3s"\n[levels]\nanswer_p99_max = "3s"\n')
    found = bench_run(tmp_path, plan)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "\nPASS\n\nImpact\n  No event was lost.\n" in found.stdout
    result = json.loads((tmp_path / "short/result.json").read_text())
    assert result["verdict"]["verdict"] == "PASS" and result["load"]["events"] == 600 and result["of"]["commit"]
    plan.write_text('[load]\ntimetable = "constant:200:1s"\n[levels]\nfreshness_p99_max = "1us"\n')
    assert bench_run(tmp_path, plan).returncode == 1, "nothing is delivered in a microsecond"
    assert bench_run(tmp_path, "no-such-plan").returncode == 64


FIGURES = {"accuracy": "ours and h2load's", "ceilings": "gateway/commit_two_files", "broker": "gateway/consume", "publishing": "p99 at 2000/s",
           "delivered": "1M older keys / empty", "edge": "accepted over TLS / over h2c", "limit": "p99 of the neighbour", "profile": "thread: where", "backlog": "events waiting for clients", "sustained": "2000/s for 10 minutes",
           "versus": "| delivered |", "hung": "1 of 50 hang, first 30 s",
           "failing": "the name of 1 of 50 has no answer, whole fault", "recovery": "requests hang, the other build", "cost": "| fsyncs |",
           "waiting": "Memory of a waiting delivery", "queues": "fresh p99 behind the backlog", "peak": "6000 events/s for 5 minutes",
           "search": "find a key that no event has", "replay": "a replay beside fresh events"}


ALWAYS = ("accuracy", "ceilings", "delivered", "search")  # the others are like them, and take minutes together


@pytest.mark.xdist_group("figures")
@pytest.mark.parametrize("part", [part if part in ALWAYS else pytest.param(part, marks=pytest.mark.more) for part in FIGURES])
def test_every_part_of_the_figures_runs(tmp_path, part):
    """Tiny: what it measures means nothing, but that it can be measured at all is seen before somebody needs it."""
    found = bench_run(tmp_path, "figures", part, "--tiny", "--against", BUILD)
    assert found.returncode == 0, found.stdout + found.stderr
    assert FIGURES[part] in found.stdout, found.stdout
    assert part in json.loads((tmp_path / "figures/figures.json").read_text())


def test_no_part_of_the_figures_is_untried():
    assert set(FIGURES) == {*PARTS, *MORE_PARTS, *ALONE}


def test_a_part_with_several_measurements_runs_one_of_them_and_shows_its_aim(tmp_path):
    found = bench_run(tmp_path, "figures", "hung:80-of-100", "--tiny")
    assert found.returncode == 0, found.stdout + found.stderr
    rows = [line for line in found.stdout.splitlines() if "`bench/run figures hung:80-of-100 --rounds 1`" in line]
    assert len(rows) == 2 and all("80 of 100 hang" in row for row in rows), found.stdout
    assert bench_run(tmp_path, "figures", "hung:7-of-9", "--tiny").returncode == 64


def test_flow_names_the_parts_of_the_table():
    assert parts_of(["flow"], True) == list(MORE_PARTS)
    assert parts_of(["flow"], False) == [part for part in MORE_PARTS if part != "versus"]
    assert parts_of([], False) == list(PARTS)
    for names in (["versus"], ["no-such-part"], ["cost:fsyncs"]):
        with pytest.raises(PlanWrong):
            parts_of(names, False)


def freshness(p99_us):
    return {"p99_us": p99_us, "max_us": 7, "not_delivered": 0}


def case_of(pairs, slack_us=0):
    case = Case("some hang", "hung-many", "", 1.1, slack_us)
    return compare([{"this": {"some hang": {"with": {"whole": freshness(hurt)}, "without": {"whole": freshness(well)}}}}
                    for hurt, well in pairs], "this", case, "whole")


def test_the_ratio_within_a_round_decides_and_a_small_difference_does_not_count():
    assert case_of([(1100, 1000), (9000, 1000), (500, 1000)]) == {
        "ratio": 1.1, "least": 0.5, "most": 9.0, "difference_us": 100, "without_p99_us": 1000, "with_max_us": 7, "not_delivered": 0,
        "aim": "<= 1.1", "met": True}
    assert not case_of([(20_900, 1000)])["met"] and not case_of([(21_100, 1000)], 20_000)["met"]
    assert case_of([(20_900, 1000)], 20_000)["met"]
    for nothing in ((None, 1000), (1000, None), (None, None)):
        found = case_of([nothing], 20_000)
        assert not found["met"] and found["ratio"] is None and found["difference_us"] is None, nothing


def test_the_table_says_which_aims_are_met():
    def rows(results):
        return {row.what: (row.this, row.is_met, row.command) for row in aims_of({"of": {}, **results})}

    costs = [{"this": {"cpu_us": 45, "syncs": 0.9}, "other": {"cpu_us": 100, "syncs": 2.0}},
             {"this": {"cpu_us": 60, "syncs": 1.3}, "other": {"cpu_us": 100, "syncs": 2.0}}]
    assert rows({"cost": {"rate": 1000, "rounds": costs}}) == {
        "CPU of an event at 1000/s, this build / the other": ("0.53 (0.45 to 0.60)", False, "bench/run figures cost --rounds 2 --against BUILD"),
        "fsyncs of an event at 1000/s": ("1.10 (0.90 to 1.30)", False, "bench/run figures cost --rounds 2 --against BUILD")}
    peak = rows({"peak": {"rounds": [{"freshness_p99_us": 900_000}, {"freshness_p99_us": 1_100_000}]}})
    assert list(peak.values()) == [("1 of 2, 1.0 s (0.900 s to 1.1 s)", False, "bench/run figures peak --rounds 2")]
    edge = rows({"edge": {"rounds": [{"tls": {"rate": 800}, "h2c": {"rate": 1000}}, {"tls": {"rate": 760}, "h2c": {"rate": 1000}}]}})
    assert edge == {"accepted over TLS / over h2c": ("0.78 (0.76 to 0.80)", False, "bench/run figures edge --rounds 2")}
    recovered = {"slowest_starts": 3.5, "share": 0.85, "not_delivered": 0, "fresh_p99_us": 5000}
    stuck = {"slowest_starts": None, "share": None, "not_delivered": 7, "fresh_p99_us": 16_000_000}
    for each, is_met in ((recovered, True), (stuck, False)):
        found = rows({"recovery:hung": {"rounds": [{"this": {"requests hang": each}}]}})
        assert len(found) == 4 and all(row[1:] == (is_met, "bench/run figures recovery:hung --rounds 1") for row in found.values()), found


def test_what_happens_to_some_clients_is_measured_apart_from_the_others(tmp_path):
    """One of four hangs for a while: the measures tell its events from those of the others, and each time from the next."""
    changes = {"group": {"well": {}, "ill": {"accounts": 1, "behave": {"1s": "hang=100%", "3s": "delay=1ms"}}},
               "measure": {"well": {"group": "well", "accepted": "fault..back"}, "ill": {"group": "ill", "accepted": "fault..back"},
                           "ill-before": {"group": "ill", "accepted": "..fault"}, "ill-later": {"group": "ill", "delivered": "back.."}},
               "sink": {"default": "delay=1ms"},
               "gateway": {"delivery.retry_schedule": "[200ms, 200ms, 500ms, 1s, 1s, 1s, 1s]", "delivery.answer_timeout": "1s"}}
    details, text = run(tmp_path, changes, timetable="constant:200:5s", duplicates="0%", conflicts="0%", invalid="0%")
    assert details["verdict"] == "PASS", text
    subsets = details["subsets"]
    assert all(each["events"] == each["delivered"] > 0 for each in subsets.values()), subsets
    assert subsets["ill"]["freshness"]["p50_us"] > 500_000 > subsets["ill-before"]["freshness"]["p50_us"]
    assert subsets["well"]["freshness"]["p50_us"] < subsets["ill"]["freshness"]["p50_us"]
    assert subsets["well"]["events"] > 2 * subsets["ill"]["events"]
    assert subsets["ill-later"]["first_delivered_us"] >= round(details["moments"]["back"] * 1e6)


def test_clients_that_refuse_connections_come_back_and_their_backlog_is_measured(tmp_path):
    changes = {"sink": {"default": "delay=4ms workers=1"}, "fault": [{"at": "1s", "do": "kill", "what": "sink", "for": "1s"}],
               "measure": {"backlog": {"accepted": "..back", "delivered": "back.."}, "fresh": {"accepted": "back..gone"}},
               "recovery": {"takes": 1000, "starts_within": "15s"}}
    details, text = run(tmp_path, changes, timetable="constant:200:5s", duplicates="0%", conflicts="0%", invalid="0%")
    assert details["verdict"] == "PASS", text
    found = details["recovery"]
    assert 150 <= found["backlog"] <= 450 and found["not_delivered"] == 0, found
    assert 0 <= found["starts"] <= found["slowest_starts"] <= found["gone"] and 0 < found["share"] < 1, found
    assert "begins to move" in text


def recovery_of(**changes):
    """Of 1000 events, 100 a second from 10 s on, and 900 fresh ones; the clients came back at 9 s and take 250 a second."""
    backlog = {"events": 1000, "delivered": 1000, "not_delivered": 0, "first_delivered_us": 10_000_000, "last_delivered_us": 20_000_000,
               "slowest_account_starts_us": 12_000_000, "delivered_per_second": [0] * 10 + [100] * 10, **changes}
    fresh = {"events": 900, "delivered": 900, "not_delivered": 0, "freshness": {"p99_us": 5000}}
    expected = {"takes": 250, "starts_within": "3s", "share_min": 0.69}
    found = recovery.figures_of({"subsets": {"backlog": backlog, "fresh": fresh}}, {"back": 9}, expected)
    return found, recovery.reasons_of(found, expected)


def test_a_recovery_is_judged_by_its_start_its_rate_and_what_is_left_behind():
    found, reasons = recovery_of()
    assert reasons == [] and found["gone"] == 11 and found["shares_gone"] == {"50%": 6, "90%": 10, "99%": 11}
    assert abs(found["share"] - 1900 / 11 / 250) < 1e-9
    assert "begins to move after 4.0 s" in recovery_of(slowest_account_starts_us=13_000_000)[1][0]
    assert "begins to move never" in recovery_of(slowest_account_starts_us=None)[1][0]
    assert "below 69%" in recovery_of(last_delivered_us=21_000_000)[1][0]
    found, reasons = recovery_of(delivered=999, not_delivered=1)
    assert found["gone"] is None and "1 of 1000 events of the backlog were never delivered" in reasons[0]
    assert "proves nothing" in recovery_of(events=0, delivered=0)[1][0]
    assert recovery.describe(found)


def test_a_filled_data_directory_is_as_the_gateway_would_have_made_it(tmp_path):
    """penstock-fill writes through the journal's own code. The gateway knows the keys, has the events, and its audit adds up."""
    gateway = GatewayOfBench(BUILD, tmp_path, {"data.shards": 1}, clean_environment(tmp_path)).start()
    try:
        gateway.add_accounts(["acc_0"], ["http://127.0.0.1:9/nobody"])
        assert gateway.end() == 0
        gateway.fill(keys=1500, events=20)
        gateway.start()
        for key in ("key-0-0", "key-0-1499", "event-0-7"):
            event = {"id": key, "type": "purchase", "account": "acc_0", "amount": "129.90", "currency": "EUR"}
            answer = http.post(f"{gateway.ingress}/v1/events", json=event, headers={"authorization": f"Bearer {gateway.api_key}"})
            assert answer.status_code == 200 and answer.json()["status"] == "duplicate", answer.text
        deliveries = gateway.ask("GET", f"/api/v1/events/{answer.json()['event']}")["deliveries"]
        assert [delivery["state"] for delivery in deliveries] == ["delivered"]
        audit = gateway.audit()
        assert [(row["accepted"]["count"], row["delivered"]["count"]) for row in audit["totals"]] == [(20, 20)], audit
        assert not [finding for finding in audit["findings"] if "damaged" in json.dumps(finding)], audit
    finally:
        assert gateway.end() == 0


def test_an_answer_before_the_commit_is_found_by_a_kill(tmp_path):
    kill = {"fault": [{"at": "2s", "do": "kill"}], "levels": {**HEALTHY["levels"], "duplicates_max": "none", "availability_min": "none"}}
    assert "lost" in reasons_of(run(tmp_path, kill, "ack-before-commit")[0])


def test_the_same_kill_of_an_honest_gateway_loses_nothing(tmp_path):
    kill = {"fault": [{"at": "2s", "do": "kill"}], "levels": {**HEALTHY["levels"], "duplicates_max": 64}}
    details, text = run(tmp_path, kill)
    assert details["verdict"] == "PASS", text


def test_a_dropped_retry_is_found(tmp_path):
    assert "lost" in reasons_of(run(tmp_path, failpoint="drop-retry")[0])


def test_a_duplicated_send_is_found(tmp_path):
    assert "duplicate" in reasons_of(run(tmp_path, failpoint="send-twice")[0])


def test_a_changed_byte_is_found(tmp_path):
    assert "bytes" in reasons_of(run(tmp_path, failpoint="change-byte")[0])


# --- the generator's clock ---


class Echo:
    """The bare echo server."""

    def __init__(self, directory, *arguments):
        ready = directory / "echo.ready"
        self.process = subprocess.Popen([BUILD / "bin/penstock-ceiling", "echo", "--ready-file", ready, *arguments],
                                        env=clean_environment(directory), stdin=subprocess.DEVNULL)
        wait_for(ready.exists, "the echo server is ready")
        self.url = json.loads(ready.read_text())["url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0


def load(directory, url, *arguments):
    found = subprocess.run([BUILD / "bin/penstock-load", "--url", url, "--json", *arguments], env=clean_environment(directory),
                           capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_a_server_that_answers_after_20_ms_reads_as_20_ms(tmp_path):
    sink = Sink(BUILD, tmp_path, {"/": "delay=20ms"}).start()
    answers = load(tmp_path, sink.url, "--timetable", "constant:200:3s")["answers"]
    assert sink.program.end() == 0
    assert answers["count"] == 600
    assert answers["p50_us"] >= 20000
    assert answers["mean_us"] < 200000, "and not as something else"


def test_a_stall_shows_in_the_latency_of_what_was_due_meanwhile(tmp_path):
    """One second of five: a closed loop would see one slow answer for each stream; on the timetable a fifth of all is late."""
    sink = Sink(BUILD, tmp_path, {"/": "stall=2500ms..3500ms"}).start()  # since the sink's start, which is a little before the load's
    found = load(tmp_path, sink.url, "--timetable", "constant:500:5s", "--connections", "1")
    assert sink.program.end() == 0
    answers = found["answers"]
    assert answers["count"] == 2500
    assert answers["p999_us"] >= 900000
    assert answers["p90_us"] >= 400000, "an eighth of the events was due in the first 0.6 s of the stall"
    assert found["waited_for_stream"] > 0, "one connection has only 100 streams"


SINK_RECORD_BYTES = 88  # bench/common/run_log.h


def records(log, size):
    data = log.read_bytes()[40:]  # behind the header
    return [data[at:at + size] for at in range(0, len(data), size)]


def test_signed_posts_carry_a_signature_that_verifies(tmp_path):
    """The sink checks Standard Webhooks signatures, whoever made them."""
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sink = Sink(BUILD, tmp_path, {"/v1/partners/shop": f"secret={secret}"}).start()
    found = load(tmp_path, sink.url, "--timetable", "constant:100:1s", "--partner", "shop", "--secret", secret)
    assert sink.program.end() == 0
    assert found["statuses"] == {"200": 100}
    assert {record[69] for record in records(sink.log, SINK_RECORD_BYTES)} == {1}, "all of them are right (enum sink_signature)"
    assert len(records(sink.log, SINK_RECORD_BYTES)) == 100


def test_a_batch_is_one_request_whose_items_are_answered_one_by_one(tmp_path):
    results = "[" + ",".join(['{"status":200,"result":"accepted"}'] * 9 + ['{"status":503}']) + "]"
    sink = Sink(BUILD, tmp_path, {"/v1/events/batch": f"body={results}"}).start()
    found = load(tmp_path, sink.url, "--timetable", "constant:100:1s", "--batch", "10", "--resends", "1")
    assert sink.program.end() == 0
    assert found["statuses"] == {"200": 180, "503": 20}, "ten requests, and each once more since an item was refused"
    assert found["events"] == 100 and found["resends"] == 100
    assert len(records(sink.log, SINK_RECORD_BYTES)) == 20


def test_tls_is_spoken_and_a_certificate_is_checked_when_asked(tmp_path):
    for name in ("right", "wrong"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / f"{name}.key", "-out",
                        tmp_path / f"{name}.pem"], check=True, capture_output=True)
    with Echo(tmp_path, "--tls-cert", tmp_path / "right.pem", "--tls-key", tmp_path / "right.key") as echo:
        url = echo.url
        for more in ([], ["--ca", tmp_path / "right.pem"]):
            assert load(tmp_path, url, "--timetable", "constant:200:1s", *more)["statuses"] == {"200": 200}
        refused = subprocess.run([BUILD / "bin/penstock-load", "--url", url, "--timetable", "constant:1:1s", "--ca", tmp_path / "wrong.pem"],
                                 env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 69
    assert "The connection failed" in refused.stderr


GROUPS = {"group": {"well": {}, "ill": {"accounts": 3, "words": "delay=1ms", "behave": {"2s": "hang=100%", "5s": "delay=1ms"}}},
          "sink": {"default": "delay=2ms"}}


def test_a_plan_shares_out_its_accounts_and_describes_subsets_of_its_events():
    measures = {"well": {"group": "well", "accepted": "fault..fault+30s", "freshness_p99_max": "20ms"},
                "later": {"group": "ill", "accepted": "..back", "delivered": "back.."}, "all": {"accepted": "1s..gone"}}
    plan = Plan("test", {**HEALTHY, **GROUPS, "measure": measures})
    assert [plan.behaviour_of(number) for number in range(4)] == ["delay=2ms", "delay=1ms", "delay=1ms", "delay=1ms"]
    assert plan.planned_moments() == {"fault": 2, "back": 5}
    assert plan.needs_gone()
    assert plan.subsets({"fault": 2.5, "back": 5, "gone": 9}) == [
        "well accounts=0-0 accepted=2500000us..32500000us p99=20000us",
        "later accounts=1-3 accepted=..5000000us delivered=5000000us..", "all accepted=1000000us..9000000us"]
    assert not plan.without_faults().faults and plan.faults


def test_a_variant_and_a_change_replace_what_they_name(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('title = "one"\naccounts = 4\n[load]\ntimetable = "constant:1:1s"\nseed = 3\n[gateway]\n"delivery.allow_http" = true\n'
                    '[[fault]]\nat = "1s"\ndo = "kill"\nfor = "5s"\n[group.all]\nbehave = { 1s = "hang=100%" }\n'
                    '[variant.two]\ntitle = "two"\nload.timetable = "constant:2:2s"\nfault = []\ngroup.all.behave = {}\n')
    one, two = load_plan(str(file)), load_plan(f"{file}:two")
    assert (one.name, one.title, len(one.faults), one.load) == ("own", "one", 2, {"timetable": "constant:1:1s", "seed": 3})
    assert (two.name, two.title, two.faults, two.load) == ("own-two", "two", [], {"timetable": "constant:2:2s", "seed": 3})
    changed = load_plan(str(file), changes=["fault.0.for=7s", "accounts=6", "load.timetable=constant:3:3s", "gateway.delivery.allow_http=false",
                                            'group.all.behave={ 4s = "drop=1%" }', "levels.answer_max=none"])
    assert [fault.get("for") for fault in changed.faults] == ["7s", None] and changed.faults[1]["words"] == "drop=1%"
    assert (changed.accounts, changed.load["timetable"], changed.levels) == (6, "constant:3:3s", {"answer_max": "none"})
    assert changed.gateway == {"delivery.allow_http": False}
    for name, changes in ((f"{file}:three", []), (str(file), ["fault.7.for=1s"]), (str(file), ["accounts"])):
        with pytest.raises(PlanWrong):
            load_plan(name, changes=changes)


def test_a_plan_with_a_word_that_nobody_knows_is_refused():
    for name in plan_names():
        load_plan(name)
    for wrong in ({"load": {}}, {"load": {"timetable": "constant:1:1s", "rate": 5}}, {**HEALTHY, "fualt": []},
                  {**HEALTHY, "fault": [{"at": "soon", "do": "kill"}]}, {**HEALTHY, "queue": "kafka"},
                  {**HEALTHY, "fault": [{"at": "1s", "do": "kill", "what": "broker"}]},
                  {**HEALTHY, "group": {"one": {"accounts": 1}}}, {**HEALTHY, "group": {"one": {}, "two": {}}},
                  {**HEALTHY, "group": {"one": {"accounts": 5}}}, {**HEALTHY, "group": {"one": {"accounts": 4, "word": ""}}},
                  {**HEALTHY, **GROUPS, "measure": {"a": {"group": "others"}}}, {**HEALTHY, "measure": {"a": {"accepted": "1s"}}},
                  {**HEALTHY, "measure": {"a": {"accepted": "later.."}}}, {**HEALTHY, "recovery": {"takes": 5}},
                  {**HEALTHY, **GROUPS, "fault": [{"at": "1s", "do": "silence", "group": "ill"}]}):
        with pytest.raises(PlanWrong):
            Plan("wrong", wrong)
