# SPDX-License-Identifier: Apache-2.0
"""Runs the console examples of a document, and compares what they print with what the document shows.

A document has blocks of the kind `console`. A line that begins with "$ " is a command, which goes on
in the next line after a backslash. The lines behind it are its output. Between the blocks, a comment
`<!-- step: NAME -->` says what the test does to the world at this point.

Compared are words and whole numbers. What differs from run to run only has to be of the same kind:
times, dates, durations, sizes, rates, addresses, and whole numbers in parentheses. An id in the document stands for the real one that appears
first in its place, in later commands as well. The line "..." stands for any lines, and "..." at the end of
a line for the rest of it. A command ends with 0, unless its output ends with the line "[exit N]"."""
import dataclasses
import re
import subprocess

KINDS = [
    ("id", r"\b(?:evt|dlv|ep|rpl)_[0-9a-f][0-9a-f-]*"),
    ("time", r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    ("date", r"\b\d{4}-\d\d-\d\d\b"),
    ("address", r"\b\d+\.\d+\.\d+\.\d+:\d+"),
    ("rate", r"(?<![\w.])\d+(?:\.\d+)?/s\b"),
    ("size", r"(?<![\w.])\d+(?:\.\d+)? [KMGT]i?B\b"),
    ("count", r"\(\d+\)"),
    ("clock", r"\b\d\d:\d\d:\d\d\b"),
    ("duration", r"(?<![\w.])(?:\d+(?:\.\d+)? ?(?:us|ms|s|min|m|h|d)\b ?)+"),
    ("version", r"\b\d+\.\d+\.\d+\b"),
    ("rule", r"-{3,}"),
    ("word", r"[^\s(),:;\"/=]+|\S"),
]
TOKEN = re.compile("|".join(f"(?P<{name}>{text})" for name, text in KINDS))


@dataclasses.dataclass
class Step:
    name: str
    line: int


@dataclasses.dataclass
class Command:
    text: str
    output: list
    exit_code: int
    line: int


def _commands_of(lines, first):
    """The commands of one block. `lines`: (text, number)."""
    commands = []
    for text, number in lines:
        if text.startswith("$ "):
            commands.append(Command(text[2:], [], 0, number))
        elif commands and commands[-1].text.endswith("\\") and not commands[-1].output:
            commands[-1].text = commands[-1].text[:-1].rstrip() + " " + text.strip()
        elif not commands:
            raise ValueError(f"line {first}: the block begins with no command")
        elif ended := re.fullmatch(r"\[exit (\d+)\]", text):
            commands[-1].exit_code = int(ended.group(1))
        else:
            commands[-1].output.append(text)
    return commands


def chapters_of(document):
    """{heading of level 2: its steps and commands, in order}"""
    chapters, title, block = {}, None, None
    for number, text in enumerate(document.splitlines(), 1):
        if block is not None:
            if text.startswith("```"):
                chapters[title] += _commands_of(block, number)
                block = None
            else:
                block.append((text, number))
        elif text.startswith("## "):
            title = text[3:].strip()
            chapters[title] = []
        elif text.strip() == "```console":
            block = []
        elif step := re.fullmatch(r"<!-- step: (.+?) -->", text.strip()):
            chapters[title].append(Step(step.group(1), number))
    return {title: parts for title, parts in chapters.items() if any(isinstance(part, Command) for part in parts)}


def _tokens_of(line):
    return [(match.lastgroup, match.group().strip()) for match in TOKEN.finditer(line)]


class Ids:
    """Which real id an id of the document stands for."""

    def __init__(self):
        self.real = {}

    def fill_in(self, text):
        return re.sub(KINDS[0][1], lambda match: self.real.get(match.group(), match.group()), text)

    def fit(self, shown, real, bound):
        """`bound`: what this comparison has bound so far."""
        known = bound.get(shown) or self.real.get(shown)
        if known is None:
            bound[shown] = real
        return known in (None, real)

    def line_fits(self, shown, real, bound):
        ours, theirs = _tokens_of(shown), _tokens_of(real)
        if shown.endswith(" ..."):
            ours = _tokens_of(shown.removesuffix("..."))
            theirs = theirs[:len(ours)]
        return len(ours) == len(theirs) and all(
            kind == other and (self.fit(text, said, bound) if kind == "id" else kind != "word" or text == said)
            for (kind, text), (other, said) in zip(ours, theirs))

    def lines_fit(self, shown, real, bound):
        """Binds the ids, and returns whether the output is as shown."""
        if not shown:
            return not real
        if shown[0].strip() == "...":
            return any(self.lines_fit(shown[1:], real[at:], attempt) and (bound.update(attempt) or True)
                       for at in range(len(real) + 1) for attempt in [dict(bound)])
        attempt = dict(bound)
        if not real or not self.line_fits(shown[0], real[0], attempt) or not self.lines_fit(shown[1:], real[1:], attempt):
            return False
        bound.update(attempt)
        return True


def run(command, ids, environment, directory, seconds=60):
    """Runs one command of a document and compares. `environment`: its PATH leads to the program."""
    text = ids.fill_in(command.text)
    done = subprocess.run(["bash", "-c", text], env=environment, cwd=directory, capture_output=True, text=True, timeout=seconds, check=False)
    real = [line.rstrip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    shown = [line.rstrip() for line in command.output if line.strip()]
    bound = {}
    assert done.returncode == command.exit_code and ids.lines_fit(shown, real, bound), (
        f"line {command.line} of the document: $ {text}\n--- ends with {done.returncode} and prints\n" + "\n".join(real)
        + f"\n--- the document shows {command.exit_code} and\n" + "\n".join(shown))
    ids.real.update(bound)
