# SPDX-License-Identifier: Apache-2.0
"""Where the gateway's CPU time goes, per delivered event: sampled by perf under full load, each sample put down to the system call
that it is in, or else to the library, and to the kind of thread."""
import collections
import copy
import os
import re
import signal
import subprocess
import time

from runner.deliveries import Installation
from runner.process import RunFailed, wait_for

FREQUENCY_HZ = 1499
ROWS = 16


def label_of(thread, frames):
    """frames: (symbol, library) from the innermost outwards."""
    kind = re.sub(r"-\d+$", "", thread)
    for symbol, library in frames:
        if library.startswith("[kernel") or library == "[unknown]":
            continue
        in_kernel = frames[0][1].startswith("[kernel")
        name = library.rsplit("/", 1)[-1].split(".so")[0]
        return f"{kind}: {re.sub(r'^(__GI_)?(___?)?(libc_)?', '', symbol)}()" if in_kernel else f"{kind}: in {name}"
    return f"{kind}: elsewhere in the kernel"


def read_samples(file):
    script = subprocess.run(["perf", "script", "-i", file, "-F", "comm,ip,sym,dso"], capture_output=True, text=True, check=True).stdout
    counts = collections.Counter()
    for sample in script.split("\n\n"):
        lines = sample.strip("\n").splitlines()
        if len(lines) < 2:
            continue
        frames = []
        for line in lines[1:]:
            match = re.match(r"\s*[0-9a-f]+ (.*) \((.*)\)$", line)
            if match:
                frames.append((match.group(1).split("+")[0], match.group(2)))
        if frames:
            counts[label_of(lines[0].strip(), frames)] += 1
    return counts


def measure_profile(bench):
    bench = copy.copy(bench)
    bench.seconds = max(bench.seconds, 4)  # perf needs a moment to begin
    # Without this only root may sample the gateway.
    place = Installation(bench, "profile", options={} if os.geteuid() == 0 else {"process.core_dumps": True})
    file = place.directory / "perf.data"

    def start_perf():
        time.sleep(0.1 if bench.is_tiny else 2)
        recorder = subprocess.Popen(["perf", "record", "-F", str(FREQUENCY_HZ), "--call-graph", "fp", "-o", file, "-p",
                                     str(place.gateway.program.process.pid)], stderr=subprocess.DEVNULL)
        wait_for(lambda: file.exists() and file.stat().st_size > 0, "perf records", 60, recorder)  # before that, SIGINT leaves no file
        return recorder

    try:
        found = place.deliver(meanwhile=start_perf)
    finally:
        place.end()
    recorder = found.pop("meanwhile")
    if recorder.poll() is None:
        recorder.send_signal(signal.SIGINT)
    if recorder.wait() not in (0, -signal.SIGINT, 255):
        raise RunFailed("perf could not record: is linux-perf installed, and may this user sample?")
    counts = read_samples(file)
    total = sum(counts.values())
    rows = [{"what": what, "share": count / total, "us": found["cpu_us"] * count / total} for what, count in counts.most_common(ROWS)]
    file.unlink()
    return {"cpu_us": found["cpu_us"], "rate": found["rate"], "samples": total, "rows": rows}
