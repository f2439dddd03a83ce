#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A file over 700 lines holds two nouns; a function over 100 lines does two things. (House style asks for 150-500 and 70.)"""
import os
import re
import sys

FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 100


def functions(lines):
    """In our format a function's brace opens and closes in the first column, below a line that ends its head."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{" and number > 1 and lines[number - 2].rstrip().endswith(")"):
            start = number
        elif line == "}" and start is not None:
            head = start - 1
            while head > 1 and lines[head - 1][:1] in (" ", "\t"):
                head -= 1
            name = re.search(r"(\w+)\s*\(", lines[head - 1])
            yield name.group(1) if name else "?", start, number - start + 1
            start = None


def main():
    found, count = [], 0
    for top in ("src", "tests", "bench"):
        for directory, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders if f not in ("node_modules", "__pycache__"))
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".py", ".sh", ".mjs")):
                    continue
                path = os.path.join(directory, name)
                lines = open(path, encoding="utf-8").read().splitlines()
                if len(lines) > FILE_LINES_MAX:
                    found.append(f"{path}: {len(lines)} lines, more than {FILE_LINES_MAX}")
                if not name.endswith(".c"):
                    continue
                for function, start, length in functions(lines):
                    count += 1
                    if length > FUNCTION_LINES_MAX:
                        found.append(f"{path}:{start}: {function} has {length} lines, more than {FUNCTION_LINES_MAX}")
    print("\n".join(found) if found else f"{count} functions and their files are short enough")
    return 1 if found or count == 0 else 0


sys.exit(main())
