#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds a gateway of its own against RFC 9113: each MUST of sections 5 and 6 that a server can be tested for, and those of sections 3, 4 and 8
that are near. Prints a row for each: what is sent, what the RFC asks for, what was seen.

  tests/attack/conformance.py [--tls] [--build DIR] [--markdown FILE] [SECTION...]

The exit code is 1 if anything deviates that is not among the accepted deviations below."""
import argparse
import os
import pathlib
import sys
import textwrap
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from attack import frames  # noqa: E402
from attack.rfc9113 import CASES  # noqa: E402
from attack.wire import Cut, Peer, Wire  # noqa: E402

# (section, text): what follows from a deviation of libnghttp2 that we accept.
ACCEPTED = {
    ("6.1", "closed by our RST_STREAM: DATA"): "none: it is dropped, counted, and given back to the window",
    ("6.1", "closed by END_STREAM of both: DATA"): "none: it is dropped, counted, and given back to the window",
    ("5.1.1", "a request on stream 5, then one on stream 3"): "the second request is dropped: it is never served, and has no answer",
    ("6.3", "PRIORITY on stream 0"): "none: priorities of RFC 7540 are switched off, so PRIORITY is only counted",
    ("6.9.2", "SETTINGS that make a window larger than 2^31-1"): "the stream ends with FLOW_CONTROL_ERROR, and the connection continues",
}

ANSWER_SECONDS, END_SECONDS = 2, 2
PROBE_STREAM = 2001  # a request after each case
LOADED_FACTOR = 5  # on a machine that does much else at the same time


class Session:
    """One connection of one case."""

    def __init__(self, target, case, factor=1):
        self.target, self.case, self.factor = target, case, factor
        self.wire = Wire(target, "h2")
        self.peer = Peer(self.wire)
        self.frames = []
        self.first, self.first_payload = None, b""
        self.settings_acks = 0
        self.closed = False
        self.probe_answered = False

    @property
    def goaway(self):
        return self.peer.goaway

    @property
    def resets(self):
        return self.peer.resets

    @property
    def answers(self):
        return self.peer.answers

    def told(self):
        said = [f"stream {stream}: {status}" for stream, status in list(self.answers.items())[:3] if stream != PROBE_STREAM]
        said += [f"stream {stream}: RST_STREAM {frames.error_name(code)}" for stream, code in list(self.resets.items())[:3]]
        if self.goaway is not None:
            said.append(f"GOAWAY {frames.error_name(self.goaway)}")
        return ", ".join(said + (["closed"] if self.closed else [])) or "no frame"

    def send(self, piece):
        try:
            self.wire.send_all(piece)
        except Cut:
            self.read(END_SECONDS)
            self.closed = True

    def read(self, seconds):
        if self.closed:
            return
        try:
            found = self.peer.step(seconds)
        except Cut:
            self.closed = True
            return
        for kind, flags, stream, payload in found:
            if self.first is None:
                self.first, self.first_payload = (kind, flags), payload
            self.settings_acks += kind == frames.SETTINGS and flags & frames.ACK
            self.frames.append((kind, flags, stream, payload))

    def wait_for(self, condition, seconds=ANSWER_SECONDS):
        limit = time.monotonic() + seconds * self.factor
        while not self.closed and not condition() and time.monotonic() < limit:
            self.read(0.02)
        return condition()

    def catch_up(self):
        """Waits until the gateway has worked off what was sent, and what it makes of it is here."""
        mark = os.urandom(8)
        self.send(frames.ping(data=mark))
        self.wait_for(lambda: (frames.PING, frames.ACK, 0, mark) in self.frames)
        quiet = 0.06 if self.factor == 1 else 0.1
        limit, count = time.monotonic() + quiet, len(self.frames)
        while not self.closed and time.monotonic() < limit:
            self.read(0.02)
            if len(self.frames) > count:
                limit, count = time.monotonic() + quiet, len(self.frames)

    def run(self):
        case = self.case
        if case.has_preface:
            self.send(self.peer.opening)
            self.wait_for(lambda: self.peer.is_open)
        piece = case.send(self) if callable(case.send) else case.send
        if piece:
            self.send(piece)
        if case.has_probe:
            self.catch_up()
            stream = PROBE_STREAM
            if not self.closed and self.goaway is None:
                self.send(frames.headers(stream, frames.request_block(frames.GET, b"/v1/events/none", scheme=self.target.scheme)))
                self.probe_answered = self.wait_for(lambda: stream in self.peer.answers or self.goaway is not None) and stream in self.peer.answers
        elif case.has_preface:
            self.catch_up()
        if self.goaway is not None or case.expect.wants.startswith("connection"):
            self.wait_for(lambda: self.closed, END_SECONDS)
        self.wire.close()
        return case.expect(self)


def run_cases(target, sections=(), is_loaded=False):
    """Yields (case, deviation)."""
    for case in CASES:
        if sections and not any(case.section == section or case.section.startswith(section + ".") for section in sections):
            continue
        try:
            deviation = Session(target, case, LOADED_FACTOR if is_loaded else 1).run()
        except (Cut, OSError) as error:
            deviation = f"the case could not run: {error}"
        yield case, deviation


def markdown(results):
    """A table for each section, and a list of what deviates. C and S: a connection error and a stream error."""
    lines, notes = [], []
    for section in dict.fromkeys(case.section for case, _ in results):
        lines += [f"### {section}", "", "| sent | RFC 9113 asks for | holds |", "|---|---|---|"]
        for case, deviation in results:
            if case.section == section:
                wants = case.wants.replace("connection error ", "C ").replace("stream error ", "S ")
                if deviation:
                    notes.append(f"{len(notes) + 1}. {case.text}: {deviation}. Consequence: {ACCEPTED.get((section, case.text), case.consequence)}.")
                lines.append(f"| {case.text} | {wants} | {f'no ({len(notes)})' if deviation else 'yes'} |")
        lines.append("")
    for note in notes:
        lines += textwrap.wrap(note, 98, subsequent_indent="   ", break_on_hyphens=False)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--build", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/release"))
    parser.add_argument("--markdown", metavar="FILE")
    given = parser.parse_args()
    os.environ["PENSTOCK_BIN"] = str(pathlib.Path(given.build).resolve() / "penstock")
    from attack.house import House  # pylint: disable=import-outside-toplevel
    house, results = House(given.tls), []
    try:
        for case, deviation in run_cases(house.target(given.tls, house.attacker_key), given.sections):
            results.append((case, deviation))
            print(f"{case.section:6} {'holds   ' if not deviation else 'DEVIATES'} {case.text}: {case.wants}"
                  + (f"; seen: {deviation} ({case.consequence})" if deviation else ""), flush=True)
    finally:
        wrong = house.stop()
    if given.markdown:
        pathlib.Path(given.markdown).write_text(markdown(results) + "\n")
    deviations = [case for case, deviation in results if deviation and (case.section, case.text) not in ACCEPTED]
    print(f"{len(results)} cases, {len(results) - sum(1 for _, deviation in results if deviation)} hold" + (f"; the gateway {wrong}" if wrong else ""))
    return 1 if deviations or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
