#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a built program is hardened, and that the release build will be.

  tests/support/hardening.py PROGRAM

Reads the ELF file: position-independent, full RELRO, no executable stack or writable code, stack
protector. The compiler's flags are in the debug information of each file. Then it configures the
release preset in a temporary directory, and reads its commands: _FORTIFY_SOURCE needs an optimizing
build. An optimized program is checked for the functions that this option calls.
"""
import json
import os
import platform
import re
import subprocess
import sys
import tempfile

COMPILED_WITH = ["-fstack-protector-strong", "-fstack-clash-protection"] + ["-fcf-protection=full"] * (platform.machine() == "x86_64")
LINKED_WITH = ["-pie", "-z,relro", "-z,now", "-z,noexecstack"]


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


def complaints_of_segments(program):
    segments = readelf("-l", program)
    stack = re.search(r"GNU_STACK .* (\S+)\s+0x\S+$", segments, re.M)
    if not re.search(r"Type:\s+DYN \(Position-Independent Executable", readelf("-h", program)):
        yield "is not position-independent (PIE)"
    if "GNU_RELRO" not in segments or not re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW", readelf("-d", program)):
        yield "has no full RELRO"
    if not stack or "E" in stack.group(1):
        yield "has an executable stack"
    if re.search(r"LOAD .* RWE ", segments):
        yield "has memory that is writable and executable"


def complaints_of_code(program):
    symbols = readelf("--dyn-syms", program)
    producers = re.findall(r"DW_AT_producer .*: (GNU C\S+ .*|clang .*|GNU AS .*)$", readelf("-wi", "--dwarf-depth=1", program), re.M)
    if "__stack_chk_fail" not in symbols:
        yield "has no stack protector"
    if not producers:
        yield "has no debug information, which says how it was compiled"
    for flag in COMPILED_WITH:
        without = [producer for producer in producers if producer.startswith("GNU C") and flag not in producer.split()]
        if without:
            yield f"has {len(without)} of {len(producers)} files that were compiled without {flag}"
    if any(" -O2" in producer for producer in producers) and not re.search(r"__(memcpy|snprintf|vsnprintf)_chk@", symbols):
        yield "is optimized, and calls no checked function of the C library (_FORTIFY_SOURCE)"


def complaints_of_release(directory):
    done = subprocess.run(["cmake", "--preset", "release", "-B", directory], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"cannot be configured: {done.stderr}"
        return
    with open(f"{directory}/compile_commands.json", encoding="utf-8") as file:
        commands = [entry for entry in json.load(file) if "/src/" in entry["file"]]
    if not commands:
        yield "compiles nothing"
    for flag in [*COMPILED_WITH, "-D_FORTIFY_SOURCE=2", "-O2"]:
        without = [entry["file"] for entry in commands if flag not in entry["command"].split()]
        if without:
            yield f"compiles {len(without)} files without {flag}, such as {without[0]}"
    for entry in commands:
        if not {"-fPIC", "-fPIE"} & set(entry["command"].split()):
            yield f"compiles {entry['file']} at a fixed address"
    with open(f"{directory}/build.ninja", encoding="utf-8") as file:
        link = re.search(r"^build penstock: .*?\n\n", file.read(), re.M | re.S).group(0)
    for flag in LINKED_WITH:
        if flag not in re.split(r"\s|-Wl,", link) and not re.search(rf"{flag}\b", link):
            yield f"links the program without {flag}"


def main():
    program = sys.argv[1]
    found = [f"{program} {what}" for what in [*complaints_of_segments(program), *complaints_of_code(program)]]
    with tempfile.TemporaryDirectory() as directory:
        found += [f"the release build {what}" for what in complaints_of_release(directory)]
    print("\n".join(found) if found else f"{program} and the release build are hardened")
    return 1 if found else 0


sys.exit(main())
