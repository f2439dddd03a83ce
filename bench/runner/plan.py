# SPDX-License-Identifier: Apache-2.0
"""Plans: what a run does, as data (bench/plans/*.toml). A word that nobody knows is an error, so that a typing mistake can't
quietly make a run easier."""
import pathlib
import re
import tomllib

PLANS = pathlib.Path(__file__).resolve().parents[1] / "plans"

# Options of penstock-load that a plan may set, by the names that they have there.
LOAD_KEYS = {"timetable", "types", "size", "duplicates", "conflicts", "invalid", "lag", "batch", "connections", "threads", "patience",
             "resend_pause", "resends", "linger", "seed"}
TOP_KEYS = {"title", "load", "accounts", "queue", "gateway", "sink", "fault", "levels", "drain"}
QUEUES = ("direct", "rabbitmq")
# What each fault must say besides "at" and "do", and what it may say.
FAULTS = {"kill": (set(), {"for", "what"}), "restart": (set(), set()), "stop": ({"for"}, {"what"}),
          "alarm": ({"what", "for"}, set()), "behave": ({"account", "words"}, {"for"}),
          "reload": ({"options"}, set())}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class PlanWrong(Exception):
    pass


def seconds(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    if not match:
        raise PlanWrong(f'"{text}" is not a duration such as 500ms, 10s or 2m')
    return float(match.group(1)) * UNITS[match.group(2)]


def check_keys(where, found, known):
    for key in found:
        if key not in known:
            raise PlanWrong(f"{where}: nobody knows \"{key}\" (known: {', '.join(sorted(known))})")


class Plan:
    def __init__(self, name, data):
        check_keys(name, data, TOP_KEYS)
        check_keys(f"{name}: load", data.get("load", {}), LOAD_KEYS)
        if "timetable" not in data.get("load", {}):
            raise PlanWrong(f"{name}: load.timetable is missing")
        self.name = name
        self.title = data.get("title", name)
        self.load = data["load"]
        self.accounts = data.get("accounts", 8)
        self.queue = data.get("queue", "direct")
        if self.queue not in QUEUES:
            raise PlanWrong(f"{name}: queue = \"{self.queue}\" is none of {', '.join(QUEUES)}")
        self.gateway = data.get("gateway", {})
        # Behaviours by account number; "default" for the others.
        self.sink = data.get("sink", {})
        self.levels = data.get("levels", {})
        self.drain_seconds = seconds(data.get("drain", "60s"))
        for fault in data.get("fault", []):
            self._check_fault(fault)
        self.faults = sorted(data.get("fault", []), key=lambda fault: seconds(fault["at"]))
        check_keys(f"{name}: sink", self.sink, {"default", *map(str, range(self.accounts))})

    def _check_fault(self, fault):
        where = f"{self.name}: fault"
        must, may = FAULTS.get(fault.get("do"), (None, None))
        if must is None:
            raise PlanWrong(f"{where}: do = \"{fault.get('do')}\" is none of {', '.join(FAULTS)}")
        check_keys(f"{where} {fault['do']}", fault, {"at", "do"} | must | may)
        for key in {"at"} | must:
            if key not in fault:
                raise PlanWrong(f"{where} {fault['do']}: \"{key}\" is missing")
        if fault.get("what", "gateway") not in ("gateway", "sink", "broker"):
            raise PlanWrong(f"{where} {fault['do']}: what = \"{fault['what']}\" is none of gateway, sink, broker")
        if fault["do"] == "alarm" and fault["what"] != "broker":
            raise PlanWrong(f"{where} alarm: only the broker has one (what = \"broker\")")
        if fault.get("what") == "broker" and self.queue != "rabbitmq":
            raise PlanWrong(f"{where} {fault['do']}: this plan has no broker (queue = \"rabbitmq\")")
        for key in ("at", "for"):
            if key in fault:
                seconds(fault[key])

    def account_names(self):
        return [f"acc_{number}" for number in range(self.accounts)]

    def behaviour_of(self, number):
        return self.sink.get(str(number), self.sink.get("default", ""))

    def load_arguments(self):
        arguments = ["--accounts", f"acc_%d*{self.accounts}"]
        for key, value in self.load.items():
            arguments += [f"--{key.replace('_', '-')}", str(value)]
        return arguments


def load_plan(name, queue=None):
    """`queue`: another than the plan's own."""
    path = pathlib.Path(name) if name.endswith(".toml") else PLANS / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise PlanWrong(f"there is no plan {name}; there are: {', '.join(plan_names())}") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanWrong(f"{path}: {error}") from None
    return Plan(path.stem, {**data, **({"queue": queue} if queue else {})})


def plan_names():
    return sorted(path.stem for path in PLANS.glob("*.toml"))
