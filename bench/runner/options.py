# SPDX-License-Identifier: Apache-2.0
"""The command line of bench/run. What would be ignored is refused, with the remedy."""
import argparse
import pathlib

from runner.plan import QUEUES, PlanWrong
from runner.scenarios import is_scenario

EXIT_USAGE = 64
TOP = pathlib.Path(__file__).resolve().parents[2]
FIGURES_DEFAULTS = {"rounds": 5, "seconds": 8, "events": 1_000_000}
# What does nothing, by what is run: an option, and what to do.
_FIGURES_ONLY = "is for figures: leave it out"
_NO_PLAN = {
    "quick": "a plan has one length: leave it out, or name a variant of the plan (bench/run list)",
    "full": "a plan has one length: leave it out, or name a variant of the plan (bench/run list)",
    "resume": "a plan is always run from its start: leave it out",
    "background": "only scenarios and figures run in the background: leave it out, or use nohup"}
_NO_FIGURES = {
    "target": "figures are of Penstock: name a plan",
    "quick": "figures have one length: leave it out (--tiny shows only that every part runs)",
    "full": "figures have one length: leave it out",
    "set": "is for plans and scenarios: leave it out",
    "queue": "each part of the figures has its own queue: leave it out",
    "keep": "is for plans and scenarios: leave it out",
    "json": "the figures are in figures.json: leave it out"}
REFUSED = {"plans": {**_NO_PLAN, **dict.fromkeys(("rounds", "seconds", "events", "against", "tiny"),
                                                 _FIGURES_ONLY)},
           "scenarios": dict.fromkeys(("rounds", "seconds", "events", "against", "tiny"),
                                      _FIGURES_ONLY),
           "figures": _NO_FIGURES}


class Parser(argparse.ArgumentParser):
    """1 and 2 are no codes of a wrong usage: 1 is the verdict's."""

    def error(self, message):
        self.exit(EXIT_USAGE, f"{self.prog}: {message}: try bench/run --help\n")


def parser_of(description):
    """Abbreviations are not taken: a part of a name would be found neither by people nor by
    child_arguments."""
    parser = Parser(prog="bench/run", description=description, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("plans", nargs="+", metavar="PLAN", help="scenarios, or plans, or figures")
    add("--build", type=pathlib.Path, default=TOP / "build/release",
        help="build directory (default build/release)")
    add("--directory", type=pathlib.Path, default=TOP / "build/bench",
        help="where results are written (default build/bench); one command at a time uses it")
    add("--queue", choices=QUEUES,
        help="what is between ingress and delivery, whatever the plan says")
    add("--target", type=pathlib.Path, metavar="FILE",
        help="a gateway or another product that runs already: bench/targets")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="another value in the plan, such as accounts=16")
    add("--keep", action="store_true",
        help="keep logs and journals of runs that passed; those of the others are always kept")
    add("--json", action="store_true", help="the result as JSON on stdout")
    scenarios = parser.add_argument_group("for scenarios")
    lengths = scenarios.add_mutually_exclusive_group()
    lengths.add_argument("--quick", action="store_true",
                         help="in about half a minute (the default)")
    lengths.add_argument("--full", action="store_true", help="in the real length")
    scenarios.add_argument("--background", action="store_true",
                           help="continue when the terminal is closed, also for figures; the "
                           "output is in DIRECTORY/background.log")
    scenarios.add_argument("--resume", action="store_true",
                           help="run only what has no verdict yet for this commit, build, plan, "
                           "--set and target, also for figures; with changes that are not "
                           "committed everything is run")
    figures = parser.add_argument_group("for figures")
    figures.add_argument("--rounds", type=int, help="how often each is measured, in turn (default "
                         f"{FIGURES_DEFAULTS['rounds']})")
    figures.add_argument("--seconds", type=int, help="of each measurement, two of them warm-up "
                         f"(default {FIGURES_DEFAULTS['seconds']})")
    figures.add_argument("--events", type=int, help="for the part search: events in the journals "
                         f"(default {FIGURES_DEFAULTS['events']})")
    figures.add_argument("--against", type=pathlib.Path, help="for the parts versus, cost, hung, "
                         "failing and recovery: the build directory of another commit, measured "
                         "in turn with --build")
    figures.add_argument("--tiny", action="store_true",
                         help="only to check that every part runs: the figures mean nothing")
    return parser


def kind_of(names):
    """What the names are: list, figures, scenarios or plans. A mix is refused."""
    if names == ["list"]:
        return "list"
    if names[0] == "figures":
        return "figures"
    scenarios = [name for name in names if is_scenario(name)]
    plans = [name for name in names if not is_scenario(name)]
    if scenarios and plans:
        raise PlanWrong(f"{scenarios[0]} is a scenario and {plans[0]} is a plan: run them with two "
                        "commands")
    return "scenarios" if scenarios else "plans"


def parse(description, arguments):
    """The options, with `kind`, or PlanWrong."""
    options = parser_of(description).parse_args(arguments)
    options.build, options.directory = options.build.resolve(), options.directory.resolve()
    options.kind = kind_of(options.plans)
    for name, remedy in REFUSED.get(options.kind, {}).items():
        if getattr(options, name) not in (None, False, []):
            raise PlanWrong(f"--{name}: {remedy}")
    for name, value in FIGURES_DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def child_arguments(arguments):
    """The same command in the foreground."""
    return [each for each in arguments if each != "--background"]
