# SPDX-License-Identifier: Apache-2.0
"""bench/run report: makes the report of results that exist."""
import argparse
import json
import pathlib
import sys

from report.page import write_report, write_summary

SCHEMA = 2
EXIT_DATA, EXIT_NO_INPUT, EXIT_CANNOT_WRITE = 65, 66, 73
_DESCRIPTION = """Makes one HTML file of the result of a run, or of several runs: a table of all of them, and the report of each below it.
The file needs no network and no other file."""


class ResultWrong(Exception):
    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


def load_result(path):
    """A result by its file, or by the directory of its run."""
    file = path / "result.json" if path.is_dir() else path
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except OSError as failed:
        raise ResultWrong(f"{file}: {failed.strerror}: name the directory of a run, or its result.json", EXIT_NO_INPUT) from failed
    except ValueError as wrong:
        raise ResultWrong(f"{file} is not JSON: {wrong}", EXIT_DATA) from wrong
    schema = result.get("schema") if isinstance(result, dict) else None
    if schema != SCHEMA:
        raise ResultWrong(f"{file} has schema {schema}, and reports are made of schema {SCHEMA}: run the scenario again", EXIT_DATA)
    return file, result


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench/run report", description=_DESCRIPTION)
    parser.add_argument("results", nargs="+", type=pathlib.Path, metavar="RESULT", help="the directory of a run, or its result.json")
    parser.add_argument("-o", "--output", type=pathlib.Path, metavar="FILE",
                        help="where it goes (default report.html beside the result; of several: in the folder above the first one)")
    options = parser.parse_args(arguments)
    try:
        found = [load_result(path) for path in options.results]
        if len(found) == 1:
            output = options.output or found[0][0].with_name("report.html")
            write_report(found[0][1], output)
        else:
            output = options.output or found[0][0].resolve().parent.parent / "report.html"
            write_summary([result for _, result in found], output)
    except ResultWrong as wrong:
        print(f"bench/run report: {wrong}", file=sys.stderr)
        return wrong.code
    except OSError as failed:
        print(f"bench/run report: {output}: {failed.strerror}: name another file with -o", file=sys.stderr)
        return EXIT_CANNOT_WRITE
    print(output)
    return 0
