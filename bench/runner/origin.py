# SPDX-License-Identifier: Apache-2.0
"""Where the figures of a result are from: machine, command, commit, build and versions."""
import pathlib
import shlex
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
# Packages of Debian, by the names that people know them by.
LIBRARIES = {"SQLite": "libsqlite3-0", "h2o": "libh2o-evloop0.13", "OpenSSL": "libssl3"}
BROKER = {"RabbitMQ": "rabbitmq-server", "Erlang": "erlang-base"}


def _output(*command):
    """None without such a program, as git on a fresh machine."""
    try:
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                              timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None


def describe(build):
    """Machine, commit and build: figures mean nothing without them."""
    commit = _output("git", "-C", TOP, "describe", "--always", "--dirty") or ""
    model = [line.split(":", 1)[1].strip()
             for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    kernel = pathlib.Path("/proc/sys/kernel/osrelease").read_text().strip()
    return {"commit": commit.strip() or "unknown", "cpu": model[0] if model else "unknown",
            "cores": len(model), "memory_gib": memory, "kernel": kernel, "build": build.name,
            "command": shlex.join(["bench/run", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def package_versions(packages):
    """{name: version} of those that are installed."""
    text = _output("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages.values()) or ""
    found = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    return {name: found[package] for name, package in packages.items() if found.get(package)}


def of_run(machine, build, queue, target=None):
    """The member `of` of a result. `target`: what was measured is not of our tree, so our commit
    and build are those of the bench only."""
    bench = {"commit": machine["commit"], "build": machine["build"]}
    of = {**machine, "bench": bench, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if target:
        versions = {target.name: target.version or "not known",
                    "bench": f"{bench['commit']}, {bench['build']}"}
        return {**of, "commit": None, "build": None, "versions": versions}
    version = (_output(build / "penstock", "--version") or "").removeprefix("penstock ").strip()
    packages = {**LIBRARIES, **(BROKER if queue == "rabbitmq" else {})}
    return {**of, "versions": {**({"Penstock": version} if version else {}),
                               **package_versions(packages)}}


def has_changes(commit):
    """Whether a commit says nothing about the tree that was built."""
    return commit.endswith("-dirty") or commit == "unknown"
