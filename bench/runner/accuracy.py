# SPDX-License-Identifier: Apache-2.0
"""Does the generator tell the truth? Against h2load's log at the same rate, a server that answers after 20 ms, and one that stalls."""
import json
import statistics
import struct
import subprocess

from runner.ceilings import Ceiling
from runner.sink import Sink

RATE = 5000
# h2load's timer ticks every 10 ms: at 5000/s it sends 50 at once, and so do we, or the two would measure different things.
AS_H2LOAD_SENDS = "burst:50:10ms"
HEADER_BYTES, RECORD_BYTES = 40, 88  # of the log: common/run_log.h
BODY = '{"id":"%s","type":"purchase","account":"acc_0","amount":"129.90","currency":"EUR","data":{"note":"%s"}}'


def h2load_p50(url, directory, seconds):
    """Median of h2load's own log (start, status, duration in us a line), its first second left out as warm-up."""
    body, log = directory / "body.json", directory / "h2load.log"
    body.write_text(BODY % ("order-1", "x" * 370))
    subprocess.run(["h2load", "-t1", "-c1", "-m100", f"--rps={RATE}", f"-n{RATE * seconds}", "-d", body, "-H",
                    "content-type: application/json", f"--log-file={log}", f"{url}/v1/events"], check=True, capture_output=True)
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    begin = min(int(line[0]) for line in lines)
    times = [int(line[2]) for line in lines if int(line[0]) > begin + 1_000_000]
    return statistics.median(times)


def of_sink(bench, directory, words, timetable):
    """Latencies of a server that is known to be slow: the sink in the gateway's place."""
    sink = Sink(bench.build, directory, {"/": words}).start()
    try:
        return bench.load(sink.url, "--timetable", timetable)["answers"]
    finally:
        sink.program.end()


def sent_p50(log):
    """Median from the request's first frame to its answer, which is what h2load counts, out of our log; without the first second."""
    records = [struct.unpack_from("<qqq", log, at) for at in range(HEADER_BYTES, len(log) - RECORD_BYTES + 1, RECORD_BYTES)]
    begin = records[0][0]
    return statistics.median(ended - sent for intended, sent, ended in records if intended > begin + 1_000_000)


def measure_accuracy(bench):
    directory, seconds = bench.place("accuracy"), 2 if bench.is_tiny else 8
    rounds = []
    for number in range(bench.rounds):
        with Ceiling(bench, "echo") as echo:
            theirs = h2load_p50(echo.url, directory, seconds)
            ours = bench.load(echo.url, "--timetable", f"{AS_H2LOAD_SENDS}:{seconds}s", "--warm-up", "1s", "--connections", "1",
                              "--spin", "60us", "--log", directory / "load.log")
        same = sent_p50((directory / "load.log").read_bytes())
        rounds.append({"h2load_p50_us": theirs, "load_p50_us": same, "from_due_p50_us": ours["answers"]["p50_us"],
                       "ratio": same / theirs, "late_p99_us": ours["late"]["p99_us"]})
        print(json.dumps(rounds[-1]), flush=True)
    delayed = of_sink(bench, directory, "delay=20ms", f"constant:1000:{1 if bench.is_tiny else 5}s")
    stalled = of_sink(bench, directory, "stall=500ms..1500ms" if bench.is_tiny else "stall=4s..5s", f"constant:1000:{2 if bench.is_tiny else 10}s")
    return {"rounds": rounds, "ratio": statistics.median(found["ratio"] for found in rounds), "after_20_ms": delayed, "stall_of_1_s": stalled}
