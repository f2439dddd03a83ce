#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the includes of src/ against the layer table: arrows point down only, adapters and services include each
other only where BETWEEN says so, and each foreign library is included in its one room."""
import os
import re
import sys

GROUND = {"base", "runtime"}
ADAPTERS = {"http", "broker", "client", "sqlite", "dedupe", "journal", "history", "accounts", "config"}
SERVICES = {"cli", "cluster", "console", "admin", "ingress", "delivery", "queue"}
# What services and adapters include of their own kind.
BETWEEN = {"ingress": {"queue"}, "delivery": {"queue"}, "accounts": {"sqlite"},
           "dedupe": {"sqlite"}, "journal": {"dedupe", "sqlite"}, "history": {"journal", "dedupe", "sqlite"}}

# What each folder may include besides itself.
ALLOWED = {"base": set(), "runtime": {"base"}, "model": {"base"}, "main": GROUND | {"model"} | ADAPTERS | SERVICES}
ALLOWED.update({name: GROUND | {"model"} | BETWEEN.get(name, set()) for name in ADAPTERS})
ALLOWED["sqlite"] = GROUND
ALLOWED.update({name: GROUND | {"model"} | ADAPTERS | BETWEEN.get(name, set()) for name in SERVICES})

# A library's headers, by how their names begin, and where they may stand.
ROOMS = {
    "h2o": {"http"},
    "curl/": {"client"},
    "ares": {"client"},
    "nghttp2/": {"client", "http"},
    "amqp": {"broker"},
    "sqlite3": {"sqlite"},
    "yaml": {"config"},
    "yajl/": {"model"},
    "jansson": {"admin", "cli", "cluster", "main"},
    "openssl/": {"base", "http", "client", "broker"},
    "urcu": {"runtime", "accounts"},
    "libdeflate": {"sqlite"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def complaints_of(folder, path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1)
        other = header.split("/")[0]
        if other in ALLOWED and os.path.exists(os.path.join("src", header)):
            if other != folder and other not in ALLOWED[folder]:
                yield f"{path}:{number}: {folder}/ must not include {header}"
            elif header.endswith("_internal.h") and other != folder:
                yield f"{path}:{number}: {header} is for {other}/ only"
        for prefix, rooms in ROOMS.items():
            if header.startswith(prefix) and folder not in rooms:
                yield f"{path}:{number}: {header} belongs into {' or '.join(sorted(rooms))}/ only"


def main():
    found, files = [], 0
    for directory, _, names in sorted(os.walk("src")):
        folder = os.path.relpath(directory, "src").split(os.sep)[0]
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                files += 1
                path = os.path.join(directory, name)
                if folder not in ALLOWED:
                    found.append(f"{path}: no layer is called {folder}")
                    continue
                found.extend(complaints_of(folder, path))
    print("\n".join(found) if found else f"{files} files keep to their layers")
    return 1 if found or files == 0 else 0


sys.exit(main())
