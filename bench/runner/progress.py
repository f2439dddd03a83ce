# SPDX-License-Identifier: Apache-2.0
"""The live line of a run: rate, p99, backlog, remaining time. Rewritten in place on a terminal, else a line every five seconds."""
import json
import pathlib
import sys
import time


class Progress:
    def __init__(self, path, out=None):
        self.path, self.out = pathlib.Path(path), out or sys.stderr
        self.live = self.out.isatty()
        self.shown_at = 0

    def latest(self):
        try:
            lines = self.path.read_text().splitlines()
            return json.loads(lines[-1]) if lines else None
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def show(self, backlog, note="", more=()):
        """`more`: other generators, which are added."""
        now = time.monotonic()
        found = self.latest()
        others = [(load.progress.latest() or {"rate": 0, "events": 0}, load.is_running()) for load in more]
        if not found or now - self.shown_at < (1 if self.live else 5):
            return
        self.shown_at = now
        left = max(0, found["of"] - found["seconds"])
        rate = found["rate"] + sum(other["rate"] for other, is_running in others if is_running)
        events = found["events"] + sum(other["events"] for other, _ in others)
        self.line(f"{rate:7d}/s  p99 {found['p99_us'] / 1000:8.2f} ms  backlog {backlog:8d}  {events:9d} events  "
                  f"{int(left) // 60:3d}:{int(left) % 60:02d} left  {note}")

    def line(self, text):
        self.out.write(f"\r\033[K{text}" if self.live else f"{text}\n")
        self.out.flush()

    def end(self):
        if self.live:
            self.out.write("\r\033[K")
            self.out.flush()
